"""Each sampler against diffusers' own pipeline with the scheduler that its documentation names for it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from trainer.base import read_base
from trainer.cli import cli
from trainer.config import read_config, read_run
from trainer.errors import ConfigError
from trainer.load import load_parts
from trainer.parts import Parts
from trainer.recipe import Drawn, infotext, write_png, written_prompt
from trainer.sample import sample
from trainer.samplers import SAMPLERS, find_sampler

SAMPLE_BASE = Path(__file__).parents[2] / "samples" / "base-model"
PROMPT = "lbay mira, a girl with teal hair and fox ears, standing, happy, facing left"

SDE = {"algorithm_type": "sde-dpmsolver++"}
KARRAS = {"use_karras_sigmas": True}
STEPS_FROM_ONE = {"steps_offset": 1, "set_alpha_to_one": False}
DOCUMENTED: dict[str, tuple[str, dict[str, Any]]] = {
    "Euler": ("EulerDiscreteScheduler", {}),
    "Euler a": ("EulerAncestralDiscreteScheduler", {}),
    "DDIM": ("DDIMScheduler", {**STEPS_FROM_ONE, "clip_sample": False}),
    "DDPM": ("DDPMScheduler", {"clip_sample": False, "timestep_spacing": "linspace"}),
    "PNDM": ("PNDMScheduler", {**STEPS_FROM_ONE, "skip_prk_steps": True}),
    "PLMS": ("PNDMScheduler", {**STEPS_FROM_ONE, "skip_prk_steps": True}),
    "LMS": ("LMSDiscreteScheduler", {}),
    "LMS Karras": ("LMSDiscreteScheduler", KARRAS),
    "Heun": ("HeunDiscreteScheduler", {}),
    "DPM2": ("KDPM2DiscreteScheduler", {}),
    "DPM2 Karras": ("KDPM2DiscreteScheduler", KARRAS),
    "DPM2 a": ("KDPM2AncestralDiscreteScheduler", {}),
    "DPM2 a Karras": ("KDPM2AncestralDiscreteScheduler", KARRAS),
    "DPM++ 2M": ("DPMSolverMultistepScheduler", {}),
    "DPM++ 2M Karras": ("DPMSolverMultistepScheduler", KARRAS),
    "DPM++ 2M SDE": ("DPMSolverMultistepScheduler", SDE),
    "DPM++ 2M SDE Karras": ("DPMSolverMultistepScheduler", {**SDE, **KARRAS}),
    "DPM++ SDE": ("DPMSolverSinglestepScheduler", {**SDE, "lower_order_final": True}),
    "DPM++ SDE Karras": ("DPMSolverSinglestepScheduler", {**SDE, **KARRAS, "lower_order_final": True}),
    "UniPC": ("UniPCMultistepScheduler", {}),
    "LCM": ("LCMScheduler", {**STEPS_FROM_ONE, "original_inference_steps": 50}),
}
"""huggingface.co/docs/diffusers/api/schedulers/overview, "A1111/k-diffusion", and each class's own page."""

NOISE = {"num_train_timesteps": 1000, "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


@pytest.fixture(scope="module")
def parts() -> Parts:
    return load_parts(read_base(SAMPLE_BASE), "fp32", "cpu")


def theirs(name: str, prediction: str, folder: Path, kind: str = "StableDiffusionPipeline") -> Any:
    """diffusers' own pipeline, read from the folder, with a scheduler made from nothing."""
    pipe = getattr(diffusers, kind).from_pretrained(folder, local_files_only=True, safety_checker=None)
    pipe.to(torch.float32)
    scheduler, options = DOCUMENTED[name]
    pipe.scheduler = getattr(diffusers, scheduler)(**NOISE, prediction_type=prediction, **options)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def generators(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def furthest(one: Image.Image, other: Image.Image) -> int:
    return int(np.abs(np.asarray(one, int) - np.asarray(other, int)).max())


def test_every_sampler_is_compared() -> None:
    assert list(DOCUMENTED) == list(SAMPLERS)
    assert len(SAMPLERS) >= 20


@pytest.mark.parametrize("name", DOCUMENTED)
def test_a_sampler_draws_what_diffusers_draws(name: str, parts: Parts) -> None:
    mine = sample(parts, [PROMPT, "lbay tobo"], [3, 4], steps=5, guidance=5.0, sampler=name, negative="sad")
    pipe = theirs(name, "v_prediction", SAMPLE_BASE)
    expected = pipe(
        [PROMPT, "lbay tobo"], negative_prompt=["sad"] * 2, generator=generators(3, 4), num_inference_steps=5,
        guidance_scale=5.0,
    ).images  # fmt: skip
    assert max(map(furthest, mine, expected)) <= 1
    assert np.asarray(mine[0]).std() > 10


@pytest.mark.parametrize("name", DOCUMENTED)
def test_a_sampler_follows_a_base_that_predicts_noise_and_takes_any_number_of_steps(
    name: str, base_folder: Path
) -> None:
    parts = load_parts(read_base(base_folder), "fp32", "cpu")
    pipe = theirs(name, "epsilon", base_folder)
    for steps in (1, 2, 7):
        mine = sample(parts, ["mira"], [3], steps=steps, guidance=5.0, sampler=name)[0]
        expected = pipe("mira", generator=generators(3), num_inference_steps=steps, guidance_scale=5.0).images[0]
        assert furthest(mine, expected) <= 1
        assert np.asarray(mine).std() > 0


def test_names_are_found_however_they_are_cased_and_the_nearest_is_named(parts: Parts) -> None:
    assert find_sampler("dpm++ 2m karras") == "DPM++ 2M Karras"
    with pytest.raises(ConfigError, match=r'no sampler "Euler A1"; did you mean "Euler a"\?'):
        find_sampler("Euler A1")
    with pytest.raises(ConfigError, match="LCM takes at most 50"):
        sample(parts, ["mira"], [0], steps=51, sampler="LCM")
    with pytest.raises(ConfigError, match="DDIM takes at most 1000"):
        sample(parts, ["mira"], [0], steps=1001, sampler="DDIM")


def test_a_base_trained_down_to_pure_noise_asks_for_a_sampler_that_begins_there(make_base: Any, tmp_path: Path) -> None:
    folder = make_base(tmp_path / "base", rescale_betas_zero_snr=True, prediction_type="v_prediction")
    parts = load_parts(read_base(folder), "fp32", "cpu")
    for name in ("Euler a", "DDIM", "DPM++ 2M"):
        assert np.isfinite(np.asarray(sample(parts, ["mira"], [3], steps=3, sampler=name)[0])).all()
    with pytest.raises(ConfigError, match="take Euler a"):
        sample(parts, ["mira"], [3], steps=3, sampler="PNDM")


def test_a_preview_that_the_base_cannot_draw_is_refused_before_training(
    make_base: Any, write_config: Any, tmp_path: Path
) -> None:
    folder = make_base(tmp_path / "base", rescale_betas_zero_snr=True, prediction_type="v_prediction")
    path = write_config(preview={"sampler": "PNDM"})
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([f"base = {json.dumps(str(folder))}", *lines[1:]]), encoding="utf-8")
    for command in ("check", "train"):
        refused = CliRunner().invoke(cli, [command, str(path), "--json"])
        assert "take Euler a" in json.loads(refused.stdout)["error"]
    assert not (tmp_path / "run").exists()


def test_runs_of_before_keep_their_sampler(write_config: Any, tmp_path: Path) -> None:
    run = read_config(write_config(preview={"steps": 5}))
    assert (run.preview.sampler, run.preview.guidance) == ("Euler a", 7.5)
    values = json.loads(run.to_json())
    del values["preview"]["sampler"], values["preview"]["emphasis"]
    run.output.mkdir()
    (run.output / "run.json").write_text(json.dumps(values))
    old = read_run(run.output)
    assert (old.preview.sampler, old.preview.emphasis) == ("DDIM", False)
    assert old.differences(run) == []  # the defaults of today are no edit of train.toml
    with pytest.raises(ConfigError, match=r'no sampler "DDIN"; did you mean "DDIM"'):
        read_config(write_config(preview={"sampler": "DDIN"}))


def parse_as_a1111(text: str) -> dict[str, str]:
    """By the grammar of A1111's PNG Info: the last line holds three settings or more, `key: value` with commas between,
    and a value in double quotes is JSON; before it stands the prompt, and what follows "Negative prompt:"."""
    setting = re.compile(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)')
    *lines, last = text.strip().split("\n")
    found = setting.findall(last)
    assert len(found) >= 3
    words: dict[str, list[str]] = {"Prompt": [], "Negative prompt": []}
    into = "Prompt"
    for line in lines:
        if line.startswith("Negative prompt:"):
            into, line = "Negative prompt", line.removeprefix("Negative prompt:")
        words[into].append(line.strip())
    values = {key: json.loads(value) if value.startswith('"') else value for key, value in found}
    return {key: "\n".join(text) for key, text in words.items()} | values


def test_a1111_reads_the_recipe(tmp_path: Path) -> None:
    drawn = Drawn(
        'mira: "happy", (smiling:1.2), Größe 木', 7, negative="sad,\nSteps: 3, Sampler: none", steps=20, guidance=7.0,
        sampler="DPM++ 2M Karras", model='a "base", v1: 5',
    )  # fmt: skip
    write_png(Image.new("RGB", (48, 32)), tmp_path / "a.png", drawn)
    with Image.open(tmp_path / "a.png") as picture:
        read = parse_as_a1111(picture.info["parameters"])
        assert "prompt" not in picture.info  # ComfyUI would take it for a workflow
        assert written_prompt(picture.info) == drawn.prompt
    assert [written_prompt({"modelsheet": text}) for text in ("{", "[]", '{"prompt": 3}', "[" * 9999)] == [""] * 4
    assert read == {
        "Prompt": drawn.prompt, "Negative prompt": "sad, Steps: 3, Sampler: none", "Steps": "20",
        "Sampler": "DPM++ 2M Karras", "CFG scale": "7", "Seed": "7", "Size": "48x32", "Model": drawn.model,
        "Version": "modelsheet",
    }  # fmt: skip
    assert infotext(Drawn("mira", 1), (64, 64)).startswith("mira\nSteps: 50, Sampler: Euler a, CFG scale: 7.5, Seed: 1")


def test_the_command_takes_a_sampler(write_config: Any, tmp_path: Path) -> None:
    def invoke(*arguments: object) -> Any:
        return CliRunner().invoke(cli, [str(argument) for argument in arguments])

    assert invoke("train", write_config(preview={"every": 0}, steps=2)).exit_code == 0
    run = tmp_path / "run"
    drawn = invoke("sample", run, "mira", "--sampler", "dpm++ 2m karras", "--steps", 3, "--json")
    with Image.open(json.loads(drawn.stdout)["pictures"][0]) as picture:
        read = parse_as_a1111(picture.info["parameters"])
        assert (read["Sampler"], read["Steps"], read["Size"]) == ("DPM++ 2M Karras", "3", "32x32")
        assert json.loads(picture.info["modelsheet"])["trained"] == 2
    wrong = invoke("sample", run, "mira", "--sampler", "Eulr a", "--json")
    assert wrong.exit_code == 2
    assert "did you mean" in json.loads(wrong.stdout)["error"]
    assert "DPM++ 2M Karras" in json.loads(invoke("list", "--json").stdout)["samplers"]
