"""What croppers are made of: the plug point, and what becomes of a cropper's answer. Pure."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, NamedTuple

from pydantic import Field

from sorter.dataset.overlays import Clear
from sorter.pictures.transform import is_inside
from sorter.plugins import Options, Registry
from sorter.records import Box, Picture, Render, Verdict

Pixels = Annotated[int, Field(ge=8, le=8192)]
Fill = Annotated[str, Field(pattern=r"^(#[0-9a-fA-F]{6}|edge|blur)$")]


class Cropper(Options):
    """What every cropper is: called with a picture as it stands and the verdict on it, it says what to make of it."""

    def __call__(self, picture: Picture, verdict: Verdict) -> Render:
        """The rendering of `picture`, by its own hash and size; what the askers found is in `verdict`."""
        raise NotImplementedError

    def wording(self, picture: Picture, verdict: Verdict) -> str:
        """The words for how near the subject is on that rendering, for its caption; "" where nothing is to be said."""
        return ""

    def wordings(self) -> tuple[str, ...]:
        """All that `wording` may say: they are standard, whatever the vocabulary says."""
        return ()

    def remarks(self, picture: Picture, verdict: Verdict) -> tuple[str, ...]:
        """What a census counts of such pictures, such as SMALL."""
        return ()

    def resolution(self) -> int | None:
        """Pixels a side of the squares that are trained on, or of squares as large; None where it says nothing."""
        return None

    def check(self, askers: Collection[str], where: str) -> None:
        """Raise OptionsError where the scheme has not the `askers` (names) that are read."""


UNSURE = "padded, since nobody is sure where the head is"
SMALL = "left small, having fewer pixels than asked for"

croppers: Registry[Cropper] = Registry("cropper", "modelsheet.croppers")


class Squares(Cropper):
    """One that makes squares of one size."""

    size: Pixels = 512
    enlarge: bool = False
    """Whether a picture that has fewer pixels is made larger; else its square is as small as it is."""

    def square(self, picture: Picture, box: Box, fill: str = "#000000") -> Render:
        """A square box, scaled to `size`."""
        side = self.size if self.enlarge else min(self.size, box.size[0])
        return Render(picture.sha256, box, size=(side, side), fill=fill)

    def resolution(self) -> int | None:
        return self.size

    def remarks(self, picture: Picture, verdict: Verdict) -> tuple[str, ...]:
        size = self(picture, verdict).size
        return (SMALL,) if size is not None and size[0] < self.size else ()


class Framed(NamedTuple):
    """What a dataset gets of a picture."""

    rendered: Render
    mask: Render | None
    """White where a trainer is to learn; None where that is all of it."""
    shot: str = ""
    remarks: tuple[str, ...] = ()


def framed(picture: Picture, verdict: Verdict, cropper: Cropper, cleared: Clear, turn: bool = False) -> Framed:
    """What a cropper makes of a picture as it stands, within what is left of it.

    `turn`: mirrored, since the verdict is about its mirror image.
    """
    if window := cleared.window:
        picture = picture._replace(width=window.size[0], height=window.size[1])
        verdict = verdict._replace(window=window.mirrored(verdict.picture.width) if turn else window)
    rendered = cropper(picture, verdict)._replace(window=window)
    if turn:  # it is cropped before it is mirrored
        rendered = rendered._replace(mirror=True, crop=rendered.crop and rendered.crop.mirrored(picture.width))
    mask = loss_mask(picture, rendered, cleared.hidden)
    return Framed(rendered, mask, cropper.wording(picture, verdict), cropper.remarks(picture, verdict))


def loss_mask(picture: Picture, rendered: Render, hidden: tuple[Box, ...] = ()) -> Render | None:
    """The mask of a rendering that reaches beyond its picture or shows something that is not to be learned, such as a
    subtitle: white where the picture is, black beyond it and in the boxes `hidden`. None for any other."""
    box = rendered.crop
    seen = tuple(one for one in hidden if box is None or one.seen_from(box))
    if not seen and (box is None or is_inside(box, (picture.width, picture.height))):
        return None
    return rendered._replace(mask=True, opaque=False, hidden=seen, fill="#000000")


def middle_square(picture: Picture, side: int) -> Box:
    """A square of `side` pixels about the middle of a picture; it may reach beyond it."""
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    return Box(left, top, left + side, top + side)


def kept_inside(picture: Picture, left: float, top: float, size: tuple[int, int]) -> Box:
    """A box of this size, no larger than the picture, moved as little as is needed to lie on it."""
    wide, high = size
    x, y = min(max(round(left), 0), picture.width - wide), min(max(round(top), 0), picture.height - high)
    return Box(x, y, x + wide, y + high)
