"""Folders -> files that may be pictures. Reads names and sizes only."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sorter.classify.images import SUFFIXES
from sorter.errors import LibraryError
from sorter.records import Unreadable


@dataclass(frozen=True, slots=True)
class Found:
    """A file with a picture's ending, as it stands now."""

    path: Path
    size: int
    """Bytes."""
    modified: int
    """Nanoseconds since 1970, as the file system tells it."""


def walk(folder: Path, leave_out: Path | None = None) -> Iterator[Found | Unreadable]:
    """The files below `folder` with a picture's ending, in the order of their names, their paths absolute.

    Hidden folders and links are passed over, and so is `leave_out`. Raises LibraryError where `folder` is none.
    """
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise LibraryError(f"{folder}: {what}; give the folder that holds the pictures")
    return _walk(folder.absolute(), leave_out and leave_out.resolve())


def _walk(folder: Path, leave_out: Path | None) -> Iterator[Found | Unreadable]:
    try:
        with os.scandir(folder) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
    except OSError as found:
        yield Unreadable(folder, f"folder cannot be listed: {found.strerror}")
        return
    for entry in entries:
        path = Path(entry.path)
        if entry.name.startswith("."):
            continue
        try:
            if entry.is_dir(follow_symlinks=False):
                if path.resolve() != leave_out:
                    yield from _walk(path, leave_out)
            elif path.suffix.lower() in SUFFIXES and entry.is_file():
                yield found_at(path) if is_text(path) else Unreadable(path, "its name is not UTF-8; rename it")
        except OSError as found:
            yield Unreadable(path, f"cannot be read: {found.strerror}")


def is_text(path: Path) -> bool:
    """Whether a name can be written down: on Linux it may be any bytes, as after unpacking an old zip."""
    return not any("\ud800" <= char <= "\udfff" for char in str(path))


def found_at(path: Path) -> Found:
    """A file as it stands now. Raises OSError where it is gone."""
    stat = path.stat()
    return Found(path, stat.st_size, stat.st_mtime_ns)
