"""A folder that changes -> the pipeline. The daemon is a for-loop over batches of files that stand still."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Protocol

from sorter.commands.answer import read_answers
from sorter.commands.apply import apply
from sorter.commands.classify import classify
from sorter.commands.job import Job
from sorter.commands.open import check_apart
from sorter.commands.sort import settle, sort_new
from sorter.errors import LibraryError
from sorter.files import Found, found_at, is_text
from sorter.library.apply import recover
from sorter.library.store.lock import locked
from sorter.library.store.manifest import Manifest
from sorter.pictures.images import SUFFIXES
from sorter.pictures.scan import walk
from sorter.tally import Corrections, Report

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
    folder: Path, library: Path, job: Job, *, stop: threading.Event, still: float = 1.0, take: bool = False
) -> Iterator[Report]:
    """Sort what is in `folder`, and then what arrives, until `stop` is set; a report after each batch.

    A file is read when its size and time have not changed for `still` seconds. Deletions are of no interest.
    """
    folder, library = folder.absolute(), library.absolute()
    check_apart(folder, library)
    if not folder.is_dir():
        raise LibraryError(f"{folder}: is not a folder; give the folder that the pictures arrive in")
    with (
        locked(library, f"watch {folder}"),
        Manifest(library, create=True) as manifest,
        _observed(folder, library) as news,
    ):
        recover(manifest)
        first, command = Report(), f"watch {folder}"
        classify(manifest, job.questions, first)
        taking = folder if take else None
        read_answers(manifest, job, first, command)
        settle(manifest, job, first, command, taking)
        yield first
        # The observer runs already, so nothing that arrives during this walk is missed.
        there = (file for file in walk(folder, library) if isinstance(file, Found) and manifest.known([file]) == [None])
        waiting = {file.path: (file, time.monotonic()) for file in there}
        next_look = 0.0
        for batch in settled(waiting, news, stop, still):
            report, began = Report(corrections=Corrections(held=first.corrections.held)), time.monotonic()
            if began >= next_look:
                read_answers(manifest, job, report, command)
                first, did = report, report.corrections
                if did.moved or did.captions or did.removed:
                    settle(manifest, job, report, command)
                next_look = began + LOOKS * (time.monotonic() - began)
            sort_new(batch, manifest, job, report, command)
            apply((), manifest, command, report, taking)
            yield report


def settled(
    waiting: dict[Path, tuple[Found, float]],
    news: Source,
    stop: threading.Event,
    still: float,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[list[Found]]:
    """Batches of files that have stood still for `still` seconds. `waiting`: file -> how it was, and since when."""
    while not stop.is_set():
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


class _observed:
    """watchdog's events as a queue of paths, while the block lasts."""

    def __init__(self, folder: Path, library: Path) -> None:
        self.folder, self.library = folder.absolute(), library.absolute()

    def __enter__(self) -> Source:
        from watchdog.events import FileSystemEvent, FileSystemEventHandler
        from watchdog.observers import Observer

        arrived: queue.Queue[Path] = queue.Queue()
        folder, library = self.folder, self.library

        class Handler(FileSystemEventHandler):
            def on_any_event(self, event: FileSystemEvent) -> None:
                if event.event_type in ("created", "modified", "moved", "closed"):
                    path = Path(_text(event.dest_path or event.src_path))
                    for picture in _pictures(path, folder, library, event.is_directory):
                        arrived.put(picture)

        self.observer = Observer()
        self.observer.schedule(Handler(), str(self.folder), recursive=True)
        try:
            self.observer.start()
        except OSError as found:  # the system's number of watched folders is limited
            raise LibraryError(f"{self.folder}: cannot be watched: {found.strerror}; watch fewer folders") from None
        return _Queue(arrived)

    def __exit__(self, *_: object) -> None:
        self.observer.stop()
        self.observer.join()


class _Queue:
    def __init__(self, arrived: queue.Queue[Path]) -> None:
        self.arrived = arrived

    def get(self, timeout: float) -> Path:
        return self.arrived.get(timeout=timeout) if timeout else self.arrived.get_nowait()


def _pictures(path: Path, folder: Path, library: Path, is_folder: bool) -> Iterable[Path]:
    """The pictures that an event is about; a folder that was moved in brings all of its own."""
    if library in (path, *path.parents) or folder not in path.parents:
        return []
    if any(part.startswith(".") for part in path.relative_to(folder).parts):
        return []
    if is_folder:
        return [file.path for file in walk(path, library) if isinstance(file, Found)] if path.is_dir() else []
    return [path] if path.suffix.lower() in SUFFIXES and is_text(path) else []


def _text(path: str | bytes) -> str:
    return path if isinstance(path, str) else path.decode(errors="surrogateescape")
