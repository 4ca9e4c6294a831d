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

from sorter.classify import head, images
from sorter.classify.backbone import Backbone, Runners, cache_folder
from sorter.classify.predict import in_step
from sorter.errors import PictureError
from sorter.records import Unreadable

Track = Callable[[Iterable[Any], str, int | None], Iterable[Any]]


class FeatureCache:
    """Features by backbone and picture, in one SQLite file of the cache folder; safe to delete."""

    def __init__(self, path: Path | None = None) -> None:
        path = path or cache_folder() / "features-2.sqlite"
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS feature (backbone TEXT, sha256 TEXT, vector BLOB, "
            "PRIMARY KEY (backbone, sha256)) WITHOUT ROWID"
        )

    def get(self, backbone: str, sha256: str) -> NDArray[np.float32] | None:
        """The features (channels, 2) of a picture, if they are known."""
        query = "SELECT vector FROM feature WHERE backbone = ? AND sha256 = ?"
        row = self._db.execute(query, (backbone, sha256)).fetchone()
        return row and np.frombuffer(row[0], np.float32).reshape(-1, 2)

    def put(self, rows: Iterable[tuple[str, str, NDArray[np.float32]]]) -> None:
        """Keep (backbone, sha256, features), all of them or none."""
        self._db.execute("BEGIN IMMEDIATE")
        values = [(backbone, sha256, vector.tobytes()) for backbone, sha256, vector in rows]
        self._db.executemany("INSERT OR REPLACE INTO feature VALUES (?, ?, ?)", values)
        self._db.execute("COMMIT")

    def close(self) -> None:
        """Close the file."""
        self._db.close()


@dataclass(frozen=True, eq=False)
class Features:
    """What is known of an example: (channels, 2), each channel's mean and its left half less its right half."""

    sha256: str
    plain: NDArray[np.float32]
    mirrored: NDArray[np.float32] | None
    """The same of the mirrored picture; not the plain ones with other signs, since a network is not symmetric."""


def features_of(paths: list[Path], backbone: Backbone, mirrored: bool, track: Track) -> list[Features | Unreadable]:
    """The features of each file, of its mirror image too if `mirrored`; or why it cannot be used."""
    cache = FeatureCache()
    look = _Look(backbone, cache, mirrored)
    try:
        if not backbone.is_compiled():
            for one in track([backbone], "converting the backbone, once on this machine", 1):
                one.compiled()
        found = list(track(in_step(look, paths), "looking at examples", len(paths)))
        cache.put(row for _, rows in found for row in rows)
        return [features for features, _ in found]
    finally:
        cache.close()


Row = tuple[str, str, NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class _Look:
    """Called with a file, from several threads: its features, and the rows that the cache does not hold yet."""

    backbone: Backbone
    cache: FeatureCache
    mirrored: bool
    runners: Runners = field(default_factory=Runners)

    def __call__(self, path: Path) -> tuple[Features | Unreadable, list[Row]]:
        try:
            data = path.read_bytes()
            sha256 = hashlib.sha256(data).hexdigest()
            keys = [self.backbone.key, f"{self.backbone.key}-mirrored"][: 1 + self.mirrored]
            known = [self.cache.get(key, sha256) for key in keys]
            rows: list[Row] = []
            if any(vector is None for vector in known):
                picture = images.load(images.open_picture(data), at_least=2 * self.backbone.size)
                view = images.fit_view(picture, self.backbone.size)
                known = [self._features(one) for one in (view, view[:, ::-1])[: len(keys)]]
                rows = [(key, sha256, vector) for key, vector in zip(keys, known, strict=True) if vector is not None]
        except PictureError as found:
            return Unreadable(path, str(found)), []
        except OSError as found:
            return Unreadable(path, f"cannot be read: {found.strerror}"), []
        plain, *rest = known
        assert plain is not None
        return Features(sha256, plain, rest[0] if rest else None), rows

    def _features(self, view: NDArray[np.uint8]) -> NDArray[np.float32]:
        found = self.runners(self.backbone, np.ascontiguousarray(view))[None]
        return np.asarray(head.weigh(found, head.side_kernel(*found.shape[1:]))[0], np.float32)
