"""Folders are labels: what a person moved, removed or changed in the library is read as an answer.

Reads the library's folders; writes only the manifest.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Protocol

from sorter.files import Found, found_at, is_ours, read_file
from sorter.library.caption import tidy
from sorter.library.layout import ClassFolders
from sorter.library.plan import stem
from sorter.library.store.contents import Placed
from sorter.library.store.manifest import FOLDER, Manifest
from sorter.records import CAPTION, ELSEWHERE, LIBRARY, REMOVED, Output, Render, Text
from sorter.tally import Corrections


class Door(Protocol):
    """Where a person's answers are taken in, and journalled; see commands/answer.py."""

    def answer(self, sha256: str, axis: str, value: str | None) -> None:
        """The answer `value` about the picture of this hash; None takes an earlier one back."""

    def moved(self, before: Output, after: Output | None) -> None:
        """A file of ours that a person has moved, or removed."""


def read_corrections(manifest: Manifest, layout: ClassFolders, door: Door) -> Corrections:
    """Compare the library with the manifest, hand in the answers that a person gave, and say what to leave alone."""
    gone, changed = _differences(manifest)
    moves = dict(_moves(manifest, gone)) if gone else {}
    edited = [placed.output for placed in changed if isinstance(placed.output.content, Render)]
    removed = [placed for placed in gone if placed.output.path not in moves]
    with manifest.change():
        moved = _record_moves(manifest, layout, door, [p for p in gone if p.output.path in moves], moves)
        for placed in removed:
            manifest.forget_placed(placed.output.path)
            door.moved(placed.output, None)
            if isinstance(placed.output.content, Render):
                door.answer(placed.output.content.sha256, LIBRARY, REMOVED)
        captions = sum(record_caption(manifest, door, p) for p in changed if isinstance(p.output.content, Text))
    elsewhere = manifest.answered(LIBRARY, ELSEWHERE)
    misplaced = [path for path, sha256 in _pictures(manifest) if sha256 in elsewhere] if elsewhere else []
    return Corrections(
        moved,
        captions,
        sum(isinstance(placed.output.content, Render) for placed in removed),
        frozenset(stem(output) for output in edited) | {PurePosixPath(path).stem for path in misplaced},
        len(edited),
        tuple(misplaced),
    )


def _record_moves(
    manifest: Manifest, layout: ClassFolders, door: Door, gone: list[Placed], moves: dict[str, Found]
) -> int:
    moved = 0
    for placed in gone:
        found = moves[placed.output.path]
        after = found.path.relative_to(manifest.root).as_posix()
        manifest.forget_placed(placed.output.path)
        output = Output(after, placed.output.content)
        manifest.set_placed(Placed(output, placed.sha256, found.size, found.modified))
        door.moved(placed.output, output)
        if not isinstance(output.content, Render):
            continue  # what was done to a caption's place says nothing more
        sha256 = output.content.sha256
        answers = _answers(layout, placed.output, after)
        moved += bool(answers)
        door.answer(sha256, LIBRARY, ELSEWHERE if answers is None else None)
        for axis, name in (answers or {}).items():
            door.answer(sha256, axis, name)
    return moved


def read_caption(data: bytes) -> str | None:
    """What a caption file says, on one line; None if it is no text."""
    try:
        return tidy(data.decode("utf-8-sig").replace("\n", ", "))
    except UnicodeDecodeError:
        return None


def record_caption(manifest: Manifest, door: Door, placed: Placed) -> int:
    """Take a person's own caption over: it is kept with the picture wherever that goes. 1, or 0 if it is none."""
    path = manifest.root / placed.output.path
    try:
        data = read_file(path)
    except OSError:
        return 0
    text, sha256 = read_caption(data), manifest.hash_of_stem(stem(placed.output))
    if text is None or sha256 is None:
        return 0
    door.answer(sha256, CAPTION, text)
    found = found_at(path)
    output = Output(placed.output.path, Text(text + "\n"))
    manifest.set_placed(Placed(output, hashlib.sha256(data).hexdigest(), found.size, found.modified))
    return 1


def _differences(manifest: Manifest) -> tuple[list[Placed], list[Placed]]:
    """The placed files that are gone, and those whose bytes are no longer ours."""
    gone, changed = [], []
    for placed in manifest.placed():
        path = manifest.root / placed.output.path
        try:
            found = found_at(path)
            as_we_left_it = (found.size, found.modified) == (placed.size, placed.modified)
            if not as_we_left_it and hashlib.sha256(read_file(path)).hexdigest() != placed.sha256:
                changed.append(placed)
        except (FileNotFoundError, NotADirectoryError):
            gone.append(placed)
        except OSError:  # no file any more, or not to be read now: nobody has said that they do not want it
            changed.append(placed)
    return gone, changed


def _moves(manifest: Manifest, gone: list[Placed]) -> Iterator[tuple[str, Found]]:
    """Old path -> where the same bytes lie now, among the files of the library that we did not put there."""
    waiting: dict[tuple[int, str], list[str]] = {}
    for placed in gone:
        waiting.setdefault((placed.size, placed.sha256), []).append(placed.output.path)
    sizes = {size for size, _ in waiting}
    for path in _strangers(manifest):
        try:
            found = found_at(path)
            if found.size not in sizes:
                continue
            paths = waiting.get((found.size, hashlib.sha256(read_file(path)).hexdigest()), [])
        except OSError:  # a link to nowhere, a pipe
            continue
        # Captions of many pictures hold the same bytes: the one with the same name is meant.
        same = [old for old in paths if PurePosixPath(old).name == path.name] or paths[:1]
        if same:
            paths.remove(same[0])
            yield same[0], found


def _strangers(manifest: Manifest) -> Iterator[Path]:
    for folder, folders, files in os.walk(manifest.root):
        folders[:] = sorted(name for name in folders if name != FOLDER)
        for name in sorted(files):
            path = Path(folder, name)
            if not is_ours(name) and manifest.placed_at(path.relative_to(manifest.root).as_posix()) is None:
                yield path


def _answers(layout: ClassFolders, moved: Output, after: str) -> dict[str, str] | None:
    """Axis -> class, as a move says; None where it left the class folders.

    Folder names are true of the picture as it stands, answers of it as it was found.
    """
    was = layout.read(PurePosixPath(moved.path).parent.as_posix()) or {}
    now = layout.read(PurePosixPath(after).parent.as_posix())
    if now is None:
        return None
    turned = isinstance(moved.content, Render) and moved.content.mirror
    given = {}
    for axis, name in now.items():
        if was.get(axis) != name:
            given[axis] = layout.scheme.axes[axis].mirrored(name) if turned else name
    return given


def _pictures(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """Path and hash of each placed picture."""
    for placed in manifest.placed():
        if isinstance(placed.output.content, Render):
            yield placed.output.path, placed.output.content.sha256
