"""How results reach a person, or a script: lines, one JSON object, bars on a terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sorter.progress import Lines, is_asked_for
from sorter.tally import some
from sorter.text import visible

if TYPE_CHECKING:
    from sorter.commands.job import Job
    from sorter.commands.rescan import Rescan
    from sorter.fit.fit import Fitted
    from sorter.tally import Report


CORRECTIONS = ("moved", "captions", "removed", "edited", "misplaced", "strangers")
"""What --json says of a person's work."""


def say_report(as_json: bool, report: Report, job: Job | None, where: Path, planned: int | None = None) -> int:
    """Print a report; the exit code."""
    lines = lines_of(report, job, where)
    if planned is not None:
        lines = [f"would take {planned} steps; nothing was changed", *lines]
    return say(as_json, as_dict(report) | {"planned": planned}, lines, bool(report.failures))


def lines_of(report: Report, job: Job | None, where: Path) -> list[str]:
    """A report as a person reads it: what was done, what was left out and why, what failed and why."""
    shown = [f"{count} {name}" for name, count in report.counts.items() if count]
    lines = [*report.notes, f"{where}: {', '.join(shown) or 'nothing to do'}"]
    if report.passed_over:
        endings = ", ".join(
            f"{count} {ending or 'without ending'}" for ending, count in report.passed_over.most_common(12)
        )
        lines.append(f"{report.passed_over.total()} files passed over: {endings}")
    if report.unwanted:
        lines.append("left out: " + ", ".join(f"{count} {why}" for why, count in report.unwanted.most_common()))
    if report.doubts:
        lines.append("in doubt: " + ", ".join(f"{count} {axis}" for axis, count in report.doubts.most_common()))
    found = report.corrections
    if found.moved or found.removed or found.captions or found.edited:
        said = f"{found.moved} moved, {found.removed} deleted, {found.captions} captions written, {found.edited} edited"
        lines.append(f"taken over from you: {said}")
    lines += [f"in no class folder, so left alone: {path}" for path in found.misplaced]
    if found.strangers:
        lines.append(f"not from the frames, so left alone: {some(found.strangers)}")
    if report.failures:
        lines.append(f"{len(report.failures)} failed:")
        lines += [f"  {count} x {reason}" for reason, count in report.reasons().most_common(20)]
        lines += [f"    {failure.path}" for failure in report.failures[:10]]
    return lines


def lines_of_rescan(found: Rescan, library: Path, dry_run: bool) -> list[str]:
    """What was wrong with a manifest, what became of it, and what the next sort will do."""
    if not found.damage:
        lines = [f"{library}: its manifest is in order, so it was kept"]
    elif dry_run:
        lines = [f"{library}: its manifest is damaged ({found.damage}) and would be rebuilt; nothing was changed"]
    else:
        where = f"; the damaged one is kept as {found.kept}" if found.kept else ""
        lines = [f"{library}: its manifest was damaged ({found.damage}) and is rebuilt{where}"]
    if found.damage:
        lines.append("runs before a rescan cannot be undone after it")
    if found.returning:
        lines.append(f"{found.returning} known pictures stand nowhere in it, so the next sort places them; "
                     "those that you had deleted come back with them")  # fmt: skip
    return lines


def as_dict(report: Report) -> dict[str, Any]:
    """A report as --json prints it."""
    found = report.corrections
    return {
        "run": report.run,
        "counts": dict(report.counts),
        "folders": dict(report.folders),
        "doubts": dict(report.doubts),
        "unwanted": dict(report.unwanted),
        "corrections": {name: getattr(found, name) for name in CORRECTIONS},
        "passed_over": dict(report.passed_over),
        "notes": report.notes,
        "failures": [{"path": str(one.path), "reason": one.reason} for one in report.failures],
    }


def say(as_json: bool, data: dict[str, Any], lines: Iterable[str], failed: bool = False) -> int:
    """Print either the data or the lines; the exit code: 1 if some pictures failed."""
    echo(*([json.dumps(data, default=str)] if as_json else lines))
    return int(failed)


def echo(*lines: str, err: bool = False) -> None:
    """Print lines, whatever names are in them."""
    click.echo("\n".join(map(visible, lines)), err=err)


class progress:
    """Bars on standard error where that is a terminal, and none in a pipe."""

    def __enter__(self) -> Callable[[Iterable[Any], str, int | None], Iterable[Any]]:
        self.bars = None
        if is_asked_for():
            return Lines().track
        if not sys.stderr.isatty():
            return lambda items, what, total: items
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        self.bars = Progress(*columns, console=Console(stderr=True))
        self.bars.start()
        return self._track

    def _track(self, items: Iterable[Any], what: str, total: int | None) -> Iterator[Any]:
        assert self.bars is not None
        task = self.bars.add_task(what, total=total)
        for item in items:
            yield item
            self.bars.advance(task)

    def __exit__(self, *_: object) -> None:
        if self.bars:
            self.bars.stop()


def lines_of_fit(to: Path, fitted: Fitted) -> list[str]:
    """A fitted sorter's worth as a person reads it."""
    classes, promise = fitted.card["scores"]["classes"], fitted.card["thresholds"]["classes"]
    rows = [f"{'class':20} precision  recall  accepted from"]
    for name, one in classes.items():
        accept = f"{promise[name]:13.3f}" if promise[name] < 1 else f"{'never':>13}"
        rows.append(f"{name[:20]:20} {one['precision']:9.0%}  {one['recall']:6.0%}  {accept}")
    return [f"{to}: written", *(f"  {line}" for line in (*fitted.said, *rows)), f"  look at {to / 'report.html'}"]
