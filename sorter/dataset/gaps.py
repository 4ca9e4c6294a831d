"""Which combinations of classes have no pictures, or few, ordered by how surprising that is. Pure.

How many pictures a combination would have by chance follows from how many its parts have: of two classes, if axes were
independent, n(a) n(b) / N; of three, from their pairs, N n(ab) n(ac) n(bc) / (n(a) n(b) n(c)), by the superposition
approximation (Kirkwood 1935, "Statistical Mechanics of Fluid Mixtures"). A gap is the more surprising, the less likely
so few pictures are where that many are expected (the lower tail of a Poisson distribution): that back views are never
happy among thousands says more than that one rare class has never met another.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, product
from typing import NamedTuple

Class = tuple[str, str]
"""Axis and class."""
Kinds = Mapping[tuple[Class, ...], int]
"""All classes of a picture, one an axis -> how many pictures have just these."""

RARE = 5
"""What has pictures is told of if it has at most this part of what is expected."""
SURPRISE = -math.log(0.001)
"""And if so few were by chance less often than once in a thousand."""
LEAST_OF_THREE = 3.0
"""Pictures expected of three classes, below which it is no news that there are none (5 % of the time by chance)."""
MOST_OF_THREE = 50_000
"""Combinations of classes of three axes that are looked through; of more, only pairs are told of."""


class Gap(NamedTuple):
    """A combination with no pictures, or few."""

    classes: tuple[Class, ...]
    pictures: int
    expected: float
    """Pictures, by what its parts have."""

    @property
    def surprise(self) -> float:
        """-ln of the chance that there are so few."""
        return -log_of_at_most(self.pictures, self.expected)

    def sentence(self) -> str:
        """Such as: no pictures of pose back with expression happy; about 27 would be expected."""
        first, *others = (f"{axis} {name}" for axis, name in self.classes)
        count = f"only {self.pictures:,}" if self.pictures else "no"
        what = "picture" if self.pictures == 1 else "pictures"
        about = f"about {self.expected:,.0f}" if self.expected >= 1 else "less than one"
        return f"{count} {what} of {first} with {' and '.join(others)}; {about} would be expected"


def log_of_at_most(count: int, expected: float) -> float:
    """The natural logarithm of the chance of at most `count` under a Poisson distribution of this mean."""
    if expected <= 0:
        return 0.0
    logs = [number * math.log(expected) - math.lgamma(number + 1) for number in range(count + 1)]
    most = max(logs)
    return min(0.0, most + math.log(sum(math.exp(one - most) for one in logs)) - expected)


def gaps(kinds: Kinds, classes: Mapping[str, Sequence[str]]) -> list[Gap]:
    """Every pair of classes of two axes without pictures, those with very few, and of three axes those without although
    each pair of them has some; the most surprising first.

    `classes`: axis to those of its classes that count here. A class without any pictures has no gaps: it is one.
    """
    threes = [
        axes for axes in combinations(classes, 3) if math.prod(len(classes[axis]) for axis in axes) <= MOST_OF_THREE
    ]
    of = _counts(kinds, [*combinations(classes, 1), *combinations(classes, 2), *threes])
    there = {axis: [(axis, name) for name in names if of[(axis, name),]] for axis, names in classes.items()}
    total = sum(kinds.values())
    found: list[Gap] = []
    for one, other in combinations(there.values(), 2):
        found += _pairs(of, total, [one, other])
    for axes in threes:
        found += _threes(of, total, [there[axis] for axis in axes])
    return sorted(found, key=lambda gap: (-gap.surprise, gap.classes))


def _counts(kinds: Kinds, axes: Sequence[tuple[str, ...]]) -> Counter[tuple[Class, ...]]:
    """Classes, one of each of some axes -> pictures of all of them."""
    found: Counter[tuple[Class, ...]] = Counter()
    for kind, count in kinds.items():
        by_axis = {one[0]: one for one in kind}
        for some in axes:
            if all(axis in by_axis for axis in some):
                found[tuple([by_axis[axis] for axis in some])] += count
    return found


def _pairs(of: Counter[tuple[Class, ...]], total: int, there: Sequence[Sequence[Class]]) -> Iterator[Gap]:
    for pair in product(*there):
        gap = Gap(pair, of[pair], of[pair[:1]] * of[pair[1:]] / total)
        if not gap.pictures or (gap.pictures * RARE <= gap.expected and gap.surprise >= SURPRISE):
            yield gap


def _threes(of: Counter[tuple[Class, ...]], total: int, there: Sequence[Sequence[Class]]) -> Iterator[Gap]:
    for three in product(*there):
        if of[three]:
            continue
        pairs = math.prod(of[pair] for pair in combinations(three, 2))
        expected = total * pairs / math.prod(of[one,] for one in three)
        if expected >= LEAST_OF_THREE:
            yield Gap(three, 0, expected)
