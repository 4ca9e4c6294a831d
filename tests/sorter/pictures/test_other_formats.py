"""Files of other formats are read where a package can, and called what they are where none can."""

from __future__ import annotations

import base64
import io
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sorter.errors import PictureError
from sorter.pictures import images
from sorter.records import Render

HEIC = base64.b85decode(
    "0000SW^{RQXk}?*00000ZE0pPXk}?*ZE0a<0004eZDn*}000000000XXk=`10000000000aA{+700000000000000000000B57=IV*mgE07O6l0R"
    "RC200001pa1~?00000002w?001LtX>Mi!000000RR916=`l}WdZ;I000310BCk&F#rGn01j|zbZr0t000010002|X>f9I0002oX>en20001WXm(>"
    "m0RwOV0058x000009`FGC{rLC*01pFT0096PKmiN^|NjGU00093kN^M!000939=ZZRVE_RDDMA4O18@KU0|1Z!00RI30{|YNAb|yz>aLpR;31&EfB"
    "*mtfB*mk0EA)y0RRR>0l{;@i2wiq6Ju{|a&BX6cmM$a4FCp!0000KX>)L8000000000$0000$0000eV{Bn?0000O000010000G00001|NsBk0000"
    "2|NsBc000020000GaA|mH000000|*ER0000OX>e^}0000000001009Mo0s{qv0000~ZDe6|0000;C;_ht$ZEzKBb!nGitUl3pZa{eMd(>Zn`Li4E1"
    "zeXn1$|g31XM+2I8;)Hu5f&JpC^~^OfE_Qeq<NOZRfsF2Lg^S8LjA"
)
"""A red and a blue half, 24 x 16 pixels."""
JXL = bytes.fromhex("ff0a03070014880200ac01b59f200000152aa38c1bbc9cebf9f24387c5b48deb0c6db56d")


def two_halves() -> Image.Image:
    picture = Image.new("RGB", (24, 16), (200, 30, 30))
    picture.paste((20, 40, 200), (0, 0, 12, 16))
    return picture


def saved(form: str, **options: object) -> bytes:
    out = io.BytesIO()
    two_halves().save(out, form, **options)
    return out.getvalue()


@pytest.mark.parametrize("form", ["JPEG2000", "PPM", "AVIF", "MPO"])
def test_pillow_reads_these(form: str) -> None:
    options = {"save_all": True, "append_images": [two_halves()]} if form == "MPO" else {}
    picture, opened = images.read_picture(Path("a"), saved(form, **options))
    assert (picture.width, picture.height) == (24, 16)
    near = np.abs(np.asarray(images.load(opened), int) - np.asarray(two_halves(), int)).mean()
    assert near < 12


def test_a_heic_is_read_where_its_package_is_installed() -> None:
    pytest.importorskip("pi_heif")
    picture, opened = images.read_picture(Path("a.jpg"), HEIC)
    assert (picture.width, picture.height, picture.format) == (24, 16, "HEIF")
    pixels = np.asarray(images.load(opened), int)
    assert pixels[8, 2, 2] > 150 and pixels[8, 20, 0] > 150
    assert images.render(HEIC, Render(""), ".png").startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("data", "module", "said"),
    [(HEIC, "pi_heif", "HEIC picture.*modelsheet.heic"), (JXL, "pillow_jxl", "JPEG XL picture.*pillow-jxl-plugin")],
)
def test_a_format_whose_package_is_missing_names_it(
    data: bytes, module: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(PictureError, match=said):
        images.open_picture(data)


def test_a_damaged_heic_is_called_so() -> None:
    pytest.importorskip("pi_heif")
    with pytest.raises(PictureError, match="damaged"):
        images.load(images.open_picture(HEIC[:200]))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:abc\n", "Git LFS pointer"),
        (b"\xef\xbb\xbf\n<!DOCTYPE html><html>", "web page"),
        (b"<HTML><body>", "web page"),
        (b"%PDF-1.7\n", "PDF"),
        (b"8BPS\0\1", "Photoshop"),
        (b"\0\0\0\x18ftypisom\0\0\0\0", "video"),
        (b"\x1aE\xdf\xa3\x01", "video"),
        (b"hello", "of no picture format"),
    ],
)
def test_what_is_no_picture_is_called_what_it_is(data: bytes, said: str) -> None:
    with pytest.raises(PictureError, match=f"not a picture.*{said}"):
        images.open_picture(data)


def test_a_trainer_sees_what_a_sorter_saw() -> None:
    """Hidden colours under transparency and 16-bit greys: opened as RGB, the exported file shows what was judged."""
    hidden = np.zeros((8, 8, 4), np.uint8)
    hidden[...] = (0, 255, 0, 0)
    hidden[2:6, 2:6] = (230, 20, 20, 255)
    deep = Image.fromarray(np.linspace(0, 65535, 64).reshape(8, 8).astype(np.uint16))
    for source in (Image.fromarray(hidden), deep):
        out = io.BytesIO()
        source.save(out, "PNG")
        judged = np.asarray(images.load(images.open_picture(out.getvalue())))
        made = images.render(out.getvalue(), Render("", opaque=True), ".png")
        assert (np.asarray(Image.open(io.BytesIO(made)).convert("RGB")) == judged).all()
    plain = saved("PNG")
    assert images.render(plain, Render("", opaque=True), ".png") == plain
