"""What became of bulk work, counted; and how its progress is shown. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from sorter.library.corrections import Corrections
from sorter.records import Unreadable

T = TypeVar("T")
Track = Callable[[Iterable[T], str, int | None], Iterable[T]]
"""Wraps an iterable to show progress: (items, what is done, how many or None)."""


def silent(items: Iterable[T], what: str, total: int | None) -> Iterable[T]:
    """The Track that shows nothing."""
    return items


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
