"""How a picture is saved: as good as it was, and no slower than need be. Pure."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

from sorter.records import Render

if TYPE_CHECKING:
    from PIL.Image import Image


QUICKLY = {"compress_level": 1, "compress_type": zlib.Z_RLE}
"""A fifth of the time, and hardly larger, of pixels that were scaled; RGB is quicker still by `encode_png`."""


def saving_like(image: Image, suffix: str, wanted: Render) -> dict[str, Any]:
    """Pillow's options for `wanted` of a picture that is not decoded yet, in the format of `suffix`."""
    from PIL import JpegImagePlugin

    if suffix == ".jpg":
        if not wanted.size and isinstance(image, JpegImagePlugin.JpegImageFile):
            sampling = JpegImagePlugin.get_sampling(image)
            if image.mode == "RGB" and sampling >= 0:
                return {"qtables": image.quantization, "subsampling": sampling}
        return {"quality": 95, "subsampling": 0}
    if suffix == ".png" and wanted.size:
        return QUICKLY
    return {"lossless": True} if suffix == ".webp" else {}
