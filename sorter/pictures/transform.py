"""Pixels -> the part of them that is wanted, at its size. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sorter.records import Box, Render

if TYPE_CHECKING:
    from PIL.Image import Image

SOFT = 12
"""Pixels a side of the blurred picture behind one that is padded: its colours and light, and nothing to be learned."""


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
            image = _filled(image, box, wanted.fill)
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


def _filled(image: Image, box: Box, fill: str) -> Image:
    """A box of a picture that reaches beyond it, where `fill` is: a colour, "edge" or "blur"."""
    from PIL import Image as Images

    if fill == "edge":
        canvas = _with_edges(image, box)
    elif fill == "blur":
        canvas = _blurred(image, box.size)
    else:
        canvas = Images.new(image.mode, box.size, fill)
    canvas.paste(image, (-box.left, -box.top))
    canvas.info = image.info  # such as a colour profile
    return canvas


def _with_edges(image: Image, box: Box) -> Image:
    """The outermost columns, then the outermost rows, drawn out to the box's sides."""
    from PIL import Image as Images

    wide, high = box.size
    x, y = -box.left, -box.top
    canvas = Images.new(image.mode, box.size)
    canvas.paste(image, (x, y))
    for edge, start, stop in ((x, 0, x), (x + image.width - 1, x + image.width, wide)):
        if start < stop:
            canvas.paste(canvas.crop((edge, 0, edge + 1, high)).resize((stop - start, high)), (start, 0))
    for edge, start, stop in ((y, 0, y), (y + image.height - 1, y + image.height, high)):
        if start < stop:
            canvas.paste(canvas.crop((0, edge, wide, edge + 1)).resize((wide, stop - start)), (0, start))
    return canvas


def _blurred(image: Image, size: tuple[int, int]) -> Image:
    """The picture's middle, made large enough to cover `size`, with no more than SOFT pixels of detail a side."""
    from PIL import Image as Images
    from PIL import ImageOps

    longer = max(size)
    small = tuple(max(1, round(SOFT * side / longer)) for side in size)
    return ImageOps.fit(image, (small[0], small[1]), Images.Resampling.BOX).resize(size, Images.Resampling.BICUBIC)


def is_inside(box: Box, size: tuple[int, int]) -> bool:
    """Whether a box reaches nowhere beyond a picture of this size."""
    return box.left >= 0 and box.top >= 0 and box.right <= size[0] and box.bottom <= size[1]
