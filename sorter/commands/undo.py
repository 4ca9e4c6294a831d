"""`sorter undo`: bring a library back to what was in place before a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sorter.commands.answer import Door
from sorter.commands.apply import apply
from sorter.commands.open import open_library
from sorter.errors import LibraryError
from sorter.library.originals import give_back_originals
from sorter.library.plan import steps_between
from sorter.library.store.manifest import Manifest
from sorter.records import CAPTION, Unreadable
from sorter.tally import Report, Track, silent


def undo(library: Path, run: int | None = None, *, dry_run: bool = False, track: Track[Any] = silent) -> Report:
    """Bring a library back to what was in place before `run`; without it, before the last run that still counts.

    A person's answers that came in since go as well, but for captions: nobody's words are taken from them. Raises
    LibraryError where there is no such run.
    """
    Manifest(library).close()  # refuses a folder that is no library before a lock is made in it
    with open_library(library, "undo", dry_run) as manifest:
        chosen = _run_to_undo(manifest, run)
        report = Report()
        for back in give_back_originals(manifest, chosen) if not dry_run else ():
            if isinstance(back, Unreadable):
                report.failures.append(back)
            else:
                report.counts["originals given back"] += 1
        steps = steps_between(manifest.journal.before(chosen, manifest.outputs()), manifest.outputs())
        report.counts["steps"] = len(steps)
        answers = [row for row in manifest.journal.answers(chosen) if row[1] != CAPTION]
        report.counts["answers taken back"] = len({row[:2] for row in answers})
        command = f"undo {chosen}"
        if not dry_run:
            apply(steps, manifest, command, report, track=track)
            with manifest.change():
                door = Door(manifest, command, report)
                for sha256, axis, before in answers:
                    door.answer(sha256, axis, before)
                manifest.journal.mark_undone(chosen)
        return report


def _run_to_undo(manifest: Manifest, run: int | None) -> int:
    counting = [
        one["id"] for one in manifest.journal.runs() if not one["undone"] and not one["command"].startswith("undo")
    ]
    if run is None and counting:
        return int(counting[-1])
    if run is None or run not in [one["id"] for one in manifest.journal.runs()]:
        known = ", ".join(map(str, counting)) or "none"
        which = "a run" if run is None else f"run {run}"
        raise LibraryError(f"{manifest.root}: has no such thing as {which} to undo; runs that changed it: {known}")
    return run
