"""Examples -> features, each picture of a backbone computed once on this machine and then kept."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sorter.classify import head, images
from sorter.classify.backbone import Backbone, Runners, cache_folder
from sorter.classify.predict import in_step
from sorter.errors import PictureError
from sorter.records import Unreadable


class FeatureCache:
    """Pooled features by backbone and picture, in one SQLite file of the cache folder; safe to delete."""

    def __init__(self, path: Path | None = None) -> None:
        path = path or cache_folder() / "features.sqlite"
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS feature (backbone TEXT, sha256 TEXT, vector BLOB, "
            "PRIMARY KEY (backbone, sha256)) WITHOUT ROWID"
        )

    def get(self, backbone: str, sha256: str) -> NDArray[np.float32] | None:
        """The vector of a picture, if it is known."""
        query = "SELECT vector FROM feature WHERE backbone = ? AND sha256 = ?"
        row = self._db.execute(query, (backbone, sha256)).fetchone()
        return row and np.frombuffer(row[0], np.float32)

    def put(self, backbone: str, rows: Iterable[tuple[str, NDArray[np.float32]]]) -> None:
        """Keep vectors, all of them or none."""
        self._db.execute("BEGIN IMMEDIATE")
        values = [(backbone, sha256, vector.tobytes()) for sha256, vector in rows]
        self._db.executemany("INSERT OR REPLACE INTO feature VALUES (?, ?, ?)", values)
        self._db.execute("COMMIT")

    def close(self) -> None:
        """Close the file."""
        self._db.close()


def features_of(
    paths: list[Path], backbone: Backbone, track: Callable[[Iterable[Any], str, int | None], Iterable[Any]]
) -> list[tuple[str, NDArray[np.float32]] | Unreadable]:
    """For each file its sha256 and pooled features (channels,), or why it cannot be used."""
    cache, runners = FeatureCache(), Runners()

    def compute(path: Path) -> tuple[str, NDArray[np.float32], bool] | Unreadable:
        try:
            data = path.read_bytes()
            sha256 = hashlib.sha256(data).hexdigest()
            known = cache.get(backbone.key, sha256)
            if known is not None:
                return sha256, known, False
            picture = images.load(images.open_picture(data), at_least=2 * backbone.size)
            view = images.fit_view(picture, backbone.size)
            return sha256, head.pool(runners(backbone, view)[None])[0], True
        except PictureError as found:
            return Unreadable(path, str(found))
        except OSError as found:
            return Unreadable(path, f"cannot be read: {found.strerror}")

    try:
        if not backbone.is_compiled():
            for one in track([backbone], "converting the backbone, once on this machine", 1):
                one.compiled()
        found = list(track(in_step(compute, paths), "looking at examples", len(paths)))
        cache.put(backbone.key, (one[:2] for one in found if not isinstance(one, Unreadable) and one[2]))
        return [one if isinstance(one, Unreadable) else one[:2] for one in found]
    finally:
        cache.close()
