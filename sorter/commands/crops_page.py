"""`sorter crops`: what a cropper takes of each picture of a library, drawn onto it, as one HTML page. Writes that page,
and what was found of bars into the manifest."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

from sorter.commands.chosen import chosen
from sorter.commands.framing import How, InFrame, in_frame
from sorter.commands.gallery import MIDDLE, Gallery, Mark, Place, Request
from sorter.commands.job import Job
from sorter.dataset.croppers.base import UNSURE
from sorter.errors import LibraryError
from sorter.files import write
from sorter.library.store.manifest import Manifest
from sorter.page import Section, page
from sorter.records import Box
from sorter.tally import Report, Track, silent

MOST = 1000
"""Pictures that are drawn."""
WORDS = "Green: what a dataset gets. Red: the head, as the locator found it, and how sure that is."


def write_page(
    library: Path, to: Path, job: Job, how: How, doubtful: bool = False, track: Track[Any] = silent
) -> Report:
    """Frame the pictures that an export would hold, and write the page; the least certain come first.

    Raises OptionsError, MissingExtra, and LibraryError where `to` cannot be written.
    """
    how.cropper.check(job.scheme.ask, "the cropper")
    head = str(getattr(how.cropper, "head", "head"))
    report = Report()
    with Manifest(library, dry_run=True) as manifest:
        manifest.refuse_dataset()
        pictures = list(chosen(manifest, job, doubtful, report, "crops"))
        groups: dict[str, list[InFrame]] = defaultdict(list)
        for one in in_frame(manifest, pictures, how, report, track):
            groups[_group(one)].append(one)
        report.counts["pictures"] = len(pictures)
        gallery = Gallery(manifest, to.absolute().parent)
        sections: list[Section] = []
        left = MOST
        for title in sorted(groups, key=lambda title: (title != UNSURE, title)):
            some = sorted(groups[title], key=lambda one: (one.verdict.score(head), one.placed.output.path))
            drawn, left = some[:left], max(0, left - len(some))
            requests = [_request(one, manifest.root, head) for one in drawn]
            shown = [one for one in gallery.show(track(requests, f"drawing {title}", len(requests))) if one]
            more = f"and {len(some) - len(drawn):,} more" if len(drawn) < len(some) else ""
            words = [] if sections else [WORDS]
            sections.append(Section(f"{title.capitalize()} ({len(some):,})", words, pictures=shown, more=more))
    rows = [(name, count) for name, count in report.counts.items() if count]
    try:
        text = page(f"Crops: {library.name}", [Section("In short", rows=rows), *sections], contents=len(sections) > 1)
        write(to, text.encode())
    except OSError as error:
        raise LibraryError(f"{to}: cannot be written: {error.strerror}") from None
    return report


def _group(one: InFrame) -> str:
    return UNSURE if UNSURE in one.made.remarks else one.made.shot or "pictures"


def _request(one: InFrame, root: Path, head: str) -> Request:
    size = one.picture.width, one.picture.height
    window = one.made.rendered.window or Box(0, 0, *size)
    left, top, right, bottom = (one.made.rendered.crop or Box(0, 0, *window.size)).sides
    taken = Box(left + window.left, top + window.top, right + window.left, bottom + window.top)
    marks = [Mark(taken, size, "lime")]
    found = one.verdict.box(head) if any(label.axis == head for label in one.verdict.answers) else None
    if found and one.placed.is_mirrored != one.verdict.mirror:
        found = found.mirrored(size[0])  # the file still lies as it did
    marks += [Mark(found, size, "red")] if found else []
    score = f"{one.verdict.score(head):.0%}" if found else ""
    return Request([Place(root / one.placed.output.path)], score, MIDDLE, marks=tuple(marks))
