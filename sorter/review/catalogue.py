"""A library as the page shows it: the verdict on every picture in memory, and lists of those that are asked for.

Rows say what a person sees: classes of the picture as it was found, which is how the page shows it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sorter.classify.source import References
from sorter.commands.job import Job
from sorter.commands.numbers import Numbers, margin
from sorter.commands.plan import references, verdicts
from sorter.library.store.manifest import Manifest
from sorter.records import HUMAN, Label, Verdict
from sorter.text import folded

LOOKS = 20


class Runner(NamedTuple):
    """The second likeliest class on an axis."""

    name: str
    score: float


@dataclass(frozen=True, slots=True)
class Query:
    """Which pictures a list shows."""

    view: str
    """"all", "doubts", "class", "left out", "turned", "answered", "at odds", or "captions" (a person's own)."""
    axis: str = ""
    name: str = ""
    """A class, or a reason for being left out."""
    words: str = ""
    """That the name, the caption or a class must hold."""


@dataclass(eq=False)
class Catalogue:
    """The verdicts on a library's pictures, by hash, and what they are counted by."""

    job: Job
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    runners: dict[tuple[str, str], Runner] = field(default_factory=dict)
    """(hash, axis) -> the second likeliest class."""
    among: References | None = None
    """What measures are compared with."""
    _counts: dict[str, Any] = field(default_factory=dict)
    _stale: bool = True
    _due: float = 0.0

    @classmethod
    def read(cls, manifest: Manifest, job: Job) -> Catalogue:
        """Everything that is known now. 100,000 pictures take about a second."""
        found = cls(job, among=references(manifest, job))
        for verdict in verdicts(manifest, job, None, found.among):
            found.verdicts[verdict.picture.sha256] = _light(verdict)
        found._read_runners(manifest, None)
        return found

    def refresh(self, manifest: Manifest, hashes: Iterable[str]) -> None:
        """Read some pictures again, after they were answered about."""
        self._stale = True
        for verdict in verdicts(manifest, self.job, set(hashes), self.among):
            self.verdicts[verdict.picture.sha256] = _light(verdict)

    def _read_runners(self, manifest: Manifest, only: Iterable[str] | None) -> None:
        for sha256, axis, name, score in manifest.runners_up(self.job.questions.sources(), only):
            self.runners[sha256, axis] = Runner(sys.intern(name), score)

    # --- lists

    def find(self, query: Query) -> list[str]:
        """The hashes of the pictures of a list, in its order. Raises KeyError where there is no such view."""
        chosen, order = VIEWS[query.view]
        words = folded(query.words).split()
        found = [
            verdict
            for verdict in self.verdicts.values()
            if chosen(self, verdict, query) and all(word in self._text(verdict) for word in words)
        ]
        found.sort(key=lambda verdict: order(self, verdict, query))
        return [verdict.picture.sha256 for verdict in found]

    def margin(self, verdict: Verdict, axis: str = "") -> float:
        """By how much the likeliest class is likelier than the second, 0..1, on the axis in doubt where that is least;
        DISAGREES where the mirror image contradicts it."""
        least = 2.0
        for label in verdict.labels:
            if label.axis not in verdict.unsure or (axis and label.axis != axis):
                continue
            runner = self.runners.get((verdict.picture.sha256, label.axis))
            least = min(least, margin(label, runner and runner.score))
        return least

    def _text(self, verdict: Verdict) -> str:
        classes = " ".join(label.name for label in verdict.labels)
        name = verdict.picture.path.replace("\\", "/").rpartition("/")[2]
        return folded(f"{name} {classes} {self.job.layout.caption(verdict)}")

    # --- rows

    def row(self, sha256: str, standing: bool = False) -> dict[str, Any]:
        """What the page is told of a picture: nothing of where it lies on this machine but the file's name.

        `standing`: as it stands in the library, turned or not, rather than as it was found.
        """
        verdict = self.verdicts[sha256]
        back = verdict.mirror and not standing
        answers = {}
        for label in verdict.labels:
            axis = self.job.scheme.axes[label.axis]
            runner = self.runners.get((sha256, label.axis))
            second = runner and (axis.mirrored(runner.name) if verdict.mirror and standing else runner.name)
            answers[label.axis] = {
                "name": axis.mirrored(label.name) if back else label.name,
                "score": round(label.score, 4),
                "person": label.source == HUMAN,
                "sure": label.axis not in verdict.unsure,
                "second": second or "",
                "second_score": round(runner.score, 4) if runner else 0,
            }
        return {
            "sha256": sha256,
            "name": verdict.picture.path.replace("\\", "/").rpartition("/")[2],
            "width": verdict.picture.width,
            "height": verdict.picture.height,
            "answers": answers,
            "doubts": list(verdict.doubts),
            "left_out": verdict.unwanted,
            "turned": verdict.mirror,
            "caption": self.job.layout.caption(verdict),
            "own_caption": verdict.caption is not None,
            "folder": "" if verdict.unwanted else self.job.layout.folder(verdict),
        }

    # --- counts

    def counts(self) -> dict[str, Any]:
        """How many pictures there are of each kind, for what stands beside the lists.

        Counted again after a change, but for at most one part in LOOKS of the time.
        """
        began = time.monotonic()
        if self._stale and began >= self._due:
            self._counts = self._counted()
            self._stale, self._due = False, began + LOOKS * (time.monotonic() - began)
        return self._counts

    def counts_are_due(self) -> bool:
        """Whether `counts` would say something else now."""
        return self._stale and time.monotonic() >= self._due

    def _counted(self) -> dict[str, Any]:
        found = Numbers.of(self.job, self.verdicts.values())
        return {
            "pictures": found.pictures, "wanted": found.wanted, "turned": found.turned, "captions": found.captions,
            "in_doubt": found.in_doubt,
            "classes": {axis: found.classes(axis) for axis in self.job.scheme.axes},
            "doubts": dict(found.doubts), "people": dict(found.people),
            "left_out": dict(found.left_out.most_common()),
        }  # fmt: skip

    def combinations(self, first: str, second: str) -> dict[tuple[str, str], int]:
        """How many wanted, certain pictures each pair of classes of two axes has, none included: the gaps show."""
        return Numbers.of(self.job, self.verdicts.values()).combinations(first, second)


def _light(verdict: Verdict) -> Verdict:
    """The same with texts shared that millions of labels have in common."""
    labels = tuple([
        Label(sys.intern(one.axis), sys.intern(one.name), one.score, sys.intern(one.source), *one[4:6])
        for one in verdict.labels
    ])  # fmt: skip
    return verdict._replace(labels=labels)


def _in_doubt(catalogue: Catalogue, verdict: Verdict, query: Query) -> bool:
    return not verdict.unwanted and (query.axis in verdict.unsure if query.axis else bool(verdict.unsure))


def _of_class(catalogue: Catalogue, verdict: Verdict, query: Query) -> bool:
    return not verdict.unwanted and verdict.sure().get(query.axis) == query.name


def _answered(catalogue: Catalogue, verdict: Verdict, query: Query) -> bool:
    return any(one.source == HUMAN and query.axis in ("", one.axis) for one in verdict.labels)


def _by_margin(catalogue: Catalogue, verdict: Verdict, query: Query) -> tuple[float, str]:
    return catalogue.margin(verdict, query.axis), verdict.picture.path


def _by_path(catalogue: Catalogue, verdict: Verdict, query: Query) -> str:
    return verdict.picture.path


Chosen = Callable[[Catalogue, Verdict, Query], bool]
Order = Callable[[Catalogue, Verdict, Query], Any]
VIEWS: Mapping[str, tuple[Chosen, Order]] = {
    "all": (lambda _, verdict, query: True, _by_path),
    "doubts": (_in_doubt, _by_margin),
    "class": (_of_class, _by_path),
    "left out": (lambda _, one, query: bool(one.unwanted) and query.name in ("", one.unwanted), _by_path),
    "turned": (lambda _, verdict, query: verdict.mirror and not verdict.unwanted, _by_path),
    "answered": (_answered, _by_path),
    "captions": (lambda _, verdict, query: verdict.caption is not None, _by_path),
}
