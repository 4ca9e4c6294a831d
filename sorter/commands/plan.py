"""`sorter plan`: what is placed and what is wanted -> the steps between, and what they will come to. Writes nothing."""

from __future__ import annotations

from collections.abc import Iterable

from sorter.classify.measures import Measure, Sharpness
from sorter.classify.source import References
from sorter.commands.job import Job
from sorter.library.decide import REMOVED_BY_HAND
from sorter.library.plan import steps_between
from sorter.library.store.manifest import Manifest
from sorter.records import Output, Step, Verdict
from sorter.tally import Report

UNLIKELY = 0.5
"""A share of a heap that is left out for one reason, or in doubt on one axis, above which a person should look."""
FEW = 20
"""Pictures of which a share says little."""


def verdicts(
    manifest: Manifest,
    job: Job,
    only: set[str] | None = None,
    among: References | None = None,
    runners_up: bool = False,
) -> Iterable[Verdict]:
    """The verdict on every picture of a library, or on those of these hashes.

    `among`: what measures are compared with, where it is known already; to learn it takes a look at every answer.
    `runners_up`: with the second likeliest classes in the labels.
    """
    among = among or references(manifest, job)
    known = manifest.pictures(job.questions.sources(), only, runners_up)
    return (job.decide(picture, among(picture, labels)) for picture, labels in known)


def references(manifest: Manifest, job: Job) -> References:
    """What the answers of measures are compared with that are relative to their source."""
    measured = {axis: one.use for axis, one in job.questions.asked.items() if isinstance(one, Measure)}
    relative = {axis: use for axis, use in measured.items() if isinstance(use, Sharpness) and use.is_relative}
    found = References(relative)
    sources = job.questions.sources()
    for axis in found.measures:
        found.learn(axis, manifest.answers(axis, sources[axis]))
    return found


def plan(
    manifest: Manifest, job: Job, report: Report, only: set[str] | None = None, among: References | None = None
) -> tuple[Step, ...]:
    """The steps from what is placed to what is wanted, and into `report` what they will come to. See `verdicts`."""
    if only is None:
        known, placed = verdicts(manifest, job, None, among), manifest.outputs()
    else:
        known = list(verdicts(manifest, job, only, among))
        keys = (verdict.picture.sha256[:10] for verdict in known)
        placed = (one.output for some in manifest.placed_with(keys).values() for one in some)
    wanted = (output for verdict in known for output in count(verdict, job.layout(verdict), report))
    return steps_between(wanted, placed, report.corrections.held, report.corrections.surplus)


def count(verdict: Verdict, outputs: tuple[Output, ...], report: Report) -> tuple[Output, ...]:
    """Write a picture and its outputs into a report. The same outputs."""
    counts = report.counts
    counts["pictures"] += 1
    if verdict.unwanted:
        report.unwanted[verdict.unwanted] += 1
        return outputs
    counts["wanted"] += 1
    counts["turned"] += verdict.mirror
    counts["in doubt"] += bool(verdict.doubts)
    if verdict.unsure:
        report.doubts.update(verdict.unsure)
    report.folders[outputs[0].path.rpartition("/")[0]] += 1
    return outputs


def note_shares(report: Report) -> None:
    """Write into a report what a person should not take on trust: a class that drops most of a heap, say."""
    most = report.counts["pictures"]
    if most < FEW:
        return
    for why, count in report.unwanted.items():
        if count > UNLIKELY * most and why != REMOVED_BY_HAND:
            report.notes.append(f"{count / most:.0%} of all pictures are left out ({why}); see whether that is right")
    for axis, count in report.doubts.items():
        if count > UNLIKELY * most:
            report.notes.append(
                f"{count / most:.0%} of all pictures are in doubt on {axis}; its sorter may not fit them"
            )
