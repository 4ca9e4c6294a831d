"""Features -> the small end of a sorter, chosen by what it answers on pictures that it was not fitted on.

Two ways to sum up a picture. `average` is Teachable Machine's: each channel's mean over the last map, which hardly
changes
when the picture is mirrored. `grid` keeps what is where: 4 x 4 cells of the map that the last convolution reads. Two
heads on top of it: linear, fitted by regularised least squares on one-hot answers, and Teachable Machine's
Dense(100, relu),
Dense(classes). Which of them and how strongly regularised, cross-validation on the user's own pictures says.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from sorter.fit import calibrate
from sorter.fit.solvers import (
    UNITS,
    Dense,
    Floats,
    Places,
    Space,
    Task,
    dense_held_out,
    fit_dense,
    fit_linear,
    linear_held_out,
)
from sorter.networks.graph import Layer
from sorter.networks.head import grid

Kind = Literal["average", "grid"]

KINDS: tuple[Kind, ...] = ("average", "grid")
STRENGTHS = (0.03, 0.1, 0.3, 1.0)
"""Of the regularisation, where a picture's features have a mean square of 1. Beyond these, every task got worse."""


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

    @cached_property
    def temperature(self) -> float:
        """The temperature that makes these answers' probabilities true."""
        return calibrate.temperature(self.logits.reshape(-1, self.logits.shape[2]), self.truth.reshape(-1))

    @cached_property
    def loss(self) -> float:
        """The mean negative log-likelihood of the truth at that temperature."""
        scores = calibrate.probabilities(self.logits, self.temperature)
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
    task = Task(truth.reshape(-1), np.tile(folds, len(truth)), len(swap))
    spaces = {kind: Space(inputs[kind].reshape(-1, inputs[kind].shape[2]), task.weights) for kind in inputs}
    tried: dict[Candidate, HeldOut] = {}

    def keep(candidate: Candidate, logits: Floats) -> None:
        tried[candidate] = HeldOut(logits.reshape(*truth.shape, -1), truth, swap)

    with _one_thread_each():
        for kind, space in spaces.items():
            for strength, logits in zip(STRENGTHS, linear_held_out(space, task, STRENGTHS), strict=True):
                keep(Candidate(kind, 0, strength), logits)
        best = max(tried, key=lambda one: _merit(tried[one]))
        if "dense" in heads:
            keep(Candidate(best.kind, UNITS), dense_held_out(spaces[best.kind], task, seed))
        allowed = [one for one in tried if ("dense" if one.units else "linear") in heads]
        best = max(allowed, key=lambda one: _merit(tried[one]))
        temperature = tried[best].temperature
        space = spaces[best.kind]
        dense = fit_dense(space, task, seed) if best.units else fit_linear(space, task, best.strength)
    layers = _layers(best.kind, dense, temperature, shapes[best.kind])
    scores = tuple((one, found.accuracy) for one, found in tried.items())
    return Choice(best, layers, tried[best], temperature, scores)


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
    return round(float(shares[np.unique(truth)].mean()), 6), -found.loss


def _layers(kind: Kind, dense: Dense, temperature: float, shape: Sequence[int]) -> tuple[Layer, ...]:
    """The head as plain layers on a map (height, width, channels)."""
    (first, bias), *rest = dense
    if kind == "average":
        start = Layer("GlobalAveragePooling2D", (), {})
    else:
        height, width, channels = shape
        start = Layer("Flatten", (), {})
        cells = grid(height, width)  # the sums over cells are linear, so they go into the kernel
        spread = np.einsum("gp,gcu->pcu", cells, first.reshape(len(cells), channels, -1))
        first = np.asarray(spread.reshape(height * width * channels, -1), np.float32)
    stack = [(first, bias), *rest]
    kernel, bias = stack[-1]
    stack[-1] = (np.asarray(kernel / temperature, np.float32), np.asarray(bias / temperature, np.float32))
    made = [
        Layer(
            "Dense",
            (),
            {"units": kernel.shape[1], "activation": "softmax" if number + 1 == len(stack) else "relu"},
            (kernel, bias),
        )
        for number, (kernel, bias) in enumerate(stack)
    ]
    return (start, *made)
