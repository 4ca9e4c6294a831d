from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from sorter.classify.measures import edge_ratios, measure, read_measure
from sorter.errors import ModelError, OptionsError


@pytest.fixture(scope="module")
def stills(shared: Path) -> list[Image.Image]:
    found = [Image.open(path).convert("L") for path in sorted((shared / "frames").glob("*.jpg"))]
    kept = [image for image in found if np.asarray(image).std() > 20]  # a black frame has no edges to blur
    assert len(kept) >= 15
    return kept


def motion(image: Image.Image, length: int = 9, down: bool = False) -> Image.Image:
    """As of a camera that moved by `length` pixels along one direction."""
    values = np.asarray(image, np.float32)
    shifted = [np.roll(values, shift, axis=0 if down else 1) for shift in range(length)]
    return Image.fromarray(np.mean(shifted, axis=0).astype(np.uint8))


def sharp(image: Image.Image) -> float:
    return float(measure("sharpness", "here")(np.asarray(image))[1])


def test_every_blurred_copy_of_a_real_frame_is_less_sharp(stills: list[Image.Image]) -> None:
    for image in stills:
        own = sharp(image)
        for blurred in (image.filter(ImageFilter.GaussianBlur(3)), motion(image), motion(image, down=True)):
            assert sharp(blurred) < own


def test_the_built_in_weights_tell_most_real_frames_from_their_blurred_copies(stills: list[Image.Image]) -> None:
    kept = sum(sharp(image) >= 0.5 for image in stills)
    missed = sum(sharp(image.filter(ImageFilter.GaussianBlur(4))) >= 0.5 for image in stills)
    assert kept >= 0.7 * len(stills)
    assert missed <= 0.1 * len(stills)


@pytest.mark.parametrize("down", [False, True])
def test_a_blur_along_one_direction_is_enough_to_be_called_blurry(down: bool) -> None:
    blocks = Image.fromarray(np.random.default_rng(4).integers(0, 255, (12, 16), np.uint8))
    drawn = blocks.resize((320, 240), Image.Resampling.NEAREST)
    assert sharp(drawn) > 0.9
    assert sharp(motion(drawn, 15, down)) < 0.5
    worse, better = edge_ratios(np.asarray(motion(drawn, 15, down)))
    assert worse < 0.2 < 0.4 < better


@pytest.mark.parametrize("shape", [(1, 1), (5, 200), (16, 16), (40, 3000), (64, 64)])
@pytest.mark.parametrize("value", [0, 128, 255])
def test_a_flat_picture_of_any_shape_is_not_called_sharp(shape: tuple[int, int], value: int) -> None:
    assert edge_ratios(np.full(shape, value, np.uint8)) == (0.0, 0.0)
    scores = measure("sharpness", "here")(np.full(shape, value, np.uint8))
    assert scores.sum() == pytest.approx(1) and scores[0] > 0.5


def test_a_measure_is_read_from_a_card_and_its_weights_are_its_identity() -> None:
    card = {"use": "sharpness", "classes": ["soft", "crisp"], "worse": 1.0, "better": 2.0, "bias": 0.0}
    own = read_measure(card, "card.toml")
    assert own.labels == ("soft", "crisp")
    assert own.sha256 == read_measure(dict(card), "card.toml").sha256 != measure("sharpness", "x").sha256


def test_a_wrong_measure_is_a_sentence() -> None:
    with pytest.raises(OptionsError, match=r'^\[axes.blur\]: "sharpnes" is not a measure; did you mean'):
        measure("sharpnes", "[axes.blur]")
    with pytest.raises(ModelError, match="fit the measure again"):
        read_measure({}, "card.toml")
    with pytest.raises(OptionsError, match="bias"):
        read_measure({"use": "sharpness", "bias": float("nan")}, "card.toml")
