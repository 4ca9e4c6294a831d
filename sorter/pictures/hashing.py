"""Perceptual hashes: 64 bits of a picture that hardly change when it is scaled, brightened or compressed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sorter.errors import MissingExtra

Hashes = NDArray[np.uint64]


def perceptual_hash(view: NDArray[np.uint8]) -> int:
    """imagehash's pHash of a picture (height, width, 3): the signs of its 8 x 8 lowest frequencies about their median
    (Zauner 2010, "Implementation and benchmarking of perceptual image hash functions", section 3.2.1).

    Raises MissingExtra.
    """
    try:
        import imagehash
    except ModuleNotFoundError:
        raise MissingExtra("fit", "telling pictures that look alike") from None
    from PIL import Image

    return int(str(imagehash.phash(Image.fromarray(view))), 16)


def distance(one: Hashes, other: Hashes) -> NDArray[np.uint8]:
    """In how many bits they differ."""
    return np.asarray(np.bitwise_count(np.bitwise_xor(one, other)))


ROWS, COLUMNS = 64, 8192
"""Hashes that are compared at a time: so many fit a core's memory."""


def pairs_within(hashes: Hashes, others: Hashes, most: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Places i < j of which hash i and other hash j differ in at most so many bits.

    All are compared with all, by two threads: 100,000 take about six seconds, whatever is in them.
    """
    from concurrent.futures import ThreadPoolExecutor

    def stripe(start: int) -> list[tuple[NDArray[np.int32], NDArray[np.int32]]]:
        found, mine = [], hashes[start : start + ROWS, None]
        for column in range(start, len(others), COLUMNS):
            near = np.flatnonzero(distance(mine, others[None, column : column + COLUMNS]) <= most)
            if len(near):
                width = min(COLUMNS, len(others) - column)
                rows, columns = start + near // width, column + near % width
                good = rows < columns
                found.append((rows[good].astype(np.int32), columns[good].astype(np.int32)))
        return found

    with ThreadPoolExecutor() as pool:
        found = [one for some in pool.map(stripe, range(0, len(hashes), ROWS)) for one in some]
    empty = np.empty(0, np.int32)
    return tuple(np.concatenate([one[side] for one in found] or [empty]) for side in (0, 1))  # type: ignore[return-value]
