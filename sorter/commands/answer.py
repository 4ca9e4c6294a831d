"""The one door for a person's answers: a dragged picture, an edited caption, a key on a page. Journalled, so that
`sorter undo` takes them back."""

from __future__ import annotations

from collections.abc import Sequence

from sorter.commands.job import Job
from sorter.errors import LibraryError, nearest
from sorter.library.corrections import read_corrections
from sorter.library.folders import Folders
from sorter.library.store.manifest import Manifest
from sorter.records import CAPTION, DUPLICATE, ELSEWHERE, HUMAN, LIBRARY, REMOVED, WANTED, Label, Output
from sorter.tally import Report


class Door:
    """Takes a person's answers over, as part of a run that is opened with the first. Used within a transaction."""

    def __init__(self, manifest: Manifest, command: str, report: Report) -> None:
        self.manifest, self.command, self.report = manifest, command, report

    def answer(self, sha256: str, axis: str, value: str | None) -> bool:
        """The answer `value` about the picture of this hash; None takes an earlier one back. Whether it is news."""
        before = self.manifest.given(sha256, axis)
        if value == before:
            return False
        if value is None:
            self.manifest.forget_label(sha256, axis, HUMAN)
        else:
            self.manifest.add_labels(sha256, [Label(axis, value, 1.0, HUMAN)])
        self.manifest.journal.add_answer(self._run(), sha256, axis, before, value)
        return True

    def moved(self, before: Output | None, after: Output | None) -> None:
        """A file of ours that a person has moved, copied or removed: where it stood, and where it stands now."""
        self.manifest.journal.add_move(self._run(), before, after)

    def _run(self) -> int:
        if self.report.run is None:
            self.report.run = self.manifest.journal.begin(self.command)
        return self.report.run


Answer = tuple[str, str, str | None]
"""The hash of a picture, an axis (or CAPTION, or LIBRARY), and what a person says of it; None takes that back."""


def answer(manifest: Manifest, job: Job, sha256: str, axis: str, value: str | None, report: Report) -> None:
    """A person's answer to one question about one picture. See `answer_all`."""
    answer_all(manifest, job, [(sha256, axis, value)], report)


def answer_all(manifest: Manifest, job: Job, given: Sequence[Answer], report: Report, command: str = "answer") -> None:
    """A person's answers: the class on an axis, said of the picture as it was found; their own words (CAPTION); or what
    is wanted of the picture (LIBRARY). None takes an earlier one back. All are taken over, or none.

    Raises LibraryError where there is no such picture, question or class.
    """
    classes = {**job.classes, **job.questions.labels(), LIBRARY: (REMOVED, ELSEWHERE, WANTED, DUPLICATE)}
    for axis in job.questions.asked:
        classes[axis] = tuple(dict.fromkeys((*classes[axis], *job.classes.get(axis, ()))))
    for sha256, axis, value in given:
        if not manifest.knows(sha256):
            raise LibraryError(f"{manifest.root}: has no picture {sha256[:10]}")
        if asker := job.questions.others.get(axis):
            if value is not None and not asker.is_answer(value):
                raise LibraryError(f"{manifest.root}: {axis} cannot be answered with {value[:60]!r}")
            continue
        if axis not in (*classes, CAPTION):
            raise LibraryError(f'{manifest.root}: "{axis}" is not asked here{nearest(axis, [*classes, CAPTION])}')
        if value is not None and axis != CAPTION and value not in classes[axis]:
            raise LibraryError(f'{manifest.root}: "{value}" is not a class of {axis}{nearest(value, classes[axis])}')
    with manifest.change():
        door = Door(manifest, command, report)
        for sha256, axis, value in given:
            door.answer(sha256, axis, value)


def read_answers(manifest: Manifest, job: Job, report: Report, command: str, restore: bool = False) -> None:
    """Take over what a person did to the library since the last run. `restore`: and put back what they deleted."""
    manifest.refuse_dataset()
    door = Door(manifest, command, report)
    if restore:
        with manifest.change():
            for sha256 in manifest.answered(LIBRARY, REMOVED):
                door.answer(sha256, LIBRARY, None)
    read_hands(manifest, report, door, job.layout.folders)


def read_hands(manifest: Manifest, report: Report, door: Door, now: Folders | None = None) -> None:
    """Take over what a person did to the library's files, and write into the report what that was.

    `now`: the class folders of the scheme; without it, those by which the library was laid out last.
    """
    folders = [one for one in (now, manifest.journal.folders()) if one is not None]
    if folders:
        report.corrections = read_corrections(manifest, folders, door)
        report.failures += report.corrections.failures
