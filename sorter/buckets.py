"""Which size a trainer gives to a picture, and what it cuts off. Pure.

The arithmetic of kohya-ss/sd-scripts at 48d368f (library/model_util.py, make_bucket_resolutions; library/train_util.py,
BucketManager.select_bucket and trim_and_resize_if_required); `python -m tests.bench.doctor` compares it with theirs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from sorter.records import Box

Size = tuple[int, int]
"""Width and height in pixels."""


@dataclass(frozen=True, slots=True)
class Fit:
    """What becomes of a picture: it is scaled to `scaled`, and the middle `bucket` of that is what is trained on."""

    picture: Size
    scaled: Size
    bucket: Size

    @property
    def crop(self) -> Box:
        """The part of the scaled picture that is kept, in its pixels."""
        left, top = (max(0, have - want) // 2 for have, want in zip(self.scaled, self.bucket, strict=True))
        return Box(left, top, left + self.bucket[0], top + self.bucket[1])

    @property
    def seen(self) -> Box:
        """The part of the picture that is kept, in the picture's own pixels."""
        across, up = (own / scaled for own, scaled in zip(self.picture, self.scaled, strict=True))
        box = self.crop
        return Box(round(box.left * across), round(box.top * up), round(box.right * across), round(box.bottom * up))

    @property
    def lost(self) -> float:
        """The share of the picture that is cut off, 0 to 1."""
        return 1 - min(1.0, math.prod(self.bucket) / math.prod(self.scaled))

    @property
    def enlarged(self) -> float:
        """How many times as wide the picture is made; above 1, the trainer invents pixels."""
        return max(scaled / own for own, scaled in zip(self.picture, self.scaled, strict=True))


@dataclass(frozen=True)
class Buckets:
    """sd-scripts' buckets for pictures of about `resolution`; its defaults."""

    resolution: Size
    smallest: int = 256
    largest: int = 1024
    step: int = 64
    no_upscale: bool = False
    """Never enlarge a picture; then there is a bucket for every size, and `smallest` and `largest` say nothing."""

    @cached_property
    def sizes(self) -> tuple[Size, ...]:
        """Every bucket, in order; with `no_upscale`, those that other tools would have prepared."""
        area = math.prod(self.resolution)
        square = int(math.sqrt(area) // self.step) * self.step
        found = {(square, square)}
        for width in range(self.smallest, self.largest + 1, self.step):
            height = min(self.largest, area // width // self.step * self.step)
            if height >= self.smallest:
                found |= {(width, height), (height, width)}
        return tuple(sorted(found))

    def fit(self, width: int, height: int) -> Fit:
        """The bucket of a picture of this size. Raises ValueError where it has none: sd-scripts stops at it."""
        fit = self._free(width, height) if self.no_upscale else nearest((width, height), self.sizes)
        if not all(fit.bucket):
            raise ValueError(f"{width}x{height} pixels are too few, or too narrow, for steps of {self.step}")
        return fit

    def _free(self, width: int, height: int) -> Fit:
        """Shrunk to the area where it is larger, then cut down to whole steps."""
        area, aspect = math.prod(self.resolution), width / height
        scaled = width, height
        if width * height > area:
            wide, high = self._stepped(math.sqrt(area * aspect)), self._stepped(area / math.sqrt(area * aspect))
            beside, above = self._stepped(wide / aspect), self._stepped(high * aspect)
            if not (beside and high):  # they divide by it
                raise ValueError(f"{width}x{height} pixels are too narrow for steps of {self.step}")
            if abs(wide / beside - aspect) < abs(above / high - aspect):
                scaled = wide, int(wide / aspect + 0.5)
            else:
                scaled = int(high * aspect + 0.5), high
        return Fit((width, height), scaled, (scaled[0] // self.step * self.step, scaled[1] // self.step * self.step))

    def _stepped(self, pixels: float) -> int:
        return int(pixels + 0.5) // self.step * self.step


def nearest(picture: Size, sizes: Sequence[Size]) -> Fit:
    """A picture in the size whose shape is nearest to its own, the first of equals: scaled to cover it."""
    width, height = picture
    aspect = width / height
    if picture in sizes:
        return Fit(picture, picture, picture)
    bucket = min(sizes, key=lambda size: abs(size[0] / size[1] - aspect))
    scale = bucket[1] / height if aspect > bucket[0] / bucket[1] else bucket[0] / width
    return Fit(picture, (int(width * scale + 0.5), int(height * scale + 0.5)), bucket)
