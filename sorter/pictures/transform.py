"""Pixels -> the part of them that is wanted, at its size. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sorter.records import Box, Render

if TYPE_CHECKING:
    from PIL.Image import Image


def transform(image: Image, wanted: Render) -> Image:
    """The window, cropped, then mirrored, then scaled, as `wanted` says; RGB is scaled by `resample`."""
    from PIL import Image as Images
    from PIL import ImageOps

    if wanted.window:
        box = wanted.window
        image = image.crop((box.left, box.top, box.right, box.bottom))
    for box in wanted.hidden:
        image.paste("black", (box.left, box.top, box.right, box.bottom))
    if wanted.crop:
        box = wanted.crop
        if is_inside(box, image.size):
            image = image.crop((box.left, box.top, box.right, box.bottom))
        else:
            canvas = Images.new(image.mode, (box.right - box.left, box.bottom - box.top), wanted.fill)
            canvas.paste(image, (-box.left, -box.top))
            image = canvas
    if wanted.mirror:
        image = ImageOps.mirror(image)
    if wanted.size and image.size != wanted.size:
        if image.mode == "RGB":
            import numpy as np

            from sorter.pictures.resample import scale

            made = Images.fromarray(scale(np.asarray(image), wanted.size))
            made.info = image.info  # such as a colour profile
            return made
        image = image.resize(wanted.size, Images.Resampling.NEAREST if wanted.mask else Images.Resampling.LANCZOS)
    return image


def is_inside(box: Box, size: tuple[int, int]) -> bool:
    """Whether a box reaches nowhere beyond a picture of this size."""
    return box.left >= 0 and box.top >= 0 and box.right <= size[0] and box.bottom <= size[1]
