"""Pixels -> the part of them that is wanted, at its size. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sorter.records import Render

if TYPE_CHECKING:
    from PIL.Image import Image


def transform(image: Image, wanted: Render) -> Image:
    """Cropped, then mirrored, then scaled, as `wanted` says; scaling is `resample`'s where the picture is RGB."""
    from PIL import Image as Images
    from PIL import ImageOps

    if wanted.crop:
        box = wanted.crop
        canvas = Images.new(image.mode, (box.right - box.left, box.bottom - box.top), wanted.fill)
        canvas.paste(image, (-box.left, -box.top))
        image = canvas
    if wanted.mirror:
        image = ImageOps.mirror(image)
    if wanted.size and image.size != wanted.size:
        if image.mode == "RGB":
            import numpy as np

            from sorter.pictures.resample import scale

            return Images.fromarray(scale(np.asarray(image), wanted.size))
        image = image.resize(wanted.size, Images.Resampling.NEAREST if wanted.mask else Images.Resampling.LANCZOS)
    return image
