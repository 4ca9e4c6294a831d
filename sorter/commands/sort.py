"""`sorter sort`: scan, classify, plan, apply. The way through the rooms, once.

folder -scan-> manifest -verdicts-> wanted -plan-> steps -apply-> library

Pictures that were just read are placed while the next are being read; then the whole library is put in order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from sorter.classify.ask import Seen
from sorter.commands.answer import read_answers
from sorter.commands.apply import apply, apply_steps, begin_run
from sorter.commands.classify import classify
from sorter.commands.job import Job
from sorter.commands.open import check_apart, check_length, open_library
from sorter.commands.plan import note_shares, plan, references
from sorter.commands.scan import note_passed_over, scan
from sorter.commands.sidecars import read_sidecars
from sorter.files import Found
from sorter.library.originals import places
from sorter.library.store.manifest import Manifest
from sorter.pictures.scan import PassedOver, walk
from sorter.records import Step, Unreadable
from sorter.tally import Report, Track, silent


def sort(
    source: Path,
    library: Path,
    job: Job,
    *,
    dry_run: bool = False,
    take: bool = False,
    restore: bool = False,
    captions: bool = False,
    track: Track[Any] = silent,
) -> tuple[Report, tuple[Step, ...]]:
    """Bring a folder of pictures into a library: scan, classify, plan, apply.

    The report, and the steps that were left when everything was read: of a dry run, all of them.
    `take`: move the originals into the library's keeping. `restore`: put back what a person deleted from the library.
    `captions`: take over the texts beside the pictures, as a person's own captions.
    """
    check_apart(source, library)
    passed = PassedOver()
    files, taking = walk(source, library, passed), source.absolute() if take else None
    command = f"sort {source}"
    with open_library(library, command, dry_run) as manifest:
        report = Report()
        if long := check_length(library, job.layout.folders):
            report.notes.append(long)
        read_answers(manifest, job, report, command, restore)
        sort_new(files, manifest, job, report, command, track)
        classify(manifest, job.questions, report, track)
        read_sidecars(manifest, passed.texts, report, command, captions)
        note_passed_over(passed, report)
        steps = settle(manifest, job, report, command, taking, track)
        report.failures = list(dict.fromkeys(report.failures))  # what could not be placed at first was tried once more
        return report, steps


def sort_new(
    files: Iterable[Found | Unreadable],
    manifest: Manifest,
    job: Job,
    report: Report,
    command: str,
    track: Track[Any] = silent,
) -> None:
    """Read the files that are new or changed, and place each picture as soon as its labels are known."""
    read = scan(files, manifest, job.questions, report, track)
    if manifest.is_dry_run:
        deque(read, maxlen=0)
        return
    at_hand: dict[str, Seen] = {}

    def originals(sha256: str) -> Iterator[Path | Seen]:
        if sha256 in at_hand:
            yield at_hand[sha256]
        yield from places(manifest, sha256)

    def steps() -> Iterator[Step]:
        before: dict[str, Seen] = {}
        read_so_far = next_look = 0
        for fresh in read:
            if read_so_far >= next_look:  # a library that has doubled knows its sources better
                among, next_look = references(manifest, job), 2 * read_so_far + 1
            read_so_far += len(fresh)
            at_hand.clear()
            at_hand.update(before | fresh)  # of the step that is taken next, and of those that wait for it
            yield from plan(manifest, job, Report(corrections=report.corrections), set(fresh), among)
            before = fresh

    apply_steps(steps(), manifest, command, report, originals)


def settle(
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
    steps = plan(manifest, job, report)
    note_shares(report)
    if not manifest.is_dry_run:
        apply(steps, manifest, command, report, take, track)
        manifest.journal.lay_out(begin_run(manifest, command, report), job.layout.folders)
    return steps
