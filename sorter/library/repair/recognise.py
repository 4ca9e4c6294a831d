"""Pictures that stand in a library -> what they show: which original, and whether it was turned. Writes nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from sorter.classify.ask import Questions, Seen
from sorter.errors import PictureError
from sorter.files import Found, first_that_holds, found_at, read_file
from sorter.library.names import digits_of
from sorter.library.originals import kept
from sorter.library.store.manifest import FOLDER
from sorter.pictures.images import load, open_picture, read_picture, render
from sorter.records import Render, Text, Unreadable

AS_GOOD_AS_EQUAL = 16
"""Levels of 255 by which a pixel may differ where another version of an encoder wrote it; who edits, changes more."""
NO_ORIGINAL = "its original is not known, so it was left alone; give the folder that it came from with --from"


@dataclass(frozen=True, slots=True)
class Shown:
    """A file and what it shows."""

    file: Found
    sha256: str
    """Of the file."""
    content: Render
    edited: bool = False
    """Whether a person changed its pixels."""
    seen: Seen | None = None
    """Its original and what the sorters say of that, where the manifest does not know it yet."""


@dataclass(frozen=True, eq=False)
class Recogniser:
    """Says what a file shows whose name ends in digits of a hash. Called from several threads."""

    root: Path
    questions: Questions
    written: Mapping[str, Render | Text]
    """Hash of a file that we wrote -> what it shows, as far as that is known."""
    keeping: Mapping[str, str]
    """The first digits of a hash -> the hash, for the originals in the library's keeping."""

    def __call__(self, path: Path, known: str | None, copies: Iterable[Path]) -> Shown | Unreadable:
        """Read a file. What cannot be known again is a value, not an exception.

        `known`: the picture that the manifest knows by the digits; `copies`: where its original may lie.
        """
        try:
            data = read_file(path)
            shown = self._shown(found_at(path), data, known, copies)
            if isinstance(shown, Unreadable) or shown.content.sha256 == known:
                return shown
            seen = self._ask(path, data, shown.content)
        except PictureError as found:
            return Unreadable(path, str(found))
        except OSError as found:
            return Unreadable(path, f"cannot be read: {found.strerror}")
        return seen if isinstance(seen, Unreadable) else replace(shown, seen=seen)

    def _shown(self, file: Found, data: bytes, known: str | None, copies: Iterable[Path]) -> Shown | Unreadable:
        sha256, digits = hashlib.sha256(data).hexdigest(), digits_of(file.path.stem)
        if sha256.startswith(digits):
            return Shown(file, sha256, Render(sha256))
        told = self.written.get(sha256)
        if isinstance(told, Render) and told.sha256.startswith(digits):
            return Shown(file, sha256, told)
        original = known or self.keeping.get(digits)
        found = original and first_that_holds([*copies, kept(self.root, original)], original)
        if not (original and found):
            return Unreadable(file.path, NO_ORIGINAL)
        mirror, edited = how_it_stands(data, found, file.path.suffix)
        return Shown(file, sha256, Render(original, mirror=mirror), edited)

    def _ask(self, path: Path, data: bytes, content: Render) -> Seen | Unreadable:
        """Ask about the original that is not among the sources: in keeping, or this file, or this file turned back."""
        original = first_that_holds([kept(self.root, content.sha256)], content.sha256)
        if original is None and content.mirror:
            seen = self.questions.answer(path, render(data, Render("", mirror=True), ".png"))
        else:
            seen = self.questions.answer(path, original or data)
        if isinstance(seen, Unreadable):
            return seen
        picture, _ = read_picture(path, original or data)
        return Seen(picture._replace(sha256=content.sha256), seen.labels)


def how_it_stands(data: bytes, original: bytes, suffix: str) -> tuple[bool, bool]:
    """Whether a picture file is its original mirrored, and whether a person has edited it since.

    Raises PictureError where the original cannot be rendered.
    """
    made = {mirror: render(original, Render("", mirror=mirror), suffix, is_whole=True) for mirror in (True, False)}
    for mirror, ours in made.items():
        if ours == data:
            return mirror, False
    try:
        apart = {mirror: _apart(data, ours) for mirror, ours in made.items()}
    except PictureError:
        return False, True
    nearest = min(apart, key=lambda mirror: apart[mirror])
    return nearest, apart[nearest][1] > AS_GOOD_AS_EQUAL


def originals_in_keeping(root: Path) -> dict[str, str]:
    """The first ten digits of a hash -> the hash, for every original that a library keeps."""
    return {path.name[:10]: path.name for path in sorted((root / FOLDER / "originals").glob("??/*")) if not path.suffix}


def _apart(one: bytes, other: bytes) -> tuple[float, int]:
    """How far two pictures differ: the mean over all values, and the most, in levels of 255."""
    import numpy as np

    first, second = (np.asarray(load(open_picture(data)), np.int16) for data in (one, other))
    if first.shape != second.shape:
        return 255.0, 255
    gaps = np.abs(first - second)
    return float(gaps.mean()), int(gaps.max())
