"""The way through the rooms, once: what the commands, the daemon and the page all call.

folder -take_in-> manifest -verdicts-> wanted -make_plan-> steps -carry_out-> library

Pictures that were just read are placed while the next are being read; then the whole library is put in order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from sorter.classify.ask import Seen
from sorter.commands.intake import ask_again, take_in
from sorter.commands.job import Job
from sorter.errors import LibraryError
from sorter.files import Found
from sorter.library.apply import Done, FindOriginal, apply, recover
from sorter.library.corrections import read_corrections
from sorter.library.names import file_stem
from sorter.library.originals import give_back_originals, places, take_originals
from sorter.library.plan import plan
from sorter.library.store.lock import locked
from sorter.library.store.manifest import Manifest
from sorter.pictures.scan import walk
from sorter.records import LIBRARY, REMOVED, Output, Put, Render, Step, Unreadable, Verdict
from sorter.tally import Report, Track, silent


@contextmanager
def open_library(library: Path, command: str, dry_run: bool = False) -> Iterator[Manifest]:
    """The manifest of a library, made if need be; locked, and cleared of what a cut-off run left open.

    `dry_run`: a copy in memory; nothing lasts and nothing is locked.
    """
    if dry_run:
        with Manifest(library, create=True, rehearse=True) as manifest:
            yield manifest
        return
    with locked(library, command), Manifest(library, create=True) as manifest:
        recover(manifest)
        yield manifest


def sort(
    source: Path,
    library: Path,
    job: Job,
    *,
    dry_run: bool = False,
    take: bool = False,
    restore: bool = False,
    track: Track[Any] = silent,
) -> tuple[Report, tuple[Step, ...]]:
    """Bring a folder of pictures into a library: scan, classify, plan, apply.

    The report, and the steps that were left when everything was read: of a dry run, all of them.
    `take`: move the originals into the library's keeping. `restore`: put back what a person deleted from the library.
    """
    check_apart(source, library)
    files, taking = walk(source, library), source.absolute() if take else None
    command = f"sort {source}"
    with open_library(library, command, dry_run) as manifest:
        report = Report()
        heed(manifest, job, report, restore)
        bring_in(files, manifest, job, report, command, track)
        ask_again(manifest, job.questions, report, track)
        steps = arrange(manifest, job, report, command, taking, track)
        report.failures = list(dict.fromkeys(report.failures))  # what could not be placed at first was tried once more
        return report, steps


def bring_in(
    files: Iterable[Found | Unreadable],
    manifest: Manifest,
    job: Job,
    report: Report,
    command: str,
    track: Track[Any] = silent,
) -> None:
    """Read the files that are new or changed, and place each picture as soon as its labels are known."""
    read = take_in(files, manifest, job.questions, report, track)
    if manifest.rehearsed:
        deque(read, maxlen=0)
        return
    at_hand: dict[str, Seen] = {}

    def originals(sha256: str) -> Iterator[Path | Seen]:
        if sha256 in at_hand:
            yield at_hand[sha256]
        yield from places(manifest, sha256)

    def steps() -> Iterator[Step]:
        before: dict[str, Seen] = {}
        for fresh in read:
            at_hand.clear()
            at_hand.update(before | fresh)  # of the step that is taken next, and of those that wait for it
            yield from make_plan(manifest, job, Report(corrections=report.corrections), set(fresh))
            before = fresh

    place(steps(), manifest, command, report, originals)


def heed(manifest: Manifest, job: Job, report: Report, restore: bool = False) -> None:
    """Read what a person did to the library since the last run. `restore`: and put back what they deleted."""
    manifest.refuse_dataset()
    if restore:
        with manifest.change():
            manifest.forget_answer(LIBRARY, REMOVED)
    report.corrections = read_corrections(manifest, job.layout)


def arrange(
    manifest: Manifest,
    job: Job,
    report: Report,
    command: str,
    take: Path | None = None,
    track: Track[Any] = silent,
) -> tuple[Step, ...]:
    """Make the whole library what its labels say: plan, apply. The steps.

    `take`: move the originals below this folder into the library's keeping.
    """
    steps = make_plan(manifest, job, report)
    if not manifest.rehearsed:
        carry_out(steps, manifest, command, report, take, track)
    return steps


def verdicts(manifest: Manifest, job: Job, only: set[str] | None = None) -> Iterable[Verdict]:
    """The verdict on every picture of a library, or on those of these hashes."""
    sources = job.questions.sources()
    return (job.decide(*pair) for pair in manifest.pictures(sources, only))


def make_plan(manifest: Manifest, job: Job, report: Report, only: set[str] | None = None) -> tuple[Step, ...]:
    """The steps from what is placed to what is wanted, and into `report` what they will come to."""
    if only is None:
        known, placed = verdicts(manifest, job), manifest.outputs()
    else:
        known = list(verdicts(manifest, job, only))
        stems = (file_stem(verdict.picture) for verdict in known)
        placed = (one.output for some in manifest.placed_with(stems).values() for one in some)
    wanted = (output for verdict in known for output in count(verdict, job.layout(verdict), report))
    return plan(wanted, placed, report.corrections.held)


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


def carry_out(
    steps: tuple[Step, ...],
    manifest: Manifest,
    command: str,
    report: Report,
    take: Path | None = None,
    track: Track[Any] = silent,
) -> None:
    """Apply steps, and take the originals below the folder `take`."""
    place(track(steps, "placing files", len(steps)), manifest, command, report, partial(places, manifest))
    if take:
        for taken in track(take_originals(manifest, begin(manifest, command, report), take), "taking originals", None):
            if isinstance(taken, Unreadable):
                report.failures.append(taken)
            else:
                report.counts["originals taken"] += 1


def place(steps: Iterable[Step], manifest: Manifest, command: str, report: Report, originals: FindOriginal) -> None:
    """Apply steps as they come, as part of the report's run, and count what became of them."""
    for outcome in apply(steps, manifest, begin(manifest, command, report), originals):
        if isinstance(outcome, Done):
            report.counts[_kind(outcome.step)] += 1
        else:
            report.failures.append(outcome)


def begin(manifest: Manifest, command: str, report: Report) -> int:
    """The number of the report's run in the journal, which is opened if it is not yet."""
    if report.run is None:
        with manifest.change():
            report.run = manifest.journal.begin(command)
    return report.run


def undo(library: Path, run: int | None = None, *, dry_run: bool = False, track: Track[Any] = silent) -> Report:
    """Bring a library back to what was in place before `run`; without it, before the last run that still counts.

    Raises LibraryError where there is no such run.
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
        steps = plan(manifest.journal.before(chosen, manifest.outputs()), manifest.outputs())
        report.counts["steps"] = len(steps)
        if not dry_run:
            carry_out(steps, manifest, f"undo {chosen}", report, track=track)
            with manifest.change():
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


def check_apart(source: Path, library: Path) -> None:
    """Raise LibraryError where pictures would be taken from the library that they are sorted into."""
    inner, outer = source.resolve(), library.resolve()
    if inner == outer or outer in inner.parents:
        raise LibraryError(f"{source}: lies in the library {library}; give the folder that the pictures come from")


def _kind(step: Step) -> str:
    what = "pictures" if isinstance(step.output.content, Render) else "captions"
    return f"{what} {'placed' if isinstance(step, Put) else 'removed'}"
