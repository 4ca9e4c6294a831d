"""Everything known about a library, in one SQLite file: pictures, where they were found, labels, what is placed, and
(in journal.py) every step. Touches that file only."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from sys import intern
from types import TracebackType
from typing import Any, Self, cast

from sorter.errors import LibraryError
from sorter.files import Found
from sorter.library.store import database
from sorter.library.store.contents import Garbled
from sorter.library.store.journal import Journal
from sorter.library.store.looks import Looks
from sorter.library.store.people import PeoplesAnswers
from sorter.library.store.placed import PlacedFiles
from sorter.library.store.schema import migrate
from sorter.records import HUMAN, Label, Picture, Unreadable

FOLDER = ".modelsheet"
"""The folder inside a library that is ours; hidden, so that no trainer and no scan looks into it."""
FILE = "manifest.sqlite"
LABEL = ", ".join(Label._fields)
"""The columns that make a Label, in its order."""
IN_FORCE = ", ".join(Label._fields[:6])
"""Those that a verdict is made of; a library has millions of labels."""
LONGEST_CLASS = 100
"""Characters of an answer that many pictures may share."""


class Manifest(PlacedFiles, PeoplesAnswers, Looks):
    """The open manifest of the library at `root`. A context manager; every change is one transaction."""

    def __init__(self, root: Path, create: bool = False, dry_run: bool = False, rebuild: bool = False) -> None:
        """Open it, bringing an older one up to date.

        `dry_run`: work on a copy in memory, so that nothing of what is recorded lasts.
        `rebuild`: build an empty one beside the one that is there.
        Raises LibraryError: none there, newer, read-only; DamagedManifest where it is, or gone from a sorted library.
        """
        self.root, self.is_dry_run = root, dry_run
        self.path = path = database.beside(root / FOLDER / FILE, database.NEW if rebuild else "")
        if not rebuild and database.is_blank(path):
            database.refuse_lost(path, root)
        if not (create or rebuild or path.exists()):
            raise LibraryError(f'{root}: is not a library; "sorter sort SOURCE --to {root}" makes one')
        try:
            if not dry_run:
                path.parent.mkdir(parents=True, exist_ok=True)
            self._open(None if rebuild or not path.exists() else path)
        except OSError as found:
            raise LibraryError(f"{root}: cannot be written: {found.strerror}; choose a folder of your own") from None
        except database.NONSENSE as found:
            raise database.trouble(path, root, found) from None

    def _open(self, old: Path | None) -> None:
        if old:
            database.check_files(old)
        self._db = database.connect(None if self.is_dry_run else self.path)
        try:
            if old and self.is_dry_run:
                database.copy(old, self._db)
            migrate(self._db, self.path)
            if old and database.is_empty(self._db):
                database.refuse_lost(old, self.root)
        except (*database.NONSENSE, LibraryError):
            self._db.close()
            raise
        self.journal = Journal(self._db)

    def copy(self) -> Manifest:
        """The same in memory, of which nothing lasts.

        Whoever holds a manifest open must not open its file once more in the same process: when that is closed, the
        locks of both are gone (sqlite.org/howtocorrupt.html, section 2.2).
        """
        made = object.__new__(Manifest)
        made.root, made.is_dry_run, made.path, made._db = self.root, True, self.path, database.connect(None)
        self._db.backup(made._db)
        made.journal = Journal(made._db)
        return made

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
        if type(error) in (sqlite3.DatabaseError, sqlite3.OperationalError, Garbled):
            raise database.trouble(self.path, self.root, cast(Exception, error)) from None

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
            if database.means_damage(found):
                raise
            raise LibraryError(f"{self.root}: its manifest cannot be written: {found}; make room or free it") from None

    def known(self, files: Sequence[Found]) -> list[Picture | Unreadable | None]:
        """What each file was when it was last read; None where it has changed since, or was never read."""
        rows: dict[str, tuple[Any, ...]] = {}
        for some in database.parts([str(file.path) for file in files]):
            query = (
                "SELECT s.path, size, modified, reason, p.* FROM source s LEFT JOIN picture p USING (sha256) "
                f"WHERE s.path IN ({database.marks(some)})"
            )
            rows |= {row[0]: row[1:] for row in self._db.execute(query, some)}
        found: list[Picture | Unreadable | None] = []
        for file in files:
            size, modified, reason, *picture = rows.get(str(file.path), (None,) * 5)
            if (size, modified) != (file.size, file.modified) or not (reason or picture[0]):
                found.append(None)
            else:
                found.append(Unreadable(file.path, reason) if reason else Picture(*picture))
        return found

    def known_bytes(self, sha256: str, sources: dict[str, str]) -> tuple[Picture, list[str]] | None:
        """The picture of this hash, with the questions that are still to be asked about it; None where it is new.

        Any thread may ask.
        """
        row = self._db.execute("SELECT * FROM picture WHERE sha256 = ?", (sha256,)).fetchone()
        return row and (Picture(*row), self.missing([sha256], sources).get(sha256, []))

    def add_all(self, seen: Sequence[tuple[Found, Picture, Iterable[Label]]]) -> None:
        """Record pictures, each with where it was found and the answers about it."""
        database.insert(self._db, "OR IGNORE INTO picture", (picture for _, picture, _ in seen))
        sources = ((str(found.path), found.size, found.modified, one.sha256, "") for found, one, _ in seen)
        database.insert(self._db, "OR REPLACE INTO source", sources)
        self._add_labels((picture.sha256, label) for _, picture, labels in seen for label in labels)

    def replaced(self, files: Sequence[tuple[Path, str]]) -> int:
        """How many of these files, each with its hash, were another picture when they were read last."""
        count, hashes = 0, {str(path): sha256 for path, sha256 in files}
        for some in database.parts(list(hashes)):
            query = f"SELECT path, sha256 FROM source WHERE reason = '' AND path IN ({database.marks(some)})"
            count += sum(hashes[path] != sha256 for path, sha256 in self._db.execute(query, some))
        return count

    def add_picture(self, picture: Picture, labels: Iterable[Label]) -> None:
        """Record a picture, and the answers about it, without a file that it was found in."""
        database.insert(self._db, "OR IGNORE INTO picture", [picture])
        self.add_labels(picture.sha256, labels)

    def rename(self, sha256: str, path: str) -> None:
        """Have the files of a picture named after `path`."""
        self._db.execute("UPDATE picture SET path = ? WHERE sha256 = ?", (path, sha256))

    def add_unreadable(self, found: Found, reason: str) -> None:
        """Record that a file is no picture, so that it is not read again until it changes."""
        row = (str(found.path), found.size, found.modified, None, reason)
        database.insert(self._db, "OR REPLACE INTO source", [row])

    def add_labels(self, sha256: str, labels: Iterable[Label]) -> None:
        """Record answers about a picture; a later answer from the same source replaces its earlier one."""
        self._add_labels((sha256, label) for label in labels)

    def _add_labels(self, given: Iterable[tuple[str, Label]]) -> None:
        rows = ((sha256, *label) for sha256, label in given)
        database.insert(self._db, f"OR REPLACE INTO label (sha256, {LABEL})", rows)

    def missing(self, hashes: Iterable[str], sources: dict[str, str]) -> dict[str, list[str]]:
        """Picture -> the axes that neither their present sorter nor a person has answered for it, if there are any."""
        found: dict[str, list[str]] = {}
        for some in database.parts(sorted(set(hashes))):
            query = f"SELECT sha256, axis, source FROM label WHERE sha256 IN ({database.marks(some)})"
            given = set(self._db.execute(query, some))
            for sha256 in some:
                answers = ((a, s) for a, s in sources.items() if (sha256, a, s) not in given)
                if axes := [axis for axis, _ in answers if (sha256, axis, HUMAN) not in given]:
                    found[sha256] = axes
        return found

    def pictures(
        self, sources: dict[str, str], only: Iterable[str] | None = None, runners_up: bool = False
    ) -> Iterator[tuple[Picture, tuple[Label, ...]]]:
        """Every picture in a fixed order with its labels in force: a person's, else the present sorter's.

        `only`: the pictures of these hashes. `runners_up`: with the second likeliest classes.
        """
        columns = LABEL if runners_up else IN_FORCE
        if only is None:
            yield from self._pictures("", (), sources, columns)
        else:
            for some in database.parts(sorted(set(only))):
                yield from self._pictures(f"WHERE sha256 IN ({database.marks(some)})", some, sources, columns)

    def _pictures(
        self, where: str, values: Sequence[str], sources: dict[str, str], columns: str
    ) -> Iterator[tuple[Picture, tuple[Label, ...]]]:
        labels = self._db.execute(f"SELECT sha256, {columns} FROM label {where} ORDER BY sha256, axis", values)
        of_picture = groupby(labels, key=itemgetter(0))
        sha256, rows = next(of_picture, ("", iter(())))
        for row in self._db.execute(f"SELECT * FROM picture {where} ORDER BY sha256", values):
            while sha256 and sha256 < row[0]:
                sha256, rows = next(of_picture, ("", iter(())))
            yield Picture(*row), _in_force(rows if sha256 == row[0] else (), sources)

    def answers(self, axis: str, source: str) -> Iterator[tuple[str, int, int, str, float]]:
        """Path, width and height of each picture, with name and score of this source's answer on an axis."""
        query = (
            "SELECT p.path, p.width, p.height, l.name, l.score FROM label l JOIN picture p USING (sha256) "
            "WHERE l.axis = ? AND l.source = ?"
        )
        return iter(self._db.execute(query, (axis, source)))

    def version(self) -> int:
        """A number that changes when somebody else has changed the manifest."""
        return int(self._db.execute("PRAGMA data_version").fetchone()[0])

    def knows(self, sha256: str) -> bool:
        """Whether it is a picture of this library, which means that it was read and decoded."""
        return self._db.execute("SELECT 1 FROM picture WHERE sha256 = ?", (sha256,)).fetchone() is not None

    def picture(self, sha256: str, sources: dict[str, str]) -> tuple[Picture, tuple[Label, ...]] | None:
        """One picture by its hash, with its labels in force."""
        return next(self.pictures(sources, [sha256]), None)

    def unanswered(self, sources: dict[str, str]) -> list[tuple[str, list[str]]]:
        """The pictures, by hash, on which an answer is missing, with those axes."""
        if not sources:
            return []
        pairs = ", ".join("(?, ?)" for _ in sources)
        query = f"SELECT sha256, count(DISTINCT axis) FROM label WHERE (axis, source) IN (VALUES {pairs}) "
        values = [value for pair in sources.items() for value in pair]
        full = f"SELECT sha256 FROM ({query} GROUP BY sha256 HAVING count(DISTINCT axis) = {len(sources)})"
        rows = self._db.execute(f"SELECT sha256 FROM picture WHERE sha256 NOT IN ({full})", values)
        return list(self.missing((sha256 for (sha256,) in rows), sources).items())

    def hash_of(self, digits: str) -> str | None:
        """The picture whose hash begins with these digits."""
        if not digits:
            return None
        rows = self._db.execute("SELECT sha256 FROM picture WHERE sha256 BETWEEN ? AND ?", (digits, digits + "g"))
        found = [sha256 for (sha256,) in rows]
        return found[0] if len(found) == 1 else None

    def copies(self, sha256: str) -> list[Path]:
        """Where files with these bytes were found."""
        query = "SELECT path FROM source WHERE sha256 = ? ORDER BY path"
        return [Path(path) for (path,) in self._db.execute(query, (sha256,))]

    def sizes(self) -> dict[str, int]:
        """Picture, by hash -> the bytes of its file."""
        return dict(self._db.execute("SELECT sha256, size FROM source WHERE reason = ''"))

    def unreadable(self) -> list[Unreadable]:
        """The files that were found to be no pictures."""
        rows = self._db.execute("SELECT path, reason FROM source WHERE reason != '' ORDER BY path")
        return [Unreadable(Path(path), reason) for path, reason in rows]

    def refuse_dataset(self) -> None:
        """Raise LibraryError where an export stands here, which knows no pictures: sorting into it would clear it."""
        (holds_pictures,) = self._db.execute("SELECT EXISTS (SELECT 1 FROM picture)").fetchone()
        if not holds_pictures and next(self.outputs(), None):
            raise LibraryError(f"{self.root}: is an exported dataset; choose another folder for the library")

    def counts(self) -> dict[str, int]:
        """How many pictures are known, and how many files they were found in."""
        query = "SELECT (SELECT count(*) FROM picture), (SELECT count(*) FROM source WHERE reason = '')"
        return dict(zip(("pictures", "files"), self._db.execute(query).fetchone(), strict=True))


def _in_force(rows: Iterable[Any], sources: dict[str, str]) -> tuple[Label, ...]:
    """A person's answers, and the present sorter's on the other axes."""
    chosen: dict[str, Label] = {}
    for _, axis, name, score, source, *more in rows:
        if source == HUMAN or (axis not in chosen and source == sources.get(axis)):
            # Millions of labels have a few texts in common; what a tagger said is none of them.
            axis = intern(axis)
            name = intern(name) if len(name) <= LONGEST_CLASS else name
            chosen[axis] = Label(axis, name, score, intern(source), *more)
    return tuple(chosen.values())
