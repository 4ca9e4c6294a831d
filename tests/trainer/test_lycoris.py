"""LoHa and LoKr: the file by its documented names, its arithmetic by hand, and files on the command line."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import trainer
from tests.trainer.test_formats import a1111_key, comfy_keys, compvis_modules, full_depth
from trainer.base import read_base
from trainer.errors import CheckpointError, ConfigError, LoraError
from trainer.load import load_parts
from trainer.loras import LoraFile, add_loras, weigh_trained
from trainer.lycoris_modules import lycoris
from trainer.methods import Lora, Lycoris
from trainer.methods.targets import PRESETS, chosen
from trainer.parts import Parts
from trainer.readback import answer, read_back

WriteConfig = Callable[..., Path]
KINDS: dict[str, dict[str, Any]] = {
    "loha": {"kind": "loha", "rank": 3, "alpha": 2.0},
    "lokr": {"kind": "lokr", "rank": 2, "alpha": 1.5},
    "lokr, whole": {"kind": "lokr", "rank": 100, "factor": 4},
}
each = pytest.mark.parametrize("name", KINDS)


def moved(method: Lycoris, parts: Parts) -> dict[str, torch.Tensor]:
    """Modules whose every matrix has something in it."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in method.prepare(parts).values():
            parameter.normal_(std=0.3, generator=generator)
    return method.trained(parts)


@pytest.fixture
def fresh(base_folder: Path) -> Callable[[], Parts]:
    return lambda: load_parts(read_base(base_folder), "fp32", "cpu")


def change(tensors: dict[str, torch.Tensor], name: str, shape: torch.Size) -> torch.Tensor:
    """The change of a weight as A1111 (network_hada.py, network_lokr.py) and ComfyUI (weight_adapter) compute it."""
    one = {key.removeprefix(f"{name}."): tensor for key, tensor in tensors.items() if key.startswith(f"{name}.")}
    if "hada_w1_a" in one:
        assert set(one) == {"hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b", "alpha"}
        product = (one["hada_w1_a"] @ one["hada_w1_b"]) * (one["hada_w2_a"] @ one["hada_w2_b"])
        return product.reshape(shape) * one["alpha"] / one["hada_w1_b"].shape[0]
    scale = 1.0
    second = one.get("lokr_w2")
    if second is None:
        second = one["lokr_w2_a"] @ one["lokr_w2_b"]
        scale = one["alpha"].item() / one["lokr_w2_b"].shape[0]
    return (
        torch.kron(one["lokr_w1"], second.flatten(1)).reshape(shape) * scale
        if len(shape) == 2 or shape[-1] == 1
        else torch.kron(one["lokr_w1"][..., None, None], second.reshape(second.shape[0], -1, *shape[2:])) * scale
    )


def merge(parts: Parts, tensors: dict[str, torch.Tensor], weight: float) -> int:
    """Into the weights, by hand; how many."""
    merged = 0
    for prefix, network in (("lora_unet_", parts.unet), ("lora_te_text_model_", parts.text_encoder)):
        for module, layer in network.named_modules():
            name = prefix + module.replace(".", "_")
            if f"{name}.alpha" in tensors:
                layer.weight.data += weight * change(tensors, name, layer.weight.shape)
                merged += 1
    return merged


@each
def test_the_file_says_what_was_trained_by_the_arithmetic_of_its_readers(
    fresh: Callable[[], Parts], tmp_path: Path, name: str
) -> None:
    method, parts = Lycoris(text_encoder=True, **KINDS[name]), fresh()
    plain = answer(parts)
    method.prepare(fresh())
    moved(method, parts)
    method.save(parts, tmp_path, "mira", {"modelsheet": "x"})
    tensors = load_file(tmp_path / "mira.safetensors")
    merged = fresh()
    assert merge(merged, tensors, 1.0) == len({key.partition(".")[0] for key in tensors}) > 20
    torch.testing.assert_close(answer(merged), answer(parts), rtol=1e-3, atol=1e-3)
    assert not torch.allclose(plain, answer(parts), atol=0.05)
    read_back(method, parts, tmp_path)


@each
def test_what_was_trained_counts_by_its_strength(fresh: Callable[[], Parts], tmp_path: Path, name: str) -> None:
    method, parts = Lycoris(**KINDS[name]), fresh()
    moved(method, parts)
    method.save(parts, tmp_path, "mira", {})
    read, merged = fresh(), fresh()
    method.load(read, tmp_path)
    weigh_trained(read, 0.5)
    merge(merged, load_file(tmp_path / "mira.safetensors"), 0.5)
    torch.testing.assert_close(answer(read), answer(merged), rtol=1e-3, atol=1e-3)


@each
def test_it_starts_from_the_base_unchanged(fresh: Callable[[], Parts], name: str) -> None:
    parts = fresh()
    plain = answer(parts)
    Lycoris(**KINDS[name]).prepare(parts)
    assert torch.equal(answer(parts), plain)


@each
def test_files_are_drawn_with_by_their_weights_beside_others(
    fresh: Callable[[], Parts], tmp_path: Path, name: str
) -> None:
    method, parts = Lycoris(**KINDS[name]), fresh()
    moved(method, parts)
    method.save(parts, tmp_path, "mira", {})
    lora, with_lora = Lora(rank=2), fresh()
    with torch.no_grad():
        for parameter in lora.prepare(with_lora).values():
            parameter.normal_(std=0.2)
    lora.save(with_lora, tmp_path, "style", {})

    drawn, wanted = fresh(), fresh()
    files = [LoraFile(tmp_path / "style.safetensors", 0.5), LoraFile(tmp_path / "mira.safetensors", 0.7)]
    add_loras(drawn, files)
    merge(wanted, load_file(tmp_path / "mira.safetensors"), 0.7)
    add_loras(wanted, files[:1])
    torch.testing.assert_close(answer(drawn), answer(wanted), rtol=1e-3, atol=1e-3)
    assert not torch.allclose(answer(drawn), answer(fresh()), atol=0.05)
    turned = fresh()
    add_loras(turned, files[::-1])
    torch.testing.assert_close(answer(turned), answer(drawn), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("version", [1, 2])
def test_the_loaders_know_every_module(tmp_path: Path, version: int) -> None:
    parts = full_depth(version)
    method = Lycoris(kind="lokr", rank=2, text_encoder=True)
    method.prepare(parts)
    method.save(parts, tmp_path, "mira", {})
    names = list(load_file(tmp_path / "mira.safetensors"))
    keys = {name.partition(".")[0] for name in names}
    assert len(keys) > 250
    assert {name.partition(".")[2] for name in names} <= {"lokr_w1", "lokr_w2", "lokr_w2_a", "lokr_w2_b", "alpha"}
    assert keys <= comfy_keys(version)
    unet, text = compvis_modules(version)
    there = {f"diffusion_model_{name}".replace(".", "_") for name in unet} | {name.replace(".", "_") for name in text}
    converted = {a1111_key(key, version) for key in keys}
    assert {re.sub(r"(resblocks_\d+_attn)_[qkv]_proj$", r"\1", key) for key in converted} <= there


def test_lycoris_itself_reads_the_file(fresh: Callable[[], Parts], tmp_path: Path) -> None:
    method, parts = Lycoris(targets="attention"), fresh()
    moved(method, parts)
    method.save(parts, tmp_path, "mira", {})
    read, package = fresh(), lycoris()
    package.LycorisNetwork.apply_preset({"lora_prefix": "lora_unet"})
    try:
        network, _ = package.create_lycoris_from_weights(1.0, str(tmp_path / "mira.safetensors"), read.unet)
        network.apply_to()
    finally:
        package.LycorisNetwork.apply_preset({"lora_prefix": "lycoris"})
    assert len(network.loras) == 32
    torch.testing.assert_close(answer(read), answer(parts))


def test_the_header_is_in_lycoris_words(write_config: WriteConfig) -> None:
    config = trainer.read_config(write_config(method={"use": "lycoris", "kind": "lokr", "rank": 4, "factor": 8}))
    list(trainer.start(config).run())
    with safe_open(config.output / "trained" / "run.safetensors", "pt") as file:
        found = file.metadata()
    assert (found["ss_network_module"], found["ss_network_dim"]) == ("lycoris.kohya", "4")
    assert json.loads(found["ss_network_args"])["algo"] == "lokr"
    assert found["modelspec.architecture"] == "stable-diffusion-v1/lokr"


def test_a_module_without_a_place_is_a_sentence(fresh: Callable[[], Parts], tmp_path: Path) -> None:
    method, parts = Lycoris(), fresh()
    method.prepare(parts)
    method.save(parts, tmp_path, "mira", {})
    path = tmp_path / "mira.safetensors"
    tensors = load_file(path)
    save_file({name.replace("mid_block", "middle"): one for name, one in tensors.items()}, path)
    with pytest.raises(CheckpointError, match=r"of its \d+ modules could be loaded; lost: lora_unet_middle"):
        method.load(fresh(), tmp_path)
    with pytest.raises(LoraError, match=r"does not fit the base .* of its \d+ modules"):
        add_loras(fresh(), [LoraFile(path)])
    save_file({name: torch.cat([one, one]) if "w1_a" in name else one for name, one in tensors.items()}, path)
    with pytest.raises(LoraError, match="does not fit the base .* must match"):
        add_loras(fresh(), [LoraFile(path)])


@pytest.mark.parametrize("kind", [Lora, Lycoris])
def test_targets_by_word(fresh: Callable[[], Parts], kind: Any) -> None:
    parts = {word: fresh() for word in PRESETS}
    numbers = [len(kind(targets=word).prepare(one)) for word, one in parts.items()]
    assert numbers == sorted(set(numbers))
    with pytest.raises(ConfigError, match=r'"atention" is not known; did you mean "attention"'):
        kind(targets="atention").prepare(fresh())
    with pytest.raises(ConfigError, match="to_nothing"):
        kind(targets=("to_q", "to_nothing")).prepare(fresh())
    with pytest.raises(ConfigError, match="norm1"):
        kind(targets=("norm1",)).prepare(fresh())


def test_the_word_for_all_is_what_kohyas_locon_finds() -> None:
    from tests.trainer.test_formats import kohya_modules

    parts = full_depth(1)
    found = {
        f"lora_unet_{name.replace('.', '_')}"
        for name, _ in parts.unet.named_modules()
        if f".{name}".endswith(tuple(f".{end}" for end in chosen("attention+conv", parts.unet)))
    }
    assert found == {name for name in kohya_modules(parts) if name.startswith("lora_unet_")}
