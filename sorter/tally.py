"""What became of bulk work, counted; and how its progress is shown. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from sorter.records import Unreadable

T = TypeVar("T")
Track = Callable[[Iterable[T], str, int | None], Iterable[T]]
"""Wraps an iterable to show progress: (items, what is done, how many or None)."""


def silent(items: Iterable[T], what: str, total: int | None) -> Iterable[T]:
    """The Track that shows nothing."""
    return items


@dataclass(frozen=True, slots=True)
class Corrections:
    """What a person did to the library since the last run."""

    moved: int = 0
    """Pictures that lie in another class folder now."""
    captions: int = 0
    """Captions that a person has written."""
    removed: int = 0
    """Pictures that a person has deleted; they stay away."""
    held: frozenset[str] = frozenset()
    """File stems to leave as they are: pictures that were edited, or moved to where the scheme has no folder."""
    edited: int = 0
    misplaced: tuple[str, ...] = ()
    """Files of ours that lie in a folder which is no class of the scheme."""


@dataclass
class Report:
    """What a run did. `counts` by outcome; `failures` each with its reason."""

    counts: Counter[str] = field(default_factory=Counter)
    unwanted: Counter[str] = field(default_factory=Counter)
    """Why pictures were left out, and how many."""
    folders: Counter[str] = field(default_factory=Counter)
    """Class folder -> pictures in it."""
    doubts: Counter[str] = field(default_factory=Counter)
    """Axis -> pictures whose class on it is in doubt."""
    failures: list[Unreadable] = field(default_factory=list)
    corrections: Corrections = field(default_factory=Corrections)
    run: int | None = None

    def reasons(self) -> Counter[str]:
        """The census: reason -> how often."""
        return Counter(failure.reason for failure in self.failures)
