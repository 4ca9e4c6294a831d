"""A picture to draw from, and a mask of what is drawn anew in it."""

from __future__ import annotations

import struct
import warnings
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from sorter.errors import first_line
from sorter.files import read_file, sha256_of
from trainer.base import Base
from trainer.errors import BaseModelError, SourceError

CHANNELS = 4
"""Of the latents that diffusers inpaints."""
DAMAGE = (OSError, ValueError, SyntaxError, IndexError, TypeError, OverflowError, EOFError, struct.error,
          Image.DecompressionBombError, Image.DecompressionBombWarning)  # fmt: skip
"""What Pillow raises on files that are no pictures, are damaged, or would fill the memory."""


@dataclass(frozen=True, slots=True)
class Source:
    """An RGB picture, what of it is drawn anew (white in the mask, in grey values; none is all), and how far."""

    picture: Image.Image
    mask: Image.Image | None = None
    strength: float = 0.75  # 1 draws as if from nothing

    def fitted(self, size: tuple[int, int]) -> Source:
        """Scaled to cover a width and height, and cut at the middle."""
        mask = self.mask and ImageOps.fit(self.mask, size, Image.Resampling.NEAREST)
        return replace(self, picture=ImageOps.fit(self.picture, size, Image.Resampling.LANCZOS), mask=mask)

    def keep(self, drawn: Image.Image) -> Image.Image:
        """The drawn picture where the mask is white, and the source, pixel for pixel, where it is black."""
        return drawn if self.mask is None else Image.composite(drawn, self.picture, self.mask)


def named(path: Path | None) -> str:
    """The name of a file and the first digits of its sha256, for the recipe; "" for none."""
    return f"{path.name} {sha256_of(path)[:10]}" if path else ""


def find_source(picture: Path | None, mask: Path | None, strength: float) -> Source | None:
    """None without a picture. Raises SourceError, for a mask without a picture too."""
    if picture is None:
        if mask is not None:
            raise SourceError(f"{mask}: is a mask, and there is no picture that it belongs to; name it with --image")
        return None
    return read_source(picture, mask, strength)


def read_source(picture: Path, mask: Path | None, strength: float) -> Source:
    """Raises SourceError with a sentence: which file cannot be used, and what would be right."""
    check_strength(strength)
    source = _open(picture).convert("RGB")
    if mask is None:
        return Source(source, None, strength)
    white = _open(mask).convert("L")
    if white.size != source.size:
        raise SourceError(
            f"{mask}: is {white.width}x{white.height}, and {picture} is {source.width}x{source.height}: a mask has the"
            " size of its picture"
        )
    if not np.any(np.asarray(white) >= 128):
        raise SourceError(f"{mask}: is black all over, so nothing would be drawn: paint white what is to be redrawn")
    return Source(source, white, strength)


def check_strength(strength: float) -> None:
    """Raises SourceError where it is not above 0 and at most 1."""
    if not 0 < strength <= 1:
        raise SourceError(f"strength {strength:g}: must be above 0, which would change nothing, and at most 1")


def check_source(source: Source, base: Base, steps: int) -> None:
    """Raises SourceError where the strength leaves no step to do, BaseModelError where the base takes no mask."""
    check_strength(source.strength)
    if int(steps * source.strength) < 1:
        raise SourceError(f"strength {source.strength:g} of {steps} steps is less than one: take more of either")
    if source.mask is not None and base.channels != CHANNELS:
        raise BaseModelError(
            f"{base.path}: has latents of {base.channels} channels, and a mask can be drawn with on a base of"
            f" {CHANNELS}, as Stable Diffusion 1 and 2 are; draw without --mask"
        )


def _open(path: Path) -> Image.Image:
    """RGB, upright, on black where it is transparent."""
    if not path.is_file():
        raise SourceError(f"{path}: there is no such file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(BytesIO(read_file(path))) as opened:
                upright = ImageOps.exif_transpose(opened).convert("RGBA")
    except DAMAGE as error:
        raise SourceError(f"{path}: cannot be read as a picture: {first_line(error)}") from None
    return Image.alpha_composite(Image.new("RGBA", upright.size, (0, 0, 0, 255)), upright).convert("RGB")
