"""One run at a time on a library. The operating system frees the lock of a process that dies."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock, Timeout

from sorter.errors import LibraryError
from sorter.library.store.manifest import FOLDER

LOCK, NOTE = "lock", "lock.txt"
A_LOOK = 0.2
"""Seconds within which `holder` has let go of a lock that it looked at."""
WHO = re.compile(r'"sorter (.*)" \(process (\d+)\)', re.DOTALL)


class Holder(NamedTuple):
    """Who holds a library."""

    words: str
    command: str = ""
    """Such as "watch /frames"; empty where it could not be noted."""
    process: int | None = None


@contextmanager
def locked(root: Path, command: str) -> Iterator[None]:
    """Hold the library at `root` for this process. Raises LibraryError that names who holds it already."""
    folder = root / FOLDER
    note = folder / NOTE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / LOCK, timeout=A_LOOK)
        lock.acquire()
    except Timeout:
        raise LibraryError(f"{root}: is in use by {_noted(root)}; wait for it to end, or stop it") from None
    except OSError as found:
        raise LibraryError(f"{root}: cannot be written: {found.strerror}; choose a folder of your own") from None
    try:
        with suppress(OSError):  # on a full disk: without a note, the lock still holds
            note.write_text(f'"sorter {command}" (process {os.getpid()})', encoding="utf-8")
        yield
    finally:
        with suppress(OSError):  # who comes next may be looked at before it has written its own
            note.unlink()
        lock.release()


def holder(root: Path) -> Holder | None:
    """Who holds the library at `root` now. Raises OSError where that cannot be told: to look takes leave to write."""
    path = root / FOLDER / LOCK
    if not path.exists():  # to look at it would make it
        return None
    try:
        with FileLock(path, timeout=0):
            return None
    except Timeout:
        words = _noted(root)
        match = WHO.fullmatch(words)
        return Holder(words, match[1], int(match[2])) if match else Holder(words)


def _noted(root: Path) -> str:
    somebody = "another process"
    with suppress(OSError):
        return (root / FOLDER / NOTE).read_text(encoding="utf-8", errors="replace") or somebody
    return somebody
