"""What is found about a dataset: what a trainer makes of each picture, and what is not as it should be. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import NamedTuple

from sorter.buckets import Fit
from sorter.dataset.doctor import kinds
from sorter.dataset.doctor.kinds import Kind


class Example(NamedTuple):
    """What a trainer makes of a picture."""

    path: str
    caption: str
    fit: Fit
    repeats: int


class Finding(NamedTuple):
    """Something that is not as it should be."""

    kind: Kind
    path: str
    """Of the file; of what is no file, its name."""
    detail: str = ""


@dataclass
class Diagnosis:
    """All that is found."""

    examples: list[Example] = field(default_factory=list)
    held_out: list[Example] = field(default_factory=list)
    """Those for validation, which are not trained on."""
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, kind: Kind, path: str, detail: str = "") -> None:
        """One more finding."""
        self.findings.append(Finding(kind, path, detail))

    @property
    def fails(self) -> bool:
        """Whether the trainer stops, or leaves something out."""
        return any(one.kind.weight in (kinds.STOPS, kinds.DROPS) for one in self.findings)

    def by_kind(self) -> dict[Kind, list[Finding]]:
        """The findings of each kind, the worst kinds first, and of equal ones the most."""
        found: dict[Kind, list[Finding]] = defaultdict(list)
        for one in self.findings:
            found[one.kind].append(one)
        return dict(sorted(found.items(), key=lambda pair: (kinds.ORDER.index(pair[0].weight), -len(pair[1]))))

    def buckets(self) -> Counter[tuple[int, int]]:
        """Size -> pictures in it, repeats included."""
        counts: Counter[tuple[int, int]] = Counter()
        for one in self.examples:
            counts[one.fit.bucket] += one.repeats
        return counts
