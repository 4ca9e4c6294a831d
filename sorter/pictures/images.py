"""Bytes -> pixels, and pixels -> bytes. Every picture is opened here, and nowhere else."""

from __future__ import annotations

import hashlib
import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sorter.errors import PictureError
from sorter.pictures.limits import Counted, check, room, too_large
from sorter.pictures.modes import is_seen_otherwise, keeping_alpha, to_rgb
from sorter.pictures.other_formats import OTHERS, open_other
from sorter.pictures.saving import QUICKLY, saving_like
from sorter.pictures.transform import is_inside, transform
from sorter.records import Picture, Render

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

ENDINGS = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
    "PNG": (".png", ".apng"),
    "WEBP": (".webp",),
    "BMP": (".bmp",),
    "GIF": (".gif",),
    "TIFF": (".tif", ".tiff"),
    "AVIF": (".avif",),
    "JPEG2000": (".jp2", ".j2k", ".jpx", ".jpf"),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
    "HEIF": (".heic", ".heif", ".hif"),
    "JXL": (".jxl",),
}
"""Pillow's name of a format -> the endings of its files."""
SUFFIXES = {ending for endings in ENDINGS.values() for ending in endings}
"""The endings by which a file is taken for a picture; what it really is, its bytes say."""
FORMATS = tuple(name for name in ENDINGS if name not in OTHERS)
KEPT = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "BMP": ".bmp"}
"""Formats that every trainer reads, with their endings; any other becomes PNG in the library."""
FRACTIONS = (8, 4, 2)
"""By which a JPEG's size is divided while it is decoded; by others, it takes longer than at full size."""
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
    RuntimeError,
    struct.error,
    MemoryError,
)
"""What Pillow raises on bytes that make no sense; its formats differ in that."""


def read_picture(path: Path, data: bytes) -> tuple[Picture, Image]:
    """What the header of `data` says, and the picture still to be decoded. Raises PictureError."""
    image = open_picture(data)
    return described(path, hashlib.sha256(data).hexdigest(), image), image


def described(path: Path, sha256: str, image: Image) -> Picture:
    """What the header of a picture says, whose bytes have this hash. Raises PictureError."""
    width, height = image.size
    if _orientation(image) in (5, 6, 7, 8) and image.format != "TIFF":  # they lie on their side; Pillow turns a TIFF
        width, height = height, width
    return Picture(sha256, str(path), width, height, _format(image))


@contextmanager
def opened(data: bytes) -> Iterator[Image]:
    """As `open_picture`; waits until there is room beside the pictures of other threads, and holds it."""
    image = open_picture(data)
    with room.hold(image.width * image.height):
        yield image


def open_picture(data: bytes) -> Image:
    """The picture in `data`, its pixels not yet decoded. Raises PictureError where it is none, or too large."""
    import PIL.Image

    if not data:
        raise PictureError("the file is empty")
    image: Image
    try:
        image = PIL.Image.open(Counted(data), formats=FORMATS)
    except PIL.UnidentifiedImageError:
        image = open_other(data)
    except PIL.Image.DecompressionBombError:
        raise too_large() from None
    except DAMAGE as found:
        raise _damaged(found) from None
    check(image, data)
    return image


def load(image: Image) -> Image:
    """Decode into upright RGB; transparency is laid on black, as Teachable Machine's page sees it.

    Raises PictureError where the bytes end early or make no sense.
    """
    with _telling():
        return to_rgb(_decode(image))


def load_small(data: bytes, image: Image, at_least: int) -> NDArray[np.uint8]:
    """Decode `image`, which is `data` opened, into upright RGB (height, width, 3), as `load` does.

    A JPEG is decoded at the smallest of FRACTIONS of its size that has no side below `at_least` pixels. Raises
    PictureError.
    """
    import numpy as np

    if _format(image) == "JPEG":
        if image.mode == "RGB" and _orientation(image) == 1:
            import simplejpeg

            part = next((part for part in FRACTIONS if min(image.size) >= part * at_least), 1)
            width, height = (-(-side // part) for side in image.size)
            as_pillow = {"fastdct": False, "fastupsample": False}
            with suppress(ValueError):  # what it does not like, Pillow may still read; or say what is wrong with it
                found = simplejpeg.decode_jpeg(data, "RGB", min_height=height, min_width=width, **as_pillow)
                return np.asarray(found, np.uint8)
        image.draft("RGB", (at_least, at_least))
    return np.asarray(load(image))


def load_grey(image: Image) -> NDArray[np.uint8]:
    """Decode into upright grey values (height, width), at the picture's own size. Raises PictureError as `load`."""
    import numpy as np

    if _format(image) == "JPEG":
        image.draft("L", image.size)  # a JPEG holds its brightness apart: its colours need not be decoded
    with _telling():
        return np.asarray(picture if (picture := _decode(image)).mode == "L" else to_rgb(picture).convert("L"))


def is_transparent(image: Image) -> bool:
    """Whether any pixel of a picture is, of one that has an alpha channel, or a colour for it. Raises PictureError."""
    import numpy as np

    with _telling():
        return bool((np.asarray(image.convert("RGBA").getchannel("A")) < 255).any())


def exact_view(image: Image, size: int) -> NDArray[np.uint8]:
    """The same as Teachable Machine's own recipe has it, to the last bit: decoded at full size, scaled by Pillow."""
    import numpy as np
    from PIL import Image, ImageOps

    return np.asarray(ImageOps.fit(load(image), (size, size), Image.Resampling.LANCZOS))


def fit_view(pixels: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """What a sorter sees: the picture scaled to cover `size` x `size` and cropped to the centre; (size, size, 3)."""
    from sorter.pictures.resample import cover

    return cover(pixels, size)


def squeezed(pixels: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """The whole picture in a square, wide ones made narrow: (size, size, 3)."""
    from sorter.pictures.resample import scale

    return scale(pixels, (size, size))


def as_it_is(image: Image) -> str:
    """The ending with which the file may be placed as it is; empty if its format is not kept, or it is not upright."""
    return KEPT.get(_format(image), "") if _orientation(image) == 1 else ""


def render(data: bytes, wanted: Render, suffix: str, is_whole: bool = False) -> bytes:
    """The bytes of the file that `wanted` describes, in the format that `suffix` names.

    `is_whole`: these very bytes have been decoded before, so that need not be tried again.
    Bytes that are already so are passed on untouched. A turned JPEG keeps its own quantisation tables and
    chroma sampling, so that its quality and size stay about the same. Raises PictureError.
    """
    if wanted.mask:
        return _encode(transform(_covered(open_picture(data)), wanted._replace(fill="#000000")), suffix, {})
    with opened(data) as image, _telling():
        if as_it_is(image) == suffix and wanted.is_plain and not (wanted.opaque and is_seen_otherwise(image)):
            if not is_whole:
                load(image)  # a picture that cannot be decoded is not put into a library
            return data
        like = saving_like(image, suffix, wanted)
        pixels, wanted = _part_of_jpeg(data, image, wanted) or (_decode(image), wanted)
        return _encode(transform(to_rgb(pixels) if wanted.opaque else keeping_alpha(pixels), wanted), suffix, like)


def encode(pixels: NDArray[np.uint8], suffix: str, quality: int) -> bytes:
    """RGB (height, width, 3) as the bytes of a JPEG (quality 1..100, colours at full size), or losslessly as a PNG."""
    if suffix == ".jpg":
        import simplejpeg

        return bytes(simplejpeg.encode_jpeg(pixels, quality, "RGB", "444"))
    from PIL import Image as Images

    return _encode(Images.fromarray(pixels), suffix, {})


@contextmanager
def _telling() -> Iterator[None]:
    """What Pillow says of the bytes, as a PictureError."""
    try:
        yield
    except DAMAGE as found:
        raise _damaged(found) from None


def _format(image: Image) -> str:
    """Pillow's name of the format; a phone's JPEG with a second picture inside (MPO) is a JPEG to everyone else."""
    return "JPEG" if image.format == "MPO" else str(image.format)


def _orientation(image: Image) -> int:
    """1 to 8, as EXIF counts them. Raises PictureError: in a PNG, EXIF may stand after pixels that are damaged."""
    with _telling():
        found = image.getexif().get(ORIENTATION, 1)
    return found if found in range(1, 9) else 1


def _damaged(found: BaseException) -> PictureError:
    if isinstance(found, MemoryError):
        return PictureError("too large: there is not enough memory for it")
    return PictureError(f"damaged: {' '.join(str(found).split()) or type(found).__name__}")


def _decode(image: Image) -> Image:
    """All pixels, upright."""
    from PIL import ImageOps

    with _telling():
        image.load()
        ImageOps.exif_transpose(image, in_place=True)  # a copy would be the only other outcome
    return image


def _part_of_jpeg(data: bytes, image: Image, wanted: Render) -> tuple[Image, Render] | None:
    """The same in half the time, where nothing but upright pixels is in it: these, cropped and scaled as far as can be
    while they are an array, and what is then left to do. None where Pillow is to be asked."""
    if not (_format(image) == "JPEG" and image.mode == "RGB" and _orientation(image) == 1):
        return None
    import simplejpeg
    from PIL import Image as Images

    from sorter.pictures.resample import scale

    with suppress(ValueError):
        pixels = simplejpeg.decode_jpeg(data, "RGB", fastdct=False, fastupsample=False)
        if box := wanted.window:
            pixels, wanted = pixels[box.top : box.bottom, box.left : box.right], wanted._replace(window=None)
        if (box := wanted.crop) and is_inside(box, (pixels.shape[1], pixels.shape[0])):
            pixels, wanted = pixels[box.top : box.bottom, box.left : box.right], wanted._replace(crop=None)
        if wanted.size and not wanted.crop:
            if (pixels.shape[1], pixels.shape[0]) != wanted.size:
                pixels = scale(pixels, wanted.size)
            wanted = wanted._replace(size=None)
        made = Images.fromarray(pixels)
        made.info = image.info
        return made, wanted
    return None


def _covered(image: Image) -> Image:
    """White, as large as the picture is when it stands upright."""
    from PIL import Image as Images

    with _telling():
        picture = described(Path(), "", image)
    return Images.new("L", (picture.width, picture.height), 255)


def _encode(image: Image, suffix: str, like: dict[str, Any]) -> bytes:
    out = io.BytesIO()
    name = next(form for form, ending in KEPT.items() if ending == suffix)
    if name in ("JPEG", "BMP"):
        image = to_rgb(image)
    profile = image.info.get("icc_profile", b"")
    # What is written is RGB: a profile for greys or inks, or one that is broken, would spoil it (ICC.1:2022, 7.2.6).
    profile = profile if profile[16:20] == b"RGB " else None
    if like is QUICKLY and image.mode == "RGB":
        import numpy as np

        from sorter.pictures.png import encode_png

        return encode_png(np.asarray(image), profile)
    image.save(out, name, **like, icc_profile=profile)
    return out.getvalue()
