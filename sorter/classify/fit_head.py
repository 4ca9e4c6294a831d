"""Features -> the small end of a sorter, chosen by what it answers on pictures that it was not fitted on.

Two ways to sum up a picture. `average` is the vendor's: each channel's mean over the last map, which hardly changes
when the picture is mirrored. `grid` keeps what is where: 4 x 4 cells of the map that the last convolution reads. Two
heads on top of it: linear, fitted by regularised least squares on one-hot answers, and the vendor's Dense(100, relu),
Dense(classes). Which of them and how strongly regularised, cross-validation on the user's own pictures says.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sorter.classify import calibrate
from sorter.classify.graph import Layer
from sorter.classify.head import grid
from sorter.classify.predict import in_step

Kind = Literal["average", "grid"]
Floats = NDArray[np.float32]
Places = NDArray[np.int64]

KINDS: tuple[Kind, ...] = ("average", "grid")
STRENGTHS = (0.03, 0.1, 0.3, 1.0)
"""Of the regularisation, where a picture's features have a mean square of 1. Beyond these, every task got worse."""
MOST_WEIGHT = 10
"""A picture of a small class counts at most so many times one of the largest. With 6 examples for some classes and 32
for others, weighing raised the share found of every class by 4 to 12 points, and of the worst one by 19 to 38."""
UNITS = 100
"""Of the hidden layer: the vendor's."""
DIRECTIONS = 128
"""The hidden layer is fitted on this many principal directions: as good, and in a tenth of the time."""
EPOCHS, BATCH, LEARNING_RATE, DECAY = 25, 128, 0.003, 0.001
FLATTEST = 1e-3
"""Of the mean deviation; the least that a feature is divided by. Of a channel that is always about 0, only the rounding
of the network differs, and would be as loud as any other."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A head that is tried."""

    kind: Kind
    units: int
    """Of the hidden layer; 0 for none."""
    strength: float = 0.0

    def __str__(self) -> str:
        what = f"hidden layer of {self.units}" if self.units else f"linear, regularisation {self.strength:g}"
        return f"{self.kind}, {what}"


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Answers on pictures that were not fitted on: logits (views, n, classes), the mirrored view last, if any."""

    logits: Floats
    truth: Places
    """(views, n): the true class of each view."""
    swap: Places
    """(classes,): the class that each becomes in a mirror."""

    @property
    def accuracy(self) -> list[float]:
        """The share that is right, view by view."""
        return [float(share) for share in (self.logits.argmax(axis=2) == self.truth).mean(axis=1)]

    def heat(self) -> float:
        """The temperature that makes these answers' probabilities true."""
        return calibrate.temperature(self.logits.reshape(-1, self.logits.shape[2]), self.truth.reshape(-1))

    def loss(self) -> float:
        """The mean negative log-likelihood of the truth at that temperature."""
        scores = calibrate.probabilities(self.logits, self.heat())
        found = np.take_along_axis(scores, self.truth[..., None], axis=2)
        return float(-np.log(np.maximum(found, 1e-9)).mean())


@dataclass(frozen=True, eq=False)
class Choice:
    """The head that was chosen, fitted on every picture, its temperature folded in."""

    candidate: Candidate
    layers: tuple[Layer, ...]
    """From the map that its kind reads to probabilities."""
    held_out: HeldOut
    temperature: float
    tried: tuple[tuple[Candidate, list[float]], ...]
    """Each candidate with its share of right answers, view by view."""


def choose(
    inputs: Mapping[Kind, Floats],
    labels: Places,
    swap: Places,
    folds: Places,
    shapes: Mapping[Kind, Sequence[int]],
    seed: int = 0,
    heads: Sequence[str] = ("linear", "dense"),
) -> Choice:
    """Try every head on each fold's pictures, fitted on the other folds', and fit the best on all.

    `inputs`: kind -> features (views, n, numbers); `labels` (n,); `swap` (classes,); `folds` (n,) the fold that a
    picture is held out in; `shapes`: kind -> (height, width, channels) of the map it reads; `heads`: which to try.
    """
    truth = np.stack([labels, swap[labels]][: len(next(iter(inputs.values())))])
    task = _Task(truth.reshape(-1), np.tile(folds, len(truth)), len(swap))
    spaces = {kind: _Space(inputs[kind].reshape(-1, inputs[kind].shape[2]), task.weights) for kind in inputs}
    tried: dict[Candidate, HeldOut] = {}

    def keep(candidate: Candidate, logits: Floats) -> None:
        tried[candidate] = HeldOut(logits.reshape(*truth.shape, -1), truth, swap)

    with _one_thread_each():
        for kind, space in spaces.items():
            for strength, logits in zip(STRENGTHS, _linear_held_out(space, task), strict=True):
                keep(Candidate(kind, 0, strength), logits)
        best = max(tried, key=lambda one: _merit(tried[one]))
        if "dense" in heads:
            keep(Candidate(best.kind, UNITS), _dense_held_out(spaces[best.kind], task, seed))
        allowed = [one for one in tried if ("dense" if one.units else "linear") in heads]
        best = max(allowed, key=lambda one: _merit(tried[one]))
        heat = tried[best].heat()
        weights = _fit(spaces[best.kind], task, best, seed)
    layers = _layers(best.kind, weights, heat, shapes[best.kind])
    scores = tuple((one, found.accuracy) for one, found in tried.items())
    return Choice(best, layers, tried[best], heat, scores)


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """The folds run side by side, each on one thread: numpy and scipy each bring a pool of threads of their own, and
    these stand in one another's way (twice the time on two cores)."""
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the hidden layer is meant to stop after EPOCHS
        yield


def _merit(found: HeldOut) -> tuple[float, float]:
    """Right answers, each class counting alike however many examples it has; and between equals the likelier ones."""
    truth, right = found.truth.reshape(-1), (found.logits.argmax(axis=2) == found.truth).reshape(-1)
    shares = np.bincount(truth, right) / np.maximum(1, np.bincount(truth))
    return round(float(shares[np.unique(truth)].mean()), 6), -found.loss()


@dataclass(frozen=True, eq=False)
class _Task:
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


class _Space:
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

    def directions(self, train: NDArray[np.bool_], seed: int) -> tuple[Floats, Floats]:
        """The principal directions (numbers, DIRECTIONS) of the training rows, and all rows along them.

        Of the training rows alone: along a direction that only others have, a fitted layer keeps its random start.
        """
        from sklearn.utils.extmath import randomized_svd

        part, plain = self.rows[train], 1 / self.weights[train]
        gram = self.gram[np.ix_(train, train)] * plain * plain[:, None] if self.wide else part.T @ part
        count = min(DIRECTIONS, len(gram))
        vectors, values, _ = randomized_svd(gram, count, n_iter=3, random_state=seed)
        sizes = np.sqrt(np.maximum(values, max(1e-6 * values[0], 1e-12)))  # of the rows along each direction
        found = part.T @ (vectors / sizes) if self.wide else vectors
        scale = np.float32(3 * np.sqrt(len(part)) / sizes[0])  # the first one's deviation is 3: that suits Adam
        found = np.asarray(found * scale, np.float32)
        return found, self.rows @ found


@dataclass(frozen=True, eq=False)
class _Weights:
    """One or two dense layers on raw features: (kernel, bias) each, a relu between them."""

    dense: tuple[tuple[Floats, Floats], ...]


def _linear_held_out(space: _Space, task: _Task) -> list[Floats]:
    """For each of STRENGTHS logits (rows, classes), each row's by a head that has not seen its picture."""

    def ask(train: NDArray[np.bool_], test: NDArray[np.bool_]) -> Floats:
        squares = _LeastSquares(space, task, train)
        return np.stack([squares.answer(test, squares.solve(strength)) for strength in STRENGTHS])

    return list(_each_fold(task, ask, len(STRENGTHS)))


def _dense_held_out(space: _Space, task: _Task, seed: int) -> Floats:
    """The same by the hidden layer."""

    def ask(train: NDArray[np.bool_], test: NDArray[np.bool_]) -> Floats:
        _, along = space.directions(train, seed)
        return _run(_hidden(along[train], task.answers[train], task.classes, seed), along[test])[None]

    return np.asarray(_each_fold(task, ask, 1)[0])


def _each_fold(task: _Task, ask: Callable[[NDArray[np.bool_], NDArray[np.bool_]], Floats], heads: int) -> Floats:
    """The logits (heads, rows, classes) of the rows that each fold holds out, the folds side by side."""
    logits = np.zeros((heads, len(task.answers), task.classes), np.float32)
    splits = list(task.splits())
    for (_, test), found in zip(splits, in_step(lambda split: ask(*split), splits), strict=True):
        logits[:, test] = found
    return logits


def _fit(space: _Space, task: _Task, candidate: Candidate, seed: int) -> _Weights:
    """The head fitted on all rows, for raw features: the standardisation is folded into its first layer."""
    everything = np.ones(len(task.answers), bool)
    if candidate.units:
        directions, along = space.directions(everything, seed)
        first, second = _hidden(along, task.answers, task.classes, seed)
        dense = [(directions @ first[0], first[1]), second]
    else:
        squares = _LeastSquares(space, task, everything)
        dense = [(squares.kernel(squares.solve(candidate.strength)), squares.common)]
    kernel = dense[0][0] / space.scale[:, None]
    dense[0] = (kernel, dense[0][1] - space.mean @ kernel)
    return _Weights(tuple((np.asarray(k, np.float32), np.asarray(b, np.float32)) for k, b in dense))


class _LeastSquares:
    """Ridge regression of one-hot answers on some rows.

    In the rows: (G + s I) c = Y, with G the inner products of the rows; or in the features: (X'X + s I) w = X'Y. The
    same answers either way (Saunders et al. 1998, "Ridge regression learning algorithm in dual variables").
    """

    def __init__(self, space: _Space, task: _Task, train: NDArray[np.bool_]) -> None:
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
        weighed = self.space.rows[self.train] * self.space.weights[self.train][:, None]
        return np.asarray(weighed.T @ solved, np.float32)


def _hidden(along: Floats, answers: Places, classes: int, seed: int) -> tuple[tuple[Floats, Floats], ...]:
    """The vendor's head, fitted by Adam; a class that is not among the answers is never likely."""
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


def _run(dense: Sequence[tuple[Floats, Floats]], rows: Floats) -> Floats:
    for number, (kernel, bias) in enumerate(dense):
        rows = rows @ kernel + bias
        if number + 1 < len(dense):
            rows = np.maximum(rows, 0)
    return rows


def _layers(kind: Kind, weights: _Weights, heat: float, shape: Sequence[int]) -> tuple[Layer, ...]:
    """The head as plain layers on a map (height, width, channels)."""
    (first, bias), *rest = weights.dense
    if kind == "average":
        start = Layer("GlobalAveragePooling2D", (), {})
    else:
        height, width, channels = shape
        start = Layer("Flatten", (), {})
        cells = grid(height, width)  # the sums over cells are linear, so they go into the kernel
        spread = np.einsum("gp,gcu->pcu", cells, first.reshape(len(cells), channels, -1))
        first = np.asarray(spread.reshape(height * width * channels, -1), np.float32)
    dense = [(first, bias), *rest]
    kernel, bias = dense[-1]
    dense[-1] = (np.asarray(kernel / heat, np.float32), np.asarray(bias / heat, np.float32))
    made = [
        Layer(
            "Dense",
            (),
            {"units": kernel.shape[1], "activation": "softmax" if number + 1 == len(dense) else "relu"},
            (kernel, bias),
        )
        for number, (kernel, bias) in enumerate(dense)
    ]
    return (start, *made)
