"""A library in numbers: classes and doubts counted, gaps between axes, people against sorters. Touches no picture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import combinations, product
from typing import NamedTuple

from sorter.commands.job import Job
from sorter.library.store.manifest import Manifest
from sorter.records import HUMAN, Label, Verdict

DISAGREES = -1.0
"""The margin of an answer that the mirror image contradicts: the most telling doubt of all."""


@dataclass(eq=False)
class Numbers:
    """What verdicts come to. Classes are those of the pictures as they stand, turned or not."""

    job: Job
    kinds: Counter[tuple[tuple[str, str], ...]] = field(default_factory=Counter)
    """(axis, class) of all axes that are beyond doubt -> wanted pictures of which just this is so."""
    doubts: Counter[str] = field(default_factory=Counter)
    """Axis -> wanted pictures whose class on it is in doubt."""
    people: Counter[str] = field(default_factory=Counter)
    """Axis -> answers that a person gave, about any picture."""
    left_out: Counter[str] = field(default_factory=Counter)
    """Why pictures are left out, and how many."""
    turned: int = 0
    captions: int = 0
    """Pictures whose caption is a person's own."""
    in_doubt: int = 0

    @classmethod
    def of(cls, job: Job, verdicts: Iterable[Verdict]) -> Numbers:
        """All of these, counted."""
        made = cls(job)
        for verdict in verdicts:
            made.add(verdict)
        return made

    def add(self, verdict: Verdict) -> tuple[tuple[str, str], ...]:
        """Count a picture; its certain classes, none of one that is left out."""
        self.captions += verdict.caption is not None
        for label in verdict.labels:
            if label.source == HUMAN:
                self.people[label.axis] += 1
        if verdict.unwanted:
            self.left_out[verdict.unwanted] += 1
            return ()
        self.turned += verdict.mirror
        unsure = verdict.unsure
        if unsure:
            self.in_doubt += 1
            self.doubts.update(unsure)
        kind = tuple([(label.axis, label.name) for label in verdict.labels if label.axis not in unsure])
        self.kinds[kind] += 1
        return kind

    @property
    def wanted(self) -> int:
        """How many pictures are."""
        return self.kinds.total()

    @property
    def pictures(self) -> int:
        """How many there are in all."""
        return self.wanted + self.left_out.total()

    def classes(self, axis: str) -> dict[str, int]:
        """Each class of an axis -> wanted pictures that are certainly of it, which may be none."""
        found: Counter[str] = Counter()
        for kind, count in self.kinds.items():
            if name := dict(kind).get(axis):
                found[name] += count
        return {name: found[name] for name in dict.fromkeys((*self.job.classes.get(axis, ()), *found))}

    def expected(self, axis: str) -> list[str]:
        """The classes of an axis that a library has pictures of if it has no gap: not those that are left out, nor
        those from which every picture is turned."""
        scheme = self.job.scheme
        none = scheme.dropped.get(axis, frozenset()) | scheme.turned.get(axis, frozenset())
        return [name for name, count in self.classes(axis).items() if count or name not in none]

    def combinations(self, first: str, second: str) -> dict[tuple[str, str], int]:
        """How many wanted, certain pictures each pair of classes of two axes has, none included: the gaps show."""
        found: Counter[tuple[str | None, str | None]] = Counter()
        for kind, count in self.kinds.items():
            sure = dict(kind)
            found[sure.get(first), sure.get(second)] += count
        return {pair: found[pair] for pair in product(self.expected(first), self.expected(second))}

    def pairs(self) -> Iterator[tuple[str, str]]:
        """The pairs of axes that tell pictures apart."""
        return combinations([axis for axis in self.job.scheme.axes if len(self.expected(axis)) > 1], 2)


def margin(label: Label) -> float:
    """By how much the likeliest class is likelier than the second, 0..1; DISAGREES where the mirror image contradicts
    it. Where the second was not kept, it is thought to have all the rest."""
    if label.taken_for:
        return DISAGREES
    return label.score - (label.runner_up_score if label.runner_up else 1 - label.score)


class Both(NamedTuple):
    """What a person and a sorter said of a picture as it was found."""

    sha256: str
    person: str
    sorter: str
    score: float


def confusion(manifest: Manifest, job: Job, axis: str) -> list[Both]:
    """Each picture that a person and the present sorter answered on an axis, those first of which that is surest."""
    source = job.questions.sources().get(axis)
    return [Both(*row) for row in manifest.at_odds(axis, source)] if source else []


def mistakes(found: Iterable[Both]) -> list[tuple[str, str, int]]:
    """Person's class, sorter's class, and how often, the most frequent first."""
    counted = Counter((one.person, one.sorter) for one in found if one.person != one.sorter)
    return [(*pair, count) for pair, count in counted.most_common()]
