"""Our own PNGs, read back by others."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image, ImageCms

from sorter.pictures.images import render
from sorter.pictures.png import encode_png
from sorter.records import Render

shapes = st.tuples(st.integers(1, 40), st.integers(1, 40), st.just(3))


@given(arrays.arrays(np.uint8, shapes))
def test_every_pixel_comes_back(pixels: np.ndarray) -> None:
    with Image.open(io.BytesIO(encode_png(pixels))) as image:
        image.load()
        assert image.format == "PNG" and image.mode == "RGB"
        assert np.array_equal(np.asarray(image), pixels)


def test_a_profile_comes_back_and_a_scaled_picture_is_what_pillow_would_write(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    frame = Image.radial_gradient("L").convert("RGB")
    out = io.BytesIO()
    frame.save(out, "JPEG", quality=90, icc_profile=profile)
    made = render(out.getvalue(), Render("x", size=(100, 100)), ".png")
    with Image.open(io.BytesIO(made)) as image:
        assert image.info["icc_profile"] == profile
        assert image.size == (100, 100)


def test_opencv_reads_it_as_trainers_do() -> None:
    cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed")
    pixels = np.random.default_rng(0).integers(0, 256, (33, 21, 3), np.uint8)
    read = cv2.imdecode(np.frombuffer(encode_png(pixels), np.uint8), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(read[:, :, ::-1], pixels)
