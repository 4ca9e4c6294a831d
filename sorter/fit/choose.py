"""Which pictures to ask a person about, so that few answers teach a sorter much. Pure, but for what scikit-learn needs.

A linear head learns most from the pictures that say most about all the others: one after the other, each time the one
whose answer would most reduce the variance of what the head says of the rest (Cohn, Ghahramani and Jordan 1996, "Active
Learning with Statistical Models"; for least squares the variances do not depend on the answers). Once there are
answers, those of the rest count most that the head is undecided about. Compared with chance, centres of k-means and
the smallest margins in docs/decisions.md; with chance by `python -m tests.bench.teaching`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from sorter.fit.solvers import Space, Task, fit_linear
from sorter.networks.labels import mirror_pairs

Floats = NDArray[np.float32]
Places = NDArray[np.int64]

STRENGTH = 0.1
"""Of the quick head's regularisation; see `heads.STRENGTHS`."""
NOISE = 0.3
"""The variance of an answer, where a picture's features have a square of 1. 0.1 to 1 chose about as well."""
UNDECIDED = 0.3
"""The margin at which a picture counts e times less than one whose two likeliest classes are level."""
MOST = 2000
"""Pictures that are chosen among, at most; of more, so many by chance. The variances of 2,000 take 64 MB."""


def choose(
    features: Floats, known: Mapping[int, str], count: int, weights: Floats | None = None, seed: int = 0
) -> list[int]:
    """The places of `count` pictures that would teach most, the most telling first; none of those in `known`.

    `features`: (views, n, numbers), of the pictures and, as the second view, of their mirror images; `known`: place ->
    class, of the pictures that are answered. `weights`: (n,) how many pictures each stands for.
    """
    total = features.shape[1]
    open_ = np.array([place for place in range(total) if place not in known], np.int64)
    if len(open_) > MOST:
        open_ = np.sort(np.random.default_rng(seed).choice(open_, MOST, replace=False))
    if len(open_) <= count:
        return [int(place) for place in open_]
    weights = (np.ones(total, np.float32) if weights is None else weights)[open_]
    if len(set(known.values())) > 1:
        weights = weights * np.exp(-margins(features, known, open_) / UNDECIDED)
    answered = np.array(sorted(known), np.int64)
    return [int(open_[place]) for place in _reducing_most(_variances(features, open_, answered), weights, count)]


def margins(features: Floats, known: Mapping[int, str], places: Places) -> Floats:
    """(places,) by how much the likeliest class of each picture is ahead of the second, as a quick linear head says
    that is fitted on the known ones and their mirror images. 0: level."""
    classes = sorted(set(known.values()))
    pairs = mirror_pairs(tuple(classes))
    swap = np.array([classes.index(pairs.get(name, name)) for name in classes])
    answered = np.array(sorted(known), np.int64)
    labels = np.array([classes.index(known[int(place)]) for place in answered])
    truth = np.concatenate([labels, swap[labels]][: len(features)])
    task = Task(truth, np.zeros(len(truth), np.int64), len(classes))
    space = Space(np.concatenate(features[:, answered]), task.weights)
    ((kernel, bias),) = fit_linear(space, task, STRENGTH)
    scores = [view[places] @ kernel + bias for view in features]
    if len(scores) > 1:
        scores[1] = scores[1][:, swap]
    best = np.sort(np.mean(scores, axis=0), axis=1)
    return np.asarray(best[:, -1] - best[:, -2], np.float32)


def _variances(features: Floats, open_: Places, answered: Places) -> Floats:
    """(views * open, views * open): how what is said of the open pictures varies together, given that the answered ones
    and their mirror images are known."""
    rows = normal(np.concatenate([*features[:, open_], *features[:, answered]]))
    first = len(features) * len(open_)
    rest, given = rows[:first], rows[first:]
    found = rest @ rest.T
    if len(given):
        between = rest @ given.T
        own = given @ given.T + NOISE * np.eye(len(given), dtype=np.float32)
        found -= between @ np.linalg.solve(own, between.T)
    return np.asarray(found, np.float32)


def _reducing_most(variances: Floats, weights: Floats, count: int) -> list[int]:
    """Places one after the other, each the one that reduces most the weighted variances that those before it left."""
    number = len(weights)
    left, free = np.tile(weights, len(variances) // number), np.ones(number, bool)
    chosen: list[int] = []
    for _ in range(count):
        reduced = left @ np.square(variances) / (variances.diagonal() + NOISE)
        gain = reduced.reshape(-1, number).sum(axis=0)
        place = int(np.where(free, gain, -1).argmax())
        chosen.append(place)
        free[place] = False
        for view in range(place, len(variances), number):
            left[view] = 0
            column = variances[:, view].copy()
            variances -= np.outer(column, column / (column[view] + NOISE))
    return chosen


def normal(rows: Floats) -> Floats:
    """Each number with the same deviation, as `Space` has it, and each row of length 1: so that an outlier, such as a
    title card, says no more about the others than any picture does."""
    even = Space(rows, np.ones(len(rows), np.float32)).rows
    return np.asarray(even / np.maximum(1e-6, np.linalg.norm(even, axis=1, keepdims=True)), np.float32)
