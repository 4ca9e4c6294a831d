"""The way through the rooms, once: what the commands, the daemon and the page all call.

folder -take_in-> manifest -verdicts-> wanted -make_plan-> steps -carry_out-> library
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sorter.census import Report, Track, silent
from sorter.classify.model import Asked
from sorter.classify.predict import Questions, load_questions
from sorter.classify.scan import walk
from sorter.dataset.crop import croppers
from sorter.errors import LibraryError, ModelError
from sorter.intake import ask_again, take_in
from sorter.library.apply import Done, apply, recover
from sorter.library.caption import captioner_of
from sorter.library.corrections import read_corrections
from sorter.library.decide import decide
from sorter.library.keep import give_back_originals, kept, take_originals
from sorter.library.layout import ClassFolders, class_folders
from sorter.library.lock import locked
from sorter.library.manifest import Manifest
from sorter.library.names import file_stem
from sorter.library.plan import plan
from sorter.records import LIBRARY, REMOVED, Output, Put, Render, Step, Unreadable, Verdict
from sorter.scheme import Scheme, check_classes, load_scheme


@dataclass(frozen=True, eq=False)
class Job:
    """A scheme with its sorters loaded: all that is needed to sort, apart from a library."""

    scheme: Scheme
    questions: Questions
    layout: ClassFolders
    thresholds: Mapping[str, Mapping[str, float]]
    """Axis -> class -> the score below which that answer is a doubt, where the scheme says "auto"."""

    def decide(self, *known: Any) -> Verdict:
        """The verdict on a (picture, labels) pair of the manifest."""
        return decide(known[0], known[1], self.scheme, self.thresholds)


def load_job(scheme_path: Path) -> Job:
    """Read a scheme and load its sorters. Raises SchemeError, ModelError, OptionsError."""
    scheme = load_scheme(scheme_path)
    croppers.build(scheme.crop.use, f"{scheme_path}: [crop]", **scheme.crop.options())
    questions = load_questions(scheme)
    labels = questions.labels()
    check_classes(str(scheme_path), scheme, labels)
    layout = class_folders(scheme, labels, captioner_of(scheme, str(scheme_path)))
    return Job(scheme, questions, layout, _thresholds(scheme, questions))


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
    """Bring a folder of pictures into a library: scan, classify, plan, apply. The report, and the steps of the plan.

    `take`: move the originals into the library's keeping. `restore`: put back what a person deleted from the library.
    """
    check_apart(source, library)
    files, taking = walk(source, library), source.absolute() if take else None
    with open_library(library, f"sort {source}", dry_run) as manifest:
        report = Report()
        take_in(files, manifest, job.questions, report, track)
        ask_again(manifest, job.questions, report, track)
        return report, settle(manifest, job, report, f"sort {source}", take=taking, restore=restore, track=track)


def settle(
    manifest: Manifest,
    job: Job,
    report: Report,
    command: str,
    *,
    only: set[str] | None = None,
    take: Path | None = None,
    restore: bool = False,
    track: Track[Any] = silent,
) -> tuple[Step, ...]:
    """Make the library what its labels say: corrections, plan, apply.

    `only`: look at these pictures alone. `take`: move the originals below this folder into the library's keeping.
    """
    manifest.refuse_dataset()
    if restore:
        with manifest.change():
            manifest.forget_answer(LIBRARY, REMOVED)
    if only is None:
        report.corrections = read_corrections(manifest, job.layout)
    steps = make_plan(manifest, job, report, only)
    if not manifest.rehearsed:
        carry_out(steps, manifest, command, report, take, track)
    return steps


def verdicts(manifest: Manifest, job: Job, only: set[str] | None = None) -> Iterator[Verdict]:
    """The verdict on every picture of a library, or on those of these hashes."""
    sources = job.questions.sources()
    if only is None:
        known: Iterable[Any] = manifest.pictures(sources)
    else:
        known = filter(None, (manifest.picture(sha256, sources) for sha256 in sorted(only)))
    return (job.decide(*pair) for pair in known)


def make_plan(manifest: Manifest, job: Job, report: Report, only: set[str] | None = None) -> tuple[Step, ...]:
    """The steps from what is placed to what is wanted, and into `report` what they will come to."""
    wanted: list[Output] = []
    stems: list[str] = []
    for verdict in verdicts(manifest, job, only):
        _count(verdict, job, report)
        wanted += job.layout(verdict)
        stems.append(file_stem(verdict.picture))
    if only is None:
        placed = [one.output for one in manifest.placed()]
    else:
        placed = [one.output for stem in stems for one in manifest.placed(stem)]
    return plan(wanted, placed, report.corrections.held)


def carry_out(
    steps: tuple[Step, ...],
    manifest: Manifest,
    command: str,
    report: Report,
    take: Path | None = None,
    track: Track[Any] = silent,
) -> None:
    """Apply steps as one run of the journal."""
    with manifest.change():
        run = report.run = manifest.journal.begin(command)
    originals = finder(manifest)
    for outcome in track(apply(steps, manifest, run, originals), "placing files", len(steps)):
        if isinstance(outcome, Done):
            report.counts[_kind(outcome.step)] += 1
        else:
            report.failures.append(outcome)
    if take:
        for taken in track(take_originals(manifest, run, take), "taking originals", None):
            if isinstance(taken, Unreadable):
                report.failures.append(taken)
            else:
                report.counts["originals taken"] += 1


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
        steps = plan(
            manifest.journal.before(chosen, (placed.output for placed in manifest.placed())),
            (placed.output for placed in manifest.placed()),
        )
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


def finder(manifest: Manifest) -> Callable[[str], Iterable[Path]]:
    """Where the original of a hash may lie: where it was found, or in the library's keeping."""
    return lambda sha256: [*manifest.copies(sha256), kept(manifest.root, sha256)]


def _count(verdict: Verdict, job: Job, report: Report) -> None:
    report.counts["pictures"] += 1
    if verdict.unwanted:
        report.unwanted[verdict.unwanted] += 1
        return
    report.counts["wanted"] += 1
    report.counts["turned"] += verdict.mirror
    report.counts["in doubt"] += bool(verdict.doubts)
    report.doubts.update(verdict.unsure)
    report.folders[job.layout.folder(verdict)] += 1


def _kind(step: Step) -> str:
    what = "pictures" if isinstance(step.output.content, Render) else "captions"
    return f"{what} {'placed' if isinstance(step, Put) else 'removed'}"


def _thresholds(scheme: Scheme, questions: Questions) -> dict[str, dict[str, float]]:
    found = {}
    for name, axis in scheme.axes.items():
        if axis.threshold == "auto":
            card = "the built-in measure" if axis.measure else f"{axis.model}/card.toml"
            found[name] = _calibrated(questions.askers[name], f'[axes.{name}] threshold = "auto": {card}')
    return found


def _calibrated(asked: Asked, where: str) -> dict[str, float]:
    """Class -> threshold, as a card has them: a number from 0 to 1 for each class. Raises ModelError."""
    table = asked.card.get("thresholds")
    numbers = table.get("classes") if isinstance(table, dict) else None
    if not isinstance(numbers, dict):
        raise ModelError(f"{where} has no [thresholds.classes]; fit it again, or write a number")
    for label in asked.labels:
        number = numbers.get(label)
        if number is None:
            raise ModelError(f'{where} has no threshold for "{label}"; fit it again, or write a number')
        if isinstance(number, bool) or not isinstance(number, int | float) or not 0 <= number <= 1:
            raise ModelError(
                f'{where} says {str(number)[:40]!r} for "{label}", which is no number from 0 to 1; '
                "fit it again, or write a number"
            )
    return {label: float(numbers[label]) for label in asked.labels}
