"""What `sorter frames` has taken into a folder, so that it goes on where it was: a file beside the frames."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, ValidationError

from sorter.errors import LibraryError
from sorter.files import read_file, write
from sorter.library.names import clean_stem
from sorter.text import folded

FILE, LOCK = ".modelsheet-frames.json", ".modelsheet-frames.lock"
SAMPLE = 1 << 20
"""Bytes at both ends of a video by which it is known again, with its size: to read all of it takes minutes."""


class Taken(BaseModel):
    """What was taken of one video."""

    model_config = ConfigDict(extra="forbid")

    path: str
    stem: str
    """The beginning of its frames' names; no other video of this folder has it."""
    until: float = 0.0
    """Seconds up to which its frames stand."""
    frames: int = 0
    hashes: list[int] = []
    """The perceptual hashes of its frames."""
    is_done: bool = False
    said: str = ""
    """What was wrong with it, if it was read all the same."""


class Done(BaseModel):
    """What was taken into a folder, and how."""

    model_config = ConfigDict(extra="forbid")

    options: dict[str, str | int | float | bool | None]
    videos: dict[str, Taken] = {}
    """By fingerprint."""

    def of(self, path: Path, fingerprint: str) -> Taken:
        """What was taken of this video; of a new one, nothing yet, and a stem of its own."""
        if fingerprint not in self.videos:
            others = {folded(one.stem) for one in self.videos.values()}
            stem = base = clean_stem(str(path), "video")
            number = 2
            while folded(stem) in others:
                stem, number = f"{base}-{number}", number + 1
            self.videos[fingerprint] = Taken(path=str(path), stem=stem)
        return self.videos[fingerprint]

    def save(self, folder: Path) -> None:
        """Write it into the folder, whole or not at all. Raises LibraryError."""
        try:
            write(folder / FILE, self.model_dump_json(indent=1).encode())
        except OSError as found:
            raise LibraryError(f"{folder}: cannot be written: {found.strerror}") from None


def read_done(folder: Path, options: dict[str, str | int | float | bool | None]) -> Done:
    """What was taken into `folder` before. Raises LibraryError where that was with other options than these."""
    try:
        done = Done.model_validate_json(read_file(folder / FILE))
    except FileNotFoundError:
        return Done(options=options)
    except (OSError, ValidationError):
        raise LibraryError(f"{folder / FILE}: is damaged; move it away, or give another folder") from None
    if done.options != options:
        changed = [name for name in options if done.options.get(name) != options[name]]
        was, now = (", ".join(f"{name} {values.get(name)}" for name in changed) for values in (done.options, options))
        raise LibraryError(
            f"{folder}: holds frames that were taken with {was}, and now it is to be {now};"
            " give another folder, or the same options"
        )
    return done


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold the folder for this process. Raises LibraryError where another one takes frames into it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / LOCK, timeout=0)
        lock.acquire()
    except Timeout:
        raise LibraryError(f"{folder}: another sorter frames writes into it; wait for it to end") from None
    except OSError as found:
        raise LibraryError(f"{folder}: cannot be written: {found.strerror}; choose a folder of your own") from None
    try:
        yield
    finally:
        lock.release()  # the file stays: who opened it meanwhile would hold one that is gone, beside another's new one


def fingerprint(path: Path) -> str:
    """By what a video is known again, wherever it lies. Raises OSError."""
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        found = hashlib.sha256(str(size).encode())
        found.update(file.read(SAMPLE))
        file.seek(max(0, size - SAMPLE))
        found.update(file.read(SAMPLE))
    return found.hexdigest()[:32]
