"""How often pictures are seen in an epoch: each class about as often, and good pictures more often. Pure."""

from __future__ import annotations

import math
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


def quality_repeats(detail: float, wanted: float, most: int) -> int:
    """How often a picture is seen, 1 to `most`: `most` times if it has all the detail that is trained on, half as often
    if it has half of it along each side, and so on, rounded.

    `detail`, `wanted`: pixels, of the picture if its edges were as sharp as can be, and of what is trained on.
    """
    return max(1, round(most * min(1.0, math.sqrt(detail / wanted))))


def repeats_of(counts: Mapping[str, int]) -> dict[str, int]:
    """The same by how many pictures each class has, which is at least one."""
    largest = max(counts.values(), default=0)
    return {name: min(MOST, max(1, round(largest / count))) for name, count in counts.items()}
