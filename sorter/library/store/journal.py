"""What every run did to a library, step by step: tables in the manifest's file. Touches that file only."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from typing import Any

from sorter.library.folders import Folders, folders_from
from sorter.library.store import database
from sorter.library.store.contents import Intent, content_from, content_text
from sorter.records import Content, Output, Put, Step


class Journal:
    """The journal's part of an open manifest; the manifest's transactions are its own."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def begin(self, command: str) -> int:
        """Open a run; its number."""
        row = self._db.execute("INSERT INTO run (command, started) VALUES (?, ?)", (command, time.time()))
        return int(row.lastrowid or 0)

    def last(self) -> int:
        """The number of the last run that was opened; 0 where there is none."""
        return int(self._db.execute("SELECT coalesce(max(id), 0) FROM run").fetchone()[0])

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

    def add_move(self, run: int, before: Output | None, after: Output | None) -> None:
        """Note a file of ours that a person has moved, copied or removed, as steps that are carried out already."""
        rows: list[tuple[int, str, str | None, str | None]] = []
        if before:
            rows.append((run, before.path, content_text(before.content), None))
        if after:
            rows.append((run, after.path, None, content_text(after.content)))
        for row in rows:
            insert = "INSERT INTO step (run, path, before, after, sha256, done) VALUES (?, ?, ?, ?, '', 1)"
            self._db.execute(insert, row)

    def add_answer(self, run: int, sha256: str, axis: str, before: str | None, after: str | None) -> None:
        """Note a person's answer, and the one that it replaces."""
        row = run, sha256, axis, before, after
        self._db.execute("INSERT INTO answer (run, sha256, axis, before, after) VALUES (?, ?, ?, ?, ?)", row)

    def answers(self, since: int, until: int) -> list[tuple[str, str, str | None]]:
        """Picture, axis and the answer before, of every answer of run `since` or later, but before run `until`; the
        last first."""
        query = "SELECT sha256, axis, before FROM answer WHERE run >= ? AND run < ? ORDER BY id DESC"
        return list(self._db.execute(query, (since, until)))

    def last_answer(self) -> int:
        """The number of the last answer that was noted; 0 where there is none."""
        return int(self._db.execute("SELECT coalesce(max(id), 0) FROM answer").fetchone()[0])

    def answered(self, after: int, until: int) -> set[str]:
        """The pictures, by hash, of the answers with numbers above `after`, up to `until`."""
        query = "SELECT DISTINCT sha256 FROM answer WHERE id > ? AND id <= ?"
        return {sha256 for (sha256,) in self._db.execute(query, (after, until))}

    def wrote(self, sha256: str) -> Content | None:
        """What a file shows or says that we wrote once, by the hash of its bytes."""
        query = "SELECT after FROM step WHERE sha256 = ? AND sha256 != '' AND after IS NOT NULL LIMIT 1"
        row = self._db.execute(query, (sha256,)).fetchone()
        return row and content_from(row[0])

    def texts(self, digits: str) -> list[Content]:
        """The texts that we ever wrote under names with these digits."""
        query = "SELECT DISTINCT after FROM step WHERE path LIKE ? AND after LIKE '{\"text\"%'"
        return [content_from(text) for (text,) in self._db.execute(query, (f"%{digits}.txt",))]

    def lay_out(self, run: int, folders: Folders) -> None:
        """Note by which class folders a run has laid out the library."""
        self._db.execute("UPDATE run SET folders = ? WHERE id = ?", (folders.text(), run))

    def folders(self) -> Folders | None:
        """The class folders by which the library was laid out last."""
        row = self._db.execute("SELECT folders FROM run WHERE folders IS NOT NULL ORDER BY id DESC LIMIT 1").fetchone()
        return row and folders_from(row[0])

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

    def before(self, run: int, until: int, placed: Iterable[Output]) -> list[Output]:
        """What was placed before `run`, by reading backwards from what is placed now; runs from `until` on stay."""
        standing = {output.path: output for output in placed}
        moved = {PurePosixPath(path).name: path for path in standing}  # by hand: of that the journal knows nothing
        query = "SELECT path, before FROM step WHERE run >= ? AND run < ? AND done = 1 ORDER BY id DESC"
        rows = self._db.execute(query, (run, until))
        for path, content in rows:
            if content is None:
                standing.pop(path if path in standing else moved.get(PurePosixPath(path).name, path), None)
            else:
                standing[path] = Output(path, content_from(content))
        return [standing[path] for path in sorted(standing)]

    def mark_undone(self, run: int, until: int) -> None:
        """Note that this run and those after it, but before `until`, were taken back."""
        self._db.execute("UPDATE run SET undone = 1 WHERE id >= ? AND id < ?", (run, until))

    def taken(self) -> list[tuple[str, str, int]]:
        """Path, hash and run of the originals that earlier versions have taken, and noted here."""
        return list(self._db.execute("SELECT path, sha256, run FROM taken ORDER BY path"))

    def forget_taken(self) -> None:
        """These are noted in the list beside the originals now."""
        self._db.execute("DELETE FROM taken")
