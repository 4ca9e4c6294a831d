"""Pixels -> the square that a network sees, as Pillow's Lanczos filter makes it, in half the time. Pure.

Scaling is linear in the pixels: every pixel of the small picture is a weighted sum of a few of the large one's. The
weights of several neighbours form a small matrix, and products of matrices are what numpy does fastest.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]

LOBES = 3
"""Of the Lanczos window; Pillow's LANCZOS has as many (Duchon 1979, "Lanczos filtering in one and two dimensions")."""
NEIGHBOURS = 8
"""Pixels of the small picture that are computed by one product. More of them multiply more zeros."""
MOST_VALUES = 1 << 20
"""Values of the large picture that are made into floats at once."""


@dataclass(frozen=True, eq=False)
class _Band:
    """Some neighbours of the small picture, and what they are made of."""

    start: int
    stop: int
    """The neighbours, start to stop."""
    first: int
    last: int
    """The pixels of the large picture that they are made of, first to last."""
    weights: Floats
    """(channels * pixels, channels * neighbours)."""


def cover(pixels: Bytes, size: int) -> Bytes:
    """A picture (height, width, 3) scaled to cover a square of `size` and cropped to its centre: (size, size, 3).

    `ImageOps.fit(picture, (size, size), LANCZOS)` is the same but for single pixels that differ by 1: like Pillow, it
    goes across first, rounds, and then down. (Pillow goes down first in some tall pictures, and rounds between.)
    """
    height, width, _ = pixels.shape
    side = min(height, width)
    return _scaled(pixels, (size, size), ((width - side) / 2, (height - side) / 2), (side, side))


def scale(pixels: Bytes, size: tuple[int, int]) -> Bytes:
    """A picture (height, width, 3) scaled to `size` (width, height), as Pillow's LANCZOS does it but for single pixels
    that differ by 1."""
    height, width, _ = pixels.shape
    return _scaled(pixels, size, (0, 0), (width, height))


def _scaled(pixels: Bytes, size: tuple[int, int], start: tuple[float, float], part: tuple[int, int]) -> Bytes:
    """The part of a picture from `start`, `part` pixels wide and high, scaled to `size`."""
    height, width, channels = pixels.shape
    wide, high = size
    across = _bands(width, wide, start[0], part[0], channels)
    left, right = across[0].first, across[-1].last
    middle = np.empty((height, wide * channels), np.float32)
    most = max(1, MOST_VALUES // ((right - left) * channels))
    for top in range(0, height, most):
        rows = slice(top, top + most)
        stripe = pixels[rows, left:right].reshape(-1, (right - left) * channels).astype(np.float32)
        for band in across:
            seen = stripe[:, (band.first - left) * channels : (band.last - left) * channels]
            np.matmul(seen, band.weights, out=middle[rows, band.start * channels : band.stop * channels])
    round_half_up(middle)
    found = np.empty((high, wide * channels), np.float32)
    for band in _bands(height, high, start[1], part[1], 1):
        np.matmul(band.weights.T, middle[band.first : band.last], out=found[band.start : band.stop])
    round_half_up(found)
    return found.astype(np.uint8).reshape(high, wide, channels)


@lru_cache(maxsize=64)
def _bands(length: int, size: int, start: float, side: int, channels: int) -> tuple[_Band, ...]:
    """How `size` pixels in a row are made of the pixels from `start` to `start + side` of `length` in a row."""
    scale = side / size
    stretch = max(scale, 1.0)  # to make a picture larger, the filter stays as wide as it is
    found = []
    for lowest in range(0, size, NEIGHBOURS):
        centres = start + (np.arange(lowest, min(lowest + NEIGHBOURS, size)) + 0.5) * scale
        firsts = np.maximum(0, centres - LOBES * stretch + 0.5).astype(int)
        lasts = np.minimum(length, centres + LOBES * stretch + 0.5).astype(int)
        places = np.arange(firsts.min(), lasts.max())[:, None]
        away = (places - centres + 0.5) / stretch
        weights = np.where((places >= firsts) & (places < lasts), np.sinc(away) * np.sinc(away / LOBES), 0)
        spread = np.kron(weights / weights.sum(axis=0), np.eye(channels)).astype(np.float32)
        found.append(_Band(lowest, lowest + len(centres), int(places[0, 0]), int(places[-1, 0]) + 1, spread))
    return tuple(found)


def round_half_up(values: Floats) -> None:
    """To whole numbers from 0 to 255, as Pillow rounds, in place."""
    values += 0.5
    np.clip(values, 0, 255.5, out=values)
    np.floor(values, out=values)
