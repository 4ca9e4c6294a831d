"""`sorter classify`: ask about known pictures what is not answered yet, here or on a cluster. Places nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from sorter.classify.ask import Questions, Seen
from sorter.commands.scan import WRITE_EVERY, in_groups, prepare
from sorter.library.originals import places
from sorter.library.store.manifest import Manifest
from sorter.records import Unreadable
from sorter.tally import Report, Track, silent
from sorter.threads import in_step

if TYPE_CHECKING:
    from sorter.classify.cluster.client import Cluster


def classify(manifest: Manifest, questions: Questions, report: Report, track: Track[Any] = silent) -> None:
    """Ask the questions that known pictures have not been asked yet, as after a sorter was replaced."""
    waiting = manifest.unanswered(questions.sources())
    if not waiting:
        return
    prepare(questions, track)

    def ask(item: tuple[str, list[str]]) -> tuple[str, Seen | Unreadable | None]:
        there = (path for path in places(manifest, item[0]) if path.exists())
        readings = (questions(path, item[1]) for path in there)
        right = (seen for seen in readings if isinstance(seen, Unreadable) or seen.picture.sha256 == item[0])
        return item[0], next(right, None)

    for batch in in_groups(track(in_step(ask, waiting), "asking again", len(waiting)), WRITE_EVERY):
        with manifest.change():
            for sha256, seen in batch:
                if isinstance(seen, Seen):
                    manifest.add_labels(sha256, seen.labels)
                else:
                    report.counts["not asked, original gone"] += 1


def classify_on_cluster(
    cluster: Cluster, manifest: Manifest, questions: Questions, report: Report, track: Track[Any] = silent
) -> None:
    """The same by other machines. A picture that they cannot read is a failure. Raises ClusterError."""
    waiting = manifest.unanswered(questions.sources())
    if not waiting:
        return
    prepare(questions, track)
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
