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
