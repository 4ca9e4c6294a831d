"""Pairs of small pictures -> where one lies in the other, and by how much they differ there. Pure.

Each pair is aligned by Gauss-Newton steps on place, scale, contrast and brightness (Baker and Matthews 2004,
"Lucas-Kanade 20 years on", section 2). What is left is compared place by place with what a copy may leave: a little
everywhere, and more on edges, which another filter or half a pixel moves. A mouth that has opened is more than that, in
one place.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sorter.threads import in_step

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]

SIDE = 64
"""Pixels a side of a small picture, which is squashed into a square."""
GRID, ROUGH = 48, 24
"""Places across and down at which two are compared, and by which they are aligned."""
ROUNDS = 5
DAMPING, LONGEST = 1e-3, 0.05
"""Of each step: the share by which it is shortened where it is not certain, and parts of a side that it has at most."""
SMOOTH, BLUR = 0.5, 0.75
"""Variances in pixels squared: by which both are blurred; and that of the outer one, with its pixels and sampling."""
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
    parts = in_step(lambda some: _aligned(inner[some], outer[some], places[some], rounds), stripes, most_ahead=4)
    return Aligned(*(np.concatenate(some) for some in zip(*parts, strict=True)))


def _aligned(inner: Bytes, outer: Bytes, places: Floats, rounds: int) -> Aligned:
    places = places.astype(np.float32).copy()
    smooth_outer = _both_ways(outer.astype(np.float32), _blur(SIDE))
    pixels = inner.astype(np.float32)
    # Pixels, blurring and sampling blur the outer one by so much, in its own pixels; the inner one's are smaller.
    variances = BLUR / places[:, :2] ** 2 - (BLUR - SMOOTH)
    if rounds:
        gain, seen = np.ones(len(places), np.float32), _blurred(pixels, variances, ROUGH)
        for _ in range(rounds):
            steps = _steps(seen, sampled(smooth_outer, places, ROUGH), places, gain)
            places, gain = places + steps[:, :4], steps[:, 4]
    return _compared(_blurred(pixels, variances, GRID), sampled(smooth_outer, places), places)


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
    return np.asarray(_both_ways(beyond, _blur(GRID)).max(axis=(1, 2)))


def _both_ways(pictures: Floats, matrix: Floats) -> Floats:
    """Each of the pictures (n, side, side) multiplied by the same matrix across and down."""
    for _ in range(2):
        pictures = (pictures.reshape(-1, pictures.shape[2]) @ matrix.T).reshape(*pictures.shape[:2], -1)
        pictures = np.ascontiguousarray(pictures.transpose(0, 2, 1))
    return pictures


def _blurred(pictures: Floats, variances: Floats, grid: int) -> Floats:
    """(n, grid, grid): samples of each picture, blurred by its variances (n, 2) across and down, in pixels squared."""
    columns, rows = (_blurring(variances[:, axis], pictures.shape[1], grid) for axis in (0, 1))
    return np.asarray(rows @ pictures @ columns.transpose(0, 2, 1))


def _blurring(variance: Floats, side: int, grid: int) -> Floats:
    """(n, grid, side): what of each pixel in a row is in each sample of the row that was blurred by this variance (n,).

    (I + a D)^3 with the second differences D: three passes of (a, 1 - 2a, a), whose variances of 2a add up.
    """
    share = np.clip(variance / 6, 0, 1 / 3)[:, None]
    powers = np.concatenate([share**0, 3 * share, 3 * share**2, share**3], axis=1)
    return np.asarray((powers @ _differences(side, grid)).reshape(-1, grid, side), np.float32)


@lru_cache(maxsize=4)
def _differences(side: int, grid: int) -> Floats:
    """(4, grid * side): samples of a row, and of its second differences, once, twice, three times."""
    rows = [_weights(np.array([[1, 0]], np.float32), side, grid)[0]]
    for _ in range(3):
        rows.append(rows[-1] @ _second_difference(side))
    return np.stack(rows).reshape(4, -1).astype(np.float32)


@lru_cache(maxsize=4)
def _blur(side: int) -> Floats:
    """(side, side): blurs a row by SMOOTH."""
    once = np.eye(side) + SMOOTH / 6 * _second_difference(side)
    return np.asarray(once @ once @ once, np.float32)


def _second_difference(side: int) -> Floats:
    """(side, side); beyond its ends a row stays as it is there."""
    found = np.eye(side, k=1) + np.eye(side, k=-1) - 2 * np.eye(side)
    found[0, 0] = found[-1, -1] = -1
    return found.astype(np.float32)


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
