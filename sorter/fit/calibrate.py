"""Held-out answers -> how far a score can be trusted: a temperature, and for each class the score to accept from. Pure.

A head's scores say which class is likeliest, not how often it is right; only pictures that it was not fitted on can
tell that.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sorter.networks.head import softmax

Array = NDArray[np.floating]

SHARPEST, FLATTEST = 0.01, 100.0
"""The temperatures that are tried lie between these."""
FAR = 10
"""Where every held-out answer may be accepted: how much likelier than aimed at a wrong answer must be to be refused."""
PRIOR = 30
"""A class's own error counts as much as that of all classes together where it has this many accepted pictures."""


def temperature(logits: Array, truth: NDArray[np.int64]) -> float:
    """The T for which softmax(logits / T) fits held-out answers best (Guo et al. 2017, arXiv:1706.04599, section 4.2).

    `logits` (n, classes), `truth` (n,) places of classes. The truth is taken for certain but for one picture more than
    there are, or answers that are all right would be worth a probability of 1 (Platt 1999, "Probabilistic outputs for
    support vector machines", section 2.2).
    """
    count = len(logits)
    rows, doubt = np.arange(count), 1 / (count + 2)

    def loss(log_t: float) -> float:
        scaled = logits / np.exp(log_t)
        top = scaled.max(axis=1)
        norm = top + np.log(np.exp(scaled - top[:, None]).sum(axis=1))
        expected = (1 - doubt) * scaled[rows, truth] + doubt * scaled.mean(axis=1)
        return float(np.mean(norm - expected))

    from scipy.optimize import minimize_scalar

    best = minimize_scalar(loss, bounds=(np.log(SHARPEST), np.log(FLATTEST)), method="bounded", options={"xatol": 1e-6})
    return float(np.exp(best.x))


@dataclass(frozen=True, slots=True)
class Promise:
    """What `threshold = "auto"` means for a sorter."""

    error: float
    """The share of wrong ones among the accepted that was aimed at, 0..1."""
    coverage: float
    """The share of held-out pictures that is accepted, 0..1."""
    wrong: float
    """The share of wrong ones among the accepted held-out pictures, 0..1."""
    thresholds: tuple[float, ...]
    """For each class the score from which its answers are accepted."""


def promise(scores: Array, truth: NDArray[np.int64], agree: NDArray[np.bool_], error: float) -> Promise:
    """The lowest thresholds that keep the wrong ones below `error` among the held-out pictures that are accepted.

    `scores` (n, classes) are probabilities; `agree` (n,) is False where picture and mirror image were taken for
    different things: such a picture is never accepted. A class's error is estimated from its own pictures and, so far
    as these are few, from those of all classes.
    """
    guessed, top = scores.argmax(axis=1), scores.max(axis=1)
    right = guessed == truth
    everyone = _Ranked.of(top[agree], right[agree])
    thresholds = []
    for one in range(scores.shape[1]):
        mine = agree & (guessed == one)
        thresholds.append(_Ranked.of(top[mine], right[mine]).lowest(error, everyone) if mine.any() else 1.0)
    accepted = agree & (top >= np.array(thresholds)[guessed])
    wrong = float((~right[accepted]).mean()) if accepted.any() else 0.0
    return Promise(error, float(accepted.mean()), wrong, tuple(thresholds))


@dataclass(frozen=True, eq=False)
class _Ranked:
    """Held-out answers, the surest first."""

    top: Array
    wrong: NDArray[np.int64]
    """How many wrong ones there are up to and with each place."""

    @classmethod
    def of(cls, top: Array, right: NDArray[np.bool_]) -> _Ranked:
        order = np.argsort(-top, kind="stable")
        return cls(top[order], np.cumsum(~right[order]))

    def share(self, threshold: Array) -> Array:
        """The share of wrong ones from each of these scores on, and half a wrong one more: what has not been seen is
        not impossible."""
        reached = np.searchsorted(-self.top, -threshold, side="right")
        return np.asarray((np.append(0, self.wrong)[reached] + 0.5) / (reached + 1))

    def lowest(self, error: float, everyone: _Ranked) -> float:
        """The lowest score from which at most `error` are wrong.

        Where there is none: 1, which no picture reaches; but 0 where nothing is wrong at all, and there are only too
        few pictures to say so for certain.
        """
        share = (self.wrong + PRIOR * everyone.share(self.top)) / (np.arange(len(self.top)) + 1 + PRIOR)
        ends = np.append(self.top[1:] < self.top[:-1], True)  # of equal scores, all or none are accepted
        good = np.flatnonzero(ends & (share <= error))
        if not len(good):
            return float(self.wrong[-1] > 0)
        last = int(good[-1])
        if last + 1 == len(self.top):  # all of them: then scores that are a little lower are no news
            return max(0.0, min(2 * float(self.top[-1]) - 1, 1 - FAR * error))
        return float(self.top[last] + self.top[last + 1]) / 2


def probabilities(logits: Array, temperature: float) -> NDArray[np.float32]:
    """softmax(logits / temperature), rows that sum to 1."""
    return softmax(np.asarray(logits / temperature, np.float32))
