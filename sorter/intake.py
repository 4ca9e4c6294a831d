"""Files -> the manifest: each read once, its questions asked, the answers recorded. Places nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, TypeVar

from sorter.census import Report, Track, silent
from sorter.classify.predict import Questions, Seen, in_step
from sorter.classify.scan import Found
from sorter.library.keep import kept
from sorter.library.manifest import Manifest
from sorter.records import Unreadable

T = TypeVar("T")

WRITE_EVERY = 64
"""Pictures between two transactions of the manifest; the most that a crash makes to be read again."""


def take_in(
    files: Iterable[Found | Unreadable],
    manifest: Manifest,
    questions: Questions,
    report: Report,
    track: Track[Any] = silent,
) -> set[str]:
    """Read the files that are new or changed, ask what is not answered yet, and record it. The pictures, by hash.

    A file that has not changed since it was last read costs one look into the manifest.
    """
    manifest.refuse_dataset()
    sources = questions.sources()
    if sources:
        _prepare(questions, track)
    tasks = (_task(file, manifest, sources) for file in files)
    results = track(in_step(lambda task: _read(task, questions), tasks), "reading pictures", None)
    hashes: list[str] = []
    for batch in _in_groups(results, WRITE_EVERY):
        with manifest.change():
            for task, seen in batch:
                if isinstance(seen, Unreadable):
                    report.failures.append(seen)
                    if task.found and not seen.reason.startswith("cannot be read"):
                        manifest.add_unreadable(task.found, seen.reason)
                    continue
                if task.found and not task.done:
                    manifest.add(task.found, seen.picture, seen.labels)
                hashes.append(seen.picture.sha256)
    report.counts["files"] += len(hashes) + len(report.failures)
    report.counts["copies"] += len(hashes) - len(set(hashes))
    report.counts["unreadable"] = len(report.failures)
    return set(hashes)


def ask_again(manifest: Manifest, questions: Questions, report: Report, track: Track[Any] = silent) -> None:
    """Ask the questions that known pictures have not been asked yet, as after a sorter was replaced."""
    waiting = list(manifest.unanswered(questions.sources()))
    if not waiting:
        return
    _prepare(questions, track)

    def ask(item: tuple[str, list[str]]) -> tuple[str, Seen | Unreadable | None]:
        places = [*manifest.copies(item[0]), kept(manifest.root, item[0])]
        readings = (questions(path, item[1]) for path in places if path.exists())
        right = (seen for seen in readings if isinstance(seen, Unreadable) or seen.picture.sha256 == item[0])
        return item[0], next(right, None)

    for batch in _in_groups(track(in_step(ask, waiting), "asking again", len(waiting)), WRITE_EVERY):
        with manifest.change():
            for sha256, seen in batch:
                if isinstance(seen, Seen):
                    manifest.add_labels(sha256, seen.labels)
                else:
                    report.counts["not asked, original gone"] += 1


@dataclass(frozen=True, slots=True)
class _Task:
    found: Found | None
    done: Seen | Unreadable | None = None
    """Known already, or unreadable already: nothing is to be read."""
    axes: tuple[str, ...] = ()


def _task(file: Found | Unreadable, manifest: Manifest, sources: dict[str, str]) -> _Task:
    if isinstance(file, Unreadable):
        return _Task(None, file)
    known = manifest.known(file)
    if known is None:
        return _Task(file, None, tuple(sources))
    if isinstance(known, Unreadable):
        return _Task(file, known)
    axes = manifest.missing(known.sha256, sources)
    return _Task(file, None, tuple(axes)) if axes else _Task(file, Seen(known, ()))


def _read(task: _Task, questions: Questions) -> tuple[_Task, Seen | Unreadable]:
    if task.done is not None:
        return task, task.done
    assert task.found is not None
    return task, questions(task.found.path, task.axes)


def _prepare(questions: Questions, track: Track[Any]) -> None:
    for one in track(questions.unprepared(), "converting sorters, once on this machine", None):
        one.compiled()


def _in_groups(items: Iterable[T], size: int) -> Iterator[Iterator[T]]:
    source = iter(items)
    for first in source:
        yield chain([first], islice(source, size - 1))
