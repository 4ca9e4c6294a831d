"""Small pictures for the page, each made once and kept in the library. Always pixels of our own making, as JPEG: what
came from outside is never sent as it is."""

from __future__ import annotations

import io
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

from sorter.errors import PictureError
from sorter.files import read_if
from sorter.library.store.manifest import FOLDER
from sorter.pictures import images

FILE = "thumbnails.sqlite"
SIDE = 256
"""Pixels of a thumbnail's longer side."""
LARGE = 1600
"""Of the picture that is shown by itself."""


class Thumbnails:
    """The small pictures of a library. Any thread may ask."""

    def __init__(self, library: Path, places: Callable[[str], list[Path]]) -> None:
        """`places`: hash -> where its bytes may lie."""
        self.library, self.places = library, places
        self.lock = threading.Lock()
        self._db = self._open()

    def _open(self) -> sqlite3.Connection:
        path = self.library / FOLDER / FILE
        try:
            return _opened(path)
        except sqlite3.DatabaseError:  # damaged: it holds nothing that cannot be made again
            path.unlink()
            return _opened(path)

    def small(self, sha256: str) -> bytes | None:
        """The thumbnail of a picture as it was found, upright; None where its bytes are nowhere any more."""
        with self.lock:
            row = self._db.execute("SELECT jpeg FROM thumbnail WHERE sha256 = ?", (sha256,)).fetchone()
        if row is not None:
            return bytes(row[0])
        made = self.made(sha256, SIDE)
        if made is not None:
            with self.lock:
                self._db.execute("INSERT OR REPLACE INTO thumbnail VALUES (?, ?)", (sha256, made))
        return made

    def made(self, sha256: str, side: int) -> bytes | None:
        """A JPEG of a picture, made now, its longer side at most `side` pixels."""
        for path in self.places(sha256):
            data = read_if(path, sha256)
            if data is None:
                continue
            try:
                with images.opened(data) as image:
                    found = images.load_small(data, image, at_least=side)
            except PictureError:
                return None
            from PIL import Image

            picture = Image.fromarray(found)
            picture.thumbnail((side, side))
            out = io.BytesIO()
            picture.convert("RGB").save(out, "JPEG", quality=82)
            return out.getvalue()
        return None

    def close(self) -> None:
        """Close the file."""
        self._db.close()


def _opened(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = OFF")  # what is lost is made again
        db.execute("CREATE TABLE IF NOT EXISTS thumbnail (sha256 TEXT PRIMARY KEY, jpeg BLOB NOT NULL) WITHOUT ROWID")
        db.execute("SELECT 1 FROM thumbnail").fetchone()
    except sqlite3.DatabaseError:
        db.close()
        raise
    return db
