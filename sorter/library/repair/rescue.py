"""What is wrong with a manifest, what can still be read of it, and a new one in its place.

Touches the manifest's files only, and removes none of them.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sorter.errors import DamagedManifest, LibraryError
from sorter.library.store.contents import Garbled, content_from
from sorter.library.store.database import (
    DAMAGED,
    NEW,
    NONSENSE,
    beside,
    check_files,
    is_blank,
    is_empty,
    read_only,
    trouble,
)
from sorter.library.store.manifest import FILE, FOLDER
from sorter.library.store.standing import is_sorted
from sorter.records import HUMAN, Content, Label, Render, Text

TABLES = ("picture", "source", "label", "placed", "run", "step", "taken")
CONTENTS = (("placed", "content"), ("step", "before"), ("step", "after"))
"""Table and column of what `content_from` reads."""


@dataclass(frozen=True, slots=True)
class Rescued:
    """What a damaged manifest still tells; each of it makes sense by itself, and much may be missing."""

    answers: tuple[tuple[str, Label], ...] = ()
    """What people answered, with the hash of the picture."""
    sources: tuple[Path, ...] = ()
    """Where pictures were found."""
    taken: tuple[tuple[Path, str], ...] = ()
    """Where originals lay before they were taken into the library's keeping, with their hashes."""
    written: Mapping[str, Render | Text] = field(default_factory=dict)
    """Hash of a file that we wrote -> what it shows or says."""
    commands: tuple[str, ...] = ()
    """The commands that were run."""


def damage(root: Path) -> str:
    """What is wrong with the manifest of a library; empty if it is in order. All of it is read.

    Raises LibraryError where it cannot be read for another reason, such as a program that holds it.
    """
    path = root / FOLDER / FILE
    if is_blank(path):
        return "it is empty" if path.exists() else "it is gone"
    try:
        check_files(path)
        with closing(read_only(path)) as db:
            ((found,),) = db.execute("PRAGMA integrity_check(1)")
            if found != "ok":
                return " ".join(found.removeprefix("*** in database main ***").split())
            for table in TABLES:
                for _ in db.execute(f"SELECT * FROM {table}"):
                    pass
            for table, column in CONTENTS:
                for (text,) in db.execute(f"SELECT {column} FROM {table} WHERE {column} IS NOT NULL"):
                    content_from(text)
            if is_empty(db) and is_sorted(root):
                return "it is empty"
    except NONSENSE as error:
        if not isinstance(said := trouble(path, root, error), DamagedManifest):
            raise said from None
        return str(error)
    return ""


def rescue(root: Path) -> Rescued:
    """Read what can be read of the damaged manifest of a library, or of the last one that was kept aside."""
    path = root / FOLDER / FILE
    if is_blank(path):
        path = beside(path, f"{DAMAGED}{_last(path)}")
    try:
        with closing(read_only(path)) as db:
            db.text_factory = lambda data: data.decode(errors="replace")
            return _rescued(db)
    except NONSENSE:
        return Rescued()


def clear_away(root: Path) -> None:
    """Remove what was being rebuilt by a run that was cut off."""
    for ending in ("", "-wal", "-shm"):
        with suppress(FileNotFoundError):
            beside(root / FOLDER / FILE, NEW + ending).unlink()


def put_in_place(root: Path) -> Path | None:
    """Move the manifest that was rebuilt into its place. Where the damaged one lies now; None if there was none.

    Killed in between, it leaves a library without a manifest, which every command refuses. Raises LibraryError.
    """
    path = root / FOLDER / FILE
    number = _last(path) + path.exists()
    kept = beside(path, f"{DAMAGED}{number}")
    try:
        for ending in ("", "-wal", "-shm"):
            if beside(path, ending).exists():
                os.replace(beside(path, ending), beside(kept, ending))
        os.replace(beside(path, NEW), path)
    except OSError as found:
        raise LibraryError(f"{path}: cannot be moved: {found.strerror}; close the program that holds it") from None
    return kept if kept.exists() else None


def _last(path: Path) -> int:
    """The number of the last manifest that was kept aside; 0 if there is none."""
    endings = (one.name.removeprefix(path.name + DAMAGED) for one in path.parent.glob(f"{path.name}{DAMAGED}*"))
    return max((int(ending) for ending in endings if ending.isdecimal()), default=0)


def _rescued(db: sqlite3.Connection) -> Rescued:
    answers, whole = _rows(db, f"SELECT sha256, axis, name FROM label WHERE source = '{HUMAN}'", "sha256")
    sources, _ = _rows(db, "SELECT path, sha256 FROM source WHERE reason = ''", "path")
    taken, _ = _rows(db, "SELECT path, sha256 FROM taken", "path")
    steps, _ = _rows(db, "SELECT after, sha256 FROM step WHERE after IS NOT NULL", "id")
    placed, _ = _rows(db, "SELECT content, sha256 FROM placed", "path")
    commands, _ = _rows(db, "SELECT command FROM run", "id")
    contents = ((sha256, _content(text)) for text, sha256 in [*steps, *placed] if _is_hash(sha256))
    return Rescued(
        tuple((sha256, Label(axis, name, 1.0, HUMAN)) for sha256, axis, name in answers if _is_hash(sha256)),
        tuple(Path(path) for path, sha256 in sources if _is_hash(sha256)),
        tuple((Path(path), sha256) for path, sha256 in taken if _is_hash(sha256)),
        # Whether a text was a person's own, only a whole table of labels tells.
        {sha256: one for sha256, one in contents if isinstance(one, Render) or (whole and isinstance(one, Text))},
        tuple(command for (command,) in commands),
    )


def _rows(db: sqlite3.Connection, query: str, key: str) -> tuple[list[tuple[Any, ...]], bool]:
    """The rows that can be read, from the first on and then from the last back; and whether that is all of them."""
    rows: dict[tuple[Any, ...], None] = {}
    whole = True
    for order in ("ASC", "DESC"):
        try:
            for row in db.execute(f"{query} ORDER BY {key} {order}"):
                if all(isinstance(value, str) and not {"\0", "\ufffd"} & set(value) for value in row):
                    rows[row] = None
                else:
                    whole = False
            break
        except NONSENSE:
            whole = False
    return list(rows), whole


def _is_hash(text: str) -> bool:
    return re.fullmatch(r"[0-9a-f]{64}", text) is not None


def _content(text: str) -> Content | None:
    try:
        return content_from(text)
    except Garbled:
        return None
