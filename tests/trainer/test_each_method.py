"""What holds for every method, through the commands where there is one."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from safetensors.torch import load_file

import trainer
import trainer.cli
from trainer.cli import cli
from trainer.data import steps
from trainer.errors import TrainingError

WriteConfig = Callable[..., Path]

METHODS: dict[str, dict[str, Any]] = {
    "lora": {"use": "lora", "rank": 4, "dropout": 0.2, "text_encoder": True},
    "inversion": {"use": "inversion", "token": "miratok", "vectors": 3, "initial_text": "ox"},
    "dreambooth": {
        "use": "dreambooth", "instance_prompt": "ox q", "class_prompt": "q", "class_pictures": 5, "lora": {"rank": 4}
    },
    "lycoris": {"use": "lycoris", "kind": "loha", "rank": 4, "rank_dropout": 0.2, "text_encoder": True},
    "full": {"use": "full"},
    "full with text": {"use": "full", "text_encoder": True, "save_as": "fp32"},
    "lora of SDXL": {"use": "lora", "rank": 4, "dropout": 0.2, "text_encoder": True},
    "inversion of SDXL": {"use": "inversion", "token": "miratok", "vectors": 3, "initial_text": "ox"},
    "lycoris of SDXL": {"use": "lycoris", "kind": "lokr", "rank": 2, "text_encoder": True},
    "full of SDXL": {"use": "full", "text_encoder": True, "save_as": "fp32"},
}  # fmt: skip
RATES = {"inversion": 0.3, "full": 2e-3, "full with text": 2e-3, "full of SDXL": 2e-3, "inversion of SDXL": 0.3}
each = pytest.mark.parametrize("name", METHODS)


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command's way of showing warnings is for a process of its own."""
    for module in (trainer.cli.training, trainer.cli.drawing):
        monkeypatch.setattr(module, "need_torch", lambda: None)


@pytest.fixture
def config(write_config: WriteConfig, base_folder: Path, sdxl_folder: Path) -> Callable[..., trainer.Run]:
    def read(name: str, output: str = "run", **keys: Any) -> trainer.Run:
        keys = {"learning_rate": RATES.get(name, 0.01), "warmup": 0, **keys}
        base = sdxl_folder if name.endswith("SDXL") else base_folder
        return trainer.read_config(write_config(output, method=METHODS[name], base=base, **keys))

    return read


def invoke(*arguments: object) -> Any:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def tensors(session: trainer.Session) -> dict[str, torch.Tensor]:
    """All of the networks."""
    return {
        f"{part}.{name}": tensor.detach().clone()
        for part, network in session.parts.networks.items()
        for name, tensor in network.state_dict().items()
    }


@each
def test_stopping_twice_and_resuming_is_the_same_run_bit_for_bit(config: Any, name: str) -> None:
    keys = {"steps": 6, "checkpoint_every": 3, "shuffle_tags": True, "preview": {"every": 6, "steps": 2}}
    whole, parts = config(name, "whole", **keys), config(name, "parts", **keys)
    assert len(list(trainer.start(whole).run())) == 6
    list(itertools.islice(trainer.start(parts).run(), 2))  # killed before the first checkpoint
    list(itertools.islice(trainer.resume(parts.output).run(), 4))  # one after it
    assert [progress.step for progress in trainer.resume(parts.output).run()] == [4, 5, 6]
    for file in ("parameters", "optimizer"):
        one, other = (
            load_file(run.output / "checkpoints" / "step-000006" / f"{file}.safetensors") for run in (whole, parts)
        )
        assert one.keys() == other.keys()
        assert [key for key in one if not torch.equal(one[key], other[key])] == []
    assert trainer.read_losses(whole.output) == trainer.read_losses(parts.output)
    one, other = ((run.output / "previews" / "step-000006" / "00.png").read_bytes() for run in (whole, parts))
    assert one == other


@each
def test_only_what_is_trained_moves(config: Any, name: str) -> None:
    session = trainer.start(config(name, preview={"every": 0}))
    allowed = {key: id(parameter) for key, parameter in session.state.parameters.items()}
    places: dict[int, str] = {
        id(parameter): f"{part}.{key}"
        for part, network in session.parts.networks.items()
        for key, parameter in network.named_parameters()
    }
    before = tensors(session)
    list(session.run())
    moved = {key for key, tensor in tensors(session).items() if not torch.equal(tensor, before[key])}
    assert moved
    assert moved <= {places[number] for number in allowed.values()}
    assert not any(key.startswith("vae.") for key in moved)
    frozen = [key for key in before if key not in moved]
    assert len(frozen) > 10


@each
def test_what_is_not_a_number_is_a_sentence_and_never_saved(
    config: Any, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    session = trainer.start(config(name, checkpoint_every=2, preview={"every": 0}))
    kind, calls = type(session.method), itertools.count(1)
    honest = kind.loss
    monkeypatch.setattr(kind, "loss", lambda *given: honest(*given) * (math.nan if next(calls) == 4 else 1))
    with pytest.raises(TrainingError, match=r"not a number; the last good checkpoint is .*step-000002"):
        list(session.run())
    assert all(parameter.isfinite().all() for parameter in session.state.parameters.values())


@each
def test_one_picture_is_learnt(config: Any, write_dataset: Any, dataset_folder: Path, name: str) -> None:
    for path in dataset_folder.iterdir():
        path.unlink()
    write_dataset(dataset_folder, [("one.png", "mira")])
    keys = {"steps": 60, "checkpoint_every": 60, "caption_dropout": 0.0, "preview": {"every": 0}}
    session = trainer.start(config(name, **keys))
    (batch,) = next(steps(session.encoded, session.config.training))

    def loss() -> float:
        torch.manual_seed(0)
        with torch.no_grad(), session.parts.evaluating():
            generators = [torch.Generator().manual_seed(seed) for seed in range(16)]
            return sum(session.method.loss(session.parts, batch, one).item() for one in generators) / 16

    before = loss()
    list(session.run())
    assert loss() < LEARNT[METHODS[name]["use"]] * before


@each
def test_previews_and_samples_draw_with_it(config: Any, name: str) -> None:
    keys = {"preview": {"every": 4, "steps": 4, "prompts": [PROMPTS.get(METHODS[name]["use"], "mira, sad")]}}
    run = config(name, **keys)
    list(trainer.start(run).run())
    modes = {path.stat().st_mode for path in run.output.rglob("*.safetensors")}
    assert modes == {(run.output / "losses.csv").stat().st_mode}  # whoever reads other files may read these
    common = (run.output, PROMPTS.get(METHODS[name]["use"], "mira, sad"), "--steps", 4, "--json")
    trained, base = invoke("sample", *common), invoke("sample", *common, "--base-only")
    assert (trained.exit_code, base.exit_code) == (0, 0), trained.output + base.output
    drawn, plain = (pixels(Path(json.loads(one.stdout)["pictures"][0])) for one in (trained, base))
    preview = pixels(run.output / "previews" / "step-000004" / "00.png")
    assert np.abs(drawn - preview).max() <= 3
    assert np.abs(drawn - plain).max() > 3
    with Image.open(json.loads(trained.stdout)["pictures"][0]) as picture:
        recipe = picture.info["parameters"]
    kind = {"lora": "lora", "lycoris": "lora", "dreambooth": "lora", "full": "base"}.get(METHODS[name]["use"])
    assert ("<lora:run:1>" in recipe) == (kind == "lora")
    assert ("Model: run," in recipe) == (kind == "base")


@each
def test_a_file_that_is_damaged_is_a_sentence(config: Any, name: str) -> None:
    run = config(name, preview={"every": 0})
    list(trainer.start(run).run())
    (path,) = (run.output / "checkpoints" / "step-000004" / "trained").glob("*.safetensors")
    data = path.read_bytes()
    for bad in (b"", data[: len(data) // 2], b"<html>" * 100):
        path.write_bytes(bad)
        found = invoke("sample", run.output, "mira", "--json")
        assert found.exit_code == 2, found.output
        assert f"{path}: cannot be loaded" in json.loads(found.stdout)["error"]


def test_list_shows_each_with_its_options() -> None:
    shown = json.loads(invoke("list", "--json").stdout)["methods"]
    for options in METHODS.values():
        about = shown[options["use"]]
        assert set(options) - {"use"} <= set(about["options"])
        assert len(about["help"]) > 40


def pixels(path: Path) -> Any:
    with Image.open(path) as picture:
        return np.asarray(picture, int)


LEARNT = {"lora": 0.95, "lycoris": 0.9, "dreambooth": 0.95, "inversion": 0.9995, "full": 0.8}
"""The share of the loss of one picture that may be left. Networks that were never trained hardly heed a text."""
PROMPTS = {"inversion": "(miratok:1.2) sad"}
