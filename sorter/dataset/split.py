"""Which pictures are held out for validation: whole groups, each class on both sides, always the same. Pure.

Groups are gone through in an order that is drawn by the hashes of their pictures, and held out where that brings the
held-out part of each class, and of each combination that has enough pictures, closer to its share: the sum over these
of (held out - wanted)^2 / wanted goes down. This is iterative stratification (Sechidis et al. 2011, "On the
Stratification of Multi-Label Data"), one group at a time and with groups kept whole.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

Class = tuple[str, str]
"""Axis and class."""
Kind = tuple[Class, ...]
"""Pictures with all of these: none for all pictures, one class, or the combination of a picture's."""


class Member(NamedTuple):
    """A picture that stands on one of two sides."""

    sha256: str
    classes: tuple[Class, ...]
    """Its certain classes."""
    group: int
    """Pictures of one number stay together."""
    held_out: bool | None = None
    """Its side so far; None of a picture that is new."""


@dataclass(frozen=True)
class Sides:
    """Who is held out."""

    held_out: frozenset[str]
    """The hashes of the pictures."""
    groups: tuple[int, int]
    """How many groups are held out, and how many there are."""
    one_sided: tuple[Class, ...]
    """Classes of which none is held out: their pictures are of one group, or of groups that other classes need."""
    moved: int
    """Pictures that were held out before and are trained on now, as they belong to a group that was trained on."""


def divide(members: Sequence[Member], share: float, seed: int = 0) -> Sides:
    """Hold out about `share`, between 0 and 1, of the pictures. At least two groups are needed for any to be held out.

    A class of two groups or more has pictures on both sides, if its groups allow; a class of one group is trained on.
    Pictures that have a side keep it; a group that has been on both is trained on.
    """
    groups: dict[int, list[Member]] = defaultdict(list)
    for member in members:
        groups[member.group].append(member)
    order = sorted(groups, key=lambda group: min(_drawn(seed, member.sha256) for member in groups[group]))
    draft = _Draft(groups, share)
    fresh = []
    for group in order:
        sides = {member.held_out for member in groups[group]} - {None}
        if not sides:
            fresh.append(group)
        elif sides == {True}:
            draft.take(group)
    for group in fresh:
        if draft.gain(group) < 0 and draft.leaves_some(group):
            draft.take(group)
    draft.fill(fresh)
    held_out = {member.sha256 for group in draft.taken for member in groups[group]}
    moved = sum(bool(member.held_out) and member.sha256 not in held_out for member in members)
    return Sides(frozenset(held_out), (len(draft.taken), len(groups)), draft.one_sided(), moved)


def _drawn(seed: int, sha256: str) -> str:
    return hashlib.blake2b(f"{seed} {sha256}".encode(), digest_size=8).hexdigest()


@dataclass
class _Draft:
    """Which groups are held out so far."""

    groups: dict[int, list[Member]]
    share: float
    taken: dict[int, None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.counts = {group: Counter(_kinds(members)) for group, members in self.groups.items()}
        self.of: Counter[Kind] = Counter()
        """Groups that have some of a kind."""
        pictures: Counter[Kind] = Counter()
        for counts in self.counts.values():
            self.of.update(counts.keys())
            pictures.update(counts)
        self.left = Counter(self.of)
        """The same of those that are trained on."""
        self.held: Counter[Kind] = Counter()
        """Pictures that are held out."""
        wanted = {kind: self.share * count for kind, count in pictures.items() if self.of[kind] > 1}
        self.wanted = {kind: max(1.0, count) for kind, count in wanted.items() if len(kind) < 2 or count >= 1}

    def gain(self, group: int) -> float:
        """What it costs to hold a group out; below 0 where it is better than not to."""
        return sum(
            count * (2 * (self.held[kind] - wanted) + count) / wanted
            for kind, count in self.counts[group].items()
            if (wanted := self.wanted.get(kind))
        )

    def leaves_some(self, group: int) -> bool:
        """Whether each of its classes has another group that is trained on."""
        return all(self.left[kind] > 1 for kind in self.counts[group] if len(kind) < 2)

    def take(self, group: int) -> None:
        """Hold it out."""
        self.taken[group] = None
        self.held.update(self.counts[group])
        self.left.subtract(self.counts[group].keys())

    def fill(self, fresh: Sequence[int]) -> None:
        """Hold out a group, the one that costs least, for each class of several groups that has none, if one can be."""
        for kind in sorted((kind for kind in self.of if len(kind) < 2), key=lambda kind: (self.of[kind], kind)):
            if self.of[kind] > 1 and not self.held[kind]:
                able = [one for one in fresh if kind in self.counts[one] and self.leaves_some(one)]
                if able:
                    self.take(min(able, key=self.gain))

    def one_sided(self) -> tuple[Class, ...]:
        """Classes of which no picture is held out."""
        return tuple(sorted(kind[0] for kind in self.of if len(kind) == 1 and not self.held[kind]))


def _kinds(members: Iterable[Member]) -> Iterator[Kind]:
    """What a picture is one of: all, each of its classes, and the combination of them."""
    for member in members:
        yield ()
        yield from ((one,) for one in member.classes)
        if len(member.classes) > 1:
            yield member.classes
