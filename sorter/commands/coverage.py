"""`sorter coverage`: how many pictures a trainer would get of each combination of classes, and which are missing."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from sorter.commands.captions import LONGEST_TAG, said_parts
from sorter.commands.chosen import chosen
from sorter.commands.job import Job
from sorter.commands.numbers import Numbers
from sorter.dataset.gaps import Gap, gaps
from sorter.dataset.repeats import repeats_of
from sorter.errors import LibraryError, OptionsError, nearest
from sorter.library.store.manifest import Manifest
from sorter.library.together import Counts
from sorter.records import Verdict
from sorter.tally import Report, Track, silent

Kind = tuple[tuple[str, str], ...]
"""The certain classes of a picture."""


@dataclass(eq=False)
class Coverage:
    """What an export would hold."""

    axes: tuple[str, ...]
    """Those that are looked at."""
    numbers: Numbers
    report: Report = field(default_factory=Report)
    """What is left out, and why."""
    together: Counts = field(default_factory=Counts)
    """Classes, and words that no class says: of captions, and of what askers answered."""
    examples: dict[Kind, Verdict] = field(default_factory=dict)
    """Certain classes -> a picture that has them: the first by its hash, which is by chance."""

    @cached_property
    def classes(self) -> dict[str, list[str]]:
        """Axis -> the classes that a library without gaps has pictures of."""
        return {axis: self.numbers.expected(axis) for axis in self.axes}

    @cached_property
    def silent(self) -> dict[str, list[str]]:
        """Axis -> those of its classes that add no words to captions, so that nobody can ask for them."""
        axes = self.numbers.job.scheme.axes
        return {axis: [name for name in names if not axes[axis].tag(name)] for axis, names in self.classes.items()}

    @cached_property
    def absent(self) -> dict[str, list[str]]:
        """Axis -> its classes of which there are no pictures at all."""
        return {
            axis: [name for name, count in self.numbers.classes(axis).items() if not count and name in self._said[axis]]
            for axis in self.axes
        }

    @cached_property
    def gaps(self) -> list[Gap]:
        """Combinations that are missing or rare, the most surprising first; none of classes that say nothing."""
        return gaps(self.numbers.kinds, self._said)

    @cached_property
    def pairs(self) -> list[tuple[str, str]]:
        """The pairs of axes that tell pictures apart, those with the most surprising gap first; of each, first the axis
        with more classes."""
        order = {pair: number for number, pair in enumerate(self._axes_of_gaps())}
        pairs = [pair for pair in self.numbers.pairs() if {*pair} <= {*self.axes}]
        pairs.sort(key=lambda pair: order.get(frozenset(pair), len(order)))
        return [(one, two) if len(self.classes[one]) >= len(self.classes[two]) else (two, one) for one, two in pairs]

    @property
    def filled(self) -> tuple[int, int]:
        """How many combinations of all axes have pictures, and of how many."""
        told = {axis: names for axis, names in self._said.items() if names}
        pictures = (dict(kind) for kind in self.numbers.kinds)
        there = {
            tuple([classes[axis] for axis in told])
            for classes in pictures
            if all(classes.get(axis) in names for axis, names in told.items())
        }
        return len(there), math.prod(map(len, told.values()))

    def largest(self, axis: str, most: int) -> list[str]:
        """The classes of an axis in their order; of too many, those with the most pictures."""
        counts, names = self.numbers.classes(axis), self.classes[axis]
        kept = {*sorted(names, key=lambda name: -counts[name])[:most]}
        return [name for name in names if name in kept]

    def repeats(self, axis: str) -> dict[str, int]:
        """Class -> repeats, as `export --balance` would write them."""
        return repeats_of({name: count for name, count in self.numbers.classes(axis).items() if count})

    @cached_property
    def _said(self) -> dict[str, list[str]]:
        return {axis: [one for one in names if one not in self.silent[axis]] for axis, names in self.classes.items()}

    def _axes_of_gaps(self) -> dict[frozenset[str], None]:
        return dict.fromkeys(frozenset(axis for axis, _ in gap.classes) for gap in self.gaps if len(gap.classes) == 2)


def coverage(
    manifest: Manifest, job: Job, axes: Sequence[str] | None = None, doubtful: bool = False, track: Track[Any] = silent
) -> Coverage:
    """What an export of a library would hold. `manifest`: of a dry run. `axes`: those to look at; without it, all.

    Raises OptionsError where one of the axes is none, LibraryError where there is no picture to export.
    """
    for axis in axes or ():
        if axis not in job.scheme.axes:
            raise OptionsError(f'--axes: "{axis}" is not an axis{nearest(axis, job.scheme.axes)}')
    found = Coverage(tuple(dict.fromkeys(axes or job.scheme.axes)), Numbers(job))
    kinds: Counter[tuple[Kind, tuple[str, ...]]] = Counter()
    pictures = chosen(manifest, job, doubtful, found.report, "coverage")
    for one in track(pictures, "counting", manifest.counts()["pictures"]):
        kind = found.numbers.add(one.verdict)
        found.examples.setdefault(kind, one.verdict)
        kinds[kind, _words(one.verdict, job)] += 1
    if not found.numbers.pictures:
        raise LibraryError(f"{manifest.root}: holds no picture to export; sort some first, or add --doubtful")
    for (kind, words), count in kinds.items():
        found.together.add({axis: name for axis, name in kind if axis in found.axes}, words, count)
    return found


def _words(verdict: Verdict, job: Job) -> tuple[str, ...]:
    """What is said of a picture beside its classes: words of its caption, and what askers found, with their names."""
    captions = job.layout.captioner
    if verdict.caption is None and captions.by_classes and not verdict.answers:
        return ()
    parts = said_parts(captions, verdict)[0]
    words = [part for part in parts if len(part) <= LONGEST_TAG and not captions.tags.is_of_classes(part)]
    for name in job.scheme.ask:
        if isinstance(tags := verdict.answer(name), list) and all(isinstance(tag, str) for tag in tags):
            words += [f"{tag} ({name})" for tag in tags if tag not in parts and not captions.tags.is_of_classes(tag)]
    return tuple(dict.fromkeys(words))
