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
GRID, ROUGH = 48, 24
"""Places across and down at which two are compared, and by which they are aligned."""
ROUNDS = 5
DAMPING, LONGEST = 1e-3, 0.05
"""Of each step: the share by which it is shortened where it is not certain, and parts of a side that it has at most."""
SMOOTH, MOST_SMOOTH, BLUR = 0.5, 2 / 3, 0.75
"""Variances in pixels squared: by which both are blurred, by which one pass can blur at most, and what the outer one is
blurred by in all, its pixels and its sampling included."""
EDGE = 0.35
"""The share of an edge's height, from one place to the next, that a copy may differ by there."""
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


def aligned(inner: Bytes, outer: Bytes, places: Floats, rounds: int = ROUNDS) -> Aligned:
    """Look for each inner picture (n, SIDE, SIDE) in its outer one, from about where it is expected (n, 4).

    `rounds`: steps of the alignment; none to compare the two just there.
    """
    if not len(inner):
        return Aligned(np.empty((0, 4), np.float32), *(np.empty(0, np.float32),) * 2)
    stripes = [slice(start, start + AT_ONCE) for start in range(0, len(inner), AT_ONCE)]
    parts = [_aligned(inner[some], outer[some], places[some], rounds) for some in stripes]
    return Aligned(*(np.concatenate(some) for some in zip(*parts, strict=True)))


def _aligned(inner: Bytes, outer: Bytes, places: Floats, rounds: int) -> Aligned:
    places = places.astype(np.float32).copy()
    smooth_outer = _smooth(outer.astype(np.float32))
    # Pixels, smoothing and sampling blur the outer one by so much, in its own pixels; the inner one's are smaller.
    smooth_inner = _smooth(inner.astype(np.float32), BLUR / places[:, :2] ** 2 - (BLUR - SMOOTH))
    if rounds:
        gain = np.ones(len(places), np.float32)
        seen = sampled(smooth_inner, _whole(len(places)), ROUGH)
        for _ in range(rounds):
            steps = _steps(seen, sampled(smooth_outer, places, ROUGH), places, gain)
            places, gain = places + steps[:, :4], steps[:, 4]
    return _compared(sampled(smooth_inner, _whole(len(places))), sampled(smooth_outer, places), places)


def _whole(count: int) -> Floats:
    return np.tile(np.array([1, 1, 0, 0], np.float32), (count, 1))


def _steps(seen: Floats, warped: Floats, places: Floats, gain: Floats) -> Floats:
    """(n, 6): what to add to the places; the gain, and the offset of the brightness, anew."""
    count, at = len(seen), _points(ROUGH)
    down, across = np.gradient(warped, axis=(1, 2))
    across *= (ROUGH * gain / places[:, 0])[:, None, None]
    down *= (ROUGH * gain / places[:, 1])[:, None, None]
    rows = np.stack([across * at, down * at[:, None], across, down, warped, np.ones_like(warped)], axis=1)
    rows = rows.reshape(count, 6, ROUGH**2)
    normal, right = rows @ rows.transpose(0, 2, 1), rows @ seen.reshape(count, ROUGH**2, 1)
    damping = np.einsum("nii->ni", normal) * DAMPING + DAMPING
    normal += damping[:, :, None] * np.eye(6, dtype=np.float32)
    found = np.linalg.solve(normal.astype(np.float64), right.astype(np.float64))[:, :, 0]
    found[:, :4] = np.clip(found[:, :4], -LONGEST, LONGEST)
    return np.asarray(found, np.float32)


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


def _smooth(values: Floats, variances: Floats | None = None) -> Floats:
    """Blurred a little: (n, 2) variances across and down, in pixels squared; without them, SMOOTH."""
    given = np.full((len(values), 2), SMOOTH, np.float32) if variances is None else variances
    times = 1 if given.max(initial=0) <= MOST_SMOOTH else 2
    for axis, variance in ((2, given[:, 0]), (1, given[:, 1])):
        side = np.clip(variance / (2 * times), 0, MOST_SMOOTH / 2).astype(np.float32)[:, None, None]
        for _ in range(times):
            padded = np.pad(values, [(0, 0)] + [(1, 1) if axis == one else (0, 0) for one in (1, 2)], mode="edge")
            around = padded[:, 2:] + padded[:, :-2] if axis == 1 else padded[:, :, 2:] + padded[:, :, :-2]
            values = side * around + (1 - 2 * side) * values
    return values


def sampled(pictures: Floats, places: Floats, grid: int = GRID) -> Floats:
    """(n, grid, grid): the part of each picture (n, side, side) that `places` says."""
    rows, columns = (
        _weights(places[:, 1::2], pictures.shape[1], grid),
        _weights(places[:, ::2], pictures.shape[1], grid),
    )
    return np.asarray(rows @ pictures @ columns.transpose(0, 2, 1), np.float32)


def _weights(places: Floats, side: int, grid: int) -> Floats:
    """(n, grid, side): what of each pixel in a row is in each sample, between two in proportion. `places`: (n, 2)."""
    at = side * (places[:, 0, None] * _points(grid) + places[:, 1, None]) - 0.5
    apart = np.abs(np.clip(at, 0, side - 1)[:, :, None] - np.arange(side, dtype=np.float32))
    return np.asarray(np.maximum(1 - apart, 0))


def _points(grid: int) -> Floats:
    return np.asarray((np.arange(grid) + 0.5) / grid, np.float32)
