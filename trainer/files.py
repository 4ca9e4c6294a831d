"""Files and folders that are there whole or not at all. Standard library only."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PART = ".part"
"""The end of the name of whatever is not finished; everything that reads passes over it."""


def write_whole(path: Path, content: bytes) -> None:
    """Write `path` under another name, bring it to the disk, then put it in place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # The process id keeps two runs over one cache out of each other's way.
    part = path.with_name(f"{path.name}.{os.getpid()}{PART}")
    with part.open("wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    os.replace(part, path)
    _sync(path.parent)


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """An empty folder to write into, which becomes `folder` when the block ends well.

    An older `folder` of that name is replaced. If the block fails or the machine stops, only `folder.part` is left,
    and the next attempt clears it away.
    """
    part = folder.with_name(folder.name + PART)
    if part.exists():
        shutil.rmtree(part)
    part.mkdir(parents=True)
    yield part
    for path in part.rglob("*"):
        _sync(path)
    _sync(part)
    if folder.exists():  # a folder cannot be replaced in one move where there is one already
        shutil.rmtree(folder)
    os.replace(part, folder)
    _sync(folder.parent)


def _sync(path: Path) -> None:
    """Bring a file or a folder's names to the disk; Windows syncs files only, and only those open for writing."""
    if os.name == "nt" and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDWR if path.is_file() else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
