"""Folders -> files that may be pictures, and a file -> its bytes. Waits for nothing and nobody."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sorter.errors import LibraryError
from sorter.pictures.images import SUFFIXES
from sorter.records import Unreadable

MOST_BYTES = 1 << 30
"""A larger file is not read: uncompressed, the largest picture that is taken has 8 bytes for each of its pixels."""


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

    What is hidden is passed over, and so are links to folders, `leave_out` and links to what is in it. Raises
    LibraryError where `folder` is none.
    """
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise LibraryError(f"{folder}: {what}; give the folder that holds the pictures")
    return _walk(folder.absolute(), leave_out and leave_out.resolve())


def _walk(folder: Path, leave_out: Path | None) -> Iterator[Found | Unreadable]:
    ahead: list[Path | os.DirEntry[str]] = [folder]  # not by recursion: folders may lie deeper than Python calls
    while ahead:
        one = ahead.pop()
        path = Path(one)
        try:
            if isinstance(one, Path):
                ahead += _listing(path)
            elif one.is_dir(follow_symlinks=False):
                if not (leave_out and leave_out.exists() and path.samefile(leave_out)):
                    ahead.append(path)
            elif path.suffix.lower() not in SUFFIXES or one.is_dir() or _leads_into(one, leave_out):
                continue
            elif is_text(path):
                yield found_at(path)
            else:
                yield Unreadable(path, "its name is not UTF-8; rename it")
        except OSError as found:
            what = "folder cannot be listed" if isinstance(one, Path) else "cannot be read"
            yield Unreadable(path, f"{what}: {found.strerror}")


def _leads_into(one: os.DirEntry[str], folder: Path | None) -> bool:
    """Whether it is a link to a file in this folder."""
    return one.is_symlink() and folder in Path(one).resolve().parents


def _listing(folder: Path) -> list[os.DirEntry[str]]:
    """What is in a folder, but for what is hidden; the last name first."""
    with os.scandir(folder) as listing:
        entries = [entry for entry in listing if not entry.name.startswith(".")]
    return sorted(entries, key=lambda entry: entry.name, reverse=True)


def is_text(path: Path) -> bool:
    """Whether a name can be written down: on Linux it may be any bytes, as after unpacking an old zip."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def found_at(path: Path) -> Found:
    """A file as it stands now. Raises OSError where it is gone, or is none."""
    status = _regular(path.stat())
    return Found(path, status.st_size, status.st_mtime_ns)


def read_file(path: Path) -> bytes:
    """The bytes of a file. Raises OSError where it cannot be read, is none, or is larger than any picture."""
    with open(path, "rb", opener=_at_once) as file:
        size = _regular(os.fstat(file.fileno())).st_size
        if size > MOST_BYTES:
            raise OSError(errno.EFBIG, f"larger than {MOST_BYTES >> 20} MB")
        return file.read(size)


def read_if(path: Path, sha256: str) -> bytes | None:
    """The bytes of a file, if they have this hash; None where it cannot be read or holds others."""
    try:
        data = read_file(path)
    except OSError:
        return None
    return data if hashlib.sha256(data).hexdigest() == sha256 else None


def first_that_holds(paths: Iterable[Path], sha256: str) -> bytes | None:
    """The bytes of this hash, from the first of these files that holds them."""
    return next((data for path in paths if (data := read_if(path, sha256)) is not None), None)


def _regular(status: os.stat_result) -> os.stat_result:
    """A status that is one of a file; a pipe would have a reader wait for ever, a device may have no end."""
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "it is no file, but a pipe or a device")
    return status


def _at_once(path: str, flags: int) -> int:
    """Open without waiting for somebody at the other end of a pipe."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
