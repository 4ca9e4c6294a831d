"""Croppers that ask nobody what is on a picture."""

from __future__ import annotations

from sorter.dataset.croppers.base import Cropper, Fill, Squares, croppers, middle_square
from sorter.records import Picture, Render, Verdict


@croppers.add("none")
class Whole(Cropper):
    """The whole picture as it is, for trainers that sort pictures into buckets by their shape."""

    def __call__(self, picture: Picture, verdict: Verdict) -> Render:
        return Render(picture.sha256)


@croppers.add("centre")
class Centre(Squares):
    """The largest square in the middle, scaled to `size`; what is left and right of it is lost."""

    def __call__(self, picture: Picture, verdict: Verdict) -> Render:
        return self.square(picture, middle_square(picture, min(picture.width, picture.height)))


@croppers.add("pad")
class Pad(Squares):
    """The whole picture in a square of `size`, the rest filled with `fill`, which masks tell the trainer to ignore."""

    fill: Fill = "#000000"
    """A colour such as "#808080"; "edge" goes on with the picture's own edge, "blur" with a blurred picture."""

    def __call__(self, picture: Picture, verdict: Verdict) -> Render:
        return self.square(picture, middle_square(picture, max(picture.width, picture.height)), self.fill)
