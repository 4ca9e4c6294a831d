"""How often the pictures of a class are seen in an epoch, so that each class is seen about as often. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

MOST = 50
"""A class that would need more has too few pictures: the model would learn them by heart."""


def repeats(classes: Iterable[str]) -> dict[str, int]:
    """Class -> whole repeats, 1 to MOST; `classes` names the class of each picture.

    The pictures of the largest class over those of this one, rounded: below MOST, each class is then seen between two
    thirds and four thirds as often as the largest.
    """
    return repeats_of(Counter(classes))


def repeats_of(counts: Mapping[str, int]) -> dict[str, int]:
    """The same by how many pictures each class has, which is at least one."""
    largest = max(counts.values(), default=0)
    return {name: min(MOST, max(1, round(largest / count))) for name, count in counts.items()}
