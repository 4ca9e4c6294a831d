"""What was found by looking at files, whether these are pictures as they were found or as they were made: a part of the
manifest. Touches that file only."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping

from sorter.library.store import database


class Looks:
    """The part of an open manifest that keeps what an asker said of a file, by the file's own hash."""

    _db: sqlite3.Connection

    def said(self, hashes: Iterable[str], sources: Mapping[str, str]) -> dict[str, dict[str, str]]:
        """File -> question -> its answer as JSON, for those that are answered. `sources`: question -> whose answer."""
        found: dict[str, dict[str, str]] = {}
        for some in database.parts(sorted(set(hashes))):
            listed = database.marks(some)
            query = f"SELECT sha256, name FROM label WHERE sha256 IN ({listed}) AND axis = ? AND source = ?"
            for name, source in sources.items():
                for sha256, answer in self._db.execute(query, (*some, name, source)):
                    found.setdefault(sha256, {})[name] = answer
        return found
