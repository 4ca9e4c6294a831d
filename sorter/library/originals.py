"""--take: originals move into the library's keeping once their place in the library is proven, and back by undo.

What was taken is noted in a list beside the originals, a line of JSON each, so that they can be brought back whatever
becomes of the manifest.
"""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from sorter.errors import LibraryError
from sorter.files import copy, found_at, patiently, read_file, read_if, sha256_of, write
from sorter.library.store.manifest import FOLDER, Manifest
from sorter.records import Render, Unreadable

LIST = "taken.jsonl"
BEFORE_ALL = 0
"""In place of a run's number: taken before the first run that the manifest knows, as after a rescan."""
STILL = 1.0
"""Seconds that a file must not have changed before it is taken: somebody may still be writing it."""


@dataclass(frozen=True, slots=True)
class Taken:
    """An original in the library's keeping."""

    path: str
    """Where it lay."""
    sha256: str
    kept: str
    """Where it is, below the folder of the originals."""
    run: int
    link: str | None = None
    """Where it led, if a link lay there; what is kept is a copy then."""


def kept(root: Path, sha256: str) -> Path:
    """Where the library keeps the original of this hash."""
    return _folder(root) / sha256[:2] / sha256


def places(manifest: Manifest, sha256: str) -> list[Path]:
    """Where the original of this hash may lie: where it was found, or in the library's keeping."""
    return [*manifest.copies(sha256), kept(manifest.root, sha256)]


def taken(root: Path) -> list[Taken]:
    """The originals that a library keeps. Raises LibraryError where the list cannot be read."""
    path, found = _folder(root) / LIST, dict[str, Taken]()
    try:
        lines = read_file(path).decode(errors="replace").splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise LibraryError(f"{path}: cannot be read: {error.strerror}; it says where originals came from") from None
    for line in lines:
        with suppress(ValueError, TypeError):  # the last line, of a run that was cut off while it wrote it
            values = json.loads(line)
            found.pop(values["path"], None)
            if "kept" in values:
                found[values["path"]] = Taken(**values)
    return list(found.values())


def note_taken(root: Path, rows: Iterable[Taken]) -> None:
    """Write the list again with these alone, or with nothing. Raises OSError."""
    text = "".join(_line(asdict(row)) for row in rows)
    if text or (_folder(root) / LIST).exists():
        write(_folder(root) / LIST, text.encode(errors="surrogatepass"))


def adopt_list(manifest: Manifest) -> None:
    """Earlier versions noted in the manifest what they took: note it in the list."""
    if rows := manifest.journal.taken():
        known = {one.path: one for one in taken(manifest.root)}
        old = (Taken(path, sha256, f"{sha256[:2]}/{sha256}", run) for path, sha256, run in rows if path not in known)
        note_taken(manifest.root, [*known.values(), *old])
        with manifest.change():
            manifest.journal.forget_taken()


def take_originals(manifest: Manifest, run: int, source: Path) -> Iterator[Path | Unreadable]:
    """Move into keeping every original below `source` whose picture stands in the library as we wrote it."""
    for placed in list(manifest.placed()):
        content = placed.output.content
        if not isinstance(content, Render):
            continue
        there = [path for path in manifest.copies(content.sha256) if source in path.parents and path.exists()]
        if not there or read_if(manifest.root / placed.output.path, placed.sha256) is None:
            continue
        for original in there:
            if read_if(original, content.sha256) is not None:
                yield _take(manifest.root, original, content.sha256, run)


def give_back_originals(root: Path, since: int) -> Iterator[Path | Unreadable]:
    """Put the originals that were taken in run `since` and later ones back where they came from."""
    rows = taken(root)
    shared = [row.kept for row in rows]
    for row in rows:
        if row.run < since:
            continue
        path = Path(row.path)
        wrong = _give_back(_folder(root) / row.kept, path, row, shared.count(row.kept) > 1)
        if wrong:
            yield Unreadable(path, wrong)
            continue
        shared.remove(row.kept)
        append(_folder(root) / LIST, _line({"path": row.path}).encode(errors="surrogatepass"))
        yield path


def _take(root: Path, original: Path, sha256: str, run: int) -> Path | Unreadable:
    """One original into keeping. A file is moved, not copied, where that can be: then whoever still writes it, writes
    into the one that is kept."""
    if not _stands_still(original):
        return Unreadable(original, "is still being written, so it was left; sort again with --take")
    keep = _free(kept(root, sha256))
    link = str(original.readlink()) if original.is_symlink() else None
    row = Taken(str(original), sha256, keep.relative_to(_folder(root)).as_posix(), run, link)
    try:
        append(_folder(root) / LIST, _line(asdict(row)).encode(errors="surrogatepass"))
        if link is not None:
            copy(original, keep, sha256)
            original.unlink()
        else:
            _into_keeping(original, keep, sha256)
    except OSError as found:
        return Unreadable(original, f"cannot be moved into the library's keeping, so it was left: {found.strerror}")
    return original


def _into_keeping(original: Path, keep: Path, sha256: str) -> None:
    try:
        move(original, keep)
    except OSError as found:
        if found.errno != errno.EXDEV:
            raise
        before = found_at(original)
        copy(original, keep, sha256)
        if found_at(original) != before or read_if(original, sha256) is None:
            raise OSError(errno.EAGAIN, "it has changed meanwhile", str(original)) from None
        original.unlink()


def _give_back(keep: Path, path: Path, row: Taken, is_shared: bool) -> str:
    """Bring one original back; why it cannot be, or nothing."""
    if os.path.lexists(path):
        if not keep.exists():  # the run was cut off before it took the file
            return ""
        is_back = path.is_symlink() if row.link is not None else read_if(path, row.sha256) is not None
        return "" if is_back else f"another file lies there now; the original is {keep}"
    try:
        if row.link is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(row.link)
        elif is_shared:
            copy(keep, path, sha256_of(keep))
        else:
            _out_of_keeping(keep, path)
    except OSError as found:
        return f"cannot be put back from {keep}: {found.strerror}"
    return ""


def _out_of_keeping(keep: Path, path: Path) -> None:
    """As it is now: where somebody went on writing into it, it is another file than the one that was taken."""
    try:
        move(keep, path)
    except OSError as found:
        if found.errno != errno.EXDEV:
            raise
        copy(keep, path, sha256_of(keep))
        keep.unlink()


def _stands_still(path: Path) -> bool:
    """Whether a file has not changed for a while; waits for those that were written just now."""
    with suppress(OSError):
        before = found_at(path)
        age = time.time() - before.modified / 1e9
        if age < STILL:
            time.sleep(min(STILL, STILL - age))
        return found_at(path) == before
    return False


def _free(keep: Path) -> Path:
    """A place for one more file of the same bytes: each path gets its own file back, and none is removed."""
    number, free = 1, keep
    while os.path.lexists(free):
        number, free = number + 1, keep.with_name(f"{keep.name}.{number}")
    return free


def _folder(root: Path) -> Path:
    return root / FOLDER / "originals"


def _line(values: dict[str, object]) -> str:
    return json.dumps(values) + "\n"


def append(path: Path, data: bytes) -> None:
    """Add to the end of a file, made if need be, and bring that to the disk. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "ab") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def move(source: Path, target: Path) -> None:
    """Move a file within one disk, its bytes untouched. Raises OSError: EXDEV where it is another disk, and
    FileExistsError where anything stands at `target`."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if os.name == "nt":  # refuses to replace a file by itself
        patiently(lambda: source.rename(target))
        return
    try:
        os.link(source, target, follow_symlinks=False)  # never replaces a file that somebody has made meanwhile
    except OSError as found:
        if found.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS):
            raise
        if os.path.lexists(target):  # a disk without links, such as a memory stick
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target)) from None
        source.rename(target)
        return
    source.unlink()
