"""Examples -> features, each picture of a backbone computed once on this machine and then kept."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sorter.errors import PictureError
from sorter.files import cache_folder, read_file
from sorter.networks import head
from sorter.networks.run import Backbone, Runners
from sorter.pictures import images
from sorter.pictures.hashing import perceptual_hash
from sorter.records import Unreadable
from sorter.threads import in_step

Track = Callable[[Iterable[Any], str, int | None], Iterable[Any]]
Floats = NDArray[np.float16]

FILE = "features-5.sqlite"
"""In the cache folder; counted up when what a row holds changes."""


@dataclass(frozen=True, eq=False)
class Features:
    """What is known of an example. Half precision: a quarter of a thousandth is finer than a JPEG's noise."""

    sha256: str
    perceptual_hash: int
    """Its perceptual hash."""
    numbers: Floats
    """(2, numbers), of the picture and of its mirror image: for each output of the backbone what `summary` says. Not
    the picture's own with left and right exchanged, since a network is not symmetric."""


class FeatureCache:
    """Features by backbone and picture, in one SQLite file of the cache folder; safe to delete."""

    def __init__(self, path: Path | None = None) -> None:
        path = path or cache_folder() / FILE
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
        try:
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")  # a power cut may take the last rows, and no more
            self._db.execute(
                "CREATE TABLE IF NOT EXISTS feature (backbone TEXT, sha256 TEXT, perceptual_hash BLOB, numbers BLOB, "
                "PRIMARY KEY (backbone, sha256))"
            )
        except sqlite3.DatabaseError:
            self._db.close()
            raise

    def get(self, backbone: str, sha256: str) -> Features | None:
        """The features of a picture, if they are known."""
        query = "SELECT perceptual_hash, numbers FROM feature WHERE backbone = ? AND sha256 = ?"
        row = self._db.execute(query, (backbone, sha256)).fetchone()
        if row is None:
            return None
        return Features(sha256, int.from_bytes(row[0], "big"), np.frombuffer(row[1], np.float16).reshape(2, -1))

    def known(self, backbone: str) -> set[str]:
        """The hashes of the pictures whose features are known."""
        rows = self._db.execute("SELECT sha256 FROM feature WHERE backbone = ?", (backbone,))
        return {sha256 for (sha256,) in rows}

    def put(self, backbone: str, found: Iterable[Features]) -> None:
        """Keep features, all of them or none."""
        rows = [(backbone, one.sha256, one.perceptual_hash.to_bytes(8, "big"), one.numbers.tobytes()) for one in found]
        self._db.execute("BEGIN IMMEDIATE")
        self._db.executemany("INSERT OR REPLACE INTO feature VALUES (?, ?, ?, ?)", rows)
        self._db.execute("COMMIT")

    def close(self) -> None:
        """Close the file."""
        self._db.close()


def features_of(paths: list[Path], backbone: Backbone, track: Track) -> list[Features | Unreadable]:
    """The features of each file and of its mirror image; or why it cannot be used.

    `backbone` has two outputs: the map for the grid, and the last one.
    """
    try:
        return _look_at(paths, backbone, track)
    except sqlite3.OperationalError:  # it is whole, and locked, or the disk is full
        raise
    except sqlite3.DatabaseError:  # damaged; it holds nothing that cannot be computed again
        for path in cache_folder().glob(f"{FILE}*"):
            path.unlink()
        return _look_at(paths, backbone, track)


def _look_at(paths: list[Path], backbone: Backbone, track: Track) -> list[Features | Unreadable]:
    cache = FeatureCache()
    try:
        key = "-".join([backbone.key, *map(str, backbone.outputs)])
        look = _Look(backbone, cache, key, cache.known(key))
        if not backbone.is_compiled():
            for one in track([backbone], "converting the backbone, once on this machine", 1):
                one.compiled()
        found: list[Features | Unreadable] = []
        fresh: list[Features] = []
        for features, is_fresh in track(in_step(look, paths), "looking at examples", len(paths)):
            found.append(features)
            if is_fresh:
                fresh.append(features)
            if len(fresh) >= KEEP_EVERY:
                cache.put(look.key, fresh)
                fresh = []
        cache.put(look.key, fresh)
        return found
    finally:
        cache.close()


KEEP_EVERY = 200
"""Pictures; so many at most are looked at again after a run was cut off."""
LARGEST = float(np.finfo(np.float16).max)
"""Of half precision; a network without normalisation may go beyond it."""


def summary(narrow: NDArray[np.float32], last: NDArray[np.float32]) -> Floats:
    """The numbers that heads are fitted on: the grid of one map and the means of the other, one after the other.

    Both maps are (height, width, channels); `parted` takes the numbers apart again.
    """
    height, width, channels = narrow.shape
    cells = head.grid(height, width) @ narrow.reshape(height * width, channels)
    numbers = np.concatenate([cells.reshape(-1), last.mean(axis=(0, 1))])
    return numbers.clip(-LARGEST, LARGEST).astype(np.float16)


def parted(features: list[Features], means: int) -> dict[Any, NDArray[np.float32]]:
    """Kind -> (2, pictures, numbers), of the pictures and of their mirror images; `means`: channels of the last map."""
    numbers = np.stack([one.numbers for one in features], axis=1).astype(np.float32)
    return {"average": numbers[:, :, -means:], "grid": numbers[:, :, :-means]}


@dataclass(frozen=True, eq=False)
class _Look:
    """Called with a file, from several threads: its features, and whether the cache does not hold them yet."""

    backbone: Backbone
    cache: FeatureCache
    key: str
    """Of these features in the cache."""
    known: set[str]
    """The pictures that it holds."""
    runners: Runners = field(default_factory=Runners)

    def __call__(self, path: Path) -> tuple[Features | Unreadable, bool]:
        try:
            data = read_file(path)
            sha256 = hashlib.sha256(data).hexdigest()
            if sha256 in self.known and (known := self.cache.get(self.key, sha256)):
                return known, False
            with images.opened(data) as image:
                picture = images.load_small(data, image, at_least=2 * self.backbone.size)
            view = images.fit_view(picture, self.backbone.size)
            both = (view, np.ascontiguousarray(view[:, ::-1]))
            numbers = np.stack([summary(*self.runners.maps(self.backbone, one)) for one in both])
            return Features(sha256, perceptual_hash(view), numbers), True
        except PictureError as found:
            return Unreadable(path, str(found)), False
        except OSError as found:
            return Unreadable(path, f"cannot be read: {found.strerror}"), False
