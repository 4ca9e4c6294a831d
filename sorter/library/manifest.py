"""Everything known about a library, in one SQLite file: pictures, where they were found, labels, what is placed, and
(in journal.py) every step. Touches that file only."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from itertools import groupby
from operator import itemgetter
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any, Self

from sorter.classify.scan import Found
from sorter.errors import LibraryError
from sorter.library.contents import Placed, content_from, content_text
from sorter.library.journal import Journal
from sorter.records import HUMAN, Label, Output, Picture, Unreadable

FOLDER = ".modelsheet"
"""The folder inside a library that is ours; hidden, so that no trainer and no scan looks into it."""
FILE = "manifest.sqlite"

MIGRATIONS = [
    """
    CREATE TABLE picture (
        sha256 TEXT PRIMARY KEY, path TEXT NOT NULL, width INTEGER NOT NULL, height INTEGER NOT NULL,
        format TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE source (  -- a file as it was last read; reason says why it is no picture, and is empty if it is one
        path TEXT PRIMARY KEY, size INTEGER NOT NULL, modified INTEGER NOT NULL, sha256 TEXT, reason TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX source_of ON source (sha256);
    CREATE TABLE label (
        sha256 TEXT NOT NULL, axis TEXT NOT NULL, source TEXT NOT NULL, name TEXT NOT NULL, score REAL NOT NULL,
        PRIMARY KEY (sha256, axis, source)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE placed (  -- what we wrote and, as far as we know, still stands
        path TEXT PRIMARY KEY, stem TEXT NOT NULL, content TEXT NOT NULL, sha256 TEXT NOT NULL,
        size INTEGER NOT NULL, modified INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX placed_stem ON placed (stem);
    CREATE TABLE run (
        id INTEGER PRIMARY KEY, command TEXT NOT NULL, started REAL NOT NULL, undone INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE TABLE step (  -- the journal: intended (done 0), carried out (1), or given up (-1)
        id INTEGER PRIMARY KEY, run INTEGER NOT NULL, path TEXT NOT NULL, before TEXT, after TEXT,
        sha256 TEXT NOT NULL, done INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE INDEX step_open ON step (done) WHERE done = 0;
    CREATE TABLE taken (  -- originals that were moved into the library's keeping by --take
        path TEXT PRIMARY KEY, sha256 TEXT NOT NULL, run INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    """,
    """
    ALTER TABLE label ADD COLUMN looks TEXT NOT NULL DEFAULT '';
    ALTER TABLE label ADD COLUMN mirror_looks TEXT NOT NULL DEFAULT '';
    """,
]
LABEL = "axis, name, score, source, looks, mirror_looks"
"""The columns that make a Label, in its order."""


class Manifest:
    """The open manifest of the library at `root`. A context manager; every change is one transaction."""

    def __init__(self, root: Path, create: bool = False, rehearse: bool = False) -> None:
        """Open it, bringing an older one up to date.

        `rehearse`: work on a copy in memory, so that nothing of what is recorded lasts.
        Raises LibraryError: none there, newer, damaged, read-only.
        """
        self.root, self.rehearsed = root, rehearse
        path = root / FOLDER / FILE
        if not create and not path.exists():
            raise LibraryError(f'{root}: is not a library; "sorter sort SOURCE --to {root}" makes one')
        try:
            if not rehearse:
                path.parent.mkdir(parents=True, exist_ok=True)
            self._db = _connect(":memory:") if rehearse else _connect(path)
            if rehearse and path.exists():
                _copy(path, self._db)
            self._migrate(path)
            self.journal = Journal(self._db)
        except OSError as found:
            raise LibraryError(f"{root}: cannot be written: {found.strerror}; choose a folder of your own") from None
        except sqlite3.DatabaseError as found:
            raise LibraryError(f"{path}: cannot be used: {found}") from None

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _migrate(self, path: Path) -> None:
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version > len(MIGRATIONS):
            raise LibraryError(
                f"{path}: was written by a newer modelsheet; update this one (pip install -U modelsheet)"
            )
        for number, script in enumerate(MIGRATIONS[version:], version + 1):
            self._db.executescript(f"BEGIN IMMEDIATE; {script} PRAGMA user_version = {number}; COMMIT;")

    @contextmanager
    def change(self) -> Iterator[None]:
        """One transaction: all of what is done inside, or none of it. Raises LibraryError where the disk refuses."""
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                if self._db.in_transaction:  # a full disk has rolled it back already
                    self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")
        except sqlite3.OperationalError as found:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise LibraryError(f"{self.root}: its manifest cannot be written: {found}; make room or free it") from None

    # --- pictures, their sources and their labels

    def known(self, found: Found) -> Picture | Unreadable | None:
        """What this file was when it was last read, if it has not changed since."""
        row = self._db.execute(
            "SELECT reason, p.* FROM source s LEFT JOIN picture p USING (sha256) "
            "WHERE s.path = ? AND size = ? AND modified = ?",
            (str(found.path), found.size, found.modified),
        ).fetchone()
        if row is None:
            return None
        return Unreadable(found.path, row[0]) if row[0] else _picture(row[1:])

    def add(self, found: Found, picture: Picture, labels: Iterable[Label]) -> None:
        """Record a picture, where it was found, and the answers about it."""
        self._db.execute(
            "INSERT INTO picture VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (picture.sha256, str(picture.path), picture.width, picture.height, picture.format),
        )
        self._source(found, picture.sha256, "")
        self.add_labels(picture.sha256, labels)

    def add_unreadable(self, found: Found, reason: str) -> None:
        """Record that a file is no picture, so that it is not read again until it changes."""
        self._source(found, None, reason)

    def _source(self, found: Found, sha256: str | None, reason: str) -> None:
        row = (str(found.path), found.size, found.modified, sha256, reason)
        self._db.execute("INSERT OR REPLACE INTO source VALUES (?, ?, ?, ?, ?)", row)

    def add_labels(self, sha256: str, labels: Iterable[Label]) -> None:
        """Record answers about a picture; a later answer from the same source replaces its earlier one."""
        rows = [(sha256, one.axis, one.name, one.score, one.source, one.looks, one.mirror_looks) for one in labels]
        self._db.executemany(f"INSERT OR REPLACE INTO label (sha256, {LABEL}) VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

    def missing(self, sha256: str, sources: dict[str, str]) -> list[str]:
        """The axes that neither their present sorter nor a person has answered for this picture."""
        rows = self._db.execute("SELECT axis, source FROM label WHERE sha256 = ?", (sha256,))
        given = set(rows)
        return [a for a, source in sources.items() if (a, source) not in given and (a, HUMAN) not in given]

    def pictures(self, sources: dict[str, str]) -> Iterator[tuple[Picture, tuple[Label, ...]]]:
        """Every picture in a fixed order with its labels in force: a person's, else the present sorter's."""
        labels = self._db.execute(f"SELECT sha256, {LABEL} FROM label ORDER BY sha256")
        of_picture = groupby(labels, key=itemgetter(0))
        sha256, rows = next(of_picture, ("", iter(())))
        for row in self._db.execute("SELECT * FROM picture ORDER BY sha256"):
            while sha256 and sha256 < row[0]:
                sha256, rows = next(of_picture, ("", iter(())))
            yield _picture(row), _in_force(rows if sha256 == row[0] else (), sources)

    def knows(self, sha256: str) -> bool:
        """Whether it is a picture of this library, which means that it was read and decoded."""
        return self._db.execute("SELECT 1 FROM picture WHERE sha256 = ?", (sha256,)).fetchone() is not None

    def picture(self, sha256: str, sources: dict[str, str]) -> tuple[Picture, tuple[Label, ...]] | None:
        """One picture by its hash, with its labels in force."""
        row = self._db.execute("SELECT * FROM picture WHERE sha256 = ?", (sha256,)).fetchone()
        query = f"SELECT sha256, {LABEL} FROM label WHERE sha256 = ?"
        return row and (_picture(row), _in_force(self._db.execute(query, (sha256,)), sources))

    def unanswered(self, sources: dict[str, str]) -> Iterator[tuple[str, list[str]]]:
        """The pictures, by hash, on which an answer is missing, with those axes."""
        if sources:
            pairs = ", ".join("(?, ?)" for _ in sources)
            query = f"SELECT sha256, count(DISTINCT axis) FROM label WHERE (axis, source) IN (VALUES {pairs}) "
            values = [value for pair in sources.items() for value in pair]
            full = f"SELECT sha256 FROM ({query} GROUP BY sha256 HAVING count(DISTINCT axis) = {len(sources)})"
            for (sha256,) in self._db.execute(f"SELECT sha256 FROM picture WHERE sha256 NOT IN ({full})", values):
                if axes := self.missing(sha256, sources):
                    yield sha256, axes

    def hash_of_stem(self, stem: str) -> str | None:
        """The picture whose files have this stem, which ends in the first digits of its hash."""
        digits = stem.rpartition("-")[2]
        rows = self._db.execute("SELECT sha256 FROM picture WHERE sha256 BETWEEN ? AND ?", (digits, digits + "g"))
        found = [sha256 for (sha256,) in rows]
        return found[0] if len(found) == 1 else None

    def answered(self, axis: str, name: str) -> frozenset[str]:
        """The pictures, by hash, for which a person gave this answer."""
        query = "SELECT sha256 FROM label WHERE axis = ? AND name = ? AND source = ?"
        return frozenset(sha256 for (sha256,) in self._db.execute(query, (axis, name, HUMAN)))

    def forget_label(self, sha256: str, axis: str, source: str) -> None:
        """Take back one answer."""
        self._db.execute("DELETE FROM label WHERE sha256 = ? AND axis = ? AND source = ?", (sha256, axis, source))

    def forget_answer(self, axis: str, name: str) -> None:
        """Take back this answer of a person's for every picture."""
        self._db.execute("DELETE FROM label WHERE axis = ? AND name = ? AND source = ?", (axis, name, HUMAN))

    def copies(self, sha256: str) -> list[Path]:
        """Where files with these bytes were found."""
        rows = self._db.execute("SELECT path FROM source WHERE sha256 = ? ORDER BY path", (sha256,))
        return [Path(path) for (path,) in rows]

    def unreadable(self) -> list[Unreadable]:
        """The files that were found to be no pictures."""
        rows = self._db.execute("SELECT path, reason FROM source WHERE reason != '' ORDER BY path")
        return [Unreadable(Path(path), reason) for path, reason in rows]

    def refuse_dataset(self) -> None:
        """Raise LibraryError where an export stands here, which knows no pictures: sorting into it would clear it."""
        if not self.counts()["pictures"] and next(self.placed(), None):
            raise LibraryError(f"{self.root}: is an exported dataset; choose another folder for the library")

    def counts(self) -> dict[str, int]:
        """How many pictures are known, and how many files they were found in."""
        query = "SELECT (SELECT count(*) FROM picture), (SELECT count(*) FROM source WHERE reason = '')"
        pictures, files = self._db.execute(query).fetchone()
        return {"pictures": pictures, "files": files}

    # --- what is placed

    def placed(self, stem: str | None = None) -> Iterator[Placed]:
        """Every file that we wrote and that is believed to stand, by path; or only those of one file stem."""
        where, values = ("", ()) if stem is None else (" WHERE stem = ?", (stem,))
        columns = "path, content, sha256, size, modified"
        for row in self._db.execute(f"SELECT {columns} FROM placed{where} ORDER BY path", values):
            yield Placed(Output(row[0], content_from(row[1])), *row[2:])

    def placed_at(self, path: str) -> Placed | None:
        """What we wrote at this path."""
        return next((one for one in self.placed(PurePosixPath(path).stem) if one.output.path == path), None)

    def set_placed(self, placed: Placed) -> None:
        """Record a file as written."""
        path, content = placed.output.path, content_text(placed.output.content)
        row = (path, PurePosixPath(path).stem, content, placed.sha256, placed.size, placed.modified)
        self._db.execute("INSERT OR REPLACE INTO placed VALUES (?, ?, ?, ?, ?, ?)", row)

    def forget_placed(self, path: str) -> None:
        """Record that a file of ours no longer stands."""
        self._db.execute("DELETE FROM placed WHERE path = ?", (path,))


def _connect(path: Path | str) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")  # the journal must be on disk before a file is touched
    return db


def _copy(path: Path, into: sqlite3.Connection) -> None:
    """Read a manifest without writing beside it, which SQLite does unless it is told that nobody else writes."""
    in_use = path.with_name(f"{path.name}-wal").exists()
    for mode in ("mode=ro", "mode=ro&immutable=1") if in_use else ("mode=ro&immutable=1",):
        try:
            with closing(sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True)) as source:
                source.backup(into)
            return
        except sqlite3.OperationalError:
            if "immutable" in mode:
                raise


def _in_force(rows: Iterable[Any], sources: dict[str, str]) -> tuple[Label, ...]:
    """A person's answers, and the present sorter's on the other axes."""
    chosen: dict[str, Label] = {}
    for _, *values in rows:
        label = Label(*values)
        if label.source == HUMAN or (label.source == sources.get(label.axis) and label.axis not in chosen):
            chosen[label.axis] = label
    return tuple(chosen[axis] for axis in sorted(chosen))


def _picture(row: tuple[str, str, int, int, str]) -> Picture:
    return Picture(row[0], Path(row[1]), row[2], row[3], row[4])
