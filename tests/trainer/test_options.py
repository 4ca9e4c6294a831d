"""Each option of [training]: what it changes in the tensors, and that a run with it can be stopped anywhere."""

from __future__ import annotations

import itertools
import math
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

import trainer
from sorter.errors import MissingExtra
from trainer import read_base, read_config, read_losses
from trainer.errors import ConfigError
from trainer.load import load_parts
from trainer.methods.denoise import draw_noise

WriteConfig = Callable[..., Path]
QUIET = {"preview": {"every": 0}, "checkpoint_every": 2}


def parameters(run: Path, step: int) -> dict[str, torch.Tensor]:
    return load_file(run / "checkpoints" / f"step-{step:06d}" / "parameters.safetensors")


def kept(run: Path, step: int) -> dict[str, bytes]:
    """All that a checkpoint keeps, but the date in the header of what is shipped."""
    folder = run / "checkpoints" / f"step-{step:06d}"
    tensors = {path.name: load_file(path) for path in folder.glob("**/*.safetensors")}
    return {
        f"{file.replace('whole', 'run').replace('parts', 'run')} {name}": tensor.numpy().tobytes()
        for file, some in tensors.items()
        for name, tensor in some.items()
    } | {"state.json": (folder / "state.json").read_bytes()}


def whole(path: Path) -> Path:
    config = read_config(path)
    assert len(list(trainer.start(config, path).run())) == config.training.steps
    return config.output


OPTIONS: dict[str, dict[str, Any]] = {
    "cosine": {"schedule": "cosine"},
    "linear": {"schedule": "linear"},
    "noise offset": {"noise_offset": 0.1},
    "ema": {"ema": 0.9},
    "adamw-fused": {"optimizer": "adamw-fused"},
    "adamw-8bit": {"optimizer": "adamw-8bit"},
    "prodigy": {"optimizer": "prodigy", "learning_rate": 1},
    "adafactor": {"optimizer": "adafactor"},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_each_option_changes_the_weights_and_can_be_stopped_bit_for_bit(write_config: WriteConfig, name: str) -> None:
    keys = {**QUIET, "steps": 5, **OPTIONS[name]}
    if name == "adamw-8bit":
        keys["method"] = {"rank": 256, "targets": ["proj_in", "proj_out"]}  # it rounds matrices of 4,096 numbers alone
    straight = whole(write_config("whole", **keys))
    config = read_config(write_config("parts", **keys))
    list(itertools.islice(trainer.start(config).run(), 3))
    list(itertools.islice(trainer.resume(config.output).run(), 2))
    assert [progress.step for progress in trainer.resume(config.output).run()] == [5]
    assert kept(straight, 5) == kept(config.output, 5)
    assert read_losses(straight) == read_losses(config.output)
    plain = {**keys, **dict.fromkeys(OPTIONS[name])}
    shipped = load_file(straight / "trained" / "whole.safetensors")
    other = load_file(
        whole(write_config("plain", **{key: value for key, value in plain.items() if value is not None}))
        / "trained" / "plain.safetensors"
    )  # fmt: skip
    assert any(not torch.equal(tensor, other[name]) for name, tensor in shipped.items())


def test_rates_fall_as_they_are_told_to(write_config: WriteConfig) -> None:
    run = whole(write_config(**QUIET, steps=6, warmup=2, learning_rate=0.01, schedule="cosine"))
    falling = [0.01 * (1 + math.cos(math.pi * done / 4)) / 2 for done in range(4)]
    assert [rate for _, _, rate in read_losses(run)] == pytest.approx([0.005, 0.01, *falling], rel=1e-4)
    run = whole(write_config("linear", **QUIET, steps=4, warmup=0, learning_rate=0.01, schedule="linear"))
    assert [rate for _, _, rate in read_losses(run)] == pytest.approx([0.01, 0.0075, 0.005, 0.0025], rel=1e-4)


def test_the_running_average_is_what_is_shipped_and_drawn(write_config: WriteConfig) -> None:
    keys = {**QUIET, "steps": 5, "checkpoint_every": 1}
    plain = whole(write_config("plain", **keys))
    run = whole(write_config(**{**keys, "preview": {"every": 5}}, ema=0.25))
    assert [parameters(run, step).keys() for step in (1, 5)] == [parameters(plain, step).keys() for step in (1, 5)]
    average: dict[str, torch.Tensor] = {}
    for step in range(1, 6):
        now = parameters(run, step)
        assert all(torch.equal(tensor, parameters(plain, step)[name]) for name, tensor in now.items())
        decay = 0.0 if step == 1 else min(0.25, step / (9 + step))
        average = {name: decay * average.get(name, tensor) + (1 - decay) * tensor for name, tensor in now.items()}
    shipped = load_file(run / "trained" / "run.safetensors")
    down = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn1_to_q.lora_down.weight"
    own = next(name for name in average if "down_blocks.1.attentions.0" in name and "attn1.to_q.lora_A" in name)
    assert torch.allclose(shipped[down], average[own], atol=1e-7)
    assert not torch.equal(shipped[down], load_file(plain / "trained" / "plain.safetensors")[down])
    from PIL import Image

    with Image.open(run / "previews" / "step-000005" / "00.png") as preview:
        drawn = trainer.draw(trainer.load_trained(run)[0], [trainer.Drawn("mira, smiling", 0, steps=2)])[0]
        assert preview.convert("RGB").tobytes() == drawn.tobytes()


def test_noise_offset_moves_whole_channels() -> None:
    shape = torch.Size((64, 4, 16, 16))
    plain, moved = (draw_noise(shape, offset, torch.Generator().manual_seed(0)) for offset in (0.0, 0.5))
    added = moved - plain
    assert torch.allclose(added, added[:, :, :1, :1].expand(shape), atol=1e-6)
    assert added[:, :, 0, 0].std().item() == pytest.approx(0.5, rel=0.1)
    assert torch.equal(plain, torch.randn(shape, generator=torch.Generator().manual_seed(0)))


@pytest.fixture
def two_layers(tmp_path: Path, base_folder: Path) -> Path:
    """The base with a text encoder of two layers."""
    from transformers import CLIPTextConfig, CLIPTextModel

    folder = tmp_path / "two-layers"
    shutil.copytree(base_folder, folder)
    config = CLIPTextConfig.from_pretrained(folder / "text_encoder")
    config.num_hidden_layers = 2
    CLIPTextModel(config).save_pretrained(folder / "text_encoder")
    return folder


def test_clip_skip_trains_and_draws_with_the_layer_before(write_config: WriteConfig, two_layers: Path) -> None:
    path = write_config(steps=2, clip_skip=2, preview={"every": 2})
    path.write_text(path.read_text().replace(path.read_text().splitlines()[0], f"base = '{two_layers.as_posix()}'"))
    session = trainer.start(read_config(path))
    said = session.parts.encode_text(["mira"]).states
    plain = load_parts(read_base(two_layers))
    ids = plain.tokenizer(["mira"], padding="max_length", max_length=16, return_tensors="pt").input_ids
    layers = plain.text_encoder(ids, output_hidden_states=True).hidden_states
    norm = getattr(plain.text_encoder, "text_model", plain.text_encoder).final_layer_norm
    assert torch.allclose(said, norm(layers[-2]), atol=1e-6)
    assert not torch.allclose(said, plain.encode_text(["mira"]).states, atol=1e-3)
    list(session.run())
    run = session.config.output
    with safe_open(run / "trained" / "run.safetensors", "pt") as file:
        assert file.metadata()["ss_clip_skip"] == "2"
    from PIL import Image

    parts, _ = trainer.load_trained(run)
    drawn = [trainer.Drawn("mira, smiling", 0, steps=2, clip_skip=skip) for skip in (1, 2)]
    pictures = [trainer.draw(parts, [one])[0].tobytes() for one in drawn]
    with Image.open(run / "previews" / "step-000002" / "00.png") as preview:
        assert [preview.convert("RGB").tobytes() == picture for picture in pictures] == [False, True]


def test_what_cannot_be_is_refused_before_anything_is_written(
    write_config: WriteConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match="clip skip 2: the text encoder of this base has 1 layers"):
        trainer.start(read_config(write_config(clip_skip=2)))
    with pytest.raises(ConfigError, match='schedule = "cosine" takes one learning_rate'):
        read_config(write_config(schedule="cosine", learning_rate="0.01:2, 0.001"))
    with pytest.raises(ConfigError, match="prodigy finds the rate itself: write learning_rate = 1"):
        read_config(write_config(optimizer="prodigy"))
    for name, package in (("prodigy", "prodigyopt"), ("adamw-8bit", "bitsandbytes")):
        monkeypatch.setitem(sys.modules, package, None)  # as where it is not installed
        with pytest.raises(MissingExtra, match=r'pip install "modelsheet\[optimizers\]"'):
            trainer.start(read_config(write_config(optimizer=name, learning_rate=1)))
    assert not (tmp_path / "run").exists()
