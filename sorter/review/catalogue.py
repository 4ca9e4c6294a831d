"""A library as the page shows it: the verdict on every picture in memory, and lists of those that are asked for.

Rows say what a person sees: classes of the picture as it was found, which is how the page shows it.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sorter.classify.source import References
from sorter.commands.job import Job
from sorter.commands.numbers import Numbers, margin
from sorter.commands.plan import references, verdicts
from sorter.library.plan import nothing_collected
from sorter.library.store.manifest import Manifest
from sorter.records import HUMAN, Verdict
from sorter.text import folded

LOOKS = 20


@dataclass(frozen=True, slots=True)
class Query:
    """Which pictures a list shows."""

    view: str
    """One of VIEWS; "captions" are a person's own."""
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
    among: References | None = None
    """What measures are compared with."""
    _counts: dict[str, Any] = field(default_factory=dict)
    _stale: bool = True
    _due: float = 0.0

    @classmethod
    def read(cls, manifest: Manifest, job: Job) -> Catalogue:
        """Everything that is known now. 100,000 pictures take about a second."""
        found = cls(job, among=references(manifest, job))
        with nothing_collected():
            found._read(manifest, None)
            gc.freeze()  # nor look through them later, at each of a window's many small values
        return found

    def refresh(self, manifest: Manifest, hashes: Iterable[str]) -> None:
        """Read some pictures again, after they were answered about."""
        self._stale = True
        self._read(manifest, set(hashes))

    def _read(self, manifest: Manifest, only: set[str] | None) -> None:
        for verdict in verdicts(manifest, self.job, only, self.among, runners_up=True):
            self.verdicts[verdict.picture.sha256] = verdict

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
        doubted = (label for label in verdict.labels if label.axis in verdict.unsure and axis in ("", label.axis))
        return min(map(margin, doubted), default=2.0)

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
            name, second = label.name, label.runner_up
            answers[label.axis] = {
                "name": axis.mirrored(name) if back else name,
                "score": round(label.score, 4),
                "person": label.source == HUMAN,
                "sure": label.axis not in verdict.unsure,
                "second": axis.mirrored(second) if back else second,
                "second_score": round(label.runner_up_score, 4),
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
    "wanted": (lambda _, verdict, query: not verdict.unwanted, _by_path),
    "doubts": (_in_doubt, _by_margin),
    "class": (_of_class, _by_path),
    "left out": (lambda _, one, query: bool(one.unwanted) and query.name in ("", one.unwanted), _by_path),
    "turned": (lambda _, verdict, query: verdict.mirror and not verdict.unwanted, _by_path),
    "answered": (_answered, _by_path),
    "captions": (lambda _, verdict, query: verdict.caption is not None, _by_path),
}
