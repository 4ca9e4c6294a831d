"""What we wrote into a library and believe to stand: a table in the manifest's file. Touches that file only."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator

from sorter.library.plan import key
from sorter.library.store import database
from sorter.library.store.contents import Placed, content_from, placed_from, placed_row
from sorter.records import Output, Render

PLACED = "path, content, sha256, size, modified"
"""The columns that make a Placed."""


class PlacedFiles:
    """The part of an open manifest that is about the library's own files."""

    _db: sqlite3.Connection

    def placed(self) -> Iterator[Placed]:
        """Every file that we wrote and that is believed to stand, by path."""
        return map(placed_from, self._db.execute(f"SELECT {PLACED} FROM placed ORDER BY path"))

    def placed_at(self, path: str) -> Placed | None:
        """What we wrote at this path."""
        row = self._db.execute(f"SELECT {PLACED} FROM placed WHERE path = ?", (path,)).fetchone()
        return row and placed_from(row)

    def outputs(self) -> Iterator[Output]:
        """The outputs of every file that we wrote, in no order."""
        return (Output(path, content_from(text)) for path, text in self._db.execute("SELECT path, content FROM placed"))

    def placed_with(self, keys: Iterable[str]) -> dict[str, list[Placed]]:
        """Key (see `plan.key`) -> the files that we wrote with it, for those of `keys` that there are any of."""
        found: dict[str, list[Placed]] = {}
        for some in database.parts(sorted(set(keys))):
            query = f"SELECT {PLACED} FROM placed WHERE stem IN ({database.marks(some)}) ORDER BY path"
            for row in self._db.execute(query, some):
                one = placed_from(row)
                found.setdefault(key(one.output.path), []).append(one)
        return found

    def set_placed(self, *placed: Placed) -> None:
        """Record files as written."""
        database.insert(self._db, "OR REPLACE INTO placed", (placed_row(one, key(one.output.path)) for one in placed))

    def forget_placed(self, path: str) -> None:
        """Record that a file of ours no longer stands."""
        self._db.execute("DELETE FROM placed WHERE path = ?", (path,))

    def stamps(self) -> dict[str, tuple[int, int]]:
        """Path -> size and time, as we left it, of every file that we wrote."""
        rows = self._db.execute("SELECT path, size, modified FROM placed")
        return {path: (size, modified) for path, size, modified in rows}

    def shown_by(self, hashes: Iterable[str]) -> dict[str, str]:
        """Hash of a file -> the picture that it shows, for those that are a picture of ours, or one as it was found."""
        found: dict[str, str] = {}
        for some in database.parts(sorted(set(hashes) - {""})):
            listed = database.marks(some)
            found |= {sha256: sha256 for (sha256,) in self._db.execute(
                f"SELECT sha256 FROM picture WHERE sha256 IN ({listed})", some)}  # fmt: skip
            for sha256, text in self._db.execute(
                f"SELECT sha256, content FROM placed WHERE sha256 IN ({listed})", some
            ):
                if isinstance(content := content_from(text), Render):
                    found[sha256] = content.sha256
        return found
