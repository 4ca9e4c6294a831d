"""What a library holds, as one HTML page: counts, balance, doubts, turned pictures, failures."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from sorter.commands.answer import read_answers
from sorter.commands.job import Job
from sorter.commands.plan import count, verdicts
from sorter.errors import LibraryError, PictureError
from sorter.files import first_that_holds, read_file, write
from sorter.library import originals
from sorter.library.store.manifest import Manifest
from sorter.page import Section, Shown, page, shown, side_by_side
from sorter.pictures import images
from sorter.records import HUMAN, Render, Verdict
from sorter.tally import Report

if TYPE_CHECKING:
    from PIL.Image import Image

SAMPLES = 12
"""Pictures of a kind that are shown."""
MOST_TRIED = 5 * SAMPLES
"""Of such pictures, how many are looked for; some may have been moved away."""
MOST_ROWS = 200
"""Files that are named of those that could not be used."""
IN_DOUBT = "in doubt"


def write_report(library: Path, to: Path, job: Job) -> Report:
    """Write the page; what it counted. Raises LibraryError where `to` cannot be written."""
    with Manifest(library, dry_run=True) as manifest:
        report, overview = Report(failures=manifest.unreadable()), Overview()
        read_answers(manifest, job, report, "report")
        for verdict in verdicts(manifest, job):
            count(verdict, job.layout(verdict), report)
            if not verdict.unwanted:
                overview.add(verdict)
        sections = [
            Section("In short", rows=[(name, number) for name, number in report.counts.items()]),
            *_shown("Turned pictures, as they came and as they stand", turned_pictures(overview.turned, manifest, job)),
            *_shown(
                "In doubt: drag them from _unsure to the right folder, and sort again",
                doubted(overview.doubted, manifest),
            ),
            *overview.balance(job),
            *left_out(report),
        ]
    try:
        write(to, page(f"{job.scheme.name}: {library.name}", sections).encode())
    except OSError as found:
        raise LibraryError(f"{to}: cannot be written: {found.strerror}") from None
    return report


@dataclass
class Overview:
    """What the wanted pictures of a library look like: their classes counted, and a few of them to be shown.

    Those are the first that come: by their hashes, which is by chance.
    """

    classes: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    """Axis -> class -> pictures."""
    people: Counter[str] = field(default_factory=Counter)
    """Axis -> answers that a person gave."""
    turned: list[Verdict] = field(default_factory=list)
    doubted: list[Verdict] = field(default_factory=list)

    def add(self, verdict: Verdict) -> None:
        """Count a picture."""
        for label in verdict.labels:
            self.classes[label.axis][IN_DOUBT if label.axis in verdict.unsure else label.name] += 1
            self.people[label.axis] += label.source == HUMAN
        for axis in verdict.unsure.difference(label.axis for label in verdict.labels):
            self.classes[axis][IN_DOUBT] += 1
        if verdict.mirror and len(self.turned) < MOST_TRIED:
            self.turned.append(verdict)
        if verdict.doubts and len(self.doubted) < MOST_TRIED:
            self.doubted.append(verdict)

    def balance(self, job: Job) -> list[Section]:
        """For each axis, how many pictures each class has, and how many answers a person gave."""
        sections = []
        for axis in job.scheme.axes:
            texts = [f"{self.people[axis]} of these answers were given by a person."] if self.people[axis] else []
            sections.append(Section(f"Balance: {axis}", texts, bars=self.classes[axis].most_common()))
        return sections


def turned_pictures(some: list[Verdict], manifest: Manifest, job: Job) -> Iterator[Shown]:
    """Pictures as they came, on the left, and as they were turned, on the right, with their captions."""
    for verdict, render, path in _standing(some, manifest):
        if render.mirror:
            original, turned = (
                _loaded(first_that_holds(originals.places(manifest, render.sha256), render.sha256)),
                _loaded(_placed(path)),
            )
            if original and turned:
                yield side_by_side(original, turned, job.layout.caption(verdict))


def doubted(some: list[Verdict], manifest: Manifest) -> Iterator[Shown]:
    """Pictures that a person should look at, each with what the sorters were unsure of."""
    for verdict, _, path in _standing(some, manifest):
        if picture := _loaded(_placed(path)):
            yield shown(picture, "; ".join(verdict.doubts))


def _standing(some: list[Verdict], manifest: Manifest) -> Iterator[tuple[Verdict, Render, Path]]:
    """Those of the pictures that are placed, as what, and where."""
    placed = manifest.placed_with(verdict.picture.sha256[:10] for verdict in some)
    for verdict in some:
        for one in placed.get(verdict.picture.sha256[:10], ()):
            if isinstance(one.output.content, Render):
                yield verdict, one.output.content, manifest.root / one.output.path


def left_out(report: Report) -> list[Section]:
    """What is not in the library and why; and, folded away, what is where."""
    sections = []
    if report.unwanted:
        sections.append(Section("Left out, as the scheme says", bars=report.unwanted.most_common()))
    if report.failures:
        rows = [[str(failure.path), failure.reason] for failure in report.failures[:MOST_ROWS]]
        more = len(report.failures) - len(rows)
        texts = [f"And {more} more."] if more else []
        sections.append(Section("Files that could not be used", texts, head=["file", "reason"], rows=rows))
    folders = sorted(report.folders.items(), key=lambda row: (-row[1], row[0]))
    return [*sections, Section(f"The {len(folders)} class folders", bars=folders, folded=True)]


def _loaded(data: bytes | None) -> Image | None:
    """The picture in these bytes; None if there is none any more."""
    with suppress(PictureError):
        return images.load(images.open_picture(data or b""))
    return None


def _placed(path: Path) -> bytes | None:
    with suppress(OSError):
        return read_file(path)
    return None


def _shown(title: str, pictures: Iterator[Shown]) -> list[Section]:
    first = list(islice(pictures, SAMPLES))
    return [Section(title, pictures=first)] if first else []
