"""Files -> the manifest: each read once, its questions asked, the answers recorded. Places nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, TypeVar

from sorter.classify.ask import Questions, Seen, in_step
from sorter.files import Found
from sorter.library.originals import places
from sorter.library.store.manifest import Manifest
from sorter.records import Label, Picture, Unreadable
from sorter.tally import Report, Track, silent

if TYPE_CHECKING:
    from sorter.classify.cluster.client import Cluster

T = TypeVar("T")

WRITE_EVERY = 128
"""Pictures that are read between two transactions of the manifest; the most that a crash makes to be read again."""
MOST_KNOWN = 1024
"""Files between two transactions, where most are known already."""
MOST_HELD = 32 << 20
"""Bytes of pictures between two transactions: they are kept until the pictures are placed."""


def take_in(
    files: Iterable[Found | Unreadable],
    manifest: Manifest,
    questions: Questions,
    report: Report,
    track: Track[Any] = silent,
) -> Iterator[dict[str, Seen]]:
    """Read the files that are new or changed, ask what is not answered yet, and record it.

    Yields the pictures that were read, some at a time and each once, by hash.
    A file that has not changed since it was last read costs one look into the manifest.
    """
    manifest.refuse_dataset()
    sources = questions.sources()
    if sources:
        _prepare(questions, track)
    tasks = chain.from_iterable(_tasks(some, manifest, sources) for some in _in_groups(files, WRITE_EVERY))
    results = in_step(lambda task: _read(task, questions), tasks, is_light=lambda task: task.done is not None)
    distinct: set[int] = set()
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
            manifest.add_all(new)
        if fresh:
            yield fresh


def ask_again(manifest: Manifest, questions: Questions, report: Report, track: Track[Any] = silent) -> None:
    """Ask the questions that known pictures have not been asked yet, as after a sorter was replaced."""
    waiting = manifest.unanswered(questions.sources())
    if not waiting:
        return
    _prepare(questions, track)

    def ask(item: tuple[str, list[str]]) -> tuple[str, Seen | Unreadable | None]:
        there = (path for path in places(manifest, item[0]) if path.exists())
        readings = (questions(path, item[1]) for path in there)
        right = (seen for seen in readings if isinstance(seen, Unreadable) or seen.picture.sha256 == item[0])
        return item[0], next(right, None)

    for batch in _in_groups(track(in_step(ask, waiting), "asking again", len(waiting)), WRITE_EVERY):
        with manifest.change():
            for sha256, seen in batch:
                if isinstance(seen, Seen):
                    manifest.add_labels(sha256, seen.labels)
                else:
                    report.counts["not asked, original gone"] += 1


def ask_cluster(
    cluster: Cluster, manifest: Manifest, questions: Questions, report: Report, track: Track[Any] = silent
) -> None:
    """The same as `ask_again` by other machines. A picture that they cannot read is a failure. Raises ClusterError."""
    waiting = manifest.unanswered(questions.sources())
    if not waiting:
        return
    _prepare(questions, track)
    tasks = [(sha256, axes, places(manifest, sha256)) for sha256, axes in waiting]

    def merged() -> Iterator[object]:
        for answers in cluster(tasks, questions):
            with manifest.change():
                for sha256, found in answers:
                    if isinstance(found, Unreadable):
                        report.failures.append(found)
                    else:
                        manifest.add_labels(sha256, found)
            yield from answers

    for _ in track(merged(), "asking the cluster", len(tasks)):
        pass


@dataclass(frozen=True, slots=True)
class _Task:
    found: Found | None
    done: Seen | Unreadable | None = None
    """Known already, or unreadable already: nothing is to be read."""
    axes: tuple[str, ...] = ()


def _tasks(files: list[Found | Unreadable], manifest: Manifest, sources: dict[str, str]) -> Iterator[_Task]:
    there = [file for file in files if isinstance(file, Found)]
    known = dict(zip(there, manifest.known(there), strict=True))
    missing = manifest.missing([one.sha256 for one in known.values() if isinstance(one, Picture)], sources)
    for file in files:
        if isinstance(file, Unreadable):
            yield _Task(None, file)
        elif (was := known[file]) is None:
            yield _Task(file, None, tuple(sources))
        elif isinstance(was, Unreadable):
            yield _Task(file, was)
        else:
            axes = missing.get(was.sha256)
            yield _Task(file, None, tuple(axes)) if axes else _Task(file, Seen(was, ()))


def _read(task: _Task, questions: Questions) -> tuple[_Task, Seen | Unreadable]:
    if task.done is not None:
        return task, task.done
    assert task.found is not None
    return task, questions(task.found.path, task.axes)


def _prepare(questions: Questions, track: Track[Any]) -> None:
    for one in track(questions.unprepared(), "converting sorters, once on this machine", None):
        one.compiled()


def _in_groups(items: Iterable[T], size: int) -> Iterator[list[T]]:
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
