"""Formats that Pillow reads only with a package of their own, and files that are no pictures: known by their bytes."""

from __future__ import annotations

import importlib
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sorter.errors import PictureError
from sorter.pictures.limits import Counted

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True, slots=True)
class Other:
    """A format, and the package that reads it."""

    name: str
    """As people call it."""
    package: str
    """What to give to pip install."""
    module: str
    register: str | None = None
    """The function of the module that tells Pillow of it, where importing alone does not."""


OTHERS = {
    "HEIF": Other("HEIC", '"modelsheet[heic]"', "pi_heif", "register_heif_opener"),
    "JXL": Other("JPEG XL", "pillow-jxl-plugin", "pillow_jxl"),
}
"""Pillow's name of a format -> who reads it. The second is under the GPL, so it is left to whoever wants it."""
HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")
"""What stands after "ftyp" (ISO/IEC 23008-12, annex B)."""
VIDEO = "a video; take frames of it with sorter frames"
NO_PICTURES = (
    (b"version https://git-lfs", "a Git LFS pointer, not the picture itself; fetch it with git lfs pull"),
    (b"<!doctype html", "a web page that was saved under a picture's name; save the picture itself"),
    (b"<html", "a web page that was saved under a picture's name; save the picture itself"),
    (b"<svg", "an SVG drawing; save it as PNG"),
    (b"%pdf", "a PDF; save its pages as PNG"),
    (b"8bps", "a Photoshop file; save it as PNG"),
    (b"gimp xcf", "a GIMP file; export it as PNG"),
    (b"\x1aE\xdf\xa3".lower(), VIDEO),
)
"""How files begin that are called as pictures and are none, in lower case, and what they are."""


def open_other(data: bytes) -> Image:
    """The picture in bytes that Pillow alone does not know, not yet decoded. Raises PictureError: what they are."""
    import PIL.Image

    kind = _format(data)
    if kind is None:
        raise PictureError(_what_else(data))
    other = OTHERS[kind]
    try:
        module = importlib.import_module(other.module)
    except ImportError:
        raise PictureError(f"a {other.name} picture; to have these read: pip install {other.package}") from None
    if other.register:
        getattr(module, other.register)()
    with suppress(Exception):  # each such package has errors of its own
        return PIL.Image.open(Counted(data), formats=[kind])
    raise PictureError(f"damaged: it begins as a {other.name} picture and cannot be read")


def _format(data: bytes) -> str | None:
    if data[4:8] == b"ftyp" and (data[8:12] in HEIF_BRANDS or data[16:20] in HEIF_BRANDS):
        return "HEIF"
    if data.startswith((b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n")):  # ISO/IEC 18181-2, 9.1
        return "JXL"
    return None


def _what_else(data: bytes) -> str:
    begins = data[:64].lstrip(b"\xef\xbb\xbf \r\n\t").lower()
    for mark, what in NO_PICTURES:
        if begins.startswith(mark):
            return f"not a picture, but {what}"
    if data[4:8] == b"ftyp":
        return f"not a picture, but {VIDEO}"
    return "not a picture: its bytes are of no picture format"
