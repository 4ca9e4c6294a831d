"""The one door to the disk: files and folders written whole or not at all, and files read without waiting.

What is being written lies beside its place, hidden, under a name of its own that tells whose it is:
`.happy.png.1f3a0c77.modelsheet-part`. Knows nothing of what is in a file.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import random
import re
import shutil
import stat
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

OURS = re.compile(r"\.(.+)\.[0-9a-f]{8}\.modelsheet-(part|old)", re.DOTALL)
"""The name of what is not finished, and of a folder that was moved aside, around the name of the place."""
ROOM = 255 - len("..1f3a0c77.modelsheet-part")
"""Bytes of its place's name that it has room for; file systems take 255."""
TRIES = 100
"""Names that are tried where one after the other is taken."""
MOST_BYTES = 1 << 30
"""A larger file is not read: uncompressed, the largest picture that is taken has 8 bytes for each of its pixels."""

T = TypeVar("T")
_names = random.Random()  # not the common one, which others seed


# --- writing


def write(target: Path, data: bytes) -> None:
    """Write a file whole or not at all, its folders too. Nothing is left over where that fails, with OSError."""
    with _beside(target) as file:
        _fill(file, data)


def copy(source: Path, target: Path, sha256: str) -> None:
    """Copy a file of this hash with its times, and read the copy back before it takes its place. Raises OSError."""
    data = read_if(source, sha256)
    if data is None:
        raise OSError(errno.EIO, "it cannot be read, or has changed", str(source))
    with _beside(target) as file:
        _fill(file, data)
        file.close()  # or Windows would set its time once more
        part = Path(file.name)
        shutil.copystat(source, part)
        if read_if(part, sha256) is None:
            raise OSError(errno.EIO, "what was written is not what can be read", str(target))


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """An empty folder to write into, which becomes `folder` when the block ends well, and is removed when it fails.

    An older `folder` is moved aside, and removed once the new one is in its place.
    """
    part = _made(folder, _new_folder)
    try:
        yield part
        for path in (*part.rglob("*"), part):
            _sync(path)
        _swap(part, folder)
    except BaseException:
        _discard(part)
        raise
    _sync(folder.parent)


def clear_away(folder: Path, names: Collection[str] | None = None) -> None:
    """Remove what writes that were cut off left in `folder`: those of files and folders of these names, or of any.

    A folder that was moved aside is put back where nothing took its place. For a caller who knows that nobody else is
    writing there now.
    """
    wanted = None if names is None else {_cut(name) for name in names}
    try:
        there = list(folder.iterdir())
    except OSError:  # there is no such folder, so there is nothing in it
        return
    for path in there:
        match = OURS.fullmatch(path.name)
        if match and (wanted is None or match[1] in wanted):
            if match[2] == "old" and not (folder / match[1]).exists():
                path.rename(folder / match[1])
            else:
                _discard(path)


def is_ours(name: str) -> bool:
    """Whether this is the name of a file or folder that lies beside its place: not finished, or moved aside."""
    return OURS.fullmatch(name) is not None


def remove(target: Path, root: Path) -> None:
    """Remove a file and the folders up to `root` that are empty then. Raises OSError."""
    patiently(lambda: target.unlink(missing_ok=True))
    folder = target.parent
    with suppress(OSError):  # not empty: that is where to stop
        while folder != root:
            folder.rmdir()
            folder = folder.parent


def remove_folder(folder: Path) -> None:
    """Remove a folder, which leaves its place whole: cut off, it is none that is half empty. Raises OSError."""
    part = _made(folder, lambda path: path)
    patiently(lambda: os.replace(folder, part))
    _discard(part)


def cache_folder() -> Path:
    """Where converted models and features are kept between runs; MODELSHEET_CACHE moves it."""
    import platformdirs

    return Path(os.environ.get("MODELSHEET_CACHE") or platformdirs.user_cache_dir("modelsheet", appauthor=False))


@contextmanager
def _beside(target: Path) -> Iterator[io.FileIO]:
    """A new file that takes the place of `target` when the block ends well, and is removed when it fails."""
    part: Path | None = None
    try:
        with _made(target, lambda path: open(path, "xb", buffering=0)) as file:
            part = Path(file.name)
            yield file
        patiently(lambda: os.replace(file.name, target))
    except BaseException as error:
        if part is not None:
            _discard(part)
        if isinstance(error, OSError):
            error.filename, error.filename2 = str(target), None  # the name that a person knows
        raise


def _fill(file: io.FileIO, data: bytes) -> None:
    """Write all of it and bring it to the disk."""
    left = memoryview(data)
    while left:  # a disk that is about to be full takes a part, and refuses the rest the next time
        left = left[file.write(left) :]
    os.fsync(file.fileno())
    with suppress(OSError, AttributeError):  # Windows and macOS have no such call, some disks no use for it
        # Kept in memory, a library would push out what is still needed; to let go is faster, too.
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _made(target: Path, make: Callable[[Path], T], what: str = "part") -> T:
    """What `make` makes at a new name beside `target`; where the name is taken, it must raise FileExistsError."""
    name = _cut(target.name)
    for _ in range(TRIES):
        part = target.with_name(f".{name}.{_names.getrandbits(32):08x}.modelsheet-{what}")
        try:
            return make(part)
        except FileExistsError:
            continue
        except FileNotFoundError:
            target.parent.mkdir(parents=True, exist_ok=True)
            return make(part)
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))


def _new_folder(path: Path) -> Path:
    path.mkdir()
    return path


def _cut(name: str) -> str:
    """As much of a place's name as there is room for."""
    data = os.fsencode(name)
    return name if len(data) <= ROOM else data[:ROOM].decode(errors="ignore")


def _swap(part: Path, folder: Path) -> None:
    """Put a folder where another one may be, which cannot be done in one move."""
    aside = _made(folder, lambda path: path, "old")
    try:
        patiently(lambda: os.replace(folder, aside))
    except FileNotFoundError:
        return patiently(lambda: os.replace(part, folder))
    try:
        patiently(lambda: os.replace(part, folder))
    except OSError:
        os.replace(aside, folder)
        raise
    return _discard(aside)


def _discard(path: Path) -> None:
    """Remove what we made; where that cannot be done now, it is hidden and in nobody's way."""
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def patiently(act: Callable[[], object]) -> None:
    """On Windows a virus scanner or a viewer may hold a file for a moment."""
    for pause in (0.1, 0.3, 1.0) if os.name == "nt" else ():
        try:
            act()
            return
        except PermissionError:
            time.sleep(pause)
    act()


def _sync(path: Path) -> None:
    """Bring a file or a folder's names to the disk; Windows syncs files only, and only those open for writing."""
    if os.name == "nt" and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDWR if path.is_file() else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# --- reading


@dataclass(frozen=True, slots=True)
class Found:
    """A file as it stands now."""

    path: Path
    size: int
    """Bytes."""
    modified: int
    """Nanoseconds since 1970, as the file system tells it."""


def found_at(path: Path) -> Found:
    """A file as it stands now. Raises OSError where it is gone, or is none."""
    status = _regular(path.stat())
    return Found(path, status.st_size, status.st_mtime_ns)


def read_file(path: Path, most: int = MOST_BYTES) -> bytes:
    """The bytes of a file. Raises OSError where it cannot be read, is none, or has more than `most` bytes."""
    with _opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > most:
            raise OSError(errno.EFBIG, f"larger than {most >> 20} MB", str(path))
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


def sha256_of(path: Path) -> str:
    """The hash of a file of any size, which is not held in memory. Raises OSError as `read_file` does."""
    with _opened(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _opened(path: Path) -> Iterator[io.BufferedReader]:
    with open(path, "rb", opener=_at_once) as file:
        _regular(os.fstat(file.fileno()))
        yield file


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
