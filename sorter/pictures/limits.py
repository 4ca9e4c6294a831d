"""Bounds on the time and the memory that a picture file may take, whatever it claims."""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sorter.errors import PictureError

if TYPE_CHECKING:
    from PIL.Image import Image

MOST_PIXELS = 120_000_000
"""A larger picture is refused before it is decoded: three bytes a pixel of it would take 360 MB."""
MOST_SIDE = 65_535
"""A longer side is refused, too: some steps take memory for each row, or for each column, as if there were many."""
MOST_TOGETHER = 2 * MOST_PIXELS
"""Pixels of the pictures that are decoded at the same time, in all threads. Each pixel takes up to 22 bytes."""
MOST_READS = 2_000_000
"""Pieces in which a file is read, which Pillow does one by one in Python: these many take 4 seconds."""
MOST_SCANS = 100
"""Passes over all of its pixels that a progressive JPEG may ask for. Encoders ask for about 10; a file of 1 MB can ask
for thousands, of 0.1 seconds each in a large picture (libjpeg-turbo, "Two Issues with the JPEG Standard", 2013)."""


def check(image: Image, data: bytes) -> None:
    """Raise PictureError where `image`, which is `data` opened, would take more than its share to decode."""
    if not (image.width and image.height):
        raise PictureError("damaged: it has no pixels")
    if image.width * image.height > MOST_PIXELS:
        raise too_large()
    if max(image.size) > MOST_SIDE:
        raise PictureError(f"too large: a side of over {MOST_SIDE} pixels")
    if "progressive" in image.info and data.count(b"\xff\xda") > MOST_SCANS and _scans(data) > MOST_SCANS:
        raise PictureError(f"too slow: over {MOST_SCANS} scans")


def too_large() -> PictureError:
    """The sentence for a picture of more than MOST_PIXELS."""
    return PictureError(f"too large: over {MOST_PIXELS // 1_000_000} million pixels")


class Counted(io.BytesIO):
    """Bytes that are read in so many pieces at most."""

    reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self.reads += 1
        if self.reads > MOST_READS:
            raise PictureError(f"too slow: in over {MOST_READS // 1_000_000} million pieces")
        return super().read(size)


class Room:
    """Lets threads work on pictures at the same time that are no more than so many pixels together."""

    def __init__(self, pixels: int) -> None:
        self._free, self._changed = pixels, threading.Condition()

    @contextmanager
    def hold(self, pixels: int) -> Iterator[None]:
        """Wait for room, and take it. One after the other, and not one within the other: that could wait for ever."""
        with self._changed:
            self._changed.wait_for(lambda: self._free >= pixels)
            self._free -= pixels
        try:
            yield
        finally:
            with self._changed:
                self._free += pixels
                self._changed.notify_all()


room = Room(MOST_TOGETHER)
_MARKER = re.compile(rb"\xff[^\x00\x01\xff\xd0-\xd8]")
"""Of a JPEG's segment; what is left out has no length, or is no marker (ITU T.81, table B.1)."""


def _scans(data: bytes) -> int:
    """How many scans the first picture in a JPEG has; more than MOST_SCANS where it takes long to count them."""
    place = found = 0
    for _ in range(100 * MOST_SCANS):
        match = _MARKER.search(data, place)
        if match is None or match[0] == b"\xff\xd9":  # the end of the picture
            return found
        found += match[0] == b"\xff\xda"
        place = match.end() + max(2, int.from_bytes(data[match.end() : match.end() + 2], "big"))
    return MOST_SCANS + 1
