"""Croppers: which part of a picture a trainer gets, and at what size. A plug point. Pure."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from sorter.dataset.overlays import Clear
from sorter.pictures.transform import is_inside
from sorter.plugins import Options, Registry
from sorter.records import Box, Picture, Render, Verdict

Pixels = Annotated[int, Field(ge=8, le=8192)]


class Cropper(Options):
    """What every cropper is: called with a picture as it stands and the verdict on it, it says what to make of it."""

    def __call__(self, picture: Picture, verdict: Verdict) -> Render:
        """The rendering of `picture`, by its own hash and size; what the askers found is in `verdict`."""
        raise NotImplementedError


croppers: Registry[Cropper] = Registry("cropper", "modelsheet.croppers")


@croppers.add("none")
class Whole(Cropper):
    """The whole picture as it is, for trainers that sort pictures into buckets by their shape."""

    def __call__(self, picture: Picture, verdict: Verdict) -> Render:
        return Render(picture.sha256)


@croppers.add("centre")
class Centre(Cropper):
    """The largest square in the middle, scaled to `size`; what is left and right of it is lost."""

    size: Pixels = 512

    def __call__(self, picture: Picture, verdict: Verdict) -> Render:
        box = middle_square(picture, min(picture.width, picture.height))
        return Render(picture.sha256, box, size=(self.size, self.size))


@croppers.add("pad")
class Pad(Cropper):
    """The whole picture in a square of `size`, the rest filled with `fill`; a model may learn to draw the borders."""

    size: Pixels = 512
    fill: Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{6}$")] = "#000000"

    def __call__(self, picture: Picture, verdict: Verdict) -> Render:
        box = middle_square(picture, max(picture.width, picture.height))
        return Render(picture.sha256, box, size=(self.size, self.size), fill=self.fill)


def framed(
    picture: Picture, verdict: Verdict, cropper: Cropper, cleared: Clear, turn: bool = False
) -> tuple[Render, Render | None]:
    """What a cropper makes of a picture as it stands, within what is left of it, and the loss mask of that, if any.

    `turn`: mirrored, since the verdict is about its mirror image.
    """
    if window := cleared.window:
        picture = picture._replace(width=window.size[0], height=window.size[1])
        verdict = verdict._replace(window=window.mirrored(verdict.picture.width) if turn else window)
    rendered = cropper(picture, verdict)._replace(window=window)
    if turn:  # it is cropped before it is mirrored
        rendered = rendered._replace(mirror=True, crop=rendered.crop and rendered.crop.mirrored(picture.width))
    return rendered, loss_mask(picture, rendered, cleared.hidden)


def loss_mask(picture: Picture, rendered: Render, hidden: tuple[Box, ...] = ()) -> Render | None:
    """The mask of a rendering that reaches beyond its picture or shows something that is not to be learned, such as a
    subtitle: white where the picture is, black beyond it and in the boxes `hidden`. None for any other."""
    box = rendered.crop
    seen = tuple(one for one in hidden if box is None or one.seen_from(box))
    if not seen and (box is None or is_inside(box, (picture.width, picture.height))):
        return None
    return rendered._replace(mask=True, opaque=False, hidden=seen)


def middle_square(picture: Picture, side: int) -> Box:
    """A square of `side` pixels about the middle of a picture; it may reach beyond it."""
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    return Box(left, top, left + side, top + side)
