"""`sorter undo`: bring a library back to what was in place before a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sorter.commands.answer import Door, read_hands
from sorter.commands.apply import apply, begin_run
from sorter.commands.open import open_library
from sorter.errors import LibraryError
from sorter.library.originals import BEFORE_ALL, give_back_originals, taken
from sorter.library.plan import digits, steps_between
from sorter.library.store.manifest import Manifest
from sorter.records import CAPTION, Unreadable
from sorter.tally import Report, Track, silent


def undo(library: Path, run: int | None = None, *, dry_run: bool = False, track: Track[Any] = silent) -> Report:
    """Bring a library back to what was in place before `run`; without it, before the last run that still counts.

    What a person did just before is read first, and stays. A person's answers that came in since the run go with it,
    but for captions: nobody's words are taken from them. A run of which an original could not be given back still
    counts, so that it can be tried again. Raises LibraryError where there is no such run.
    """
    Manifest(library).close()  # refuses a folder that is no library before a lock is made in it
    with open_library(library, "undo", dry_run) as manifest:
        chosen, what = _run_to_undo(manifest, run)
        report, command = Report(notes=[what]), f"undo {chosen}"
        now = begin_run(manifest, command, report)
        read_hands(manifest, report, Door(manifest, command, report))
        held = report.corrections
        _give_back(manifest, chosen, report, dry_run)
        before = manifest.journal.before(chosen, now, manifest.outputs())
        before = [output for output in before if output.path not in held.surplus]
        # What a person has just put somewhere stays there, unless the picture was not in the library then.
        stays = {sha256[:10] for sha256 in held.answered} & {digits(output) for output in before}
        steps = steps_between(before, manifest.outputs(), held.held | stays, held.surplus)
        report.counts["steps"] = len(steps)
        wanted = {output.path for output in before}
        report.failures += [
            Unreadable(library / path, "changed by hand, so it was left") for path in held.changed if path not in wanted
        ]
        left = held.held | {sha256[:10] for sha256 in held.answered}
        answers = [
            row for row in manifest.journal.answers(chosen, now) if row[1] != CAPTION and row[0][:10] not in left
        ]
        report.counts["answers taken back"] = len({row[:2] for row in answers})
        if not dry_run:
            apply(steps, manifest, command, report, track=track)
            with manifest.change():
                door = Door(manifest, command, report)
                for sha256, axis, old in answers:
                    door.answer(sha256, axis, old)
                if not report.counts["originals not given back"]:
                    manifest.journal.mark_undone(chosen, now)
        return report


def _give_back(manifest: Manifest, run: int, report: Report, dry_run: bool) -> None:
    if dry_run:
        report.counts["originals to give back"] = sum(one.run >= run for one in taken(manifest.root))
        return
    for back in give_back_originals(manifest.root, run):
        if isinstance(back, Unreadable):
            report.failures.append(back)
            report.counts["originals not given back"] += 1
        else:
            report.counts["originals given back"] += 1


def _run_to_undo(manifest: Manifest, run: int | None) -> tuple[int, str]:
    """The run that is meant, and a sentence that says which that is."""
    runs = [one for one in manifest.journal.runs() if not one["command"].startswith("undo")]
    counting = [one for one in runs if not one["undone"]]
    keeps = any(one.run == BEFORE_ALL for one in taken(manifest.root))
    if run is None and counting:
        run = counting[-1]["id"]
    elif run is None and keeps:
        run = BEFORE_ALL
    commands = {one["id"]: one["command"] for one in runs} | (
        {BEFORE_ALL: "what was taken before a rescan"} if keeps else {}
    )
    if run is not None and run in commands:
        later = [str(one["id"]) for one in counting if one["id"] > run]
        also = f", and with it the later runs {', '.join(later)}" if later else ""
        return run, f"takes back run {run} ({commands[run]}){also}"
    known = ", ".join(str(one["id"]) for one in counting) or "none"
    which = "a run" if run is None else f"run {run}"
    raise LibraryError(f"{manifest.root}: has no such thing as {which} to undo; runs that changed it: {known}")
