"""`sorter scan`: files -> the manifest, each read once, its questions asked, the answers recorded. Places nothing."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any, TypeVar

from sorter.classify.ask import Questions, Seen
from sorter.files import Found, read_file
from sorter.library.store.manifest import Manifest
from sorter.pictures.images import ENDINGS
from sorter.pictures.scan import PassedOver
from sorter.records import Label, Picture, Unreadable
from sorter.tally import Report, Track, silent, some
from sorter.threads import in_step

T = TypeVar("T")

WRITE_EVERY = 128
"""Pictures that are read between two transactions of the manifest; the most that a crash makes to be read again."""
MOST_KNOWN = 1024
"""Files between two transactions, where most are known already."""
MOST_HELD = 32 << 20
"""Bytes of pictures between two transactions: they are kept until the pictures are placed."""


def scan(
    files: Iterable[Found | Unreadable],
    manifest: Manifest,
    questions: Questions,
    report: Report,
    track: Track[Any] = silent,
) -> Iterator[dict[str, Seen]]:
    """Read the files that are new or changed, ask what is not answered yet of their bytes, and record it.

    Yields the pictures that were read, some at a time and each once, by hash.
    A file that has not changed since it was last read costs one look into the manifest.
    """
    manifest.refuse_dataset()
    sources = questions.sources()
    if sources:
        prepare(questions, track)
    once = _Once(manifest, questions, sources)
    tasks = chain.from_iterable(_tasks(some, manifest, sources) for some in in_groups(files, WRITE_EVERY))
    results = in_step(once, tasks, is_light=lambda task: task.done is not None)
    distinct: set[int] = set()
    misnamed: list[tuple[Path, str]] = []
    for batch in _by_weight(track(results, "reading pictures", None)):
        fresh: dict[str, Seen] = {}
        new: list[tuple[Found, Picture, tuple[Label, ...]]] = []
        with manifest.change():
            for task, seen in batch:
                report.counts["files"] += 1
                if isinstance(seen, Unreadable):
                    report.counts["unreadable"] += 1
                    report.failures.append(seen)
                    if task.found and task.done is None and not seen.reason.startswith("cannot be read"):
                        manifest.add_unreadable(task.found, seen.reason)
                    continue
                digits = int(seen.picture.sha256[:16], 16)
                is_copy = digits in distinct
                report.counts["copies"] += is_copy
                distinct.add(digits)
                if task.found and task.done is None:
                    new.append((task.found, seen.picture, seen.labels))
                    if not is_copy:
                        fresh[seen.picture.sha256] = seen
            report.counts["replaced"] += manifest.replaced([(found.path, picture.sha256) for found, picture, _ in new])
            manifest.add_all(new)
            misnamed += [(found.path, one.format) for found, one, _ in new if _is_misnamed(found.path, one)]
        once.recorded(picture.sha256 for _, picture, _ in new)
        if fresh:
            yield fresh
    _note_oddities(misnamed, report)


def _is_misnamed(path: Path, picture: Picture) -> bool:
    return path.suffix.lower() not in ENDINGS.get(picture.format, path.suffix.lower())


def _note_oddities(misnamed: list[tuple[Path, str]], report: Report) -> None:
    if misnamed:
        named = [f"{path.name} ({kind})" for path, kind in misnamed]
        report.notes.append(
            f"{len(named)} files are of another format than their endings say, and were read: {some(named)}"
        )
    if replaced := report.counts.pop("replaced", 0):
        report.notes.append(
            f"{replaced} files hold other pictures than when they were read last; the earlier pictures stay in the "
            "library: delete there what you do not want"
        )


def note_passed_over(passed: PassedOver, report: Report) -> None:
    """Write into a report what a walk did not take for pictures."""
    report.passed_over.update(passed.endings)
    if passed.folders:
        named = [str(path) for path in passed.folders]
        report.notes.append(
            f"{len(named)} links to folders were not followed: {some(named)}; sort those folders themselves"
        )


@dataclass(frozen=True, slots=True)
class _Task:
    found: Found | None
    done: Seen | Unreadable | None = None
    """Known already, or unreadable already: nothing is to be read."""


def _tasks(files: list[Found | Unreadable], manifest: Manifest, sources: dict[str, str]) -> Iterator[_Task]:
    there = [file for file in files if isinstance(file, Found)]
    known = dict(zip(there, manifest.known(there), strict=True))
    missing = manifest.missing([one.sha256 for one in known.values() if isinstance(one, Picture)], sources)
    for file in files:
        if isinstance(file, Unreadable):
            yield _Task(None, file)
        elif (was := known[file]) is None:
            yield _Task(file)
        elif isinstance(was, Unreadable):
            yield _Task(file, was)
        else:
            yield _Task(file) if was.sha256 in missing else _Task(file, Seen(was, ()))


class _Once:
    """Has each picture asked about once, however many files hold its bytes: what the manifest knows of them is not
    asked, and of two files that are read at a time the second waits for the first."""

    def __init__(self, manifest: Manifest, questions: Questions, sources: dict[str, str]) -> None:
        self.manifest, self.questions, self.sources = manifest, questions, sources
        self.knows_none = not manifest.counts()["pictures"]
        self.known: set[int] = set()
        """The first digits of the hashes that were recorded in this run: of an empty library, nothing else is known."""
        self.in_hand: dict[str, Future[Seen | Unreadable]] = {}
        """Hash -> what is being answered, until it is recorded."""
        self.lock = threading.Lock()

    def __call__(self, task: _Task) -> tuple[_Task, Seen | Unreadable]:
        if task.done is not None:
            return task, task.done
        assert task.found is not None
        path = task.found.path
        try:
            data = read_file(path)
        except OSError as error:
            return task, Unreadable(path, f"cannot be read: {error.strerror}")
        sha256 = hashlib.sha256(data).hexdigest()
        with self.lock:
            mine = sha256 not in self.in_hand
            answer = self.in_hand.setdefault(sha256, Future())
        if mine:
            try:
                answer.set_result(self._ask(path, data, sha256))
            except BaseException as error:
                answer.set_exception(error)
        seen = answer.result()
        if isinstance(seen, Unreadable):
            self.in_hand.pop(sha256, None)  # only pictures are recorded by their hash
            return task, Unreadable(path, seen.reason)
        return task, seen if mine else replace(seen, picture=seen.picture._replace(path=str(path)))

    def _ask(self, path: Path, data: bytes, sha256: str) -> Seen | Unreadable:
        is_new = self.knows_none and int(sha256[:16], 16) not in self.known
        known = None if is_new else self.manifest.known_bytes(sha256, self.sources)
        if known is None:
            return self.questions.answer(path, data, None, sha256)
        picture, missing = known
        return self.questions.answer(path, data, missing, sha256) if missing else Seen(picture, ())

    def recorded(self, hashes: Iterable[str]) -> None:
        """Forget what the manifest knows now."""
        with self.lock:
            for sha256 in hashes:
                self.known.add(int(sha256[:16], 16))
                self.in_hand.pop(sha256, None)


def prepare(questions: Questions, track: Track[Any]) -> None:
    """Convert what is to be run and was not yet, once on a machine."""
    for network in track(questions.unprepared(), "converting sorters, once on this machine", None):
        network.compiled()


def in_groups(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """The items, so many at a time."""
    source = iter(items)
    while group := list(islice(source, size)):
        yield group


def _by_weight(results: Iterable[tuple[_Task, Seen | Unreadable]]) -> Iterator[list[tuple[_Task, Seen | Unreadable]]]:
    """Groups to be written down together: of a size that depends on what there was to read."""
    group: list[tuple[_Task, Seen | Unreadable]] = []
    held = read = 0
    for task, seen in results:
        group.append((task, seen))
        read += task.done is None
        held += len(seen.data or b"") if isinstance(seen, Seen) else 0
        if read >= WRITE_EVERY or len(group) >= MOST_KNOWN or held >= MOST_HELD:
            yield group
            group, held, read = [], 0, 0
    if group:
        yield group
