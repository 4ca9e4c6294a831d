"""What every run did to a library, step by step: tables in the manifest's file. Touches that file only."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from sorter.library.store import database
from sorter.library.store.contents import Intent, content_from, content_text
from sorter.records import Output, Put, Step


class Journal:
    """The journal's part of an open manifest; the manifest's transactions are its own."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def begin(self, command: str) -> int:
        """Open a run; its number."""
        row = self._db.execute("INSERT INTO run (command, started) VALUES (?, ?)", (command, time.time()))
        return int(row.lastrowid or 0)

    def intend(self, run: int, steps: Iterable[tuple[Step, str, Output | None]]) -> list[Intent]:
        """Write steps down before they are carried out, each with the hash of its bytes and what stands there now."""
        (last,) = self._db.execute("SELECT coalesce(max(id), 0) FROM step").fetchone()
        intents = [
            Intent(
                number,
                step.output.path,
                content_text(held.content) if held else None,
                content_text(step.output.content) if isinstance(step, Put) else None,
                sha256,
            )
            for number, (step, sha256, held) in enumerate(steps, last + 1)
        ]
        rows = ((one.id, run, one.path, one.before, one.after, one.sha256) for one in intents)
        database.insert(self._db, "INTO step (id, run, path, before, after, sha256)", rows)
        return intents

    def add_move(self, run: int, before: Output, after: Output | None) -> None:
        """Note a file of ours that a person has moved, or removed, as steps that are carried out already."""
        content = content_text(before.content)
        rows: list[tuple[int, str, str | None, str | None]] = [(run, before.path, content, None)]
        if after:
            rows.append((run, after.path, None, content))
        for row in rows:
            insert = "INSERT INTO step (run, path, before, after, sha256, done) VALUES (?, ?, ?, ?, '', 1)"
            self._db.execute(insert, row)

    def add_answer(self, run: int, sha256: str, axis: str, before: str | None, after: str | None) -> None:
        """Note a person's answer, and the one that it replaces."""
        row = run, sha256, axis, before, after
        self._db.execute("INSERT INTO answer (run, sha256, axis, before, after) VALUES (?, ?, ?, ?, ?)", row)

    def answers(self, since: int) -> list[tuple[str, str, str | None]]:
        """Picture, axis and the answer before, of every answer that came in run `since` or later; the last first."""
        query = "SELECT sha256, axis, before FROM answer WHERE run >= ? ORDER BY id DESC"
        return list(self._db.execute(query, (since,)))

    def settle(self, intents: Sequence[tuple[Intent, bool]]) -> None:
        """Journal that steps were carried out (True), or given up."""
        for value, wanted in ((1, True), (-1, False)):
            for some in database.parts([intent.id for intent, done in intents if done == wanted]):
                self._db.execute(f"UPDATE step SET done = {value} WHERE id IN ({database.marks(some)})", some)

    def unsettled(self) -> list[Intent]:
        """Steps that a run that was cut off had announced and not confirmed."""
        query = "SELECT id, path, before, after, sha256 FROM step WHERE done = 0 ORDER BY id"
        return [Intent(*row) for row in self._db.execute(query)]

    def runs(self) -> list[dict[str, Any]]:
        """The runs that changed something: id, command, started (seconds since 1970), steps, undone."""
        rows = self._db.execute(
            "SELECT r.id, command, started, (SELECT count(*) FROM step WHERE run = r.id AND done = 1) AS steps, undone "
            "FROM run r WHERE steps > 0 OR EXISTS (SELECT 1 FROM answer WHERE run = r.id) ORDER BY r.id"
        )
        return [dict(zip(("id", "command", "started", "steps", "undone"), row, strict=True)) for row in rows]

    def before(self, run: int, placed: Iterable[Output]) -> list[Output]:
        """What was placed before `run`, by reading backwards from what is placed now."""
        standing = {output.path: output for output in placed}
        moved = {PurePosixPath(path).name: path for path in standing}  # by hand: of that the journal knows nothing
        rows = self._db.execute("SELECT path, before FROM step WHERE run >= ? AND done = 1 ORDER BY id DESC", (run,))
        for path, content in rows:
            if content is None:
                standing.pop(path if path in standing else moved.get(PurePosixPath(path).name, path), None)
            else:
                standing[path] = Output(path, content_from(content))
        return [standing[path] for path in sorted(standing)]

    def mark_undone(self, run: int) -> None:
        """Note that this run and those after it were taken back."""
        self._db.execute("UPDATE run SET undone = 1 WHERE id >= ?", (run,))

    def take(self, path: Path, sha256: str, run: int) -> None:
        """Note that an original is about to be moved into the library's keeping."""
        self._db.execute("INSERT OR REPLACE INTO taken VALUES (?, ?, ?)", (str(path), sha256, run))

    def taken(self, since: int) -> list[tuple[Path, str]]:
        """The originals that were taken in this run and later ones."""
        rows = self._db.execute("SELECT path, sha256 FROM taken WHERE run >= ? ORDER BY path", (since,))
        return [(Path(path), sha256) for path, sha256 in rows]

    def give_back(self, path: Path) -> None:
        """Note that an original lies where it came from again."""
        self._db.execute("DELETE FROM taken WHERE path = ?", (str(path),))
