"""Grey values -> points that a crop and a change of size leave where they are, each with a hash of what is around it.

Blobs of any size, as extrema of the difference of Gaussians over place and size (Lowe 2004, "Distinctive image features
from scale-invariant keypoints", section 3). Frames are upright, so nothing is turned to a main direction. Around each,
a window in proportion to its size is hashed by the signs of its lowest frequencies, as a perceptual hash is: the mirror
image then has the same signs, but for those of the odd frequencies across. Pure.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

LONGER = 192
"""Pixels of the longer side of the picture in which points are looked for."""
FINEST, STEPS, LEVELS = 1.6, 3, 13
"""The standard deviation of the finest Gaussian in pixels, steps of an octave, and how many Gaussians there are."""
LEAST = 1.0
"""Grey values by which two Gaussians differ at a point, at least."""
ROUND = 10.0
"""By how much a point may be longer than it is broad (Lowe's r): along an edge a point has no place of its own."""
MOST = 56
"""Points of a picture, those of the largest contrast."""
WINDOW, SIDE = 4.5, 16
"""Half the side of the window in standard deviations of the point, and how many samples it has a side."""
FREQUENCIES = 8
"""Across and down; the signs of all but the mean make the hash."""


class Keypoints(NamedTuple):
    """The points of a picture, in the order of their contrast."""

    places: Floats
    """(n, 3): x and y from 0 to 1 of the picture's width and height, and the size as a share of its longer side."""
    hashes: NDArray[np.uint64]
    """(n,)"""


def keypoints(grey: NDArray[np.uint8]) -> Keypoints:
    """The points of a picture (height, width), whose longer side has LONGER pixels."""
    height, width = grey.shape
    values = grey.astype(np.float32)
    levels = np.stack([_blur(height, at) @ values @ _blur(width, at).T for at in range(LEVELS)]).astype(np.float32)
    found = _extrema(np.asarray(levels[1:] - levels[:-1]))
    if not len(found):
        return Keypoints(np.empty((0, 3), np.float32), np.empty(0, np.uint64))
    sizes = np.asarray(FINEST * 2 ** (found[:, 0] / STEPS), np.float32)
    hashes = _hashes(levels, found, sizes)
    places = np.column_stack([(found[:, 2] + 0.5) / width, (found[:, 1] + 0.5) / height, sizes / max(height, width)])
    return Keypoints(places.astype(np.float32), hashes)


def _extrema(difference: Floats) -> Floats:
    """(n, 3): level, y and x of the extrema, to parts of a pixel, the largest contrast first."""
    inner = difference[1:-1, 1:-1, 1:-1]
    if not inner.size:
        return np.empty((0, 3), np.float32)
    is_top = inner >= _around(difference, np.maximum)
    is_bottom = inner <= _around(difference, np.minimum)
    where = np.argwhere((is_top | is_bottom) & (np.abs(inner) >= LEAST)) + 1
    level, y, x = where.T
    here = difference[level, y, x]
    yy = difference[level, y + 1, x] + difference[level, y - 1, x] - 2 * here
    xx = difference[level, y, x + 1] + difference[level, y, x - 1] - 2 * here
    xy = (difference[level, y + 1, x + 1] + difference[level, y - 1, x - 1]
          - difference[level, y + 1, x - 1] - difference[level, y - 1, x + 1]) / 4  # fmt: skip
    good = (xx + yy) ** 2 * ROUND < (ROUND + 1) ** 2 * (xx * yy - xy**2)
    where, here = where[good], here[good]
    chosen = np.argsort(-np.abs(here), kind="stable")[:MOST]
    where, here = where[chosen], here[chosen]
    found = where.astype(np.float32)
    for axis in range(3):  # the top of a parabola through three neighbours
        step = np.eye(3, dtype=np.int64)[axis]
        after, before = (difference[tuple((where + way * step).T)] for way in (1, -1))
        bend = after + before - 2 * here
        found[:, axis] += np.clip((before - after) / np.where(bend == 0, np.inf, 2 * bend), -0.5, 0.5)
    return found


def _around(values: Floats, largest: np.ufunc) -> Floats:
    """The largest of the 27 values around each inner one."""
    for axis in range(3):
        turned = np.moveaxis(values, axis, 0)
        values = np.moveaxis(largest(largest(turned[:-2], turned[1:-1]), turned[2:]), 0, axis)
    return values


def _hashes(levels: Floats, found: Floats, sizes: Floats) -> NDArray[np.uint64]:
    offsets = (np.arange(SIDE) + 0.5) / SIDE * 2 - 1
    reach = WINDOW * sizes[:, None] * offsets[None, :]
    level = np.clip(np.rint(found[:, 0]).astype(np.int64), 0, len(levels) - 1)
    y, x = (np.asarray(found[:, axis, None] + reach, np.float32) for axis in (1, 2))
    windows = _sampled(levels, level, y, x)
    waves = _waves()
    signs = (waves @ windows @ waves.T).reshape(len(found), -1)[:, _order()] > 0
    return np.ascontiguousarray(np.packbits(signs, axis=1, bitorder="little")).view(np.uint64).ravel()


def _sampled(levels: Floats, level: NDArray[np.int64], y: Floats, x: Floats) -> Floats:
    """(n, rows, columns): the values at these places, between pixels in proportion."""
    height, width = levels.shape[1:]
    y, x = np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)
    top, left = np.minimum(y.astype(np.int64), height - 2), np.minimum(x.astype(np.int64), width - 2)
    down, right = (y - top)[:, :, None].astype(np.float32), (x - left)[:, None, :].astype(np.float32)
    at, rows, columns = level[:, None, None], top[:, :, None], left[:, None, :]
    above = levels[at, rows, columns] * (1 - right) + levels[at, rows, columns + 1] * right
    below = levels[at, rows + 1, columns] * (1 - right) + levels[at, rows + 1, columns + 1] * right
    return np.asarray(above * (1 - down) + below * down, np.float32)


@lru_cache(maxsize=256)
def _blur(length: int, level: int) -> Floats:
    """(length, length): what a row of pixels is multiplied by to be blurred; beyond its ends it is mirrored."""
    sigma = FINEST * 2 ** (level / STEPS)
    places = np.arange(length)
    beyond = np.arange(-length, 2 * length)
    weights = np.exp(-((places[:, None] - beyond[None, :]) ** 2) / (2 * sigma**2))
    weights = weights[:, :length][:, ::-1] + weights[:, length : 2 * length] + weights[:, 2 * length :][:, ::-1]
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)


@lru_cache(maxsize=1)
def _waves() -> Floats:
    """(frequencies, samples): the lowest cosines of a discrete cosine transform."""
    samples = (np.arange(SIDE) + 0.5) * np.pi / SIDE
    return np.cos(np.arange(FREQUENCIES)[:, None] * samples[None, :]).astype(np.float32)


@lru_cache(maxsize=1)
def _order() -> NDArray[np.int64]:
    """The places of the frequencies, the lowest first, the mean last."""
    down, across = np.divmod(np.arange(FREQUENCIES**2), FREQUENCIES)
    order = np.argsort(down**2 + across**2, kind="stable")
    return np.concatenate([order[1:], order[:1]])


@lru_cache(maxsize=1)
def mirrored_signs() -> np.uint64:
    """The bits of a hash that change in a mirror: those of the odd frequencies across."""
    odd = _order() % FREQUENCIES % 2 == 1
    return np.uint64(np.packbits(odd, bitorder="little").view(np.uint64)[0])
