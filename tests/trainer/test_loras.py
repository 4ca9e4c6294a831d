"""LoRA files on the command line, against weights that are merged by hand, and files that do not fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from safetensors.torch import save_file

from trainer.base import read_base
from trainer.cli import cli
from trainer.errors import LoraError
from trainer.load import load_parts
from trainer.loras import LoraFile, add_loras, read_lora
from trainer.parts import Parts
from trainer.sample import sample

UNET = {
    f"mid_block_{name.replace('.', '_')}": f"mid_block.{name}"
    for name in ("attentions.0.transformer_blocks.0.attn2.to_k", "attentions.0.proj_in", "resnets.0.conv1")
}
TEXT = {
    f"text_model_encoder_layers_0_{name.replace('.', '_')}": f"encoder.layers.0.{name}"
    for name in ("self_attn.q_proj", "self_attn.out_proj", "mlp.fc1")
}
RANK, ALPHA = 4, 2.0


@pytest.fixture
def parts(base_folder: Path) -> Parts:
    return load_parts(read_base(base_folder), "fp32", "cpu")


def kohya_file(path: Path, parts: Parts, seed: int, text: bool = True, strength: float = 0.3) -> Path:
    """As kohya's sd-scripts writes it: random matrices of rank 4 and alpha 2, on the U-Net and the text encoder."""
    generator, tensors = torch.Generator().manual_seed(seed), {}
    for prefix, network, names in (("lora_unet", parts.unet, UNET), ("lora_te", parts.text_encoder, TEXT)):
        for name, module in names.items() if text or prefix == "lora_unet" else ():
            out, into, *window = network.get_submodule(module).weight.shape
            down = torch.randn(RANK, into, *window, generator=generator)
            up = torch.randn(out, RANK, *[1 for _ in window], generator=generator)
            tensors |= {
                f"{prefix}_{name}.lora_down.weight": strength * down,
                f"{prefix}_{name}.lora_up.weight": strength * up,
                f"{prefix}_{name}.alpha": torch.tensor(ALPHA),
            }
    save_file(tensors, path, {"ss_network_module": "networks.lora"})
    return path


def merge(parts: Parts, path: Path, weight: float) -> None:
    """W + weight x alpha / rank x up x down, by hand."""
    from safetensors.torch import load_file

    tensors = load_file(path)
    for prefix, network, names in (("lora_unet", parts.unet, UNET), ("lora_te", parts.text_encoder, TEXT)):
        for name, module in names.items():
            if f"{prefix}_{name}.alpha" in tensors:
                up, down = (tensors[f"{prefix}_{name}.lora_{one}.weight"] for one in ("up", "down"))
                matrix = network.get_submodule(module).weight
                change = (up.flatten(1) @ down.flatten(1)).reshape(matrix.shape)
                matrix.data += weight * ALPHA / RANK * change


def draw(parts: Parts) -> Any:
    return np.asarray(sample(parts, ["mira (sad:1.2)"], [3], steps=4)[0], int)


def invoke(*arguments: object) -> Any:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def test_several_files_change_the_networks_by_their_weights(parts: Parts, tmp_path: Path) -> None:
    plain = draw(parts)
    one, two = (
        kohya_file(tmp_path / "one.safetensors", parts, 1),
        kohya_file(tmp_path / "two.safetensors", parts, 2, False),
    )
    merged, half = (load_parts(parts.base, "fp32", "cpu") for _ in range(2))
    add_loras(parts, [LoraFile(one, 0.8), LoraFile(two, -1.5)])
    merge(merged, one, 0.8)
    merge(merged, two, -1.5)
    drawn = draw(parts)
    assert np.abs(drawn - draw(merged)).max() <= 2
    assert np.abs(drawn - plain).max() > 5
    add_loras(half, [LoraFile(one, 0.4), LoraFile(two, -1.5)])
    assert np.abs(drawn - draw(half)).max() > 2


def test_a_file_comes_on_top_of_what_was_trained(write_config: Any, parts: Parts, tmp_path: Path) -> None:
    assert invoke("train", write_config(preview={"every": 0}, steps=2)).exit_code == 0
    run, extra = tmp_path / "run", kohya_file(tmp_path / "style.safetensors", parts, 1)
    pictures = []
    for options in ((), ("--lora", f"{extra}:0.7"), ("--lora", f"{extra}:0"), ("--lora", extra, "--base-only")):
        answer = invoke("sample", run, "mira", "--steps", 2, *options, "--json")
        assert answer.exit_code == 0, answer.output
        with Image.open(json.loads(answer.stdout)["pictures"][0]) as picture:
            pictures.append((np.asarray(picture, int), picture.info["parameters"].splitlines()[0]))
    texts = [text for _, text in pictures]
    assert texts == ["mira <lora:run:1>", "mira <lora:run:1> <lora:style:0.7>", "mira <lora:run:1> <lora:style:0>",
                     "mira <lora:style:1>"]  # fmt: skip
    assert np.abs(pictures[0][0] - pictures[2][0]).max() <= 1
    assert np.abs(pictures[0][0] - pictures[1][0]).max() > 2
    in_prompt = invoke("sample", run, "mira <lora:style:0.7>", "--json")
    assert "--lora FILE.safetensors:0.8" in json.loads(in_prompt.stdout)["error"]


@pytest.mark.parametrize(
    ("argument", "path", "weight"),
    [
        ("a.safetensors", "a.safetensors", 1.0),
        ("a.safetensors:0.8", "a.safetensors", 0.8),
        (r"C:\loras\a.safetensors", r"C:\loras\a.safetensors", 1.0),
        (r"C:\loras\a.safetensors:-.5", r"C:\loras\a.safetensors", -0.5),
        ("a.safetensors:b", "a.safetensors:b", 1.0),
    ],
)
def test_a_weight_follows_the_last_colon(argument: str, path: str, weight: float) -> None:
    assert read_lora(argument) == LoraFile(Path(path), weight)


def wider(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: torch.cat([one, one]) if "lora_up" in name else one for name, one in tensors.items()}


def of_sdxl(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    named = {"lora_te_text_model": "lora_te1_text_model", "lora_unet_mid_block": "lora_unet_middle_block_9"}
    for before, after in named.items():
        tensors = {name.replace(before, after): one for name, one in tensors.items()}
    return tensors


def loha(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name.replace("lora_down.weight", "hada_w1_a"): one for name, one in tensors.items() if "down" in name}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (wider, "does not fit the base"),
        (of_sdxl, "does not fit the base"),
        (loha, "does not fit the base"),
        (lambda tensors: {"emb_params": tensors.popitem()[1]}, "is an embedding"),
        (lambda tensors: {"x": tensors.popitem()[1]}, "holds no LoRA"),
        (lambda tensors: {f"lora_unet_x_{name}": one for name, one in tensors.items()}, "does not fit the base"),
    ],
)
def test_a_file_that_does_not_fit_is_a_sentence(parts: Parts, tmp_path: Path, change: Any, sentence: str) -> None:
    from safetensors.torch import load_file

    path = kohya_file(tmp_path / "other.safetensors", parts, 1)
    save_file({name: one.contiguous() for name, one in change(load_file(path)).items()}, path)
    with pytest.raises(LoraError, match=sentence) as found:
        add_loras(parts, [LoraFile(path)])
    assert "\n" not in str(found.value)
    assert str(path) in str(found.value)


def test_files_that_cannot_be_read_are_a_sentence(parts: Parts, tmp_path: Path) -> None:
    with pytest.raises(LoraError, match="there is no such file"):
        add_loras(parts, [LoraFile(tmp_path / "none.safetensors")])
    (tmp_path / "bad.safetensors").write_bytes(b"\x80\x04pickle")
    with pytest.raises(LoraError, match=r"is no \.safetensors file"):
        add_loras(parts, [LoraFile(tmp_path / "bad.safetensors")])
    (tmp_path / "b").mkdir()
    same = [kohya_file(folder / "a.safetensors", parts, 1) for folder in (tmp_path, tmp_path / "b")]
    with pytest.raises(LoraError, match="is the name of two LoRA files"):
        add_loras(parts, [LoraFile(path) for path in same])
