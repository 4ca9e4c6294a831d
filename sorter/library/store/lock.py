"""One run at a time on a library. The operating system frees the lock of a process that dies."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from sorter.errors import LibraryError
from sorter.library.store.manifest import FOLDER


@contextmanager
def locked(root: Path, command: str) -> Iterator[None]:
    """Hold the library at `root` for this process. Raises LibraryError that names who holds it already."""
    folder = root / FOLDER
    note = folder / "lock.txt"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / "lock", timeout=0)
        lock.acquire()
    except Timeout:
        who = "another process"
        with suppress(OSError):
            who = note.read_text(encoding="utf-8", errors="replace") or who
        raise LibraryError(f"{root}: is in use by {who}; wait for it to end, or stop it") from None
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
