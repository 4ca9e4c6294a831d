"""Pictures of any of Pillow's modes -> as a sorter sees them: 8 bits a value, RGB, transparency on black. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image


def is_deep(image: Image) -> bool:
    """Whether it has more than 8 bits a value."""
    return image.mode.startswith(("I", "F"))


def is_seen_otherwise(image: Image) -> bool:
    """Whether a program that opens a picture as RGB would see other pixels than a sorter does."""
    return image.has_transparency_data or is_deep(image)


def eight_bits(image: Image) -> Image:
    """Larger numbers scaled to 0..255, which Pillow would clip; and what is so already, as it is."""
    if not is_deep(image):
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


def to_rgb(image: Image) -> Image:
    """In RGB, what is transparent laid on black."""
    if image.mode == "RGB":
        return image
    if image.mode == "CMYK":
        image.info.pop("icc_profile", None)  # it is about inks
    image = eight_bits(image)
    if not image.has_transparency_data:
        return image.convert("RGB")
    from PIL import Image as Images

    layer = image if image.mode == "RGBA" else image.convert("RGBA")
    black = Images.new("RGB", layer.size)
    black.paste(layer, mask=layer)
    return black


def keeping_alpha(image: Image) -> Image:
    """In RGB, or in RGBA where something is transparent."""
    if not image.has_transparency_data:
        return to_rgb(image)
    return image if image.mode == "RGBA" else eight_bits(image).convert("RGBA")
