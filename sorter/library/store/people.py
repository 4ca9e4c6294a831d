"""What people answered, and what sorters answered beside it: a part of the manifest. Touches that file only."""

from __future__ import annotations

import sqlite3

from sorter.records import HUMAN


class PeoplesAnswers:
    """The part of an open manifest that is about a person's answers."""

    _db: sqlite3.Connection

    def given(self, sha256: str, axis: str) -> str | None:
        """What a person answered about a picture on this axis; None where they did not."""
        query = "SELECT name FROM label WHERE sha256 = ? AND axis = ? AND source = ?"
        row = self._db.execute(query, (sha256, axis, HUMAN)).fetchone()
        return row and str(row[0])

    def answered(self, axis: str, name: str) -> frozenset[str]:
        """The pictures, by hash, for which a person gave this answer."""
        query = "SELECT sha256 FROM label WHERE axis = ? AND name = ? AND source = ?"
        return frozenset(sha256 for (sha256,) in self._db.execute(query, (axis, name, HUMAN)))

    def answers_on(self, axis: str) -> dict[str, str]:
        """Picture, by hash -> the class that a person gave it on this axis."""
        query = "SELECT sha256, name FROM label WHERE axis = ? AND source = ? ORDER BY sha256"
        return dict(self._db.execute(query, (axis, HUMAN)))

    def forget_label(self, sha256: str, axis: str, source: str) -> None:
        """Take back one answer."""
        self._db.execute("DELETE FROM label WHERE sha256 = ? AND axis = ? AND source = ?", (sha256, axis, source))

    def at_odds(self, axis: str, source: str) -> list[tuple[str, str, str, float]]:
        """Each picture that a person and a sorter answered on an axis: hash, the person's class, the sorter's, and its
        score."""
        query = (
            "SELECT h.sha256, h.name, m.name, m.score FROM label h JOIN label m USING (sha256, axis) "
            "WHERE axis = ? AND h.source = ? AND m.source = ? ORDER BY m.score DESC, h.sha256"
        )
        return list(self._db.execute(query, (axis, HUMAN, source)))
