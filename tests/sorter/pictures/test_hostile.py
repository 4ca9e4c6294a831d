"""Pictures and files that mean harm, or that somebody's program has spoilt.

Each is sorted rightly or is in the census with its reason; none stops a run, and none takes time or memory without end.
Called as a script, this file looks at pictures in a process of its own: `bounds` says what each costs, `mutants` what
damage does.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import random
import struct
import subprocess
import sys
import time
import zlib
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

import sorter
from sorter.commands.export import export
from sorter.commands.job import Job
from sorter.commands.sort import sort
from sorter.dataset.croppers import croppers
from sorter.errors import PictureError
from sorter.pictures import images, limits
from sorter.records import Render

pytestmark = pytest.mark.filterwarnings("ignore")  # Pillow's own, about what is wrong with a file

ROOT = Path(sorter.__file__).parent.parent
MIRRORED = Render("0" * 64, mirror=True)
SIDEWAYS = {2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}
"""EXIF orientation -> the one that undoes it."""
EXIF_AT = images.ORIENTATION
Tags = dict[int, tuple[int, int, int]]
"""Of a TIFF: tag -> type, count, value."""


LARGE = 5450
"""Pixels a side of the largest pictures here: a quarter of those that are taken, so that the tests take seconds."""


# --- making files by hand


def encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def chunk(kind: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, rows: bytes, bits: int = 8, colours: int = 2, before: bytes = b"") -> bytes:
    """A PNG of filtered rows (each begins with a 0); `colours`: 0 grey, 2 RGB, 4 grey and alpha, 6 RGBA."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colours, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + before + chunk(b"IDAT", rows) + chunk(b"IEND")


def deep_png(values: Any, colours: int, before: bytes = b"") -> bytes:
    """A PNG of 16 bits a channel, of an array (height, width, channels) of numbers up to 65535."""
    height, width = values.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    return png(width, height, zlib.compress(rows), 16, colours, before)


def zeros(count: int) -> bytes:
    """So many zero bytes, deflated: a few thousandths of them."""
    pack, left = zlib.compressobj(1), count
    out = []
    while left > 0:
        out.append(pack.compress(bytes(min(left, 1 << 20))))
        left -= 1 << 20
    return b"".join(out) + pack.flush()


def tiff(tags: Tags, pixels: bytes = b"", following: int = 0) -> bytes:
    """A TIFF of one directory: tag -> (type, count, value); the pixels stand at 8. `following`: the next directory."""
    rows = b"".join(
        struct.pack("<HHI", tag, kind, count) + struct.pack("<I" if kind == 4 else "<Hxx", value)
        for tag, (kind, count, value) in sorted(tags.items())
    )
    return b"II*\0" + struct.pack("<I", 8 + len(pixels)) + pixels + struct.pack("<H", len(tags)) + rows + struct.pack(
        "<I", following
    )  # fmt: skip


def grey_tiff(
    width: int, height: int, pixels: bytes, **others: tuple[int, int, int]
) -> dict[int, tuple[int, int, int]]:
    tags = {256: (4, 1, width), 257: (4, 1, height), 258: (3, 1, 8), 259: (3, 1, 1), 262: (3, 1, 1), 273: (4, 1, 8),
            277: (3, 1, 1), 278: (4, 1, height), 279: (4, 1, len(pixels))}  # fmt: skip
    return tags | {int(tag[1:]): value for tag, value in others.items()}


def run_length_bmp(image: Image.Image) -> bytes:
    """A palette picture as BI_RLE8, a pixel a run: the rows from below."""
    width, height = image.size
    indices = np.asarray(image)[::-1]
    body = b"".join(b"".join(bytes((1, value)) for value in row) + b"\0\0" for row in indices) + b"\0\1"
    colours = np.asarray(image.getpalette(), np.uint8).reshape(-1, 3)[:, ::-1]
    table = b"".join(bytes(colour) + b"\0" for colour in colours)
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(body), 0, 0, len(colours), 0)
    start = 14 + len(header) + len(table)
    return b"BM" + struct.pack("<IHHI", start + len(body), 0, 0, start) + header + table + body


def sideways(image: Image.Image, orientation: int, form: str, **options: Any) -> bytes:
    """Stored as a camera that was held so stores it: upright only once its EXIF orientation is heeded."""
    exif = Image.Exif()
    exif[EXIF_AT] = SIDEWAYS[orientation]
    lying = ImageOps.exif_transpose(Image.open(io.BytesIO(encoded(image, "PNG", exif=exif))))
    exif[EXIF_AT] = orientation
    return encoded(lying, form, exif=exif, **options)


def scans(width: int, height: int, count: int) -> bytes:
    """A progressive JPEG with one of its scans repeated; each costs a pass over all of the picture's blocks."""
    data = encoded(Image.new("L", (width, height), 128), "JPEG", progressive=True)
    starts = [place for place in range(len(data)) if data[place : place + 2] == b"\xff\xda"]
    tables = data.rindex(b"\xff\xc4", 0, starts[1])
    return data[:tables] + data[tables : starts[1]] + data[starts[1] : starts[2]] * count + b"\xff\xd9"


# --- pictures that are in order, however odd


GOOD = {"quality": 100, "subsampling": 0}
NO_PROFILE = b"this is no colour profile" * 20


@dataclass(frozen=True)
class Odd:
    """A file, and the picture that it shows: RGBA, upright. `far`: by how much a channel may be off."""

    data: bytes
    shows: Image.Image
    far: int = 0


def clear_corner(image: Image.Image, partly: bool = True) -> Image.Image:
    """With a corner that one can see through, and a spot that lets half of the light through."""
    image = image.convert("RGBA")
    image.paste((0, 0, 0, 0), (0, 20, 4, 30))
    if partly:
        image.putpixel((9, 3), (250, 0, 0, 128))
    return image


def with_palette(image: Image.Image) -> Image.Image:
    return image.convert("RGB").quantize(200)


def first_of(image: Image.Image, form: str, **options: Any) -> bytes:
    """An animation that goes on with other pictures."""
    others = [Image.new(image.mode, image.size, (9 * n, 80, 0)) for n in range(8)]
    return encoded(image, form, save_all=True, append_images=others, duration=40, **options)


def odd_pictures(make: Callable[[], Image.Image]) -> dict[str, Odd]:
    """File name -> what stands in it. Each has a picture of its own by `make`, of which no two are alike."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    found: dict[str, Odd] = {}

    def add(name: str, encode: Callable[[Image.Image], bytes], far: int = 0,
            shows: Callable[[Image.Image], Image.Image] = lambda image: image) -> None:  # fmt: skip
        image = make()
        seen = shows(image)
        found[name] = Odd(encode(seen), seen.convert("RGBA"), far)

    def deep(image: Image.Image) -> Any:
        return np.asarray(image).astype(np.uint32) * 257

    one_clear = lambda image: clear_corner(image, partly=False)  # noqa: E731
    add("plain.png", lambda image: encoded(image, "PNG"))
    add("alpha.png", lambda image: encoded(image, "PNG"), shows=clear_corner)
    add("palette.png", lambda image: encoded(with_palette(image), "PNG"))
    add("palette with alpha.png", lambda image: encoded(image.quantize(200), "PNG"), shows=clear_corner)
    add("animation.png", lambda image: first_of(image, "PNG"))
    add("16 bit.png", lambda image: deep_png(deep(image), 2))
    add("16 bit alpha.png", lambda image: deep_png(deep(image), 6), shows=clear_corner)
    add("on its side.png", lambda image: sideways(image, 6, "PNG"))
    add("broken profile.png", lambda image: encoded(image, "PNG", icc_profile=NO_PROFILE))
    add("plain.jpg", lambda image: encoded(image, "JPEG", **GOOD), 6)
    add("progressive.jpg", lambda image: encoded(image, "JPEG", progressive=True, **GOOD), 6)
    add("inks.jpg", lambda image: encoded(image.convert("CMYK"), "JPEG", **GOOD), 12)
    add(
        "inks with a profile.jpg", lambda image: encoded(image.convert("CMYK"), "JPEG", icc_profile=profile, **GOOD), 12
    )
    add("broken profile.jpg", lambda image: encoded(image, "JPEG", icc_profile=NO_PROFILE, **GOOD), 6)
    add("with a small picture in it.jpg", lambda image: encoded(image, "MPO", save_all=True,
        append_images=[Image.new("RGB", (9, 9))], **GOOD), 6)  # fmt: skip
    for orientation in SIDEWAYS:
        add(f"held {orientation}.jpg", lambda image, o=orientation: sideways(image, o, "JPEG", **GOOD), 6)  # type: ignore[misc]
    add("alpha.webp", lambda image: encoded(image, "WEBP", lossless=True, exact=True), shows=clear_corner)
    image = make()
    lossy = encoded(image, "WEBP", quality=100)  # with half as many colours as pixels, both ways
    found["lossy.webp"] = Odd(lossy, opened(lossy).convert("RGBA"))
    add("animation.webp", lambda image: first_of(image, "WEBP", lossless=True))
    add("on its side.webp", lambda image: sideways(image, 8, "WEBP", lossless=True))
    add("broken profile.webp", lambda image: encoded(image, "WEBP", lossless=True, icc_profile=NO_PROFILE))
    add("animation.gif", lambda image: first_of(with_palette(image).convert("RGB"), "GIF"))
    add("one clear colour.gif", lambda image: encoded(image, "GIF"), shows=one_clear)
    add("plain.bmp", lambda image: encoded(image, "BMP"))
    add("run length.bmp", lambda image: run_length_bmp(with_palette(image)))
    add("plain.tif", lambda image: encoded(image, "TIFF"))
    add("alpha.tiff", lambda image: encoded(image, "TIFF", compression="tiff_lzw"), shows=clear_corner)
    add("inks.tif", lambda image: encoded(image.convert("CMYK"), "TIFF"), 1)
    add("on its side.tif", lambda image: sideways(image, 6, "TIFF"))
    add("two pages.tif", lambda image: encoded(image, "TIFF", save_all=True, append_images=[Image.new("RGB", (9, 9))]))
    add("broken profile.tif", lambda image: encoded(image, "TIFF", icc_profile=NO_PROFILE))
    add("plain.avif", lambda image: encoded(image, "AVIF", quality=100, subsampling="4:4:4"), 8)
    add("on its side.avif", lambda image: sideways(image, 6, "AVIF", quality=100, subsampling="4:4:4"), 8)
    add("a png in truth.jpg", lambda image: encoded(image, "PNG"))
    add("a jpeg in truth.png", lambda image: encoded(image, "JPEG", **GOOD), 6)
    add("a webp in truth.gif", lambda image: encoded(image, "WEBP", lossless=True))
    add("garbage in its orientation.jpg", lambda image: encoded(image, "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\1\0"
        b"\x12\1\3\0\1\0\0\0\xff\xff\0\0\0\0\0\0", **GOOD), 6)  # fmt: skip
    add("many small parts.png", lambda image: png(*image.size, zlib.compress(b"".join(
        b"\0" + row.tobytes() for row in np.asarray(image)), 0), before=chunk(b"prVt") * 1000))  # fmt: skip
    return found


def grey_pictures() -> dict[str, Odd]:
    """As `odd_pictures`, of kinds that have no colours: no sorter of ours knows where they face."""
    width, height = 40, 32
    ramp = (np.arange(width)[None] * 5 + np.arange(height)[:, None]).astype(np.uint16)
    seen = Image.fromarray(ramp.astype(np.uint8)).convert("RGBA")
    clear = seen.copy()
    clear.paste((0, 0, 0, 0), (0, 0, 1, 1))
    half = np.dstack([ramp, ramp * 0 + 255])
    half[:4, :4, 1] = 128
    half_seen = Image.fromarray(half.astype(np.uint8), "LA").convert("RGBA")
    grey, black_and_white = seen.convert("L"), seen.convert("1")
    return {
        "grey.png": Odd(encoded(grey, "PNG"), seen),
        "grey and alpha.png": Odd(encoded(half_seen.convert("LA"), "PNG"), half_seen),
        "grey.jpg": Odd(encoded(grey, "JPEG", quality=100), seen, 2),
        "grey with a profile.jpg": Odd(encoded(grey, "JPEG", quality=100, icc_profile=grey_profile()), seen, 2),
        "black and white.png": Odd(encoded(black_and_white, "PNG"), black_and_white.convert("RGBA")),
        "16 bit grey.png": Odd(deep_png(ramp[..., None] * np.uint32(257), 0), seen),
        "16 bit grey and alpha.png": Odd(deep_png(half * np.uint32(257), 4), half_seen),
        "16 bit grey with a clear value.png": Odd(
            deep_png(ramp[..., None] * np.uint32(257), 0, chunk(b"tRNS", b"\0\0")), clear
        ),
        "16 bit grey.tif": Odd(encoded(Image.fromarray(ramp * np.uint16(257)), "TIFF"), seen),
        "32 bit.tif": Odd(encoded(Image.fromarray(ramp.astype(np.int32) * 257), "TIFF"), seen),
        "fractions to 255.tif": Odd(encoded(Image.fromarray(ramp.astype(np.float32)), "TIFF"), seen),
        "fractions to 1.tif": Odd(encoded(Image.fromarray((ramp / 255).astype(np.float32)), "TIFF"), seen),
        "no numbers.tif": Odd(
            encoded(Image.fromarray(np.where(ramp < 1, np.nan, ramp).astype(np.float32)), "TIFF"), seen
        ),
    }


def grey_profile() -> bytes:
    """The head of a colour profile for greys (ICC.1:2022, section 7.2): enough to say what it is for."""
    return struct.pack(">I4sI4s4s4s", 132, b"none", 0x04400000, b"mntr", b"GRAY", b"XYZ ") + bytes(104) + bytes(4)


def tiny_pictures() -> dict[str, bytes]:
    """Of shapes that no camera makes."""
    return {
        "one pixel.png": encoded(Image.new("RGB", (1, 1), (9, 90, 200)), "PNG"),
        "one pixel.gif": encoded(Image.new("RGB", (1, 1), (9, 80, 200)), "GIF"),
        "one pixel.jpg": encoded(Image.new("RGB", (1, 1), (9, 70, 200)), "JPEG"),
        "60000 wide.png": encoded(Image.new("RGB", (60000, 10), (9, 60, 200)), "PNG"),
        "60000 high.png": encoded(Image.new("RGB", (10, 60000), (9, 50, 200)), "PNG"),
        "60000 wide.jpg": encoded(Image.new("RGB", (60000, 10), (9, 40, 200)), "JPEG"),
        "60000 wide.tif": encoded(Image.new("RGB", (60000, 10), (9, 30, 200)), "TIFF"),
        "16383 wide.webp": encoded(Image.new("RGB", (16383, 1), (9, 20, 200)), "WEBP"),
    }


# --- files that are no pictures, or that nobody should wait for


def bad_files() -> dict[str, tuple[bytes, str]]:
    """File name -> its bytes, and how the reason in the census begins."""
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 120, 3), np.uint8))
    files = {"empty.png": (b"", "the file is empty"), "text.jpg": (b"this is no picture", "not a picture")}
    for form, suffix in (("JPEG", "jpg"), ("PNG", "png"), ("WEBP", "webp"), ("GIF", "gif"), ("BMP", "bmp"),
                         ("TIFF", "tif"), ("AVIF", "avif")):  # fmt: skip
        whole = encoded(noise, form)
        files[f"half.{suffix}"] = (whole[: len(whole) // 2], "")
        files[f"a few bytes.{suffix}"] = (whole[:20], "")
    plain = zlib.compress(bytes(25 * 8))
    huge = "too large: over 120 million pixels"
    avif = bytearray(encoded(noise, "AVIF"))
    avif[(place := avif.index(b"ispe")) + 8 : place + 16] = struct.pack(">II", 60000, 60000)
    bmp, gif = bytearray(encoded(noise, "BMP")), bytearray(encoded(noise, "GIF"))
    bmp[18:26], gif[6:10] = struct.pack("<ii", 60000, 60000), struct.pack("<HH", 60000, 60000)
    webp = bytearray(encoded(noise.convert("RGBA"), "WEBP", exif=b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0"))
    webp[24:30] = b"\xff" * 6
    jpeg = bytearray(encoded(noise, "JPEG"))
    jpeg[(place := jpeg.index(b"\xff\xc0")) + 5 : place + 9] = struct.pack(">HH", 60000, 60000)
    no_size = bytearray(encoded(noise, "BMP"))
    no_size[18:22] = bytes(4)
    text = b"c\0\0" + zeros(1 << 28)
    return files | {
        "says 60000 x 60000.png": (png(60000, 60000, plain), huge),
        "says 60000 x 60000.gif": (bytes(gif), huge),
        "says 60000 x 60000.bmp": (bytes(bmp), huge),
        "says 60000 x 60000.jpg": (bytes(jpeg), huge),
        "says 60000 x 60000.tif": (tiff(grey_tiff(60000, 60000, bytes(9)), bytes(9)), huge),
        "says 16 million x 16 million.webp": (bytes(webp), huge),
        "says 60000 x 60000.avif": (bytes(avif), ""),
        "a row of 100 million.png": (png(100_000_000, 1, plain, 1, 0), "too large: a side of over 65535 pixels"),
        "a column of 100 million.png": (png(1, 100_000_000, plain, 1, 0), "too large: a side of over 65535 pixels"),
        "no width.bmp": (bytes(no_size), ""),
        "no width.png": (png(0, 8, plain), ""),
        "text of 256 MB.png": (png(8, 8, plain, before=chunk(b"zTXt", text)), "damaged: "),
        "profile of 256 MB.png": (png(8, 8, plain, before=chunk(b"iCCP", text)), "damaged: "),
        "international text of 256 MB.png": (
            png(8, 8, plain, before=chunk(b"iTXt", b"c\0\1\0\0\0" + text[3:])),
            "damaged: ",
        ),
        "thousand scans.jpg": (scans(2000, 2000, 1000), "too slow: over 100 scans"),
    }


def endless_files() -> dict[str, bytes]:
    """Files of so many parts that reading them would take minutes, if they were only somewhat larger."""
    jpeg = encoded(Image.new("RGB", (8, 8)), "JPEG")
    return {
        "nothing but filling.jpg": b"\xff\xd8" + b"\xff" * 3_000_000,
        "filling between its parts.jpg": jpeg[:2] + b"\xff" * 3_000_000 + jpeg[2:],
        "million parts.png": png(8, 8, zlib.compress(bytes(25 * 8)), before=chunk(b"prVt") * 1_000_000),
        "million comments.gif": comments(1_000_000),
        "million runs.bmp": long_bmp(),
    }


def long_bmp() -> bytes:
    """Run lengths that go nowhere: by each, the place moves by nothing."""
    header = struct.pack("<IiiHHIIiiII", 40, 8, 8, 1, 8, 1, 0, 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", 0, 0, 0, 54 + 1024) + header + bytes(1024) + b"\0\2\0\0" * 1_000_000


def slow_files() -> dict[str, bytes]:
    """Pictures that can be read, but would take long, or much memory, if they were not read with care."""
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 255, (90, 120, 3), np.uint8))
    plain, jpeg = zlib.compress(bytes(25 * 8)), encoded(noise, "JPEG")
    gif = encoded(noise.quantize(16), "GIF")
    start = gif.index(b"\x2c", 13 + 3 * 16)
    webp = bytearray(encoded(Image.new("RGB", (16, 16)), "WEBP", lossless=True))
    webp[21:25] = struct.pack("<I", (LARGE - 1) | (LARGE - 1) << 14)  # it is of one colour, however large
    rows = zlib.compress(b"".join(b"\0" + row.tobytes() for row in np.asarray(noise.resize((600, 600)))), 0)
    tiny = b"".join(chunk(b"IDAT", rows[at : at + 11]) for at in range(0, len(rows), 11))
    head = png(600, 600, b"")
    parts = [Image.new("RGB", (32, 32), (n % 255, n // 255, 0)) for n in range(1500)]
    pages = grey_tiff(4, 4, bytes(16))
    first = tiff(pages, bytes(16))
    more = first[24:-4]
    directories = b"".join(more + struct.pack("<I", len(first) + (n + 1) * (len(more) + 4)) for n in range(300_000))
    exif = b"II*\0\x08\0\0\0\xff\xff" + b"\x12\1\3\0\1\0\0\0\6\0\0\0" * 65535
    app = b"\xff\xe1" + struct.pack(">H", 65535) + b"Exif\0\0" + bytes(65527)
    return {
        "large, with alpha.png": png(LARGE, LARGE, zeros(LARGE * (4 * LARGE + 1)), colours=6),
        "large.webp": bytes(webp),
        "hundred scans.jpg": scans(2000, 2000, 90),
        "256 MB behind its pixels.png": png(8, 8, zeros(1 << 28)),
        "100000 pieces of pixels.png": head[:33] + tiny + chunk(b"IEND"),
        "100000 parts.png": png(8, 8, plain, before=chunk(b"prVt") * 100_000),
        "1500 frames.png": encoded(parts[0], "PNG", save_all=True, append_images=parts[1:]),
        "1500 frames.webp": encoded(parts[0], "WEBP", save_all=True, append_images=parts[1:]),
        "20000 frames.gif": gif[:start] + gif[start:-1] * 20_000 + b";",
        "100000 comments.gif": comments(100_000),
        "300000 directories.tif": first[:-4] + struct.pack("<I", len(first)) + directories,
        "directories in a ring.tif": tiff(pages, bytes(16), following=24),
        "8 MB of exif.jpg": jpeg[:2] + app * 128 + jpeg[2:],
        "8 MB of orientation.png": png(8, 8, plain, before=chunk(b"eXIf", exif + bytes(8_000_000))),
        "300 pictures.jpg": encoded(noise, "MPO", save_all=True, append_images=[noise] * 300),
    }


def comments(count: int) -> bytes:
    """A GIF with so many comments before its picture."""
    data = encoded(Image.new("P", (8, 8)), "GIF")
    start = data.index(b"\x2c", 13)
    return data[:start] + b"\x21\xfe\1x\0" * count + data[start:]


# --- every one of them, turned


def flat(image: Image.Image) -> Any:
    """Laid on black, as whole numbers that can be subtracted: (height, width, 3)."""
    image = image.convert("RGBA")
    return np.asarray(Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image))[..., :3].astype(int)


def alpha(image: Image.Image) -> Any:
    return np.asarray(image.convert("RGBA"))[..., 3].astype(int)


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


@pytest.fixture(scope="module")
def numbered(draw: Any) -> Callable[[], Image.Image]:
    """Draws pictures that face right and are happy, each with a number of its own."""
    numbers = iter(range(1, 4000))
    return lambda: draw("right", "happy", next(numbers))


@pytest.fixture(scope="module")
def odd(numbered: Callable[[], Image.Image]) -> dict[str, Odd]:
    return odd_pictures(numbered)


def check_turned(name: str, one: Odd) -> None:
    picture, image = images.read_picture(Path(name), one.data)
    assert (picture.width, picture.height) == one.shows.size
    assert np.abs(np.asarray(images.load(image)).astype(int) - flat(one.shows)).max() <= one.far
    grey = images.load_grey(images.open_picture(one.data))
    assert grey.shape == one.shows.size[::-1]
    small = images.load_small(one.data, images.open_picture(one.data), 32)
    assert small.shape == (*one.shows.size[::-1], 3)
    suffix = images.KEPT.get(picture.format, ".png")
    turned = opened(images.render(one.data, MIRRORED, suffix))
    expected = ImageOps.mirror(one.shows)
    assert turned.size == expected.size
    assert turned.getexif().get(EXIF_AT, 1) == 1
    assert np.abs(flat(turned) - flat(expected)).max() <= 2 * one.far
    assert (alpha(turned) == alpha(expected)).all()
    assert turned.info.get("icc_profile") != NO_PROFILE
    assert turned.info.get("icc_profile") != grey_profile() or turned.mode == "L"
    assert getattr(turned, "n_frames", 1) == 1


def test_every_odd_picture_is_turned_as_it_is_seen(odd: dict[str, Odd]) -> None:
    wrong = {}
    for name, one in (odd | grey_pictures()).items():
        try:
            check_turned(name, one)
        except Exception as found:
            wrong[name] = f"{type(found).__name__}: {found}"[:300]
    assert wrong == {}


def test_a_16_bit_picture_keeps_each_of_its_values_as_near_as_8_bits_can() -> None:
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    found = np.asarray(images.load(images.open_picture(encoded(Image.fromarray(values), "PNG"))))[..., 0]
    assert np.abs(found / 255 - values / 65535).max() <= 0.5 / 255 + 1e-6


# --- a whole heap of them


@pytest.fixture(scope="module")
def heap(tmp_path_factory: pytest.TempPathFactory, odd: dict[str, Odd]) -> Path:
    """Everything above in one folder, but for what takes seconds."""
    folder = tmp_path_factory.mktemp("hostile") / "heap"
    folder.mkdir()
    for name, one in (odd | grey_pictures()).items():
        (folder / name).write_bytes(one.data)
    for name, data in tiny_pictures().items():
        (folder / name).write_bytes(data)
    (folder / "bad").mkdir()
    for name, (data, _) in bad_files().items():
        (folder / "bad" / name).write_bytes(data)
    return folder


def placed(library: Path) -> dict[str, list[str]]:
    """Class folder -> the stems of the pictures in it, without their hashes."""
    found: dict[str, list[str]] = {}
    for path in sorted(library.glob("[!.]*/*/*")):
        if path.suffix != ".txt":
            found.setdefault(path.parent.relative_to(library).as_posix(), []).append(path.stem.rpartition("-")[0])
    return found


def test_a_heap_of_them_is_sorted_and_exported_and_every_file_accounted_for(
    heap: Path, tmp_path: Path, job: Job, odd: dict[str, Odd]
) -> None:
    library, dataset = tmp_path / "library", tmp_path / "dataset"
    report, _ = sort(heap, library, job)
    files, counts = [path for path in heap.rglob("*") if path.is_file()], report.counts
    bad = {name: reason for name, (_, reason) in bad_files().items()}
    failed = {failure.path.name: failure.reason for failure in report.failures}
    assert set(failed) == set(bad)
    assert {name: reason for name, reason in failed.items() if not reason.startswith(bad[name])} == {}
    assert all(reason and reason.isprintable() and len(reason) < 200 for reason in failed.values())
    assert counts["files"] == len(files)
    assert counts["pictures placed"] + counts["copies"] + len(report.failures) == len(files)
    assert counts["turned"] == len(odd)
    assert sorted(placed(library)["happy/left"]) == sorted(name.rpartition(".")[0].replace(" ", "_") for name in odd)
    by_name = {path.stem.rpartition("-")[0]: path for path in library.glob("happy/left/*") if path.suffix != ".txt"}
    assert np.abs(flat(Image.open(by_name["held_7"])) - flat(ImageOps.mirror(odd["held 7.jpg"].shows))).max() < 12
    report, steps = sort(heap, library, job)
    assert (steps, len(report.failures)) == ((), len(bad))
    report = export(library, dataset, job, crop=croppers.build("centre", size=32), doubtful=True)
    assert report.failures == []
    rows = [json.loads(line) for line in (dataset / "metadata.jsonl").read_text(encoding="utf-8").splitlines()]
    # Greys of more bits than 8 come to the same file as those of 8.
    assert len(rows) + report.counts["copies"] == len(odd) + len(grey_pictures()) + len(tiny_pictures())
    files = {row["file_name"]: dataset / row["file_name"] for row in rows}
    wrong = {}
    for name, one in odd.items():
        digits = hashlib.sha256(one.data).hexdigest()[:10]
        (file,) = (path for file_name, path in files.items() if digits in file_name)
        cropped = ImageOps.mirror(one.shows).crop((4, 0, 36, 32))
        far = np.abs(flat(Image.open(file)) - flat(cropped)).max()
        if far > 2 * one.far:
            wrong[name] = far
    assert wrong == {}


def test_warnings_about_a_file_are_in_the_census_and_nowhere_else(tmp_path: Path, project: Path) -> None:
    """Pillow warns of pictures above its own limit, of torn tags and of odd palettes."""
    (tmp_path / "heap").mkdir()
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 120, 3), np.uint8))
    (tmp_path / "heap" / "large.png").write_bytes(png(10000, 10000, zeros(10000 * 1251), 1, 0))
    (tmp_path / "heap" / "torn.tif").write_bytes(tiff(grey_tiff(9, 9, bytes(81), t273=(4, 2**32 - 1, 8)), bytes(81)))
    (tmp_path / "heap" / "palette.png").write_bytes(encoded(clear_corner(noise).quantize(9), "PNG"))
    command = [sys.executable, "-m", "sorter", "sort", tmp_path / "heap", "--to", tmp_path / "library", "--json"]
    done = subprocess.run([*command, "--scheme", project / "scheme.toml"], capture_output=True, cwd=ROOT, check=False)
    assert (done.returncode, done.stderr) == (1, b"")
    assert json.loads(done.stdout)["counts"]["pictures placed"] == 2


# --- bounded time and memory

MOST_SECONDS = 20
"""Of a processor. Of what is in these tests, the slowest takes 4."""
MOST_MEGABYTES = 60 + 23 * LARGE * LARGE // 1_000_000
"""Of the whole process, in which a picture takes up to 22 bytes a pixel."""


def probe(path: Path) -> str:
    """All that is ever done with a picture; what came of it."""
    try:
        data = path.read_bytes()
        picture, image = images.read_picture(path, data)
        images.fit_view(images.load_small(data, image, 448), 224)
        del image
        images.load_grey(images.open_picture(data))
        images.render(data, MIRRORED, images.KEPT.get(picture.format, ".png"))
    except PictureError as found:
        return str(found)
    return "read"


@pytest.mark.skipif(os.name == "nt", reason="there is no fork, and no word of what a process took")
@pytest.mark.timeout(240)
def test_none_takes_more_than_a_bounded_time_and_memory(tmp_path: Path) -> None:
    bad, endless, slow = bad_files(), endless_files(), slow_files()
    expected = {name: reason for name, (_, reason) in bad.items()}
    expected |= dict.fromkeys(endless, "too slow: in over 2 million pieces") | dict.fromkeys(slow, "read")
    for name, data in ({name: data for name, (data, _) in bad.items()} | endless | slow).items():
        (tmp_path / name).write_bytes(data)
    found = by_itself("bounds", tmp_path)
    costs = {row["name"]: row for row in map(json.loads, found.stdout.splitlines())}
    assert set(costs) == set(expected)
    wrong = [row for name, row in costs.items() if not row["said"].startswith(expected[name]) or row["status"]
             or row["seconds"] > MOST_SECONDS or row["megabytes"] > MOST_MEGABYTES]  # fmt: skip
    assert wrong == []
    assert found.stderr == ""


def test_pictures_that_are_decoded_together_are_no_more_than_so_many_pixels() -> None:
    room, held, most = limits.Room(100), [0], [0]

    def decode(pixels: int) -> None:
        with contextlib.suppress(ValueError), room.hold(pixels):
            held[0] += pixels
            most[0] = max(most[0], held[0])
            time.sleep(0.002)
            held[0] -= pixels
            raise ValueError

    with ThreadPoolExecutor(8) as pool:
        deque(pool.map(decode, [60, 40, 100, 10, 30, 1] * 10, timeout=60), maxlen=0)
    assert 60 < most[0] <= 100
    assert (held, room._free) == ([0], 100)


def by_itself(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "ignore", __file__, *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, check=True, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )


def bounds(folder: Path) -> None:
    """Print what each picture of `folder` costs, each in a process of its own."""
    import resource

    probe_warm_up()
    for path in sorted(folder.iterdir()):
        read, write = os.pipe()
        child = os.fork()
        if not child:
            resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
            os.write(write, probe(path).encode()[:4000])
            os._exit(0)
        os.close(write)
        with open(read, "rb") as pipe:
            said = pipe.read().decode()
        _, status, used = os.wait4(child, 0)
        row = {"name": path.name, "said": said, "status": status, "seconds": round(used.ru_utime + used.ru_stime, 2),
               "megabytes": used.ru_maxrss // (1 << 20 if sys.platform == "darwin" else 1 << 10)}  # fmt: skip
        print(json.dumps(row), flush=True)


def probe_warm_up() -> None:
    """So that no child has to import anything."""
    for form in images.FORMATS:
        data = encoded(Image.new("RGB", (32, 32)), form)
        images.fit_view(images.load_small(data, images.open_picture(data), 32), 32)


# --- damage


@pytest.mark.parametrize("form", images.FORMATS)
def test_no_damage_raises_anything_but_a_picture_error(form: str) -> None:
    found = by_itself("mutants", form, 700)
    assert found.stdout.split()[:1] == ["700"], found.stdout
    assert form == "TIFF" or found.stderr == ""  # libtiff says there what it thinks of a file
    assert found.stderr.replace("\n", "").isprintable()


def mutants(form: str, count: int) -> None:
    """Damage small pictures of a format in so many ways; print how many were survived."""
    chance = random.Random(form)
    image = Image.fromarray(np.random.default_rng(2).integers(0, 255, (12, 16, 4), np.uint8))
    seeds = [one for name, one in seeds_of(form, image).items()]
    for number in range(count):
        whole = bytearray(chance.choice(seeds))
        for _ in range(chance.choice((1, 2, 4, 16))):
            place = chance.randrange(len(whole)) if chance.random() < 0.3 else chance.randrange(min(len(whole), 200))
            act = chance.random()
            if act < 0.6:
                whole[place] = chance.choice((0, 1, 2, 127, 128, 255, chance.randrange(256)))
            elif act < 0.75:
                whole[place : place + 4] = struct.pack(
                    chance.choice("<>") + "I", chance.choice((0, 1, 2**31, 2**32 - 1))
                )
            elif act < 0.9:
                del whole[place : place + chance.randrange(1, 9)]
            else:
                whole[place:place] = whole[: chance.randrange(1, 40)]
            if not whole:
                break
        if form == "PNG" and chance.random() < 0.7:
            whole = mended(bytes(whole))
        if chance.random() < 0.2:
            del whole[chance.randrange(len(whole) + 1) :]
        try:
            picture, opened_one = images.read_picture(Path("a"), bytes(whole))
            if picture.width * picture.height > 1_000_000:
                continue  # what that costs is another test's matter
            images.fit_view(images.load_small(bytes(whole), opened_one, 8), 8)
            images.load_grey(images.open_picture(bytes(whole)))
            images.render(bytes(whole), MIRRORED, images.KEPT.get(picture.format, ".png"))
            images.render(bytes(whole), Render("0" * 64), images.KEPT.get(picture.format, ".png"))
        except PictureError as found:
            if not str(found).isprintable():
                raise
        except BaseException:
            print(f"{form} {number}: {bytes(whole)!r}")
            raise
    print(count)


def mended(data: bytes) -> bytearray:
    """A PNG with the checksums that its chunks should have: without them, it is read no further."""
    whole, place = bytearray(data), 8
    while place + 12 <= len(whole):
        end = place + 8 + int.from_bytes(whole[place : place + 4], "big")
        whole[end : end + 4] = struct.pack(">I", zlib.crc32(whole[place + 4 : end]))
        place = end + 4
    return whole


def seeds_of(form: str, image: Image.Image) -> dict[str, bytes]:
    exif = Image.Exif()
    exif[EXIF_AT] = 6
    rgb = image.convert("RGB")
    if form == "PNG":
        kinds = {mode: encoded(image.convert(mode), form, exif=exif) for mode in ("1", "L", "LA", "P", "RGB", "RGBA")}
        deep = np.asarray(image).astype(np.uint32) * 257
        return kinds | {"16": deep_png(deep, 6), "animation": first_of(rgb, form),
                        "grey": deep_png(deep[..., :1], 0, chunk(b"tRNS", b"\0\0"))}  # fmt: skip
    if form == "JPEG":
        return {
            "plain": encoded(rgb, form, exif=exif, icc_profile=b"abc" * 50),
            "progressive": encoded(rgb, form, progressive=True),
            "inks": encoded(rgb.convert("CMYK"), form),
            "grey": encoded(rgb.convert("L"), form),
            "many": encoded(rgb, "MPO", save_all=True, append_images=[rgb]),
        }
    if form == "TIFF":
        kinds = {mode: encoded(image.convert(mode), form) for mode in ("1", "L", "P", "RGB", "RGBA", "CMYK", "LAB")}
        packed = {how: encoded(rgb, form, compression=how, exif=exif) for how in ("tiff_lzw", "tiff_adobe_deflate",
                                                                                   "jpeg", "packbits")}  # fmt: skip
        more = {mode: encoded(rgb.convert("L").convert(mode), form) for mode in ("I", "F", "I;16")}
        return kinds | packed | more
    if form == "PPM":
        return {mode: encoded(image.convert(mode), form) for mode in ("1", "L", "RGB")}
    if form == "JPEG2000":
        return {mode: encoded(image.convert(mode), form) for mode in ("L", "RGB", "RGBA")}
    if form == "WEBP":
        return {"lossy": encoded(rgb, form, exif=exif), "lossless": encoded(image, form, lossless=True),
                "animation": first_of(rgb, form)}  # fmt: skip
    if form == "GIF":
        return {
            "plain": encoded(rgb.quantize(16), form),
            "animation": first_of(rgb, form),
            "clear": encoded(image, form),
        }
    if form == "BMP":
        kinds = {mode: encoded(image.convert(mode), form) for mode in ("1", "L", "P", "RGB", "RGBA")}
        return kinds | {"runs": run_length_bmp(rgb.quantize(16))}
    return {"plain": encoded(rgb, form, exif=exif), "alpha": encoded(image, form), "animation": first_of(rgb, form)}


if __name__ == "__main__":
    if sys.argv[1] == "bounds":
        bounds(Path(sys.argv[2]))
    else:
        mutants(sys.argv[2], int(sys.argv[3]))
