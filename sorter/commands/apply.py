"""`sorter apply`: carry out the steps of a plan, journalled as a run, and take the originals if that is asked."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

from sorter.library.apply import Done
from sorter.library.apply import apply as carry_out
from sorter.library.make import FindOriginal
from sorter.library.originals import places, take_originals
from sorter.library.store.manifest import Manifest
from sorter.records import Put, Render, Step, Unreadable
from sorter.tally import Report, Track, silent


def apply(
    steps: tuple[Step, ...],
    manifest: Manifest,
    command: str,
    report: Report,
    take: Path | None = None,
    track: Track[Any] = silent,
) -> None:
    """Apply steps, and take the originals below the folder `take`."""
    apply_steps(track(steps, "placing files", len(steps)), manifest, command, report, partial(places, manifest))
    if take:
        run = begin_run(manifest, command, report)
        for taken in track(take_originals(manifest, run, take), "taking originals", None):
            if isinstance(taken, Unreadable):
                report.failures.append(taken)
            else:
                report.counts["originals taken"] += 1


def apply_steps(
    steps: Iterable[Step], manifest: Manifest, command: str, report: Report, originals: FindOriginal
) -> None:
    """Apply steps as they come, as part of the report's run, and count what became of them."""
    for outcome in carry_out(steps, manifest, begin_run(manifest, command, report), originals):
        if isinstance(outcome, Done):
            report.counts[kind := _kind(outcome.step)] += 1
            if kind == "pictures placed":
                report.last_placed = outcome.step.output.path
        else:
            report.failures.append(outcome)


def begin_run(manifest: Manifest, command: str, report: Report) -> int:
    """The number of the report's run in the journal, which is opened if it is not yet."""
    if report.run is None:
        with manifest.change():
            report.run = manifest.journal.begin(command)
    return report.run


def _kind(step: Step) -> str:
    what = "pictures" if isinstance(step.output.content, Render) else "captions"
    return f"{what} {'placed' if isinstance(step, Put) else 'removed'}"
