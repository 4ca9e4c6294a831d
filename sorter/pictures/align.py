"""Pairs of small pictures -> where one lies in the other, and by how much they differ there. Pure.

Each pair is aligned by Gauss-Newton steps on place, scale, contrast and brightness (Baker and Matthews 2004,
"Lucas-Kanade 20 years on", section 2). What is left is compared place by place with what a copy may leave: a little
everywhere, and more on edges, which another filter or half a pixel moves. A mouth that has opened is more than that, in
one place.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]

SIDE = 64
"""Pixels a side of a small picture, which is squashed into a square."""
GRID = 48
"""Places across and down at which two are compared."""
ROUNDS = 5
AT_ONCE = 256
"""Pairs that are worked on at a time: (GRID ** 2) x 6 numbers each."""


class Aligned(NamedTuple):
    """What became of n pairs."""

    places: Floats
    """(n, 4): across and down the scale and the offset of the inner picture in the outer one, in its width and height:
    (0.8, 0.8, 0.1, 0.1) is its middle."""
    likeness: Floats
    """(n,): the correlation of the two, -1..1; 0 where there is nothing to be seen."""
    change: Floats
    """(n,): by how much they differ in the place where it is most, beyond what a copy leaves, in grey values."""


def aligned(inner: Bytes, outer: Bytes, places: Floats) -> Aligned:
    """Look for each inner picture (n, SIDE, SIDE) in its outer one, from about where it is expected (n, 4)."""
    parts = [
        _aligned(inner[start : start + AT_ONCE], outer[start : start + AT_ONCE], places[start : start + AT_ONCE])
        for start in range(0, max(1, len(inner)), AT_ONCE)
    ]
    return Aligned(*(np.concatenate(some) for some in zip(*parts, strict=True)))


def _aligned(inner: Bytes, outer: Bytes, places: Floats) -> Aligned:
    places = places.astype(np.float32).copy()
    smooth_outer = _smooth(outer.astype(np.float32))
    # Pixels, smoothing and sampling blur the outer one by so much, in its own pixels; the inner one's are smaller.
    smooth_inner = _smooth(inner.astype(np.float32), BLUR / places[:, :2] ** 2 - (BLUR - SMOOTH))
    seen = sampled(smooth_inner, np.tile(np.array([1, 1, 0, 0], np.float32), (len(places), 1)))
    tone = np.tile(np.array([1, 0], np.float32), (len(places), 1))
    for _ in range(ROUNDS):
        warped = sampled(smooth_outer, places)
        steps = _steps(seen, warped, places, tone)
        tone = steps[:, 4:]
        places += steps[:, :4]
    return _compared(seen, sampled(smooth_outer, places), places)


def _steps(seen: Floats, warped: Floats, places: Floats, tone: Floats) -> Floats:
    """(n, 6): what to add to the places, and the tone anew."""
    count = len(seen)
    down, across = np.gradient(warped, axis=(1, 2))
    at = _points(GRID)
    across, down = across * GRID / places[:, 0, None, None], down * GRID / places[:, 1, None, None]
    gain = tone[:, 0, None, None]
    rows = np.stack([across * at * gain, down * at[:, None] * gain, across * gain, down * gain,
                     warped, np.ones_like(warped)], axis=1).reshape(count, 6, -1)  # fmt: skip
    normal = rows @ rows.transpose(0, 2, 1)
    right = rows @ seen.reshape(count, -1, 1)
    damping = 1e-3 * np.einsum("nii->ni", normal) + 1e-3
    damping[:, 4:] = 1e-3
    normal += damping[:, :, None] * np.eye(6, dtype=np.float32)
    found = np.linalg.solve(normal.astype(np.float64), right.astype(np.float64))[:, :, 0]
    found[:, :4] = np.clip(found[:, :4], -0.05, 0.05)
    return found.astype(np.float32)


def _compared(seen: Floats, warped: Floats, places: Floats) -> Aligned:
    flat, other = (values.reshape(len(values), -1) for values in (seen, warped))
    flat, other = flat - flat.mean(axis=1, keepdims=True), other - other.mean(axis=1, keepdims=True)
    power, product = (other**2).sum(axis=1), (flat * other).sum(axis=1)
    both = np.sqrt(power * (flat**2).sum(axis=1))
    likeness = np.where(both > 1, product / np.maximum(both, 1), 0)
    gain = product / np.maximum(power, 1)
    left = (flat - gain[:, None] * other).reshape(seen.shape)
    down, across = np.gradient(seen, axis=(1, 2))
    edges = np.sqrt(across**2 + down**2)
    return Aligned(places, likeness.astype(np.float32), _change(left, edges))


def _change(left: Floats, edges: Floats) -> Floats:
    beyond = np.maximum(np.abs(left) - EDGE * edges, 0)
    return np.asarray(_smooth(beyond).max(axis=(1, 2)))


EDGE = 0.35
SMOOTH, BLUR = 0.5, 0.75


def _smooth(values: Floats, variances: Floats | None = None) -> Floats:
    """Blurred a little: (n, 2) variances across and down, in pixels squared; without them, SMOOTH."""
    given = np.full((len(values), 2), SMOOTH, np.float32) if variances is None else variances
    for axis, variance in ((2, given[:, 0]), (1, given[:, 1])):
        side = np.clip(variance / 4, 0, 1 / 3).astype(np.float32)[:, None, None]
        for _ in range(2):
            padded = np.pad(values, [(0, 0)] + [(1, 1) if axis == one else (0, 0) for one in (1, 2)], mode="edge")
            first, middle, last = (np.take(padded, np.arange(values.shape[axis]) + by, axis) for by in range(3))
            values = side * (first + last) + (1 - 2 * side) * middle
    return values


def sampled(pictures: Floats, places: Floats, grid: int = GRID) -> Floats:
    """(n, grid, grid): the part of each picture (n, side, side) that `places` says."""
    side, at = pictures.shape[1], _points(grid)
    x = np.clip(side * (places[:, 0, None] * at + places[:, 2, None]) - 0.5, 0, side - 1.001)
    y = np.clip(side * (places[:, 1, None] * at + places[:, 3, None]) - 0.5, 0, side - 1.001)
    left, top = x.astype(np.int64), y.astype(np.int64)
    right, down = (x - left)[:, None, :], (y - top)[:, :, None]
    number, rows, columns = np.arange(len(pictures))[:, None, None], top[:, :, None], left[:, None, :]
    above = pictures[number, rows, columns] * (1 - right) + pictures[number, rows, columns + 1] * right
    below = pictures[number, rows + 1, columns] * (1 - right) + pictures[number, rows + 1, columns + 1] * right
    return np.asarray(above * (1 - down) + below * down, np.float32)


def _points(grid: int) -> Floats:
    return np.asarray((np.arange(grid) + 0.5) / grid, np.float32)
