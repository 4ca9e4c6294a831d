"""The cropper that cuts each picture to one of its trainer's buckets, so that the trainer cuts nothing off. Pure."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Annotated

from pydantic import Field, model_validator

from sorter.buckets import Buckets, Size
from sorter.dataset.croppers.base import SMALL, Cropper, Pixels, croppers, kept_inside
from sorter.records import Picture, Render, Verdict


@croppers.add("bucket")
class Bucket(Cropper):
    """The largest part that fills one of kohya's buckets, the one that loses least; the head is in it, where known."""

    size: Pixels = 512
    """The resolution that is trained at: buckets have about as many pixels as a square of this side."""
    smallest: Pixels = 256
    largest: Pixels = 1024
    step: Annotated[int, Field(ge=8, le=512)] = 64
    """The shortest and longest side of a bucket, and by what sides differ: as the trainer is told."""
    enlarge: bool = False
    """Whether a picture with fewer pixels than its bucket is made larger; else it is cut to the bucket's shape."""
    head: str = "head"
    """The asker of the scheme's [ask] that tells where the head is, if there is one."""
    sure: Annotated[float, Field(ge=0, le=1)] = 0.5

    @model_validator(mode="after")
    def _has_sizes(self) -> Bucket:
        if not min(min(size) for size in self._buckets):
            raise ValueError(f"size = {self.size} is less than one step of {self.step}; there is no such bucket")
        return self

    @cached_property
    def _buckets(self) -> tuple[Size, ...]:
        return Buckets((self.size, self.size), self.smallest, self.largest, self.step).sizes

    def __call__(self, picture: Picture, verdict: Verdict) -> Render:
        bucket = min(self._buckets, key=lambda size: (1 - math.prod(_part(picture, size)) / _area(picture), size))
        part = _part(picture, bucket)
        head = verdict.box(self.head) if verdict.score(self.head) >= self.sure else None
        x = picture.width / 2 if head is None else _over(head.left, head.right, part[0], picture.width)
        y = picture.height / 2 if head is None else _over(head.top, head.bottom, part[1], picture.height)
        box = kept_inside(picture, x - part[0] / 2, y - part[1] / 2, part)
        scaled = bucket if self.enlarge or part[0] >= bucket[0] else part
        return Render(picture.sha256, box, size=scaled)

    def resolution(self) -> int | None:
        return self.size

    def remarks(self, picture: Picture, verdict: Verdict) -> tuple[str, ...]:
        return () if self(picture, verdict).size in self._buckets else (SMALL,)


def _area(picture: Picture) -> int:
    return picture.width * picture.height


def _part(picture: Picture, shape: Size) -> Size:
    """The largest part of a picture in the shape of a bucket."""
    wide, high = shape
    if picture.width * high > picture.height * wide:
        return max(1, min(picture.width, round(picture.height * wide / high))), picture.height
    return picture.width, max(1, min(picture.height, round(picture.width * high / wide)))


def _over(first: int, last: int, part: int, whole: int) -> float:
    """The middle of a part of a side, as near to the side's middle as can be with the head well inside."""
    if last - first >= part:
        return (first + last) / 2
    room = (last - first) / 2
    return min(max(whole / 2, last + room - part / 2), first - room + part / 2)
