"""A folder that changes -> the pipeline. The daemon is a for-loop over batches of files that stand still."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from sorter.commands.answer import read_answers
from sorter.commands.apply import apply
from sorter.commands.arrivals import Arrivals, Say
from sorter.commands.classify import classify
from sorter.commands.job import Job
from sorter.commands.open import check_apart
from sorter.commands.page_answers import PageAnswers
from sorter.commands.plan import plan
from sorter.commands.scan import in_groups
from sorter.commands.sort import settle, sort_new
from sorter.errors import LibraryError
from sorter.files import Found, found_at
from sorter.library.apply import recover
from sorter.library.originals import adopt_list
from sorter.library.store.daemon import DaemonFile
from sorter.library.store.lock import locked
from sorter.library.store.manifest import Manifest
from sorter.tally import Corrections, Report

KNOWN_AT_ONCE = 500
"""Files that the manifest is asked about at a time."""
POLL = 0.25
"""Seconds between two looks at files that are still arriving."""
BATCH = 64
"""Files handled between two looks at whether to stop."""
LOOKS = 20
"""What a person did to the library is read before a batch, but for at most one part in so many of the time: a look at
every file of a large library takes seconds."""


class Source(Protocol):
    """Where news of files comes from; watchdog in real life, a list in a test."""

    def get(self, timeout: float) -> Path:
        """The next file that something happened to. Raises queue.Empty after `timeout` seconds without one."""


def watch(
    folder: Path,
    library: Path,
    job: Job,
    *,
    stop: threading.Event,
    still: float = 1.0,
    take: bool = False,
    changed: Callable[[], Job | None] = lambda: None,
    say: Say = lambda sentence: None,
) -> Iterator[Report]:
    """Sort what is in `folder`, and then what arrives, until `stop` is set; a report after each batch.

    A file is read when its size and time have not changed for `still` seconds. Deletions are of no interest.
    `changed`: asked now and then for the job by a scheme that has been edited; `say`: told what a person should know.
    Raises LibraryError where `folder` is none, or the library is taken away.
    """
    folder, library = folder.absolute(), library.absolute()
    check_watch(folder, library)
    command, taking = f"watch {folder}", folder if take else None
    with locked(library, command), Manifest(library, create=True) as manifest, DaemonFile(library, folder) as state:
        recover(manifest)
        adopt_list(manifest)
        for report in _Daemon(folder, manifest, job, command, taking, state).run(stop, still, changed, say):
            state.add(report)
            yield report


def check_watch(folder: Path, library: Path) -> None:
    """Raise LibraryError where `folder` is none, or lies in the library."""
    check_apart(folder, library)
    if not folder.is_dir():
        raise LibraryError(f"{folder}: is not a folder; give the folder that the pictures arrive in")


@dataclass
class _Daemon:
    """What a watch goes by."""

    folder: Path
    manifest: Manifest
    job: Job
    command: str
    taking: Path | None
    state: DaemonFile
    corrections: Corrections = field(default_factory=Corrections)
    """What a person had in hand at the last look."""
    next_look: float = 0.0
    edited: Job | None = None
    """The job by a scheme that was edited, until it is in force."""
    answered: set[str] = field(default_factory=set)
    """Pictures, by hash, whose answers on the page are to be carried out."""

    def run(self, stop: threading.Event, still: float, changed: Callable[[], Job | None], say: Say) -> Iterator[Report]:
        """A report of what is put in order at first, and then of each batch."""
        page = PageAnswers(self.manifest)
        yield self.put_in_order()
        place = identity(self.manifest.path)

        def look() -> bool:
            """Whether there is something to do although no file has arrived."""
            if identity(self.manifest.path) != place:
                raise LibraryError(f"{self.manifest.root}: was removed or replaced while it was in use; start again")
            self.state.catch_up()
            self.edited, self.answered = changed(), page.new()
            return self.edited is not None or bool(self.answered)

        with Arrivals(self.folder, self.manifest.root, self.unknown, say) as news:
            for batch in settled({}, news, stop, still, look=look):
                if batch:
                    yield self.sort(batch)
                elif self.edited:
                    self.job = self.edited
                    yield self.put_in_order()
                else:
                    began = time.monotonic()
                    yield self.carry_out_answers()
                    page.took(time.monotonic() - began)

    def unknown(self, files: Iterable[Found]) -> Iterator[Found]:
        """The files that have not been read as they are now."""
        for some in in_groups(files, KNOWN_AT_ONCE):
            yield from (file for file, known in zip(some, self.manifest.known(some), strict=True) if known is None)

    def put_in_order(self) -> Report:
        """Ask what is unanswered, take over what a person did, and make the library what its labels say."""
        report = Report()
        classify(self.manifest, self.job.questions, report)
        read_answers(self.manifest, self.job, report, self.command)
        settle(self.manifest, self.job, report, self.command, self.taking)
        self.corrections = report.corrections
        return report

    def carry_out_answers(self) -> Report:
        """Place the pictures that were answered on the page where they belong now, and take over edits of files."""
        report = Report()
        if not self.took_over_edits(report):
            steps = plan(self.manifest, self.job, report, self.answered)
            if steps:
                apply(steps, self.manifest, self.command, report)
        return report

    def sort(self, batch: list[Found]) -> Report:
        """Sort a batch, and what a person did meanwhile."""
        held = Corrections(held=self.corrections.held, surplus=self.corrections.surplus)
        report, began = Report(corrections=held), time.monotonic()
        if began >= self.next_look:
            self.took_over_edits(report)
            self.next_look = began + LOOKS * (time.monotonic() - began)
        sort_new(batch, self.manifest, self.job, report, self.command)
        apply((), self.manifest, self.command, report, self.taking)
        return report

    def took_over_edits(self, report: Report) -> bool:
        """Take over what a person did to the library's files. Whether there was something, and all is in order now."""
        read_answers(self.manifest, self.job, report, self.command)
        self.corrections = did = report.corrections
        if not (did.moved or did.captions or did.removed):
            return False
        settle(self.manifest, self.job, report, self.command)
        return True


def identity(path: Path) -> tuple[int, int] | None:
    """What tells a file from another one that takes its place; None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def settled(
    waiting: dict[Path, tuple[Found, float]],
    news: Source,
    stop: threading.Event,
    still: float,
    clock: Callable[[], float] = time.monotonic,
    look: Callable[[], bool] = lambda: False,
) -> Iterator[list[Found]]:
    """Batches of files that have stood still for `still` seconds. `waiting`: file -> how it was, and since when.

    `look`: done each time; where it says that there is something to do, a batch of none is given.
    """
    while not stop.is_set():
        if look():
            yield []
        for path in _drain(news, POLL):
            _note(waiting, path, clock())
        for path in list(waiting):
            _note(waiting, path, clock())
        ready = [file for file, since in waiting.values() if clock() - since >= still]
        for start in range(0, len(ready), BATCH):
            if stop.is_set():
                return
            batch = sorted(ready[start : start + BATCH], key=lambda file: file.path)
            for file in batch:
                del waiting[file.path]
            yield batch


def _note(waiting: dict[Path, tuple[Found, float]], path: Path, now: float) -> None:
    try:
        found = found_at(path)
    except OSError:
        waiting.pop(path, None)  # gone again, or not to be read: whoever writes it will move it again
        return
    if path not in waiting or waiting[path][0] != found:
        waiting[path] = (found, now)


def _drain(news: Source, timeout: float) -> Iterator[Path]:
    try:
        yield news.get(timeout)
        while True:
            yield news.get(0)
    except queue.Empty:
        return
