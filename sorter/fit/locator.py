"""Boxes around heads -> the numbers of a locator, and how well it does on pictures that it was not fitted on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sorter.networks.locator import CHANNELS, Array, LocatorHead, centres

INNER = 0.6
"""The part of a box's width and height in which cells are in it; between there and its border, nobody is asked."""
STRENGTHS = (1e-3, 1e-2, 1e-1)
"""Inverse of the regularisation of what tells cells apart, as scikit-learn has it; the best is taken."""
RIDGE = 100.0
"""Regularisation of the sides."""
FOLDS = 5
BLUR = 1.0
"""Cells by which what is said of them is blurred: one that stands alone is seldom right. Of 0 to 2, on 176 film stills,
1 found the most heads by 25 and by 50 boxes."""
CONFIDENT = (1.0, 0.0)
"""The calibration where there are too few pictures to hold any out."""


Sides = tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class Boxed:
    """An example: what its cells and those of its mirror image are known by, and where its head is."""

    views: tuple[Array, ...]
    """Of (height, width, CHANNELS); the picture's, and perhaps its mirror image's."""
    box: Sides
    """Of the subject: left, top, right, bottom in shares of the picture."""
    group: int = 0
    """Those of one group are held out together."""
    others: tuple[Sides, ...] = ()
    """Of further heads, which are neither to be found nor to be told from the subject's."""

    def boxes(self) -> list[list[Sides]]:
        """All boxes in each of the views."""
        own = [self.box, *self.others]
        return [own, [(1 - right, top, 1 - left, bottom) for left, top, right, bottom in own]][: len(self.views)]


@dataclass(frozen=True, eq=False)
class Tried:
    """What a locator finds in pictures that it was not fitted on."""

    found: NDArray[np.float64]
    """(pictures, 4)."""
    logits: NDArray[np.float64]
    """(pictures): of the likeliest cell."""
    hits: NDArray[np.bool_]
    """(pictures): whether the box is right, as `is_hit` says."""


def fit_head(examples: Sequence[Boxed]) -> tuple[LocatorHead, Tried | None]:
    """The head that does best on held-out pictures, fitted on all of them; and what it found in those held out.

    None where there are fewer than two groups, and nothing can be held out.
    """
    if len({one.group for one in examples}) < 2:
        return solve(examples, STRENGTHS[1]), None
    tried = {strength: try_out(examples, strength) for strength in STRENGTHS}
    best = max(STRENGTHS, key=lambda one: (tried[one].hits.mean(), overlap_mean(tried[one].found, examples)))
    return solve(examples, best, calibration(tried[best].logits, tried[best].hits)), tried[best]


def try_out(examples: Sequence[Boxed], strength: float) -> Tried:
    """Each picture by a head that was fitted on the other groups."""
    names = sorted({one.group for one in examples})
    fold_of = {name: place % FOLDS for place, name in enumerate(names)}
    folds = np.array([fold_of[one.group] for one in examples])
    found, logits = np.zeros((len(examples), 4)), np.zeros(len(examples))
    for fold in sorted(set(folds)):
        head = solve([one for one, own in zip(examples, folds, strict=True) if own != fold], strength)
        for place in np.flatnonzero(folds == fold).tolist():
            seen = head.look(examples[place].views[0])
            found[place], logits[place] = (seen.left, seen.top, seen.right, seen.bottom), seen.logit
    hits = np.array([is_hit(box, one.box) for box, one in zip(found, examples, strict=True)])
    return Tried(found, logits, hits)


def solve(
    examples: Sequence[Boxed],
    strength: float,
    calibrated: tuple[float, float] = CONFIDENT,
    blur: float = BLUR,
) -> LocatorHead:
    """The numbers that fit these examples best."""
    from sklearn.linear_model import LogisticRegression, Ridge

    known, inside, weights, sides = _cells(examples)
    spread = np.maximum(known.std(axis=0), 1e-6)
    known /= spread
    told = LogisticRegression(C=strength * len(examples), max_iter=300).fit(known, inside, sample_weight=weights)
    away = Ridge(alpha=RIDGE).fit(
        known[inside], np.log(np.maximum(sides[inside], 0.004)), sample_weight=weights[inside]
    )
    return LocatorHead(
        spread.astype(np.float32),
        np.vstack([told.coef_.T, told.intercept_[None]]).astype(np.float32),
        np.vstack([away.coef_.T, away.intercept_[None]]).astype(np.float32),
        np.array([blur], np.float32),
        np.array(calibrated, np.float32),
    )


def _cells(examples: Sequence[Boxed]) -> tuple[Array, NDArray[np.bool_], Array, Array]:
    """All cells that are asked: what they are known by, whether each is in a head, its weight, its sides' distances.

    The cells of a picture that are in its head weigh as much as those that are not, whatever the head's size.
    """
    known, inside, weights, sides = [], [], [], []
    for one in examples:
        for view, boxes in zip(one.views, one.boxes(), strict=True):
            y, x = centres(*view.shape[:2])
            offs = np.stack([_off(x, y, box) for box in boxes])
            nearest = np.array(boxes, np.float32)[offs.argmin(axis=0)]  # of each cell
            off = offs.min(axis=0)
            within = (off <= INNER / 2) | (offs == offs.min(axis=(1, 2), keepdims=True)).any(axis=0)
            asked = within | (off > 0.5)
            known.append(view[asked])
            inside.append(within[asked])
            share = np.where(within, 0.5 / within.sum(), 0.5 / max(1, (off > 0.5).sum()))
            weights.append(share[asked])
            away = [x - nearest[..., 0], y - nearest[..., 1], nearest[..., 2] - x, nearest[..., 3] - y]
            sides.append(np.stack(away, axis=-1)[asked])
    return (
        np.concatenate(known).reshape(-1, CHANNELS),
        np.concatenate(inside),
        np.concatenate(weights).astype(np.float32),
        np.concatenate(sides).astype(np.float32),
    )


def _off(x: Array, y: Array, box: Sides) -> Array:
    """How far each cell is from a box's middle, as a share of the box: up to a half within it."""
    left, top, right, bottom = box
    off: Array = np.maximum(abs(x - (left + right) / 2) / (right - left), abs(y - (top + bottom) / 2) / (bottom - top))
    return off


def is_hit(found: Sequence[float] | NDArray[Any], true: Sequence[float]) -> bool:
    """Whether a box is right: its middle lies in the true one, and they share a third of what both cover."""
    x, y = (found[0] + found[2]) / 2, (found[1] + found[3]) / 2
    return bool(true[0] <= x <= true[2] and true[1] <= y <= true[3] and overlap(found, true) >= 1 / 3)


def overlap(one: Sequence[float] | NDArray[Any], other: Sequence[float]) -> float:
    """Intersection over union of two boxes, 0 to 1."""
    wide, high = (max(0.0, min(one[2 + k], other[2 + k]) - max(one[k], other[k])) for k in (0, 1))
    both = (one[2] - one[0]) * (one[3] - one[1]) + (other[2] - other[0]) * (other[3] - other[1]) - wide * high
    return float(wide * high / both) if both > 0 else 0.0


def overlap_mean(found: NDArray[np.float64], examples: Sequence[Boxed]) -> float:
    """The mean overlap of boxes with the true ones."""
    return float(np.mean([overlap(box, one.box) for box, one in zip(found, examples, strict=True)]))


def calibration(logits: NDArray[np.float64], hits: NDArray[np.bool_]) -> tuple[float, float]:
    """Slope and constant of Platt's scaling (1999): from held-out logits to the logit of being right.

    With Platt's own targets, a success and a failure that were not seen added to each, so that no score is certain.
    """
    from sklearn.linear_model import LogisticRegression

    both = np.concatenate([logits, logits])[:, None]
    truth = np.repeat([True, False], len(hits))
    right, wrong = hits.sum(), (~hits).sum()
    high, low = (right + 1) / (right + 2), 1 / (wrong + 2)
    share = np.where(hits, high, low)
    told = LogisticRegression(C=1.0).fit(both, truth, sample_weight=np.concatenate([share, 1 - share]))
    return max(0.0, float(told.coef_[0, 0])), float(told.intercept_[0])
