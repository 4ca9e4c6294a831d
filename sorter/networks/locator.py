"""Where a picture's subject has its head: a small head on two maps of a network, in numpy. Pure.

Each cell of the maps says how likely it lies in a head, and how far the head's four sides are from it, as in one level
of FCOS (Tian et al. 2019, arXiv:1904.01355), with linear functions for its convolutions: so it is fitted on tens of
boxes. The network sees the whole picture, squeezed to a square.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sorter.networks.efficientnet import stage_maps
from sorter.networks.run import Backbone

Array = NDArray[np.float32]

SIZE = 320
"""Pixels a side of what the network sees: cells of a 20th of the picture, in which a head of a tenth is still found."""
FINE, COARSE = 4, 6
"""The stages whose maps are read: 16 pixels a cell and 112 channels, 32 pixels a cell and 320 channels."""
AROUND = 1
"""Cells on each side of the likeliest that have a say in its box."""
CHANNELS = 112 + 320 + 5
"""Numbers that `cells` gives of a cell."""
PARTS = ("spread", "inside", "sides", "blur", "calibration")
"""The arrays of a head."""


@functools.cache
def network() -> Backbone:
    """The network of all locators. Raises MissingExtra where its weights are not installed."""
    graph, ends = stage_maps(SIZE)
    return Backbone(graph.key(), graph, (ends[FINE], ends[COARSE]))


@dataclass(frozen=True, eq=False)
class Found:
    """A box in shares of the picture's width and height, 0 to 1, and how likely it is right, 0 to 1."""

    left: float
    top: float
    right: float
    bottom: float
    score: float
    logit: float
    """Of the likeliest cell; what `score` is made of."""


@dataclass(frozen=True, eq=False)
class LocatorHead:
    """The numbers of a fitted locator; `cells` says what they are multiplied with."""

    spread: Array
    """(channels): what each channel is divided by."""
    inside: Array
    """(channels + 1, 1): whether a cell lies in a head, as logits; the last row is the constant."""
    sides: Array
    """(channels + 1, 4): how far left, top, right and bottom are, as logarithms of shares of the picture."""
    blur: Array
    """(1): the standard deviation, in cells, by which logits are blurred before the likeliest is taken."""
    calibration: Array
    """(2): slope and constant from the likeliest cell's logit to the logit of being right."""

    def __call__(self, maps: tuple[Array, ...]) -> Found:
        """The one box of a picture, from the two maps of `network`."""
        return self.look(cells(maps))

    def look(self, known: Array) -> Found:
        """The same from what `cells` says of the maps."""
        logits, boxes = self.every(known)
        soft = blurred(logits, float(self.blur[0]))
        down, across = np.unravel_index(int(soft.argmax()), soft.shape)
        near = slice(max(0, down - AROUND), down + AROUND + 1), slice(max(0, across - AROUND), across + AROUND + 1)
        weights = sigmoid(logits[near])[..., None]
        left, top, right, bottom = (float(side) for side in (boxes[near] * weights).sum((0, 1)) / weights.sum())
        slope, constant = self.calibration
        logit = float(soft[down, across])
        return Found(left, top, right, bottom, float(sigmoid(slope * logit + constant)), logit)

    def every(self, known: Array) -> tuple[Array, Array]:
        """What each cell says: logits (height, width), and boxes (height, width, 4) in shares of the picture."""
        found = known / self.spread
        height, width, channels = found.shape
        flat = found.reshape(-1, channels)
        logits = (flat @ self.inside[:-1] + self.inside[-1]).reshape(height, width)
        away = np.exp(np.clip(flat @ self.sides[:-1] + self.sides[-1], -6, 0.5)).reshape(height, width, 4)
        return logits, boxes_from(away)

    def arrays(self) -> dict[str, Array]:
        """Its arrays by name, as they are kept."""
        return {name: getattr(self, name) for name in PARTS}


def head_of(arrays: Any) -> LocatorHead:
    """A head from its kept arrays. Raises ValueError where they are not those of one."""
    channels = np.shape(arrays["spread"])[0] if "spread" in arrays else 0
    shapes = {"spread": (channels,), "inside": (channels + 1, 1), "sides": (channels + 1, 4)}
    shapes |= {"blur": (1,), "calibration": (2,)}
    for name, shape in shapes.items():
        if name not in arrays or np.shape(arrays[name]) != shape:
            raise ValueError(f'has no "{name}" of shape {shape}')
        if not np.isfinite(np.asarray(arrays[name], np.float32)).all():
            raise ValueError(f'"{name}" holds what is no number')
    if channels != CHANNELS:
        raise ValueError(f"is made for {channels} channels, not {CHANNELS}")
    return LocatorHead(**{name: np.asarray(arrays[name], np.float32) for name in PARTS})


def cells(maps: tuple[Array, ...]) -> Array:
    """What each cell of the fine map is known by: (height, width, CHANNELS).

    Both maps side by side, less their mean over the picture: what a cell has that its picture does not have everywhere,
    whatever the style. Then where it lies.
    """
    fine, coarse = maps
    height, width, _ = fine.shape
    wide = coarse.repeat(height // coarse.shape[0], axis=0).repeat(width // coarse.shape[1], axis=1)
    both = np.concatenate([fine, wide], axis=-1)
    y, x = centres(height, width)
    y, x = 2 * y - 1, 2 * x - 1
    place = np.stack([x, y, x * x, y * y, x * y], axis=-1)
    return np.concatenate([both - both.mean((0, 1)), place], axis=-1).astype(np.float32)


def centres(height: int, width: int) -> tuple[Array, Array]:
    """The middles of all cells, y and x, each (height, width), in shares of the picture."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    return (y + 0.5) / height, (x + 0.5) / width


def boxes_from(away: Array) -> Array:
    """Left, top, right, bottom (height, width, 4) from how far they are from each cell's middle."""
    y, x = centres(*away.shape[:2])
    return np.stack([x - away[..., 0], y - away[..., 1], x + away[..., 2], y + away[..., 3]], axis=-1)


def blurred(values: Array, deviation: float) -> Array:
    """Values (height, width) as weighted means of their neighbours: Gaussian, in cells; 0 leaves them as they are."""
    if deviation <= 0:
        return values
    return np.asarray(_gaussian(values.shape[0], deviation) @ values @ _gaussian(values.shape[1], deviation).T)


@functools.lru_cache(maxsize=8)
def _gaussian(length: int, deviation: float) -> Array:
    away = np.subtract.outer(np.arange(length), np.arange(length)) / deviation
    weights = np.exp(-0.5 * away**2)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)


def sigmoid(logits: Any) -> Any:
    """1 / (1 + exp(-logits)), without overflow."""
    return 0.5 * (1 + np.tanh(0.5 * np.asarray(logits, np.float32)))
