from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from sorter.errors import PictureError
from sorter.pictures import images
from sorter.pictures.resample import cover


def pillows(pixels: np.ndarray, size: int) -> np.ndarray:
    return np.asarray(ImageOps.fit(Image.fromarray(pixels), (size, size), Image.Resampling.LANCZOS))


def scene(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Edges, gradients and some noise, as frames have them."""
    draw = np.random.default_rng(seed)
    across, down = np.meshgrid(np.linspace(0, 9, width), np.linspace(0, 7, height))
    shapes = 100 * np.sign(np.sin(across * 3) * np.cos(down * 2))[..., None] + [120, 130, 110]
    return np.clip(shapes + draw.normal(0, 12, (height, width, 3)), 0, 255).astype(np.uint8)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 400), st.integers(1, 400), st.sampled_from([1, 32, 64, 224]))
def test_it_is_pillows_lanczos_to_a_rounding(height: int, width: int, size: int) -> None:
    pixels = scene(height, width)
    far = np.abs(cover(pixels, size).astype(int) - pillows(pixels, size))
    if height <= width:
        assert far.max() <= 1 and far.mean() < 0.01
    else:  # a tall picture, Pillow may scale down first: it rounds between, and cuts off beyond black and white
        assert far.mean() < 1


@pytest.mark.parametrize("shape", [(720, 1280), (1080, 1920), (540, 960), (224, 224), (2000, 2000)])
def test_frames_of_usual_sizes_are_scaled_as_pillow_does(shape: tuple[int, int]) -> None:
    pixels = scene(*shape)
    far = np.abs(cover(pixels, 224).astype(int) - pillows(pixels, 224))
    assert far.max() <= 1 and (far > 0).mean() < 0.001


def test_what_is_mirrored_is_mirrored() -> None:
    pixels = scene(300, 500)
    far = np.abs(cover(pixels[:, ::-1], 64).astype(int) - cover(pixels, 64)[:, ::-1])
    assert far.max() <= 1 and far.mean() < 0.001


@pytest.mark.parametrize("value", [0, 1, 127, 255])
def test_flat_pictures_stay_flat(value: int) -> None:
    assert (cover(np.full((333, 517, 3), value, np.uint8), 224) == value).all()


def jpeg(pixels: np.ndarray, **options: object) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=90, **options)  # type: ignore[arg-type]
    return out.getvalue()


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}, {"subsampling": 1}])
def test_a_small_jpeg_is_decoded_as_pillow_does(options: dict[str, object]) -> None:
    data = jpeg(scene(480, 853), **options)
    small = images.load_small(data, images.open_picture(data), 100)
    assert small.shape == (120, 214, 3)
    drafted = images.open_picture(data)
    drafted.draft("RGB", (100, 100))
    assert np.abs(small.astype(int) - np.asarray(images.load(drafted))).mean() < 1


def test_greys_inks_and_turned_jpegs_are_decoded_too() -> None:
    exif = Image.Exif()
    exif[images.ORIENTATION] = 6
    turned = jpeg(scene(300, 400), exif=exif)
    assert images.load_small(turned, images.open_picture(turned), 100).shape[:2] == (200, 150)
    for mode in ("L", "CMYK"):
        out = io.BytesIO()
        Image.fromarray(scene(300, 400)).convert(mode).save(out, "JPEG")
        assert images.load_small(out.getvalue(), images.open_picture(out.getvalue()), 100).shape == (150, 200, 3)


@pytest.mark.parametrize("keep", [0.3, 0.6, 0.9, 0.99])
def test_a_jpeg_that_ends_early_is_found_out(keep: float) -> None:
    data = jpeg(scene(480, 853))
    cut = data[: int(len(data) * keep)]
    with pytest.raises(PictureError, match="damaged"):
        images.load_small(cut, images.open_picture(cut), 100)


def test_real_frames_are_seen_as_teachable_machine_sees_them(shared: Path) -> None:
    for path in sorted((shared / "frames").glob("*.jpg"))[::5]:
        data = path.read_bytes()
        view = images.fit_view(images.load_small(data, images.open_picture(data), 448), 224)
        theirs = pillows(np.asarray(Image.open(path).convert("RGB")), 224)
        assert np.abs(view.astype(int) - theirs).mean() < 0.5
