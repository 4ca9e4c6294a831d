"""One file at a time: written whole or not at all, and removed. Knows nothing of what is in it."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

PART = ".part"
"""The ending of a file that is being written beside its place."""


def write(target: Path, data: bytes) -> None:
    """Write beside the place, then move there in one step. Nothing is left over where that fails, with OSError."""
    part = _part(target)
    try:
        with _created(part) as file:
            left = memoryview(data)
            while left:  # a disk that is about to be full takes a part, and refuses the rest the next time
                left = left[file.write(left) :]
            os.fsync(file.fileno())
            with suppress(OSError, AttributeError):  # Windows and macOS have no such call, some disks no use for it
                # Kept in memory, a library would push out what is still needed; to let go is faster, too.
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        _patiently(lambda: os.replace(part, target))
    except OSError:
        clear_away(target)
        raise


def clear_away(target: Path) -> None:
    """Remove what a write that was cut off left beside a place."""
    with suppress(OSError):  # gone, or not to be removed now: it is in nobody's way
        _part(target).unlink()


def remove(target: Path, root: Path) -> None:
    """Remove a file and the folders up to `root` that are empty then. Raises OSError."""
    _patiently(lambda: target.unlink(missing_ok=True))
    folder = target.parent
    with suppress(OSError):  # not empty: that is where to stop
        while folder != root:
            folder.rmdir()
            folder = folder.parent


def _created(path: Path) -> io.FileIO:
    try:
        return open(path, "wb", buffering=0)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        return open(path, "wb", buffering=0)


def _patiently(act: Callable[[], None]) -> None:
    """On Windows a virus scanner or a viewer may hold a file for a moment."""
    for pause in (0.1, 0.3, 1.0) if os.name == "nt" else ():
        try:
            return act()
        except PermissionError:
            time.sleep(pause)
    return act()


def _part(target: Path) -> Path:
    return target.with_name(target.name + PART)
