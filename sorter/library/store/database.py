"""A manifest's file as SQLite sees it: opening and copying it, and the sentence for what is wrong with it."""

from __future__ import annotations

import sqlite3
import struct
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

from sorter.errors import DamagedManifest, LibraryError
from sorter.library.store.contents import Garbled
from sorter.library.store.standing import is_sorted

T = TypeVar("T")

NEW, DAMAGED = ".new", ".damaged-"
"""Endings of a manifest that is being rebuilt, and of one that was found damaged and kept."""
MEANS_DAMAGE = {None, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_NOTADB}
"""What SQLite says of bytes that make no sense, such as tables that are not there (sqlite.org/rescode.html); None is
Python's own, of a text that is not UTF-8. Other codes are about the disk, or about who else is at work."""
REMEDIES = {
    sqlite3.SQLITE_FULL: "make room or choose another folder",
    sqlite3.SQLITE_BUSY: "wait for the other program to end",
    sqlite3.SQLITE_LOCKED: "wait for the other program to end",
}
MOST_VALUES = 900
"""Values bound to one statement; older SQLites allow 999 (sqlite.org/limits.html)."""
PATIENCE = 30
"""Seconds to wait for another program that writes."""
CLOSING = 0.2
"""Seconds that another program may take between removing its log and removing the index of that."""
HEADER = struct.Struct(">16s H 6x I I 28x I 28x I 4x")
"""What a file begins with: a magic string, the bytes of a page, a counter, the pages, the user_version, and the counter
again if the number of pages is valid (sqlite.org/fileformat2.html, section 1.3)."""
BEGINS = b"SQLite format 3\0"
NONSENSE = (sqlite3.DatabaseError, UnicodeDecodeError, Garbled)
"""What opening a damaged manifest raises; the second from Python, where SQLite quotes what it could not read."""


def connect(path: Path | None) -> sqlite3.Connection:
    """Open a manifest for writing, made if need be; in memory without a path."""
    db = sqlite3.connect(path or ":memory:", timeout=PATIENCE, isolation_level=None, check_same_thread=False)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")  # the journal must be on disk before a file is touched
    except NONSENSE:
        db.close()
        raise
    return db


def insert(db: sqlite3.Connection, into: str, rows: Iterable[Sequence[Any]]) -> None:
    """INSERT rows, many with one statement. `into`: such as "OR REPLACE INTO label".

    At each statement, and with executemany at each row, Python lets another thread go on and has to wait for its turn
    again; while pictures are decoded, that costs more than the row.
    """
    rows = list(rows)
    size = max(1, MOST_VALUES // len(rows[0])) if rows else 1
    for start in range(0, len(rows), size):
        some = rows[start : start + size]
        places = ", ".join([f"({marks(some[0])})"] * len(some))
        db.execute(f"INSERT {into} VALUES {places}", [value for row in some for value in row])


def parts(values: list[T]) -> Iterator[list[T]]:
    """The values, as many at a time as can be bound to one statement."""
    return (values[start : start + MOST_VALUES] for start in range(0, len(values), MOST_VALUES))


def marks(values: Sequence[Any]) -> str:
    """A place in a statement for each value."""
    return ", ".join("?" * len(values))


def read_only(path: Path) -> sqlite3.Connection:
    """Open a manifest without writing beside it, which SQLite does unless it is told that nobody else writes."""
    in_use = beside(path, "-wal").exists()
    for mode in ("mode=ro", "mode=ro&immutable=1") if in_use else ("mode=ro&immutable=1",):
        db = sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", timeout=PATIENCE, uri=True)
        try:
            db.execute("PRAGMA schema_version").fetchone()
        except NONSENSE as found:
            db.close()
            if "immutable" in mode or not isinstance(found, sqlite3.OperationalError):
                raise
        else:
            return db
    raise AssertionError("the last way either opened it or raised")


def copy(path: Path, into: sqlite3.Connection) -> None:
    """Copy a manifest as it stands, damaged pages and all."""
    with closing(read_only(path)) as source:
        source.backup(into)


def beside(path: Path, ending: str) -> Path:
    """A file that belongs to this one, such as the "-wal" that SQLite writes first."""
    return path.with_name(path.name + ending)


def is_blank(path: Path) -> bool:
    """Whether nothing was ever recorded here: no file, or what SQLite makes before the first table."""
    if not path.exists() or not path.stat().st_size:
        return True
    begins, _, _, pages, version, _ = _header(path)
    return begins == BEGINS and pages > 0 and version == 0 and not has_log(path)


def is_empty(db: sqlite3.Connection) -> bool:
    """Whether a manifest knows of nothing, not even of files that were going to be written when a run was cut off."""
    tables = ("picture", "placed", "step")
    return not any(db.execute(f"SELECT EXISTS (SELECT 1 FROM {table})").fetchone()[0] for table in tables)


def has_log(path: Path) -> bool:
    """Whether changes wait beside a manifest, as after a crash."""
    log = beside(path, "-wal")
    return log.exists() and log.stat().st_size > 0


def check_files(path: Path) -> None:
    """Raise Garbled where something is missing that SQLite does not miss: half of the last page, or the log."""
    log, index = beside(path, "-wal"), beside(path, "-shm")
    if index.exists() and not log.exists():
        time.sleep(CLOSING)
        if index.exists() and not log.exists():
            raise Garbled(f"{log.name} is gone")
    begins, page, counter, pages, _, valid_for = _header(path)
    whole = max(HEADER.size, pages * (65536 if page == 1 else page) if begins == BEGINS and counter == valid_for else 0)
    if 0 < (size := path.stat().st_size) < whole and not has_log(path):
        raise Garbled(f"{size} bytes are left of {whole}")


def _header(path: Path) -> tuple[Any, ...]:
    with open(path, "rb") as file:
        return HEADER.unpack(file.read(HEADER.size).ljust(HEADER.size, b"\0"))


def refuse_lost(path: Path, root: Path) -> None:
    """Raise DamagedManifest where there was another one: pictures bear their own hash, or it left files beside it."""
    what = "is empty" if path.exists() else "is gone"
    if is_sorted(root) or (what == "is gone" and (has_log(path) or any(path.parent.glob(f"{path.name}{DAMAGED}*")))):
        raise DamagedManifest(f'{path}: {what}; "sorter rescan {root}" rebuilds it from the files that stand there')


def means_damage(found: Exception) -> bool:
    """Whether an error is about the manifest itself, rather than about the disk or other programs."""
    code = getattr(found, "sqlite_errorcode", None)
    return (None if code is None else code & 0xFF) in MEANS_DAMAGE


def trouble(path: Path, root: Path, found: Exception) -> LibraryError:
    """The sentence for what SQLite found wrong with the manifest of the library at `root`."""
    if means_damage(found):
        return DamagedManifest(
            f'{path}: is damaged ({found}); "sorter rescan {root}" rebuilds it from the files that stand there'
        )
    code = getattr(found, "sqlite_errorcode", 0) & 0xFF
    return LibraryError(f"{path}: cannot be used: {found}; {REMEDIES.get(code, 'choose a folder of your own')}")
