"""How often what was asked for is seen: counts, shares and their intervals. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

Z = 1.959964
"""The normal distribution has 95 % within so many standard deviations."""


@dataclass(frozen=True, slots=True)
class Share:
    """How many of how many; the number of right ones may be a mean."""

    right: float
    of: float

    @property
    def value(self) -> float:
        """0..1; 0 of none."""
        return self.right / self.of if self.of else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """95 % (Wilson 1927, "Probable inference, the law of succession, and statistical inference"); all, of none."""
        if not self.of:
            return 0.0, 1.0
        squared, share = Z * Z, self.value
        middle = (share + squared / (2 * self.of)) / (1 + squared / self.of)
        half = Z / (1 + squared / self.of) * math.sqrt(share * (1 - share) / self.of + squared / (4 * self.of**2))
        return max(0.0, middle - half), min(1.0, middle + half)


class Apart(NamedTuple):
    """By how much one share is above another one of other pictures, -1..1, and the 95 % interval of that."""

    value: float
    low: float
    high: float


def apart(one: Share, other: Share) -> Apart:
    """`one` less `other` (Newcombe 1998, "Interval estimation for the difference between independent proportions",
    method 10)."""
    value, (low, high), (least, most) = one.value - other.value, one.interval, other.interval
    down, up = math.hypot(one.value - low, most - other.value), math.hypot(high - one.value, other.value - least)
    return Apart(value, max(-1.0, value - down), min(1.0, value + up))


@dataclass(frozen=True, slots=True)
class AxisScore:
    """One axis: what was asked for against what was seen."""

    confusion: Counter[tuple[str, str]]
    """(asked, seen) -> pictures."""
    sure: int
    """Of those, pictures on which the sorter was as sure as the scheme demands."""
    several: int = 0
    """Pictures that are not judged, since their prompts name several classes."""

    @property
    def share(self) -> Share:
        """The adherence."""
        return Share(sum(n for (asked, seen), n in self.confusion.items() if asked == seen), self.confusion.total())

    @property
    def asked(self) -> list[str]:
        """The classes that were asked for."""
        return list(dict.fromkeys(asked for asked, _ in self.confusion))

    def of_class(self, name: str) -> Share:
        """The adherence of the pictures that ask for a class."""
        return Share(self.confusion[name, name], sum(n for (asked, _), n in self.confusion.items() if asked == name))


def together(pictures: Iterable[Mapping[str, bool]]) -> Share:
    """Of pictures, axis -> whether it is right: those with all right."""
    all_right = [all(axes.values()) for axes in pictures]
    return Share(sum(all_right), len(all_right))


def mean(shares: Sequence[Share]) -> Share:
    """The mean over axes, and how many pictures it is as good as: the harmonic mean of their numbers.

    As if all axes went together in each picture: independent ones would give a narrower interval, never a wider one.
    """
    judged = [share for share in shares if share.of]
    if not judged:
        return Share(0, 0)
    pictures = len(judged) / sum(1 / share.of for share in judged)
    return Share(pictures * sum(share.value for share in judged) / len(judged), pictures)
