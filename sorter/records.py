"""The values that flow through the rooms. All frozen and hashable; none of them touches the disk.

Those that a plan makes by the million are named tuples: a frozen dataclass takes three times as long to make.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from sorter.errors import OptionsError
from sorter.text import swap_sides

HUMAN = "human"
"""The source of a label that a person gave; it hides every model's label of that axis."""
CAPTION, LIBRARY = "caption", "library"
"""What a person can answer beside a scheme's axes: a caption in their own words, and whether they want the picture."""
REMOVED, ELSEWHERE, WANTED, DUPLICATE = "removed", "elsewhere", "wanted", "duplicate"
"""The answers to LIBRARY of a person who deleted a picture, of one who moved it out of the class folders, of one who
put a picture into them that was left out, and of one who keeps another picture instead (`sorter duplicates --drop`)."""


class Picture(NamedTuple):
    """A readable picture. Its identity is its bytes; `path` is where they were first found."""

    sha256: str
    path: str
    width: int
    """Pixels, as seen: after the EXIF orientation is applied."""
    height: int
    format: str
    """Pillow's name of the format that the bytes really have, such as "JPEG"."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file that should be a picture and cannot be used as one; counted in the census, never fatal."""

    path: Path
    reason: str


class Label(NamedTuple):
    """An answer: the class `name` on `axis`, `score` in 0..1, given by `source` (a model's hash, or HUMAN).

    Of an asker of the scheme's [ask], `axis` is its name there, and `name` what it said, as JSON.
    """

    axis: str
    name: str
    score: float
    source: str
    taken_for: str = ""
    """What the picture by itself was taken for, where that and what its mirror image was taken for contradict each
    other; empty where they agree, or where nobody asked."""
    mirror_taken_for: str = ""
    """What the mirror image was taken for then, said of the mirror image."""
    runner_up: str = ""
    """The second likeliest class; empty where there is none, or it was not kept. Read by those who show doubts only."""
    runner_up_score: float = 0.0


class Verdict(NamedTuple):
    """What is to be done with a picture. `labels` are true of the picture as it will stand, turned or not."""

    picture: Picture
    labels: tuple[Label, ...]
    doubts: tuple[str, ...] = ()
    """Sentences for a person; empty means sure."""
    unsure: frozenset[str] = frozenset()
    """The axes that the doubts are about."""
    mirror: bool = False
    unwanted: str = ""
    """Why the picture is not wanted in the library; empty if it is."""
    caption: str | None = None
    """A person's own words, which may be none at all; they hide every captioner's."""
    answers: tuple[Label, ...] = ()
    """What the askers of the scheme's [ask] said of the picture as it was found."""
    window: Box | None = None
    """The part of the picture, as it will stand, that a cropper takes for all of it: what is within black bars."""
    shot: str = ""
    """A cropper's words for how near the subject is, for a caption; a library's pictures are not cropped."""

    def answer(self, name: str) -> Any:
        """What the asker of this name answered: a text, a list, numbers; None where it has not been asked yet.

        Words that name a side are true of the picture as it will stand, turned or not.
        """
        said = next((json.loads(label.name) for label in self.answers if label.axis == name), None)
        if not self.mirror:
            return said
        if isinstance(said, list):
            return [swap_sides(one) if isinstance(one, str) else one for one in said]
        return swap_sides(said) if isinstance(said, str) else said

    def score(self, name: str) -> float:
        """How sure the asker of this name was, 0 to 1; 0 where it has not been asked yet."""
        return next((label.score for label in self.answers if label.axis == name), 0.0)

    def box(self, name: str) -> Box | None:
        """The box that the asker of this name found, on the picture as it will stand, turned or not; in the pixels of
        `window`, where there is one, and None where it lies outside of that."""
        sides = self.answer(name)
        if sides is None:
            return None
        if not isinstance(sides, dict):
            raise OptionsError(f'"{name}" answers with no box: {str(sides)[:60]}; name an asker such as a locator')
        found = Box(**sides)
        if self.mirror:
            found = found.mirrored(self.picture.width)
        return found.seen_from(self.window) if self.window else found

    def sure(self) -> dict[str, str]:
        """Axis to class name, for the axes that are beyond doubt."""
        return {label.axis: label.name for label in self.labels if label.axis not in self.unsure}


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels; it may reach beyond the picture, and what lies there is filled."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def sides(self) -> tuple[int, int, int, int]:
        """Left, top, right and bottom."""
        return self.left, self.top, self.right, self.bottom

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.right - self.left, self.bottom - self.top

    def mirrored(self, width: int) -> Box:
        """Where it lies in the mirror image of a picture of this width."""
        return Box(width - self.right, self.top, width - self.left, self.bottom)

    def seen_from(self, window: Box) -> Box | None:
        """The part of it within a window, in the window's own pixels; None where there is none."""
        left, top = max(self.left, window.left), max(self.top, window.top)
        right, bottom = min(self.right, window.right), min(self.bottom, window.bottom)
        if left >= right or top >= bottom:
            return None
        return Box(left - window.left, top - window.top, right - window.left, bottom - window.top)


class Render(NamedTuple):
    """Pixels of the picture `sha256`: its `window`, cropped, then mirrored, then scaled to `size` (width, height)."""

    sha256: str
    crop: Box | None = None
    mirror: bool = False
    size: tuple[int, int] | None = None
    fill: str = "#000000"
    """What is outside the picture, where `crop` reaches beyond it: a colour; "edge", the picture's own drawn out;
    "blur", the picture itself, blurred."""
    opaque: bool = False
    """As a sorter sees it: transparency laid on black, larger numbers scaled to 0..255."""
    mask: bool = False
    """Not the pixels, but where they are: grey values, white inside the picture, black where `crop` reaches beyond."""
    window: Box | None = None
    """The part of the picture that is taken for all of it: `crop` counts from its corner, and beyond it is `fill`."""
    hidden: tuple[Box, ...] = ()
    """In a mask, what is black although it is in the picture, such as a subtitle; in the pixels of `window`."""

    @property
    def is_plain(self) -> bool:
        """Whether the pixels are the picture's own, but perhaps for `opaque`."""
        return not (self.crop or self.mirror or self.size or self.mask or self.window)


class Text(NamedTuple):
    """The content of a text file: a caption, or a table of captions."""

    text: str


class Output(NamedTuple):
    """A file that should exist: `path` below the library, with "/" between its parts, and what it holds."""

    path: str
    content: Render | Text | Shard


class Shard(NamedTuple):
    """The content of a file that holds others, such as a tar: `members`, whose paths are their names in it."""

    members: tuple[Output, ...]


Content = Render | Text | Shard
"""What a file of ours may hold."""


@dataclass(frozen=True, slots=True)
class Put:
    """A step: make this output exist, replacing what we placed there before."""

    output: Output


@dataclass(frozen=True, slots=True)
class Drop:
    """A step: remove this output, if it is still as we wrote it."""

    output: Output


Step = Put | Drop
