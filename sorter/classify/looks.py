"""What is kept of a picture so that its copies are known again: hashes, points, a small picture, and how good it is.

Looked at once on a machine, and kept by the hash of its bytes in the cache folder; safe to delete.
"""

from __future__ import annotations

import hashlib
import math
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sorter.classify.measures import edge_ratios
from sorter.files import cache_folder
from sorter.pictures import images
from sorter.pictures.align import SIDE
from sorter.pictures.hashing import perceptual_hash
from sorter.pictures.keypoints import LONGER, keypoints

if TYPE_CHECKING:
    from PIL.Image import Image

FILE = "looks-1.sqlite"
"""In the cache folder; counted up when what a row holds changes."""
AT_ONCE = 500
"""Rows that one query asks for."""
NO_EDGES = 100.0
"""The width of edges in pixels where there are none."""


class Look(NamedTuple):
    """What is known of a picture."""

    sha256: str
    pixels: bytes
    """A hash of the pixels, upright and in RGB, and of their number."""
    hashes: tuple[int, int]
    """The perceptual hashes of the picture and of its mirror image."""
    edges: float
    """The width of its edges in pixels (standard deviation), in the more blurred direction: see `measures`."""
    colour: float
    """How far apart red, green and blue are on average, 0..255; 0 of a grey picture."""
    small: NDArray[np.uint8]
    """(SIDE, SIDE): grey values, squashed into a square."""
    places: NDArray[np.float16]
    """(n, 3): see `keypoints`."""
    points: NDArray[np.uint64]
    """(n,): the hashes of its points."""


def look_at(data: bytes, sha256: str) -> Look:
    """Look at the picture in these bytes. Raises PictureError, and MissingExtra without imagehash."""
    from PIL.Image import fromarray

    with images.opened(data) as image:
        rgb = images.load_small(data, image, at_least=max(image.size))
    height, width, _ = rgb.shape
    picture = fromarray(rgb)
    share = LONGER / max(width, height)
    size = max(3, round(width * share)), max(3, round(height * share))
    found = keypoints(np.asarray(_scaled(picture, size).convert("L")))
    coloured = _scaled(picture, (SIDE, SIDE))
    wide = np.asarray(coloured).astype(np.int16)
    small = np.asarray(coloured.convert("L"))
    both = (perceptual_hash(np.repeat(one[..., None], 3, axis=2)) for one in (small, small[:, ::-1]))
    return Look(
        sha256,
        hashlib.blake2b(b"%d %d " % (width, height) + np.ascontiguousarray(rgb).data, digest_size=16).digest(),
        (next(both), next(both)),
        _edge_width(np.asarray(picture.convert("L"))),
        float((wide.max(axis=2) - wide.min(axis=2)).mean()),
        small,
        found.places.astype(np.float16),
        found.hashes,
    )


def _scaled(picture: Image, size: tuple[int, int]) -> Image:
    from PIL.Image import Resampling

    return picture.resize(size, Resampling.LANCZOS, reducing_gap=3.0)


def _edge_width(grey: NDArray[np.uint8]) -> float:
    """The width of the edges that a known blur of one pixel tells, as `Sharpness` has it."""
    worse, _ = edge_ratios(grey)
    return min(NO_EDGES, 1 / math.sqrt(max(math.expm1(2 * worse), NO_EDGES**-2)))


class LookCache:
    """Looks by the hash of the picture, in one SQLite file of the cache folder. Used by one thread."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or cache_folder() / FILE
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._db = _opened(self.path)
        except sqlite3.OperationalError:  # it is whole, and locked, or the disk is full
            raise
        except sqlite3.DatabaseError:  # damaged: it holds nothing that cannot be looked at again
            for one in self.path.parent.glob(f"{self.path.name}*"):
                one.unlink()
            self._db = _opened(self.path)

    def known(self, hashes: Sequence[str]) -> set[str]:
        """Those of these pictures that were looked at."""
        found: set[str] = set()
        for some in _parts(hashes):
            found |= self._rows("sha256", some).keys()
        return found

    def put(self, looks: Iterable[Look]) -> None:
        """Keep looks, all of them or none."""
        rows = [
            (one.sha256, one.pixels, np.array(one.hashes, np.uint64).tobytes(), one.edges, one.colour,
             one.small.tobytes(), one.places.tobytes(), one.points.tobytes())
            for one in looks
        ]  # fmt: skip
        self._db.execute("BEGIN IMMEDIATE")
        self._db.executemany("INSERT OR REPLACE INTO look VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
        self._db.execute("COMMIT")

    def each(self, hashes: Sequence[str]) -> Iterator[Look]:
        """The looks of these pictures, which are known, in their order."""
        for some in _parts(hashes):
            rows = self._rows("*", some)
            for sha256 in some:
                pixels, both, edges, colour, small, places, points = rows[sha256]
                plain, mirrored = np.frombuffer(both, np.uint64).tolist()
                yield Look(
                    sha256, pixels, (plain, mirrored), edges, colour,
                    np.frombuffer(small, np.uint8).reshape(SIDE, SIDE),
                    np.frombuffer(places, np.float16).reshape(-1, 3), np.frombuffer(points, np.uint64),
                )  # fmt: skip

    def smalls(self, hashes: Sequence[str]) -> NDArray[np.uint8]:
        """The small pictures (n, SIDE, SIDE) of these, which are known."""
        found = np.empty((len(hashes), SIDE, SIDE), np.uint8)
        at = 0
        for some in _parts(hashes):
            rows = self._rows("sha256, small", some)
            for sha256 in some:
                found[at] = np.frombuffer(rows[sha256][0], np.uint8).reshape(SIDE, SIDE)
                at += 1
        return found

    def _rows(self, columns: str, hashes: Sequence[str]) -> dict[str, tuple[Any, ...]]:
        query = f"SELECT {columns} FROM look WHERE sha256 IN ({','.join('?' * len(hashes))})"
        return {row[0]: row[1:] for row in self._db.execute(query, hashes)}

    def close(self) -> None:
        """Close the file."""
        self._db.close()


def _parts(hashes: Sequence[str]) -> Iterable[Sequence[str]]:
    return (hashes[start : start + AT_ONCE] for start in range(0, len(hashes), AT_ONCE))


def _opened(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=30, isolation_level=None)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")  # a power cut may take the last rows, and no more
        db.execute(
            "CREATE TABLE IF NOT EXISTS look (sha256 TEXT PRIMARY KEY, pixels BLOB, hashes BLOB, edges REAL, "
            "colour REAL, small BLOB, places BLOB, points BLOB) WITHOUT ROWID"
        )
        db.execute("SELECT 1 FROM look").fetchone()
    except sqlite3.DatabaseError:
        db.close()
        raise
    return db
