"""Pictures of more than 8 bits a value -> 8 bits, as a sorter sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image


def eight_bits(image: Image) -> Image:
    """Larger numbers scaled to 0..255, which Pillow would clip; and what is so already, as it is."""
    if not image.mode.startswith(("I", "F")):
        return image
    import numpy as np
    from PIL import Image as Images

    from sorter.pictures.resample import round_half_up

    values = np.asarray(image).astype(np.float32)
    np.nan_to_num(values, copy=False, posinf=0, neginf=0)
    most = values.max()
    top = 1 if image.mode == "F" and most <= 1 else 255 if most <= 255 and image.mode in ("I", "F") else 65535
    values *= 255 / top
    round_half_up(values)
    grey = Images.fromarray(values.astype(np.uint8))
    if "transparency" not in image.info:
        return grey
    is_clear = np.asarray(image) == image.info["transparency"]
    return Images.merge("LA", (grey, Images.fromarray(np.where(is_clear, 0, 255).astype(np.uint8))))
