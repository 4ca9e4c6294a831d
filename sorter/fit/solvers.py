"""Rows of features and their answers -> the weights of a head: by least squares, or a hidden layer's by Adam.

A row is one view of a picture. What is computed from the rows once, every fold and every strength shares.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sorter.threads import in_step

Floats = NDArray[np.float32]
Places = NDArray[np.int64]
Dense = tuple[tuple[Floats, Floats], ...]
"""One or two dense layers: (kernel, bias) each, a relu between them."""

MOST_WEIGHT = 10
"""A picture of a small class counts at most so many times one of the largest. With 6 examples for some classes and 32
for others, weighing raised the share found of every class by 4 to 12 points, and of the worst one by 19 to 38."""
UNITS = 100
"""Of the hidden layer: Teachable Machine's."""
DIRECTIONS = 128
"""The hidden layer is fitted on this many principal directions: as good, and in a tenth of the time."""
EPOCHS, BATCH, LEARNING_RATE, DECAY = 25, 128, 0.003, 0.001
FLATTEST = 1e-3
"""Of the mean deviation; the least that a feature is divided by. Of a channel that is always about 0, only the rounding
of the network differs, and would be as loud as any other."""


@dataclass(frozen=True, eq=False)
class Task:
    """What is to be answered, row by row: a row is one view of a picture."""

    answers: Places
    folds: Places
    classes: int

    @property
    def weights(self) -> Floats:
        """(rows,): the roots of how much each row counts, so that a class of few examples counts like the others."""
        counts = np.bincount(self.answers, minlength=self.classes)
        share = np.minimum(counts.max() / np.maximum(1, counts), MOST_WEIGHT)
        return np.asarray(np.sqrt(share / share.mean())[self.answers], np.float32)

    def splits(self) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
        """Rows to fit on, rows held out."""
        for fold in np.unique(self.folds):
            yield self.folds != fold, self.folds == fold


class Space:
    """Features, standardised so that each row's mean square is about 1, and what is computed from them once."""

    def __init__(self, features: Floats, weights: Floats) -> None:
        """`weights` (rows,): the root of how much each row counts."""
        self.weights = weights
        self.mean = np.average(features, axis=0, weights=weights**2)
        deviation = features.std(axis=0)
        floor = max(FLATTEST * float(np.sqrt(np.mean(deviation**2))), 1e-12)
        self.scale = np.maximum(deviation, floor) * np.float32(np.sqrt(features.shape[1]))
        self.rows = np.asarray((features - self.mean) / self.scale, np.float32)
        self.wide = self.rows.shape[0] <= self.rows.shape[1]
        """More features than rows: then least squares is solved in the rows."""
        weighed = self.rows * weights[:, None]
        self.gram = weighed @ weighed.T if self.wide else weighed.T @ weighed

    def directions(self, train: NDArray[np.bool_], seed: int) -> Floats:
        """The principal directions (numbers, DIRECTIONS) of the training rows.

        Of the training rows alone: along a direction that only others have, a fitted layer keeps its random start.
        """
        mixture = self._mixture(train, seed)
        return self.rows[train].T @ mixture if self.wide else mixture

    def along(self, train: NDArray[np.bool_], seed: int) -> Floats:
        """All rows along these directions: (rows, DIRECTIONS)."""
        mixture = self._mixture(train, seed)
        if not self.wide:
            return self.rows @ mixture
        return (
            np.asarray(self.gram[:, train] @ (mixture / self.weights[train][:, None]), np.float32)
            / self.weights[:, None]
        )

    def _mixture(self, train: NDArray[np.bool_], seed: int) -> Floats:
        """What the directions are made of: the training rows where there are more features than rows, else features."""
        from sklearn.utils.extmath import randomized_svd

        part, weights = self.rows[train], self.weights[train]
        gram = self.gram[np.ix_(train, train)] / weights / weights[:, None] if self.wide else part.T @ part
        vectors, values, _ = randomized_svd(gram, min(DIRECTIONS, len(gram)), n_iter=3, random_state=seed)
        sizes = np.sqrt(np.maximum(values, max(1e-6 * values[0], 1e-12)))  # of the rows along each direction
        scale = 3 * np.sqrt(train.sum()) / sizes[0]  # the first one's deviation is 3: that suits Adam
        return np.asarray(vectors / sizes * scale if self.wide else vectors * scale, np.float32)

    def for_raw(self, dense: Dense) -> Dense:
        """The same layers for features as they come: the standardisation is folded into the first one."""
        (kernel, bias), *rest = dense
        kernel = kernel / self.scale[:, None]
        layers = ((kernel, bias - self.mean @ kernel), *rest)
        return tuple((np.asarray(kernel, np.float32), np.asarray(bias, np.float32)) for kernel, bias in layers)


def linear_held_out(space: Space, task: Task, strengths: Sequence[float]) -> list[Floats]:
    """For each strength logits (rows, classes), each row's by a head that has not seen its picture."""

    def ask(train: NDArray[np.bool_], test: NDArray[np.bool_]) -> Floats:
        squares = LeastSquares(space, task, train)
        return np.stack([squares.answer(test, squares.solve(strength)) for strength in strengths])

    return list(_each_fold(task, ask, len(strengths)))


def dense_held_out(space: Space, task: Task, seed: int) -> Floats:
    """The same by the hidden layer."""

    def ask(train: NDArray[np.bool_], test: NDArray[np.bool_]) -> Floats:
        along = space.along(train, seed)
        return _run(_hidden(along[train], task.answers[train], task.classes, seed), along[test])[None]

    return np.asarray(_each_fold(task, ask, 1)[0])


def _each_fold(task: Task, ask: Callable[[NDArray[np.bool_], NDArray[np.bool_]], Floats], heads: int) -> Floats:
    """The logits (heads, rows, classes) of the rows that each fold holds out, the folds side by side."""
    logits = np.zeros((heads, len(task.answers), task.classes), np.float32)
    splits = list(task.splits())
    for (_, test), found in zip(splits, in_step(lambda split: ask(*split), splits), strict=True):
        logits[:, test] = found
    return logits


def fit_linear(space: Space, task: Task, strength: float) -> Dense:
    """The linear head fitted on all rows, for raw features."""
    squares = LeastSquares(space, task, np.ones(len(task.answers), bool))
    return space.for_raw(((squares.kernel(squares.solve(strength)), squares.common),))


def fit_dense(space: Space, task: Task, seed: int) -> Dense:
    """The hidden layer and the one after it, fitted on all rows, for raw features."""
    everything = np.ones(len(task.answers), bool)
    (first, bias), second = _hidden(space.along(everything, seed), task.answers, task.classes, seed)
    return space.for_raw(((space.directions(everything, seed) @ first, bias), second))


class LeastSquares:
    """Ridge regression of one-hot answers on some rows.

    In the rows: (G + s I) c = Y, with G the inner products of the rows; or in the features: (X'X + s I) w = X'Y. The
    same answers either way (Saunders et al. 1998, "Ridge regression learning algorithm in dual variables").
    """

    def __init__(self, space: Space, task: Task, train: NDArray[np.bool_]) -> None:
        self.space, self.train = space, np.flatnonzero(train)
        weights = space.weights[train][:, None]
        targets = np.eye(task.classes, dtype=np.float32)[task.answers[train]]
        self.common = np.asarray((targets * weights**2).sum(axis=0) / (weights**2).sum(), np.float32)
        """(classes,): their shares, as they count."""
        right = (targets - self.common) * weights
        if space.wide:
            self._matrix, self._right = space.gram[np.ix_(self.train, self.train)], right
        else:
            left_out = space.rows[~train] * space.weights[~train][:, None]
            self._matrix = space.gram - left_out.T @ left_out
            self._right = (space.rows[train] * weights).T @ right

    def solve(self, strength: float) -> Floats:
        """The coefficients (numbers, classes) of the features; where there are more of these than rows, (rows, classes)
        of the weighed rows."""
        from scipy.linalg import cho_factor, cho_solve

        matrix = self._matrix.copy()
        matrix[np.diag_indices_from(matrix)] += np.float32(strength)  # enough for single precision to be exact enough
        factor = cho_factor(matrix, lower=True, overwrite_a=True, check_finite=False)
        return np.asarray(cho_solve(factor, self._right, check_finite=False), np.float32)

    def answer(self, test: NDArray[np.bool_], solved: Floats) -> Floats:
        """Logits (rows, classes) of other rows."""
        space, places = self.space, np.flatnonzero(test)
        seen = space.rows[places]
        if space.wide:
            seen = np.asarray(space.gram[np.ix_(places, self.train)] / space.weights[places][:, None], np.float32)
        return np.asarray(seen @ solved + self.common, np.float32)

    def kernel(self, solved: Floats) -> Floats:
        """The coefficients (numbers, classes) of the features."""
        if not self.space.wide:
            return solved
        spread = np.zeros((len(self.space.rows), solved.shape[1]), np.float32)
        spread[self.train] = self.space.weights[self.train][:, None] * solved
        return self.space.rows.T @ spread


def _hidden(along: Floats, answers: Places, classes: int, seed: int) -> Dense:
    """Teachable Machine's head, fitted by Adam; a class that is not among the answers is never likely."""
    from sklearn.neural_network import MLPClassifier

    network = MLPClassifier(
        (UNITS,), alpha=DECAY, batch_size=min(BATCH, len(along)), learning_rate_init=LEARNING_RATE,
        max_iter=EPOCHS, random_state=seed,
    )  # fmt: skip
    network.fit(along, answers)
    (first, last), (first_bias, last_bias) = network.coefs_, network.intercepts_
    if len(network.classes_) == 2:  # scikit-learn keeps one output for two classes; softmax wants both
        last, last_bias = np.concatenate([-last, last], 1) / 2, np.concatenate([-last_bias, last_bias]) / 2
    kernel, bias = np.zeros((UNITS, classes), np.float32), np.full(classes, -30.0, np.float32)
    kernel[:, network.classes_], bias[network.classes_] = last, last_bias
    return (np.asarray(first, np.float32), np.asarray(first_bias, np.float32)), (kernel, bias)


def _run(dense: Dense, rows: Floats) -> Floats:
    for number, (kernel, bias) in enumerate(dense):
        rows = rows @ kernel + bias
        if number + 1 < len(dense):
            rows = np.maximum(rows, 0)
    return rows
