from __future__ import annotations

import io
import shutil
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from sorter.classify.ask import Questions
from sorter.errors import LibraryError, PictureError
from sorter.files import Found
from sorter.pictures import images
from sorter.pictures.scan import PassedOver, walk
from sorter.records import Box, Render, Unreadable

ANY = Render("0" * 64)
MIRRORED = Render("0" * 64, mirror=True)


def encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def gradient(size: tuple[int, int] = (24, 16), mode: str = "RGB") -> Image.Image:
    """No two columns or rows alike, so that every turn shows."""
    width, height = size
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.stack([x, y, (x + y) / 2], 2).astype(np.uint8)).convert(mode)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_every_orientation_comes_out_upright(orientation: int, form: str) -> None:
    upright = gradient()
    back = {2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}
    exif = Image.Exif()
    exif[images.ORIENTATION] = back.get(orientation, 1)
    lying = ImageOps.exif_transpose(_with(upright, exif))  # stored so that its own tag puts it upright again
    exif[images.ORIENTATION] = orientation
    lossless = {"WEBP": {"lossless": True}, "JPEG": {"quality": 100, "subsampling": 0}}.get(form, {})
    data = encoded(lying, form, exif=exif, **lossless)
    picture, image = images.read_picture(Path("a"), data)
    assert (picture.width, picture.height, picture.format) == (24, 16, form)
    assert _far(images.load(image), upright) < 6
    grey = images.load_grey(images.open_picture(data))
    assert grey.shape == (16, 24)
    turned = opened(images.render(data, MIRRORED, images.KEPT.get(form, ".png")))
    assert _far(turned.convert("RGB"), ImageOps.mirror(upright)) < 8
    assert turned.getexif().get(images.ORIENTATION, 1) == 1
    kept = images.render(data, ANY, images.KEPT.get(form, ".png"))
    assert (kept == data) == (orientation == 1 and form != "TIFF")
    assert opened(kept).size == (24, 16)


def _with(image: Image.Image, exif: Image.Exif) -> Image.Image:
    return Image.open(io.BytesIO(encoded(image, "PNG", exif=exif)))


def _far(one: Image.Image, other: Image.Image) -> int:
    assert one.size == other.size and one.mode == other.mode == "RGB"
    return int(np.abs(np.asarray(one).astype(int) - np.asarray(other).astype(int)).max())


@pytest.mark.parametrize("form", ["PNG", "WEBP", "GIF", "palette"])
def test_transparency_is_laid_on_black(form: str) -> None:
    image = Image.new("RGBA", (20, 20), (255, 255, 255, 0))
    image.paste((255, 0, 0, 255), (0, 0, 10, 20))
    if form == "palette":
        image, form = image.quantize(4), "PNG"
    data = encoded(image, form, **({"lossless": True, "exact": True} if form == "WEBP" else {}))
    pixels = np.asarray(images.load(images.open_picture(data)))
    assert pixels[5, 2].tolist() == [255, 0, 0]
    assert pixels[5, 15].tolist() == [0, 0, 0]
    turned = opened(images.render(data, MIRRORED, ".png")).convert("RGBA")
    assert turned.getpixel((15, 5)) == (255, 0, 0, 255)
    assert turned.getpixel((2, 5))[3] == 0  # the turned picture is as transparent as it was


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F", "YCbCr"])
def test_every_mode_becomes_rgb_of_about_the_same_brightness(mode: str) -> None:
    form = {"CMYK": "JPEG", "YCbCr": "JPEG", "F": "TIFF", "I": "TIFF"}.get(mode, "PNG")
    if mode in ("I;16", "I", "F"):
        values = np.asarray(gradient(mode="L")).astype({"I;16": np.uint16, "I": np.int32, "F": np.float32}[mode])
        image = Image.fromarray(values if mode == "F" else values * 257)
        assert image.mode == mode
    else:
        image = gradient(mode=mode)
    data = encoded(image, form)
    found = images.load(images.open_picture(data))
    assert found.mode == "RGB"
    assert abs(float(np.asarray(found).mean()) - float(np.asarray(gradient().convert("L")).mean())) < 8
    grey = images.load_grey(images.open_picture(data))
    assert grey.shape == (16, 24) and grey.dtype == np.uint8
    assert opened(images.render(data, MIRRORED, images.KEPT.get(form, ".png"))).size == (24, 16)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_header(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 120, 3), np.uint8))
BROKEN_CHUNK = bytearray(encoded(NOISE, "PNG"))
BROKEN_CHUNK[40:44] = b"\x00\x01\x02\x03"

BAD = {
    "empty": (b"", "the file is empty"),
    "text": (b"this is no picture", "not a picture"),
    "truncated jpeg": (encoded(NOISE, "JPEG")[:2000], "damaged"),
    "truncated png": (encoded(NOISE, "PNG")[:9000], "damaged"),
    "truncated webp": (encoded(NOISE, "WEBP")[:2000], "damaged"),
    "truncated gif": (encoded(NOISE, "GIF")[:4000], "damaged"),
    "truncated bmp": (encoded(NOISE, "BMP")[:2000], "damaged"),
    "truncated tiff": (encoded(NOISE, "TIFF")[:2000], ""),
    "header only": (encoded(NOISE, "PNG")[:33], "not a picture"),
    "broken chunk": (bytes(BROKEN_CHUNK), "not a picture"),
    "bomb": (png_header(60000, 60000), "too large: over 120 million pixels"),
    "no pixels": (png_header(100, 100), "damaged"),
    "svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a picture"),
    "pdf": (b"%PDF-1.4\n", "not a picture"),
    "eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "not a picture"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_a_value_with_a_reason(tmp_path: Path, name: str) -> None:
    data, reason = BAD[name]
    (tmp_path / "bad.png").write_bytes(data)
    seen = Questions({})(tmp_path / "bad.png")
    assert isinstance(seen, Unreadable)
    assert seen.path == tmp_path / "bad.png"
    assert seen.reason.startswith(reason)
    assert "None" not in seen.reason and "\n" not in seen.reason


@pytest.mark.filterwarnings("ignore")  # Pillow's own, about what is wrong with a file
@given(st.sampled_from(["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"]), st.data())
def test_no_damage_does_more_than_make_a_picture_unreadable(form: str, data: Any) -> None:
    exif = Image.Exif()
    exif[images.ORIENTATION] = 6
    whole = bytearray(encoded(gradient(), form, **({} if form in ("BMP", "GIF") else {"exif": exif})))
    for _ in range(data.draw(st.integers(1, 8))):
        whole[data.draw(st.integers(0, min(len(whole) - 1, 300)))] = data.draw(st.integers(0, 255))
    cut = bytes(whole[: data.draw(st.integers(0, len(whole)))])
    try:
        picture, image = images.read_picture(Path("a"), cut)
        images.load_grey(image)
        images.load_small(cut, images.open_picture(cut), 8)
        images.render(cut, MIRRORED, images.KEPT.get(picture.format, ".png"))
    except PictureError as found:
        assert "\n" not in str(found)


def test_a_file_that_cannot_be_opened_is_a_value(tmp_path: Path) -> None:
    seen = Questions({})(tmp_path / "gone.png")
    assert seen == Unreadable(tmp_path / "gone.png", "cannot be read: No such file or directory")


def test_a_picture_of_one_pixel_and_the_first_frame_of_an_animation_are_pictures() -> None:
    picture, image = images.read_picture(Path("a"), encoded(Image.new("RGB", (1, 1), (1, 2, 3)), "PNG"))
    assert (picture.width, picture.height) == (1, 1)
    assert images.fit_view(np.asarray(images.load(image)), 32).shape == (32, 32, 3)
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert images.load(images.open_picture(data)).getpixel((4, 4))[0] > 250
    assert opened(images.render(data, ANY, ".png")).convert("RGB").getpixel((4, 4))[0] > 250


def test_a_phones_jpeg_with_two_pictures_in_it_is_a_jpeg() -> None:
    data = encoded(gradient((64, 48)), "MPO", save_all=True, append_images=[gradient((16, 12))])
    picture, _ = images.read_picture(Path("a.jpg"), data)
    assert (picture.format, picture.width) == ("JPEG", 64)
    assert images.render(data, ANY, ".jpg") == data
    assert opened(images.render(data, MIRRORED, ".jpg")).size == (64, 48)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "BMP"])
def test_a_picture_that_is_already_right_keeps_its_bytes(form: str) -> None:
    data = encoded(gradient(), form)
    assert images.render(data, ANY, images.KEPT[form]) == data
    with pytest.raises(PictureError):
        images.render(data[: len(data) // 2], ANY, images.KEPT[form])


@given(
    st.integers(1, 9), st.integers(1, 9), st.sampled_from(["L", "LA", "RGB", "RGBA", "P", "1"]), st.binary(min_size=324)
)
def test_mirroring_a_png_twice_gives_its_pixels_back(width: int, height: int, mode: str, noise: bytes) -> None:
    original = Image.frombytes("RGBA", (width, height), noise[: 4 * width * height]).convert(mode)
    once = images.render(encoded(original, "PNG"), MIRRORED, ".png")
    twice = images.render(once, MIRRORED, ".png")
    assert opened(twice).convert("RGBA").tobytes() == original.convert("RGBA").tobytes()
    assert opened(once).convert("RGBA").tobytes() == ImageOps.mirror(original.convert("RGBA")).tobytes()


@pytest.mark.parametrize("quality", [35, 75, 95])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_a_turned_jpeg_keeps_its_tables_and_sampling(quality: int, subsampling: int) -> None:
    from PIL import JpegImagePlugin

    data = encoded(gradient((64, 48)), "JPEG", quality=quality, subsampling=subsampling)
    turned = images.render(data, MIRRORED, ".jpg")
    before, after = opened(data), opened(turned)
    assert after.quantization == before.quantization
    assert JpegImagePlugin.get_sampling(after) == subsampling
    assert _far(ImageOps.mirror(after), before.convert("RGB")) < 30
    assert 0.7 < len(turned) / len(data) < 1.4


def test_a_turned_picture_keeps_the_colour_profile_of_its_own_kind_only() -> None:
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    rgb = encoded(gradient(), "JPEG", icc_profile=profile)
    assert opened(images.render(rgb, MIRRORED, ".jpg")).info.get("icc_profile") == profile
    cmyk = encoded(gradient(mode="CMYK"), "JPEG", icc_profile=b"for inks")
    assert "icc_profile" not in opened(images.render(cmyk, MIRRORED, ".jpg")).info


def test_a_box_beyond_the_picture_is_filled_and_the_rest_scaled() -> None:
    image = Image.new("RGB", (20, 10), (200, 0, 0))
    wanted = Render("0" * 64, Box(0, -5, 20, 15), size=(40, 40), fill="#0000ff")
    pixels = np.asarray(opened(images.render(encoded(image, "PNG"), wanted, ".png")))
    assert pixels.shape == (40, 40, 3)
    assert pixels[2, 20].tolist() == [0, 0, 255] and pixels[20, 20].tolist() == [200, 0, 0]


def test_a_jpeg_is_decoded_at_a_fraction_but_never_below_what_is_asked() -> None:
    data = encoded(gradient((800, 600)), "JPEG")
    small = images.load_small(data, images.open_picture(data), 100)
    assert 100 <= min(small.shape[:2]) < 300
    full = images.fit_view(np.asarray(images.load(images.open_picture(data))), 50)
    assert np.abs(images.fit_view(small, 50).astype(int) - full.astype(int)).mean() < 2


def test_walking_finds_pictures_by_their_ending_in_order(tmp_path: Path, grow: Any) -> None:
    grow(tmp_path, {"b.PNG": b"1", "a.jpeg": b"", "notes.txt": b"", ".hidden": {"x.png": b""}, ".y.png": b"",
                    "c": {"d.webp": b"22"}, "library": {"z.png": b""}})  # fmt: skip
    (tmp_path / "link").symlink_to(tmp_path / "c")
    found = list(walk(tmp_path, tmp_path / "library"))
    assert [file.path.name for file in found] == ["a.jpeg", "b.PNG", "d.webp"]
    assert [file.size for file in found if isinstance(file, Found)] == [0, 1, 2]


def test_walking_what_is_no_folder_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LibraryError, match="does not exist; give the folder"):
        walk(tmp_path / "gone")
    with pytest.raises(LibraryError, match="is a file; give the folder"):
        walk(tmp_path / "file")


def test_a_file_whose_name_is_no_text_is_a_value(tmp_path: Path) -> None:
    import os

    try:
        (tmp_path / os.fsdecode(b"caf\xe9.png")).write_bytes(b"")
    except OSError:
        pytest.skip("this file system takes only names that are text")
    (only,) = walk(tmp_path)
    assert isinstance(only, Unreadable)
    assert only.reason.startswith("its name is not UTF-8")


def test_what_is_passed_over_is_counted(tmp_path: Path, draw: Any) -> None:
    """By its ending; links to folders by name; what a system makes for itself is not entered and not counted."""
    for folder in ("@eaDir/a.png", "#recycle", "$RECYCLE.BIN", "@Recycle", "__MACOSX", ".Trashes", "elsewhere"):
        (tmp_path / "frames" / folder).mkdir(parents=True)
        draw().save(tmp_path / "frames" / folder / "thumb.jpg")
    shutil.move(tmp_path / "frames/elsewhere", tmp_path / "elsewhere")
    (tmp_path / "frames/ep2").symlink_to(tmp_path / "elsewhere")
    for name in ("a.mp4", "b.MP4", "c.psd", "none", ".hidden", "Thumbs.db", "d.txt"):
        (tmp_path / "frames" / name).write_bytes(b"")
    draw().save(tmp_path / "frames/e.png")
    passed = PassedOver()
    assert [found.path.name for found in walk(tmp_path / "frames", passed=passed)] == ["e.png"]
    assert passed.endings == {".mp4": 2, ".psd": 1, "": 1}
    assert [path.name for path in passed.folders] == ["ep2"] and [path.name for path in passed.texts] == ["d.txt"]
