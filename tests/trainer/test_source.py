"""Image to image and inpainting, against diffusers' own pipelines, and what cannot be drawn from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image, ImageDraw

from trainer.base import read_base
from trainer.cli import cli
from trainer.errors import BaseModelError, ConfigError, SourceError
from trainer.load import load_parts
from trainer.parts import Parts
from trainer.sample import pipeline, sample
from trainer.samplers import SAMPLERS
from trainer.source import Source, find_source, read_source

SAMPLE_BASE = Path(__file__).parents[2] / "samples" / "base-model"


@pytest.fixture(params=["epsilon", "v_prediction"])
def parts(request: Any, make_base: Any, tmp_path: Path) -> Parts:
    folder = make_base(tmp_path / "base", prediction_type=request.param)
    return load_parts(read_base(folder), "fp32", "cpu")


def gradient(width: int = 48, height: int = 32) -> Image.Image:
    across = np.linspace(0, 255, width)[None, :].repeat(height, 0)
    return Image.fromarray(np.stack([across, across[:, ::-1], np.full_like(across, 90)], 2).astype(np.uint8))


def right_half(width: int = 48, height: int = 32) -> Image.Image:
    mask = Image.new("L", (width, height))
    ImageDraw.Draw(mask).rectangle((width // 2, 0, width, height), fill=255)
    return mask


def theirs(parts: Parts, kind: str, sampler: str, **options: Any) -> Any:
    """diffusers' own pipeline, read from the folder."""
    pipe = getattr(diffusers, kind).from_pretrained(parts.base.path, local_files_only=True, safety_checker=None)
    pipe.to(torch.float32).set_progress_bar_config(disable=True)
    pipe.scheduler = pipeline(parts, sampler).scheduler  # which test_samplers.py compares
    generators = [torch.Generator().manual_seed(seed) for seed in (3, 4)]
    pictures = pipe(["mira", "a b"], generator=generators, num_inference_steps=6, guidance_scale=5.0, **options).images
    return [np.asarray(picture, int) for picture in pictures]


def mine(parts: Parts, source: Source, sampler: str = "Euler a", **options: Any) -> Any:
    drawn = sample(parts, ["mira", "a b"], [3, 4], steps=6, guidance=5.0, sampler=sampler, source=source, **options)
    return [np.asarray(picture, int) for picture in drawn]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_image_to_image_is_that_of_diffusers(parts: Parts, sampler: str) -> None:
    drawn = mine(parts, Source(gradient(), None, 0.6), sampler)
    expected = theirs(parts, "StableDiffusionImg2ImgPipeline", sampler, image=[gradient()] * 2, strength=0.6)
    assert max(np.abs(one - other).max() for one, other in zip(drawn, expected, strict=True)) <= 1
    assert drawn[0].shape == (32, 48, 3)


@pytest.mark.parametrize(
    ("sampler", "strength"), [("Euler a", 0.6), ("DDIM", 1.0), ("DPM++ 2M Karras", 0.75), ("Heun", 0.5)]
)
def test_inpainting_is_that_of_diffusers_where_the_mask_is_white(parts: Parts, sampler: str, strength: float) -> None:
    source = Source(gradient(), right_half(), strength)
    drawn = mine(parts, source, sampler)
    expected = theirs(
        parts, "StableDiffusionInpaintPipeline", sampler, image=[gradient()] * 2, mask_image=[right_half()] * 2,
        strength=strength, width=48, height=32,
    )  # fmt: skip
    original = np.asarray(gradient(), int)
    for one, other in zip(drawn, expected, strict=True):
        assert np.abs(one[:, 24:] - other[:, 24:]).max() <= 1
        assert np.array_equal(one[:, :24], original[:, :24])  # untouched, not only near
        assert np.abs(one[:, 24:] - original[:, 24:]).max() > 20


def test_less_strength_stays_nearer_to_the_picture() -> None:
    parts = load_parts(read_base(SAMPLE_BASE), "fp32", "cpu")
    source = gradient(64, 64)
    near, far = (
        np.abs(np.asarray(sample(parts, ["lbay mira"], [3], steps=10, source=Source(source, None, strength))[0], int)
               - np.asarray(source, int)).mean()
        for strength in (0.2, 1.0)
    )  # fmt: skip
    assert near < far / 2
    with pytest.raises(BaseModelError, match="has latents of 8 channels"):
        sample(parts, ["mira"], [3], steps=3, source=Source(source, right_half(64, 64)))


def test_a_size_of_ones_own_cuts_the_picture_and_the_mask(parts: Parts) -> None:
    source = Source(gradient(90, 60), right_half(90, 60), 0.5)
    with pytest.raises(ConfigError, match="size 90x60: both must be multiples of 8"):
        mine(parts, source)
    assert mine(parts, source, size=(32, 32))[0].shape == (32, 32, 3)


def test_what_cannot_be_drawn_from_is_a_sentence(parts: Parts, tmp_path: Path) -> None:
    gradient().save(tmp_path / "picture.png")
    right_half(32, 32).save(tmp_path / "small.png")
    Image.new("L", (48, 32)).save(tmp_path / "black.png")
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "cut.png").write_bytes((tmp_path / "picture.png").read_bytes()[:60])

    def sentence(picture: str, mask: str | None = None, strength: float = 0.5) -> str:
        with pytest.raises(SourceError) as found:
            read_source(tmp_path / picture, mask and tmp_path / mask, strength)
        assert "\n" not in str(found.value)
        return str(found.value)

    assert "small.png: is 32x32, and " in sentence("picture.png", "small.png")
    assert "black all over" in sentence("picture.png", "black.png")
    assert "there is no such file" in sentence("none.png")
    assert "cannot be read as a picture" in sentence("text.png")
    assert "cannot be read as a picture" in sentence("cut.png")
    for strength in (0.0, -1.0, 1.1, float("nan")):
        assert "must be above 0" in sentence("picture.png", None, strength)
    with pytest.raises(SourceError, match="name it with --image"):
        find_source(None, tmp_path / "small.png", 0.5)
    with pytest.raises(SourceError, match=r"strength 0\.1 of 6 steps is less than one"):
        mine(parts, Source(gradient(), None, 0.1))


def test_the_command_redraws_what_is_white(write_config: Any, tmp_path: Path) -> None:
    def invoke(*arguments: object) -> Any:
        return CliRunner().invoke(cli, [str(argument) for argument in arguments])

    assert invoke("train", write_config(preview={"every": 0}, steps=2)).exit_code == 0
    gradient().convert("RGBA").save(tmp_path / "picture.png")
    right_half().convert("RGB").save(tmp_path / "mask.png")
    options = ["--image", tmp_path / "picture.png", "--mask", tmp_path / "mask.png", "--steps", 4, "--strength", 0.5]
    answer = invoke("sample", tmp_path / "run", "mira", *options, "--json")
    assert answer.exit_code == 0, answer.output
    with Image.open(json.loads(answer.stdout)["pictures"][0]) as picture:
        drawn, original = np.asarray(picture, int), np.asarray(gradient(), int)
        assert "Denoising strength: 0.5" in picture.info["parameters"]
        assert json.loads(picture.info["modelsheet"])["image"].startswith("picture.png ")
    assert np.array_equal(drawn[:, :24], original[:, :24])
    assert not np.array_equal(drawn, original)
    wrong = invoke("sample", tmp_path / "run", "mira", *options[:2], "--strength", 0, "--json")
    assert json.loads(wrong.stdout)["error"].startswith("strength 0: must be above 0")
