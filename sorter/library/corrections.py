"""Folders are labels: what a person did to a library since the last run is read as answers.

Which picture a file belongs to, the ten digits in its name say, whatever became of its bytes, its folder and the rest
of its name; where the digits are gone, its bytes may still say it. Writes only the manifest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Protocol

from sorter.library.captions_by_hand import Captions
from sorter.library.folders import Folders
from sorter.library.names import digits_in
from sorter.library.store.contents import Placed
from sorter.library.store.manifest import Manifest
from sorter.library.survey import Stranger, Survey, survey
from sorter.records import ELSEWHERE, LIBRARY, REMOVED, WANTED, Output, Render, Text, Unreadable
from sorter.tally import Corrections

UNKNOWN = ""
"""In place of the hash of a file that a person made: no file has this one, so it always counts as edited by hand."""


class Door(Protocol):
    """Where a person's answers are taken in, and journalled; see commands/answer.py."""

    def answer(self, sha256: str, axis: str, value: str | None) -> bool:
        """The answer `value` about the picture of this hash; None takes an earlier one back. Whether it is news."""

    def moved(self, before: Output | None, after: Output | None) -> None:
        """A file of ours that a person has moved, copied (no `before`) or removed (no `after`)."""


def read_corrections(manifest: Manifest, folders: Sequence[Folders], door: Door, captions: bool = True) -> Corrections:
    """Compare a library with its manifest, hand in the answers that a person gave, and say what to leave alone.

    `folders`: the class folders as the scheme has them, and as they were laid out last. `captions`: whether to read
    these too.
    """
    found = survey(manifest)
    hands, strangers = _by_picture(manifest, found)
    reader = _Reader(manifest, folders, door, captions)
    with manifest.change():
        manifest.set_placed(*found.touched)
        for hand in hands:
            reader.read(hand)
    elsewhere = manifest.answered(LIBRARY, ELSEWHERE)
    aside = manifest.placed_with(sha256[:10] for sha256 in elsewhere) if elsewhere else {}
    rows = (one.output for some in aside.values() for one in some)
    return Corrections(
        reader.moved,
        reader.captions.taken,
        reader.removed,
        frozenset(reader.held) | {sha256[:10] for sha256 in elsewhere},
        frozenset(reader.surplus | reader.captions.surplus),
        tuple(sorted(reader.changed)),
        tuple(sorted(output.path for output in rows if isinstance(output.content, Render))),
        frozenset(reader.answered),
        frozenset(reader.several) | elsewhere,
        tuple(sorted({one.path for one in (*strangers, *reader.strangers)})),
        tuple(reader.failures + reader.captions.failures),
    )


@dataclass
class Hand:
    """What differs about the files of one picture."""

    sha256: str
    gone: list[Placed] = field(default_factory=list)
    changed: list[Placed] = field(default_factory=list)
    strangers: list[Stranger] = field(default_factory=list)


def _by_picture(manifest: Manifest, found: Survey) -> tuple[list[Hand], list[Stranger]]:
    """The differences of each picture, and the strangers that belong to none."""
    hands: dict[str, Hand] = {}

    def hand(sha256: str) -> Hand:
        return hands.setdefault(sha256, Hand(sha256))

    for kind, rows in (("gone", found.gone), ("changed", found.changed)):
        for placed in rows:
            content = placed.output.content
            known = content.sha256 if isinstance(content, Render) else manifest.hash_of(digits_in(placed.output.path))
            getattr(hand(known or ""), kind).append(placed)
    shown = {one.path: sha256 for one, sha256 in _known(manifest, [s for s in found.strangers if not s.is_caption])}
    pictures = {PurePosixPath(path).with_suffix(""): sha256 for path, sha256 in shown.items()}
    unknown = []
    for one in found.strangers:
        told = manifest.hash_of(digits_in(one.file.path.stem)) or pictures.get(PurePosixPath(one.path).with_suffix(""))
        known = told if one.is_caption else shown.get(one.path)
        if known:
            hand(known).strangers.append(one)
        elif not one.is_caption:
            unknown.append(one)
    return [hands[sha256] for sha256 in sorted(hands)], unknown


def _known(manifest: Manifest, strangers: list[Stranger]) -> list[tuple[Stranger, str]]:
    """Those of these files that show a picture of the library, with its hash: as their names say, or their bytes."""
    found = []
    nameless = []
    for one in strangers:
        if not one.is_picture:
            continue
        if sha256 := manifest.hash_of(digits_in(one.file.path.stem)):
            found.append((one, sha256))
        else:
            nameless.append(one)
    hashes = {one.path: one.sha256 for one in nameless}
    shown = manifest.shown_by(hashes.values())
    return found + [(one, shown[hashes[one.path]]) for one in nameless if hashes[one.path] in shown]


@dataclass
class _Reader:
    """Reads what was done with one picture after the other."""

    manifest: Manifest
    folders: Sequence[Folders]
    door: Door
    reads_captions: bool = True
    moved: int = 0
    removed: int = 0
    changed: set[str] = field(default_factory=set)
    held: set[str] = field(default_factory=set)
    several: set[str] = field(default_factory=set)
    answered: set[str] = field(default_factory=set)
    surplus: set[str] = field(default_factory=set)
    strangers: list[Stranger] = field(default_factory=list)
    failures: list[Unreadable] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.captions = Captions(self.manifest, self.door, lambda folder: self._read(folder) is not None)

    def read(self, hand: Hand) -> None:
        """Take over what was done with the files of one picture."""
        if not hand.sha256:  # files of ours that are no picture's
            self._forget(hand.gone)
            return
        rows = self._rows(hand)
        pictures = [one for one in rows if isinstance(one.output.content, Render)]
        home = self._home(hand, pictures)
        if home is None and pictures and all(one in hand.gone for one in pictures) and not self._is_held(hand):
            self.removed += 1
            self.door.answer(hand.sha256, LIBRARY, REMOVED)
            self._forget(pictures)
        if self.reads_captions and hand.sha256 not in self.several:
            self.captions.read(hand.sha256, [one for one in rows if isinstance(one.output.content, Text)], hand, home)

    def _rows(self, hand: Hand) -> list[Placed]:
        known = self.manifest.placed_with([hand.sha256[:10]]).get(hand.sha256[:10], [])
        return list({one.output.path: one for one in (*known, *hand.gone, *hand.changed)}.values())

    def _home(self, hand: Hand, rows: list[Placed]) -> str | None:
        """The path where a picture stands now, as far as a person has said; None where it stands nowhere, or in
        several places of which none can be chosen."""
        gone, new = set(hand.gone), [one for one in hand.strangers if not one.is_caption]
        stands = [one for one in rows if one not in gone]
        here = {_folder(one) for one in stands}
        there = {one.folder for one in new if self._read(one.folder) is not None}
        places = there - here
        if len(places) > 1 or (places and (there & here or any(one in hand.changed for one in stands))):
            self._in_several(hand, places | here)
            return None
        chosen = self._chosen(new, places, rows) if places or not stands else None
        self.strangers += [one for one in new if one is not chosen]
        if chosen is not None:
            self._adopt(chosen, hand.sha256, rows, stands)
            return chosen.path
        if edited := [one.output.path for one in stands if one in hand.changed]:
            self.changed.update(edited)
            self._hold(hand)
        return stands[0].output.path if stands else None

    def _chosen(self, new: list[Stranger], places: set[str], rows: list[Placed]) -> Stranger | None:
        """Of the files that may be the picture's new place, that in a class folder and with the name that we gave."""
        names = {PurePosixPath(one.output.path).name for one in rows}
        fitting = [one for one in new if one.folder in places or not places]
        return min(fitting, key=lambda one: (one.file.path.name not in names, one.path), default=None)

    def _adopt(self, new: Stranger, sha256: str, rows: list[Placed], stands: list[Placed]) -> None:
        """Record a file as the picture's, and its folder as what a person answered."""
        before = next(iter(stands or rows), None)
        self.answered.add(sha256)
        digest = new.sha256
        content = before.output.content if before else self._content(digest, sha256)
        output = Output(new.path, content or Render(sha256))
        if content and (before is None or digest == before.sha256):
            self.manifest.set_placed(Placed(output, digest, new.file.size, new.file.modified))
        else:
            self.manifest.set_placed(Placed(output, before.sha256 if before else UNKNOWN, 0, 0))
            self.changed.add(new.path)
            self.held.add(sha256[:10])
        if before is None or stands:
            self.door.moved(None, output)
        for row in rows:
            if row not in stands or self._read(_folder(row)) is None:
                self.manifest.forget_placed(row.output.path)
                if row is before:
                    self.door.moved(row.output, output)
            else:
                self.surplus.add(row.output.path)
        self._answer(
            sha256, _folder(before) if before else None, new.folder, isinstance(content, Render) and content.mirror
        )

    def _answer(self, sha256: str, before: str | None, after: str, turned: bool) -> None:
        """Folder names are true of the picture as it stands, answers of it as it was found."""
        known = self._read(after)
        if known is None:
            self.door.answer(sha256, LIBRARY, ELSEWHERE)
            return
        folders, now = known
        was = self._read(before, last=True) if before is not None else None
        given = {axis: name for axis, name in now.items() if was is None or was[1].get(axis) != name}
        self.door.answer(sha256, LIBRARY, WANTED if before is None else None)
        for axis, name in given.items():
            self.door.answer(sha256, axis, folders.mirrored(axis, name) if turned else name)
        self.moved += bool(given)

    def _read(self, folder: str, last: bool = False) -> tuple[Folders, dict[str, str]] | None:
        """What a folder's name says, by the scheme as it is; `last`: by the one by which files were placed last."""
        for folders in self.folders[::-1] if last else self.folders:
            answers = folders.read(folder)
            if answers is not None:
                return folders, answers
        return None

    def _content(self, digest: str, sha256: str) -> Render | None:
        """What a file shows that was not in the library: as we wrote it once, or as the picture was found; None where
        a person has made it."""
        if digest == sha256:
            return Render(sha256)
        wrote = self.manifest.journal.wrote(digest)
        return wrote if isinstance(wrote, Render) and wrote.sha256 == sha256 else None

    def _in_several(self, hand: Hand, folders: set[str]) -> None:
        listed = ", ".join(sorted(folders))
        path = self.manifest.root / next(one.path for one in hand.strangers if not one.is_caption)
        self.failures.append(
            Unreadable(path, f"stands in several class folders, {listed}; delete all but the right one")
        )
        self._hold(hand)
        self.several.add(hand.sha256)

    def _hold(self, hand: Hand) -> None:
        self.held.add(hand.sha256[:10])

    def _is_held(self, hand: Hand) -> bool:
        return hand.sha256[:10] in self.held

    def _forget(self, rows: list[Placed]) -> None:
        for placed in rows:
            self.manifest.forget_placed(placed.output.path)
            self.door.moved(placed.output, None)


def _folder(placed: Placed) -> str:
    return placed.output.path.rpartition("/")[0]
