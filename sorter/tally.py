"""What became of bulk work, counted; and how its progress is shown. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from sorter.records import Unreadable

T = TypeVar("T")
Track = Callable[[Iterable[T], str, int | None], Iterable[T]]
"""Wraps an iterable to show progress: (items, what is done, how many or None)."""


def silent(items: Iterable[T], what: str, total: int | None) -> Iterable[T]:
    """The Track that shows nothing."""
    return items


def some(names: Sequence[str], most: int = 5) -> str:
    """The first of many names, and how many there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


@dataclass(frozen=True, slots=True)
class Corrections:
    """What a person did to the library since the last run."""

    moved: int = 0
    """Pictures that lie in another class folder now."""
    captions: int = 0
    """Captions that a person has written, or rewritten."""
    removed: int = 0
    """Pictures that a person has deleted; they stay away."""
    held: frozenset[str] = frozenset()
    """Pictures to leave as they are, by the first digits of their hashes: those that were edited, that stand in several
    places, or that were moved to where the scheme has no folder."""
    surplus: frozenset[str] = frozenset()
    """Files of ours that stand where a person has copied them from: of these pictures too, they are not needed."""
    changed: tuple[str, ...] = ()
    """Pictures of ours that a person has edited."""
    misplaced: tuple[str, ...] = ()
    """Pictures of ours that lie in a folder which is no class of the scheme."""
    answered: frozenset[str] = frozenset()
    """The hashes of pictures whose place a person has changed."""
    astray: frozenset[str] = frozenset()
    """The hashes of those, and of pictures that stand in several class folders: what they show is not certain."""
    strangers: tuple[str, ...] = ()
    """Pictures in the library's folders that are not ours; they are left alone."""
    failures: tuple[Unreadable, ...] = ()
    """What could not be understood."""

    @property
    def edited(self) -> int:
        """How many pictures a person has edited."""
        return len(self.changed)


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
    passed_over: Counter[str] = field(default_factory=Counter)
    """The endings of files that are taken for no pictures, and how many of each there were."""
    notes: list[str] = field(default_factory=list)
    """What a person should know of, in sentences; none of it is a failure."""
    corrections: Corrections = field(default_factory=Corrections)
    run: int | None = None
    last_placed: str = ""
    """The picture that was placed last, as its path below the library."""

    def reasons(self) -> Counter[str]:
        """The census: reason -> how often."""
        return Counter(failure.reason for failure in self.failures)
