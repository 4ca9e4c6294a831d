"""What a library holds, as one HTML page: counts, balance, doubts, turned pictures, failures."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

from sorter.census import Report
from sorter.classify.backbone import write_whole
from sorter.errors import LibraryError
from sorter.library.manifest import Manifest
from sorter.page import Section, Shown, page, shown
from sorter.pipeline import Job, make_plan, verdicts
from sorter.records import HUMAN, Render, Verdict

SAMPLES = 12


def write_report(library: Path, to: Path, job: Job) -> Report:
    """Write the page; what it counted. Raises LibraryError where `to` cannot be written."""
    with Manifest(library) as manifest:
        report = Report()
        make_plan(manifest, job, report)
        report.failures = manifest.unreadable()
        sections = [*summary(report, job), *_pictures(manifest, job)]
        try:
            write_whole(to, page(f"{job.scheme.name}: {library.name}", sections).encode())
        except OSError as found:
            raise LibraryError(f"{to}: cannot be written: {found.strerror}") from None
        return report


def summary(report: Report, job: Job) -> list[Section]:
    """The numbers of a report as sections."""
    counts = [(name, count) for name, count in report.counts.items()]
    sections = [
        Section("In short", rows=counts),
        Section("Pictures by class folder", bars=sorted(report.folders.items(), key=lambda row: (-row[1], row[0]))),
    ]
    if report.doubts:
        text = "Their class on this axis is in doubt: drag a picture from _unsure to the right folder, and sort again."
        sections.append(Section("Doubts by axis", texts=[text], bars=report.doubts.most_common()))
    if report.unwanted:
        sections.append(Section("Left out, as the scheme says", bars=report.unwanted.most_common()))
    if report.failures:
        rows = [[str(failure.path), failure.reason] for failure in report.failures[:200]]
        sections.append(Section("Files that could not be used", head=["file", "reason"], rows=rows))
    return sections


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
    """Pairs of a picture as it came and as it was turned, with its caption."""
    places = {
        one.output.content.sha256: one.output
        for one in manifest.placed()
        if isinstance(one.output.content, Render) and one.output.content.mirror
    }
    chosen = [verdict for verdict in verdicts(manifest, job) if verdict.picture.sha256 in places]
    random.Random(0).shuffle(chosen)
    pairs: list[Shown] = []
    for verdict in chosen:
        original = next((p for p in manifest.copies(verdict.picture.sha256) if p.exists()), None)
        if original is None or len(pairs) >= most:
            continue
        caption = verdict.caption or job.layout.caption(verdict)
        pairs.append(shown(original, "as it came"))
        pairs.append(shown(manifest.root / places[verdict.picture.sha256].path, f"turned: {caption}"))
    return pairs


def _pictures(manifest: Manifest, job: Job) -> list[Section]:
    wanted = [verdict for verdict in verdicts(manifest, job) if not verdict.unwanted]
    sections = balance(wanted, job)
    pairs = turned_pictures(manifest, job)
    if pairs:
        sections.append(Section("Turned pictures", pictures=pairs))
    return sections
