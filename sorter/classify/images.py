"""Bytes -> pixels, and pixels -> bytes. Every picture is opened here, and nowhere else."""

from __future__ import annotations

import hashlib
import io
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sorter.errors import PictureError
from sorter.records import Picture, Render

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF")
SUFFIXES = {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif"}
"""The endings by which a file is taken for a picture; what it really is, its bytes say."""
KEPT = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "BMP": ".bmp"}
"""Formats that every trainer reads, with their endings; any other becomes PNG in the library."""
MOST_PIXELS = 120_000_000
"""A larger picture is refused before it is decoded: three bytes a pixel of it would take 360 MB."""
ORIENTATION = 0x0112
"""The EXIF tag that says how a camera was held (EXIF 2.32, section 4.6.4)."""
DAMAGE = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    LookupError,
    TypeError,
    ArithmeticError,
    struct.error,
    MemoryError,
)
"""What Pillow raises on bytes that make no sense; its formats differ in that."""


def read_picture(path: Path, data: bytes) -> tuple[Picture, Image]:
    """What the header of `data` says, and the picture still to be decoded. Raises PictureError."""
    image = open_picture(data)
    width, height = image.size
    if _orientation(image) in (5, 6, 7, 8) and image.format != "TIFF":  # they lie on their side; Pillow turns a TIFF
        width, height = height, width
    return Picture(hashlib.sha256(data).hexdigest(), path, width, height, _format(image)), image


def open_picture(data: bytes) -> Image:
    """The picture in `data`, its pixels not yet decoded. Raises PictureError where it is none, or too large."""
    import PIL.Image

    if not data:
        raise PictureError("the file is empty")
    try:
        image = PIL.Image.open(io.BytesIO(data), formats=FORMATS)
    except PIL.UnidentifiedImageError:
        raise PictureError("not a picture: its bytes are of no picture format") from None
    except PIL.Image.DecompressionBombError:
        raise PictureError(f"too large: over {MOST_PIXELS // 1_000_000} million pixels") from None
    except DAMAGE as found:
        raise _damaged(found) from None
    if image.width * image.height > MOST_PIXELS:
        raise PictureError(f"too large: over {MOST_PIXELS // 1_000_000} million pixels")
    return image


def load(image: Image, at_least: int | None = None) -> Image:
    """Decode into upright RGB; transparency is laid on black, as the vendor's page sees it.

    `at_least`: a JPEG may be decoded at a fraction of its size, but no side below this many pixels.
    Raises PictureError where the bytes end early or make no sense.
    """
    if at_least:
        image.draft("RGB", (at_least, at_least))
    return _to_rgb(_decode(image))


def load_grey(image: Image) -> NDArray[np.uint8]:
    """Decode into upright grey values (height, width), at the picture's own size. Raises PictureError as `load`."""
    import numpy as np

    if _format(image) == "JPEG":
        image.draft("L", image.size)  # a JPEG holds its brightness apart: its colours need not be decoded
    return np.asarray(picture if (picture := _decode(image)).mode == "L" else _to_rgb(picture).convert("L"))


def fit_view(picture: Image, size: int) -> NDArray[np.uint8]:
    """What a sorter sees: the picture scaled to cover `size` x `size` and cropped to the centre; (size, size, 3)."""
    import numpy as np
    from PIL import Image, ImageOps

    return np.asarray(ImageOps.fit(picture, (size, size), Image.Resampling.LANCZOS), np.uint8)


def render(data: bytes, wanted: Render, suffix: str, is_whole: bool = False) -> bytes:
    """The bytes of the file that `wanted` describes, in the format that `suffix` names.

    `is_whole`: these very bytes have been decoded before, so that need not be tried again.
    Bytes that are already so are passed on untouched. A turned JPEG keeps its own quantisation tables and
    chroma sampling, so that its quality and size stay about the same. Raises PictureError.
    """
    image = open_picture(data)
    upright = _orientation(image) == 1
    if KEPT.get(_format(image)) == suffix and upright and not (wanted.crop or wanted.mirror or wanted.size):
        if not is_whole:
            load(image)  # a picture that cannot be decoded is not put into a library
        return data
    like = _saving_like(image, suffix, wanted)
    return _encode(_transform(_keeping_alpha(_decode(image)), wanted), suffix, like)


def _format(image: Image) -> str:
    """Pillow's name of the format; a phone's JPEG with a second picture inside (MPO) is a JPEG to everyone else."""
    return "JPEG" if image.format == "MPO" else str(image.format)


def _orientation(image: Image) -> int:
    """1 to 8, as EXIF counts them. Raises PictureError: in a PNG, EXIF may stand after pixels that are damaged."""
    try:
        found = image.getexif().get(ORIENTATION, 1)
    except DAMAGE as error:
        raise _damaged(error) from None
    return found if found in range(1, 9) else 1


def _damaged(found: BaseException) -> PictureError:
    return PictureError(f"damaged: {' '.join(str(found).split()) or type(found).__name__}")


def _to_rgb(image: Image) -> Image:
    if image.mode == "RGB":
        return image
    if image.mode == "CMYK":
        image.info.pop("icc_profile", None)  # it is about inks
    if image.mode.startswith(("I", "F")):
        return _sixteen_to_eight(image).convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    from PIL import Image as Images

    layer = image.convert("RGBA")
    return Images.alpha_composite(Images.new("RGBA", layer.size, (0, 0, 0, 255)), layer).convert("RGB")


def _sixteen_to_eight(image: Image) -> Image:
    """Pillow clips 16-bit values at 255 when it converts; here they are scaled."""
    import numpy as np
    from PIL import Image as Images

    values = np.asarray(image).astype(np.float32)
    top = 65535 if image.mode != "F" and values.max() > 255 else 255
    return Images.fromarray(np.clip(values * (255 / top), 0, 255).astype(np.uint8))


def _decode(image: Image) -> Image:
    """All pixels, upright."""
    from PIL import ImageOps

    try:
        image.load()
        return ImageOps.exif_transpose(image)
    except DAMAGE as found:
        raise _damaged(found) from None


def _keeping_alpha(image: Image) -> Image:
    return image.convert("RGBA") if image.has_transparency_data else _to_rgb(image)


def _transform(image: Image, wanted: Render) -> Image:
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
        image = image.resize(wanted.size, Images.Resampling.LANCZOS)
    return image


def _saving_like(image: Image, suffix: str, wanted: Render) -> dict[str, Any]:
    """How to save so that a turned picture is as good as it was."""
    from PIL import JpegImagePlugin

    if suffix == ".jpg":
        if not wanted.size and isinstance(image, JpegImagePlugin.JpegImageFile):
            sampling = JpegImagePlugin.get_sampling(image)
            if image.mode == "RGB" and sampling >= 0:
                return {"qtables": image.quantization, "subsampling": sampling}
        return {"quality": 95, "subsampling": 0}
    return {"lossless": True} if suffix == ".webp" else {}


def _encode(image: Image, suffix: str, like: dict[str, Any]) -> bytes:
    out = io.BytesIO()
    name = next(form for form, ending in KEPT.items() if ending == suffix)
    if name in ("JPEG", "BMP"):
        image = _to_rgb(image)
    profile = image.info.get("icc_profile")
    image.save(out, name, **like, **({"icc_profile": profile} if profile and name != "BMP" else {}))
    return out.getvalue()
