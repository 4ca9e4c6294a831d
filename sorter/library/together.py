"""What stands on nearly every picture, and what nearly always comes with a class. Pure.

A word that comes with a class is learnt as a part of it: prompted for "happy", a model draws the white shirt as well.
Two known numbers tell: the *confidence* of an association rule (the share of the class's pictures that have the word)
and the *relative risk* (that share over the share among all other pictures). Confidence alone would name whatever is
common anyway; lift, whose denominator holds the class itself, comes to no more than 1.4 for a class of 7 pictures in
10, however rare the word is elsewhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

EVERYWHERE = 0.9
"""The share of all pictures from which on a word belongs to whatever all of them show."""
CONFIDENCE = 0.8
RISK = 2.0
"""The least relative risk: among other pictures the word is at most half as frequent."""
FEWEST = 10
"""Pictures of a class below which nothing is said of it."""

Class = tuple[str, str]
"""Axis and class."""


class Everywhere(NamedTuple):
    """A word on nearly every picture."""

    word: str
    pictures: int
    share: float
    """Of all pictures, 0..1."""


class Together(NamedTuple):
    """A word, or a class of another axis, that nearly always comes with a class."""

    axis: str
    name: str
    word: str
    word_axis: str
    """The axis of `word`, if it is a class; empty if it is a tag."""
    pictures: int
    """Of the class, those with the word."""
    of: int
    """Of the class, all."""
    confidence: float
    """`pictures` / `of`."""
    elsewhere: float
    """The share of all other pictures that have the word, 0..1."""

    def sentence(self) -> str:
        """Such as: "white shirt" in 83 % of happy (25 of 30 pictures), and in 12 % of the others."""
        of = f"{self.axis} {self.name} ({self.pictures} of {self.of} pictures)"
        word = f"{self.word_axis} {self.word}" if self.word_axis else f'"{self.word}"'
        return f"{word} in {self.confidence:.0%} of {of}, and in {self.elsewhere:.0%} of the others"


@dataclass
class Counts:
    """Classes and words of pictures, counted one by one; a library has fewer kinds of pictures than pictures."""

    pictures: int = 0
    classes: Counter[Class] = field(default_factory=Counter)
    words: Counter[str] = field(default_factory=Counter)
    """Tags that no class says."""
    pairs: Counter[tuple[Class, Class]] = field(default_factory=Counter)
    """A class, and a class of another axis; or a tag, whose axis is empty."""

    def add(self, sure: Mapping[str, str], tags: Iterable[str], times: int = 1) -> None:
        """Count pictures with these certain classes (axis to class) and these tags."""
        self.pictures += times
        said = [("", tag) for tag in dict.fromkeys(tags)]
        for _, tag in said:
            self.words[tag] += times
        for one in sure.items():
            self.classes[one] += times
            for other in (*sure.items(), *said):
                if other[0] != one[0]:
                    self.pairs[one, other] += times

    def everywhere(self) -> list[Everywhere]:
        """Tags on nearly every picture, the most frequent first."""
        rows = (Everywhere(tag, count, count / self.pictures) for tag, count in self.words.most_common())
        return [row for row in rows if row.share >= EVERYWHERE] if self.pictures >= FEWEST else []

    def together(self) -> list[Together]:
        """What nearly always comes with a class and is not that common elsewhere, the surest first."""
        rows = []
        for ((axis, name), (word_axis, word)), pictures in self.pairs.items():
            of = self.classes[axis, name]
            others = self.pictures - of
            whole = self.classes[word_axis, word] if word_axis else self.words[word]
            if of < FEWEST or pictures < CONFIDENCE * of or not others:
                continue
            elsewhere = (whole - pictures) / others
            if pictures / of >= RISK * elsewhere:
                rows.append(Together(axis, name, word, word_axis, pictures, of, pictures / of, elsewhere))
        return sorted(rows, key=lambda row: (row.elsewhere / row.confidence, -row.of, row))
