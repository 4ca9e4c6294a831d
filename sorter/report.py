"""What a library holds, as one HTML page: counts, balance, doubts, turned pictures, failures."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from sorter.census import Report
from sorter.classify import images
from sorter.classify.backbone import write_whole
from sorter.classify.scan import read_file
from sorter.errors import LibraryError, PictureError
from sorter.job import Job
from sorter.library import keep
from sorter.library.manifest import Manifest
from sorter.page import Section, Shown, page, shown, side_by_side
from sorter.pipeline import make_plan, verdicts
from sorter.records import HUMAN, Render, Verdict

if TYPE_CHECKING:
    from PIL.Image import Image

SAMPLES = 12


def write_report(library: Path, to: Path, job: Job) -> Report:
    """Write the page; what it counted. Raises LibraryError where `to` cannot be written."""
    with Manifest(library, rehearse=True) as manifest:
        report = Report()
        make_plan(manifest, job, report)
        report.failures = manifest.unreadable()
        wanted = [verdict for verdict in verdicts(manifest, job) if not verdict.unwanted]
        sections = [
            Section("In short", rows=[(name, count) for name, count in report.counts.items()]),
            *_shown("Turned pictures, as they came and as they stand", turned_pictures(manifest, job)),
            *_shown("In doubt: drag them from _unsure to the right folder, and sort again", doubted(manifest, wanted)),
            *balance(wanted, job),
            *left_out(report),
        ]
    try:
        write_whole(to, page(f"{job.scheme.name}: {library.name}", sections).encode())
    except OSError as found:
        raise LibraryError(f"{to}: cannot be written: {found.strerror}") from None
    return report


def left_out(report: Report) -> list[Section]:
    """What is not in the library and why; and, folded away, what is where."""
    sections = []
    if report.unwanted:
        sections.append(Section("Left out, as the scheme says", bars=report.unwanted.most_common()))
    if report.failures:
        rows = [[str(failure.path), failure.reason] for failure in report.failures[:200]]
        sections.append(Section("Files that could not be used", head=["file", "reason"], rows=rows))
    folders = sorted(report.folders.items(), key=lambda row: (-row[1], row[0]))
    return [*sections, Section(f"The {len(folders)} class folders", bars=folders, folded=True)]


def balance(found: list[Verdict], job: Job) -> list[Section]:
    """For each axis, how many wanted pictures each class has, and how many answers a person gave."""
    sections = []
    for axis in job.scheme.axes:
        classes = Counter(verdict.sure().get(axis, "in doubt") for verdict in found)
        people = sum(label.source == HUMAN for verdict in found for label in verdict.labels if label.axis == axis)
        texts = [f"{people} of these answers were given by a person."] if people else []
        sections.append(Section(f"Balance: {axis}", texts, bars=classes.most_common()))
    return sections


def turned_pictures(manifest: Manifest, job: Job, most: int = SAMPLES) -> list[Shown]:
    """Pictures as they came, on the left, and as they were turned, on the right, with their captions."""
    places = {
        one.output.content.sha256: one.output
        for one in manifest.placed()
        if isinstance(one.output.content, Render) and one.output.content.mirror
    }
    chosen = [verdict for verdict in verdicts(manifest, job) if verdict.picture.sha256 in places]
    random.Random(0).shuffle(chosen)
    pairs: list[Shown] = []
    for verdict in chosen:
        if len(pairs) >= most:
            break
        sha256 = verdict.picture.sha256
        original, turned = (
            _loaded(keep.places(manifest, sha256), sha256),
            _loaded([manifest.root / places[sha256].path]),
        )
        if original and turned:
            pairs.append(side_by_side(original, turned, verdict.caption or job.layout.caption(verdict)))
    return pairs


def doubted(manifest: Manifest, found: list[Verdict], most: int = SAMPLES) -> list[Shown]:
    """Pictures that a person should look at, each with what the sorters were unsure of."""
    places = {
        one.output.content.sha256: one.output for one in manifest.placed() if isinstance(one.output.content, Render)
    }
    rows = [verdict for verdict in found if verdict.doubts and verdict.picture.sha256 in places]
    random.Random(0).shuffle(rows)
    files = [(manifest.root / places[row.picture.sha256].path, "; ".join(row.doubts)) for row in rows[:most]]
    return [shown(picture, text) for path, text in files if (picture := _loaded([path]))]


def _loaded(places: Iterable[Path], sha256: str = "") -> Image | None:
    """The first of these files that is a picture, and the one of that hash; None if none is any more."""
    for place in places:
        with suppress(OSError, PictureError):
            data = read_file(place)
            if sha256 in ("", hashlib.sha256(data).hexdigest()):
                return images.load(images.open_picture(data))
    return None


def _shown(title: str, pictures: list[Shown]) -> list[Section]:
    return [Section(title, pictures=pictures)] if pictures else []
