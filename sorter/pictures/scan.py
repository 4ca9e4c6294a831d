"""Folders -> files that may be pictures. Waits for nothing and nobody."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sorter.errors import LibraryError
from sorter.files import Found, found_at
from sorter.pictures.images import SUFFIXES
from sorter.records import Unreadable
from sorter.text import is_text

SYSTEM_FOLDERS = frozenset({
    "@eadir", "#recycle", "#snapshot", "$recycle.bin", "recycler", "@recycle", "@recently-snapshot", "__macosx",
    ".trashes", "system volume information", "lost+found",
})  # fmt: skip
"""Folders that a network drive, an unpacker or a system makes for itself: thumbnails, and what was deleted."""


@dataclass
class PassedOver:
    """What a walk saw and did not give out. What is hidden, or a system's own, is not counted."""

    endings: Counter[str] = field(default_factory=Counter)
    """Ending, such as ".mp4" -> files; "" for those without."""
    folders: list[Path] = field(default_factory=list)
    """Links to folders, which are not followed."""
    texts: list[Path] = field(default_factory=list)
    """The .txt files, which may be captions."""


def is_system(name: str) -> bool:
    """Whether a folder of this name is not a person's, whose pictures are thumbnails or deleted ones."""
    return name.casefold() in SYSTEM_FOLDERS


def walk(
    folder: Path,
    leave_out: Path | None = None,
    passed: PassedOver | None = None,
    suffixes: Collection[str] = SUFFIXES,
) -> Iterator[Found | Unreadable]:
    """The files below `folder` with a picture's ending, in the order of their names, their paths absolute.

    What is hidden is passed over, and so are a system's folders, links to folders, `leave_out` and links to what is in
    it; `passed` counts what else is. Raises LibraryError where `folder` is none.
    """
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise LibraryError(f"{folder}: {what}; give the folder that holds the pictures")
    return _walk(folder.absolute(), leave_out and leave_out.resolve(), passed or PassedOver(), suffixes)


def _walk(
    folder: Path, leave_out: Path | None, passed: PassedOver, suffixes: Collection[str]
) -> Iterator[Found | Unreadable]:
    ahead: list[Path | os.DirEntry[str]] = [folder]  # not by recursion: folders may lie deeper than Python calls
    while ahead:
        one = ahead.pop()
        path = Path(one)
        try:
            if isinstance(one, Path):
                ahead += _listing(path)
            elif one.is_dir(follow_symlinks=False):
                if not (is_system(one.name) or (leave_out and leave_out.exists() and path.samefile(leave_out))):
                    ahead.append(path)
            elif path.suffix.lower() not in suffixes or one.is_dir():
                _pass_over(one, path, passed)
            elif _leads_into(one, leave_out):
                continue
            elif is_text(str(path)):
                yield found_at(path)
            else:
                yield Unreadable(path, "its name is not UTF-8; rename it")
        except OSError as found:
            what = "folder cannot be listed" if isinstance(one, Path) else "cannot be read"
            yield Unreadable(path, f"{what}: {found.strerror}")


def _pass_over(one: os.DirEntry[str], path: Path, passed: PassedOver) -> None:
    if one.is_dir():
        passed.folders.append(path)
    elif path.suffix.lower() == ".txt":
        passed.texts.append(path)
    elif one.name.casefold() not in ("thumbs.db", "desktop.ini"):
        passed.endings[path.suffix.lower()] += 1


def _leads_into(one: os.DirEntry[str], folder: Path | None) -> bool:
    """Whether it is a link to a file in this folder."""
    return one.is_symlink() and folder in Path(one).resolve().parents


def _listing(folder: Path) -> list[os.DirEntry[str]]:
    """What is in a folder, but for what is hidden; the last name first."""
    with os.scandir(folder) as listing:
        entries = [entry for entry in listing if not entry.name.startswith(".")]
    return sorted(entries, key=lambda entry: entry.name, reverse=True)
