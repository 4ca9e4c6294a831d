"""How a picture is cut for training: the size that it is scaled to, and the middle of that in whole latents. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from sorter.buckets import Buckets, Size

__all__ = ["LARGE", "SMALL", "Cut", "Size"]

LARGE = 2.0
"""How many times the area of the base's own pictures a picture may have; a larger one is scaled down to that area.
Exports for this base have it once; kohya's buckets keep to it, too."""
SMALL = 0.25
"""A smaller share of that area is too little to learn from, and is counted by `trainer check`."""
STEP = 64
"""Pixels between the sides of kohya's buckets, at 512 and more."""


@dataclass(frozen=True, slots=True)
class Cut:
    """How pictures are cut.

    factor: pixels a latent; side: of a square with the area that is trained at, None: nothing is scaled. Without
    `buckets`, a picture of at most LARGE times that area keeps its size; with them, each goes into one of kohya's
    buckets around that area, and none is made larger unless `enlarge`.
    """

    factor: int
    side: int | None = None
    buckets: bool = False
    enlarge: bool = False

    def of(self, picture: Size) -> tuple[Size, Size]:
        """The size that a picture is scaled to, and that of its middle which is trained on.

        Raises ValueError where it is smaller than one latent, or than a step between buckets.
        """
        if self.buckets and self.side is not None:
            fit = kohya_buckets(self.side, self.factor, self.enlarge).fit(*picture)
            return fit.scaled, fit.bucket
        width, height = picture
        area = width * height
        if self.side is not None and area > LARGE * self.side * self.side:
            share = (self.side * self.side / area) ** 0.5
            width, height = (max(self.factor, round(length * share)) for length in picture)
        size = width // self.factor * self.factor, height // self.factor * self.factor
        if not all(size):
            raise ValueError(f"{width}x{height} is smaller than one latent, {self.factor}x{self.factor}")
        return (width, height), size


def kohya_buckets(side: int, factor: int, enlarge: bool) -> Buckets:
    """The buckets of sd-scripts around side x side: at 512, of 256 to 1024 pixels in steps of 64.

    Below 512 the steps are an eighth of the side, since 64 would leave hardly any shapes.
    """
    step = STEP if side >= STEP * 8 else max(factor, side // 8 // factor * factor)
    smallest, largest = max(step, side // 2 // step * step), max(step, side * 2 // step * step)
    return Buckets((side, side), smallest, largest, step, not enlarge)
