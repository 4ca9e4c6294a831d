"""A LoRA's file against those who read it: diffusers loads it, and the name tables of kohya's sd-scripts, A1111 and
ComfyUI, written down here as facts, know every module in it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import trainer
from trainer import formats, header
from trainer.base import Base, read_base
from trainer.config import read_config
from trainer.errors import CheckpointError, ConfigError
from trainer.families import FAMILIES
from trainer.load import load_parts
from trainer.methods import Lora
from trainer.parts import Parts
from trainer.readback import answer, read_back
from trainer.sample import pipeline

WriteConfig = Callable[..., Path]

ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")
PROJECTIONS = ("proj_in", "proj_out")
FEED_FORWARD = ("net.0.proj", "net.2")
CONVOLUTIONS = ("conv1", "conv2", "conv_shortcut", "downsamplers.0.conv", "upsamplers.0.conv")
LINEAR = (*ATTENTION, *FEED_FORWARD, "time_emb_proj", "linear_1", "linear_2")
TARGETS = {
    "attention": ATTENTION,
    "proj": PROJECTIONS,
    "feed-forward": FEED_FORWARD,
    "conv": CONVOLUTIONS,
    "mixed": (*ATTENTION, *PROJECTIONS, "conv1", "net.2"),
    "all linear": LINEAR,
    "all linear and conv": (*LINEAR, *PROJECTIONS, *CONVOLUTIONS, "conv_in", "conv_out"),
}


def moved(method: Lora, parts: Parts, seed: int) -> dict[str, torch.Tensor]:
    """An adapter in `parts` whose every matrix has something in it."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in method.prepare(parts).values():
            parameter.normal_(std=0.2, generator=generator)
    return method.trained(parts)


@pytest.fixture(scope="module", params=["sd 1", "sd 2"])
def some_base(request: pytest.FixtureRequest, make_base: Callable[..., Path], tmp_path_factory: Any) -> Path:
    """SD 2 has linear layers where SD 1 has convolutions of 1x1 at the ends of its transformers."""
    folder = make_base(tmp_path_factory.mktemp("bases") / request.param.replace(" ", "-"))
    if request.param == "sd 2":
        config = folder / "unet" / "config.json"
        config.write_text(json.dumps({**json.loads(config.read_text()), "use_linear_projection": True}))
        path = folder / "unet" / "diffusion_pytorch_model.safetensors"
        weights = load_file(path)
        flat = {
            name: one[..., 0, 0] if re.search(r"proj_(in|out)\.weight$", name) else one for name, one in weights.items()
        }
        save_file({name: one.contiguous() for name, one in flat.items()}, path, {"format": "pt"})
    return folder


@settings(
    max_examples=12, deadline=None, phases=[Phase.generate], suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    targets=st.sampled_from(sorted(TARGETS)),
    text_encoder=st.booleans(),
    rank=st.integers(1, 9),
    alpha=st.sampled_from([0.1, 1.0, 4.0, 7.3, 32.0]),
    seed=st.integers(0, 99),
)
def test_what_is_saved_is_what_diffusers_loads(
    some_base: Path, tmp_path_factory: Any, targets: str, text_encoder: bool, rank: int, alpha: float, seed: int
) -> None:
    folder = tmp_path_factory.mktemp("lora")
    method = Lora(rank=rank, alpha=alpha, text_encoder=text_encoder, targets=TARGETS[targets])
    parts = load_parts(read_base(some_base))
    trained = moved(method, parts, seed)
    wanted = answer(parts)
    method.save(parts, folder, "mira", {})

    fresh = load_parts(read_base(some_base))
    plain = answer(fresh)
    pipeline(fresh).load_lora_weights(folder)  # as anyone would
    loaded = method.trained(fresh)
    assert loaded.keys() == trained.keys()
    assert [name for name in trained if not torch.equal(loaded[name], trained[name])] == []
    # As read, matrices lie in the file's own memory, and torch rounds by where memory begins: 8e-5 at most was seen.
    torch.testing.assert_close(answer(fresh), wanted, rtol=0, atol=1e-3)
    assert not torch.equal(plain, wanted)
    ours = load_parts(read_base(some_base))
    method.load(ours, folder)
    assert torch.equal(answer(ours), wanted)
    read_back(method, parts, folder)


# --- the three loaders' name tables, at full depth ---------------------------------------------------------------


def full_depth(version: int) -> Parts:
    """The layers of SD 1 or SD 2 by number and kind, of random weights and as narrow as they may be."""
    from diffusers import UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    unet = UNet2DConditionModel(
        block_out_channels=(8, 16, 32, 32), norm_num_groups=8, cross_attention_dim=16, sample_size=64,
        attention_head_dim=4, use_linear_projection=version == 2,
    )  # fmt: skip
    text = CLIPTextConfig(
        vocab_size=100, hidden_size=16, intermediate_size=32, num_attention_heads=2, max_position_embeddings=16,
        num_hidden_layers={1: 12, 2: 23}[version],
    )  # fmt: skip
    networks: dict[str, Any] = {"unet": unet, "text_encoder": CLIPTextModel(text)}
    for network in networks.values():
        network.requires_grad_(False)
    nothing: Any = None
    base = Base(Path(), FAMILIES["StableDiffusionPipeline"], 8, 4, 512, "epsilon", version == 2)
    encoders = {"text_encoder": networks["text_encoder"]}
    return Parts(base, (), encoders, nothing, unet, nothing, torch.device("cpu"), torch.float32, nothing)


@pytest.fixture(scope="module")
def full() -> Mapping[int, Callable[[], Parts]]:
    return {version: lambda version=version: full_depth(version) for version in (1, 2)}  # type: ignore[misc]


ALL = (*LINEAR[:-2], *PROJECTIONS, *CONVOLUTIONS)
"""All that sd-scripts has LoRA for: the ends, conv_in and conv_out, and the timestep's embedding are outside of it."""


def file_of(parts: Parts, folder: Path, targets: tuple[str, ...]) -> tuple[dict[str, torch.Tensor], set[str]]:
    """The file's tensors, and the dotted names of the modules that were trained, "unet." or "text_encoder." first."""
    method = Lora(rank=2, alpha=3.0, text_encoder=True, targets=targets)
    trained = moved(method, parts, 0)
    method.save(parts, folder, "mira", {})
    return load_file(folder / "mira.safetensors"), {name.rsplit(".", 2)[0] for name in trained}


def kohya_modules(parts: Parts) -> set[str]:
    """networks/lora.py, create_modules: in blocks of certain classes, each Linear and Conv2d, "." read as "_"."""
    found = set()
    kinds = {
        "lora_unet": (parts.unet, ("Transformer2DModel", "ResnetBlock2D", "Downsample2D", "Upsample2D")),
        "lora_te": (parts.text_encoder, ("CLIPAttention", "CLIPSdpaAttention", "CLIPMLP")),
    }
    for prefix, (network, classes) in kinds.items():
        for name, module in network.named_modules():
            if type(module).__name__ not in classes:
                continue
            for child, layer in module.named_modules():
                # Before version 5 of transformers, which sd-scripts pins, the text model was a part of the encoder.
                outer = "text_model." if prefix == "lora_te" else ""
                if type(layer).__name__ in ("Linear", "Conv2d"):
                    found.add(f"{prefix}.{outer}{name}.{child}".replace(".", "_").rstrip("_"))
    return found


def compvis_modules(version: int) -> tuple[set[str], set[str]]:
    """The dotted modules of the original U-Net (ldm's openaimodel.py, three resnets and more a level) and its text
    encoder: CLIPTextModel in SD 1, OpenCLIP's `model.transformer.resblocks` in SD 2. Linear and Conv2d alone."""
    unet = {"input_blocks.0.0", "out.2", "time_embed.0", "time_embed.2"}

    def resnet(place: str, skip: bool) -> set[str]:
        names = {f"{place}.in_layers.2", f"{place}.emb_layers.1", f"{place}.out_layers.3"}
        return names | {f"{place}.skip_connection"} if skip else names

    def transformer(place: str) -> set[str]:
        inner = [f"attn{n}.to_{what}" for n in (1, 2) for what in ("q", "k", "v", "out.0")]
        block = {f"{place}.transformer_blocks.0.{name}" for name in (*inner, "ff.net.0.proj", "ff.net.2")}
        return block | {f"{place}.proj_in", f"{place}.proj_out"}

    for level in range(4):
        for number in range(2):
            place = f"input_blocks.{1 + 3 * level + number}"
            unet |= resnet(f"{place}.0", skip=number == 0 and level in (1, 2))
            unet |= transformer(f"{place}.1") if level < 3 else set()
        if level < 3:
            unet.add(f"input_blocks.{3 + 3 * level}.0.op")
    unet |= resnet("middle_block.0", skip=False) | transformer("middle_block.1") | resnet("middle_block.2", skip=False)
    for level in range(4):
        for number in range(3):
            place = f"output_blocks.{3 * level + number}"
            unet |= resnet(f"{place}.0", skip=True)
            unet |= transformer(f"{place}.1") if level > 0 else set()
        if level < 3:
            unet.add(f"output_blocks.{3 * level + 2}.{2 if level > 0 else 1}.conv")
    parts = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.out_proj", "mlp.fc1", "mlp.fc2")
    if version == 1:
        text = {f"transformer.text_model.encoder.layers.{n}.{part}" for n in range(12) for part in parts}
    else:
        inside = ("attn", "attn.out_proj", "mlp.c_fc", "mlp.c_proj")
        text = {f"model.transformer.resblocks.{n}.{part}" for n in range(24) for part in inside}
    return unet, text


RESNET = {
    "conv1": "in_layers_2",
    "conv2": "out_layers_3",
    "time_emb_proj": "emb_layers_1",
    "conv_shortcut": "skip_connection",
}


def a1111_key(key: str, version: int) -> str:
    """extensions-builtin/Lora/networks.py: a file's name of a module -> the original network's, dots as "_"."""
    if found := re.match(r"lora_unet_(conv_in|conv_out)(.*)", key):
        return {"conv_in": "diffusion_model_input_blocks_0_0", "conv_out": "diffusion_model_out_2"}[found[1]] + found[2]
    if found := re.match(r"lora_unet_time_embedding_linear_(\d+)(.*)", key):
        return f"diffusion_model_time_embed_{2 * int(found[1]) - 2}{found[2]}"
    if found := re.match(r"lora_unet_(down|up)_blocks_(\d+)_(attentions|resnets)_(\d+)_(.+)", key):
        side, level, kind, number = found[1], int(found[2]), found[3], int(found[4])
        place = f"input_blocks_{1 + 3 * level + number}" if side == "down" else f"output_blocks_{3 * level + number}"
        end = RESNET.get(found[5], found[5]) if kind == "resnets" else found[5]
        return f"diffusion_model_{place}_{int(kind == 'attentions')}_{end}"
    if found := re.match(r"lora_unet_mid_block_(attentions|resnets)_(\d+)_(.+)", key):
        if found[1] == "attentions":
            return f"diffusion_model_middle_block_1_{found[3]}"
        return f"diffusion_model_middle_block_{2 * int(found[2])}_{RESNET.get(found[3], found[3])}"
    if found := re.match(r"lora_unet_down_blocks_(\d+)_downsamplers_0_conv", key):
        return f"diffusion_model_input_blocks_{3 + 3 * int(found[1])}_0_op"
    if found := re.match(r"lora_unet_up_blocks_(\d+)_upsamplers_0_conv", key):
        return f"diffusion_model_output_blocks_{2 + 3 * int(found[1])}_{2 if int(found[1]) > 0 else 1}_conv"
    if found := re.match(r"lora_te_text_model_encoder_layers_(\d+)_(.+)", key):
        if version == 1:
            return f"transformer_text_model_encoder_layers_{found[1]}_{found[2]}"
        end = found[2].replace("mlp_fc1", "mlp_c_fc").replace("mlp_fc2", "mlp_c_proj").replace("self_attn", "attn")
        return f"model_transformer_resblocks_{found[1]}_{end}"
    return key


def comfy_keys(version: int) -> set[str]:
    """comfy/lora.py and comfy/utils.py: every key that ComfyUI asks for, from its map of diffusers' names."""
    inner = [f"attn{n}.to_{what}" for n in (1, 2) for what in ("q", "k", "v", "out.0")]
    transformer = [
        "proj_in",
        "proj_out",
        *(f"transformer_blocks.0.{name}" for name in (*inner, "ff.net.0.proj", "ff.net.2")),
    ]
    resnet = list(RESNET)
    names = ["conv_in", "conv_out", "time_embedding.linear_1", "time_embedding.linear_2"]
    for level in range(4):
        for number in range(2):
            names += [f"down_blocks.{level}.resnets.{number}.{part}" for part in resnet]
            names += [f"down_blocks.{level}.attentions.{number}.{part}" for part in transformer if level < 3]
        for number in range(3):
            names += [f"up_blocks.{level}.resnets.{number}.{part}" for part in resnet]
            names += [f"up_blocks.{level}.attentions.{number}.{part}" for part in transformer if level > 0]
        names += [f"down_blocks.{level}.downsamplers.0.conv", f"up_blocks.{level}.upsamplers.0.conv"]
    names += [f"mid_block.resnets.{number}.{part}" for number in (0, 1) for part in resnet]
    names += [f"mid_block.attentions.0.{part}" for part in transformer]
    text = ("self_attn_q_proj", "self_attn_k_proj", "self_attn_v_proj", "self_attn_out_proj", "mlp_fc1", "mlp_fc2")
    layers = {1: 12, 2: 24}[version]
    return {f"lora_unet_{name.replace('.', '_')}" for name in names} | {
        f"lora_te_text_model_encoder_layers_{n}_{part}" for n in range(layers) for part in text
    }


@pytest.mark.parametrize("version", [1, 2])
def test_the_three_loaders_know_every_module(
    full: Mapping[int, Callable[[], Parts]], tmp_path: Path, version: int
) -> None:
    known = kohya_modules(full[version]())
    tensors, modules = file_of(full[version](), tmp_path, ALL)
    keys = {name.partition(".")[0] for name in tensors}
    assert len(keys) == len(modules) == len(known) - 2 * {1: 12, 2: 23}[version]  # the text encoder's fc1 and fc2
    assert {name.partition(".")[2] for name in tensors} == {"lora_down.weight", "lora_up.weight", "alpha"}
    assert len(tensors) == 3 * len(keys)
    assert keys <= known
    assert keys <= comfy_keys(version)
    unet, text = compvis_modules(version)
    there = {f"diffusion_model_{name}".replace(".", "_") for name in unet} | {name.replace(".", "_") for name in text}
    converted = {a1111_key(key, version) for key in keys}
    # What is one matrix there, q, k and v of OpenCLIP, takes its three parts.
    found = {re.sub(r"(resblocks_\d+_attn)_[qkv]_proj$", r"\1", key) for key in converted}
    assert len(converted) == len(keys)
    assert found <= there


@pytest.mark.parametrize("version", [1, 2])
def test_the_ends_of_the_network_are_known_to_all_but_kohya(
    full: Mapping[int, Callable[[], Parts]], tmp_path: Path, version: int
) -> None:
    ends = {"conv_in", "conv_out", "linear_1", "linear_2"}
    parts = full[version]()
    unet, _ = compvis_modules(version)
    known = kohya_modules(parts)
    method = Lora(rank=2, targets=tuple(sorted(ends)))
    method.prepare(parts)
    method.save(parts, tmp_path, "mira", {})
    keys = {name.partition(".")[0] for name in load_file(tmp_path / "mira.safetensors")}
    assert len(keys) == 4
    assert keys <= comfy_keys(version)
    assert {a1111_key(key, version) for key in keys} <= {f"diffusion_model_{name}".replace(".", "_") for name in unet}
    assert not keys & known
    assert formats.unknown_to_kohya(parts.unet) == sorted(
        ["conv_in", "conv_out", "time_embedding.linear_1", "time_embedding.linear_2"]
    )


def test_every_loader_scales_by_alpha_over_rank(base_folder: Path, tmp_path: Path) -> None:
    """kohya: LoRAModule.scale; A1111: calc_scale; ComfyUI: calculate_weight; all take rank as lora_down.shape[0]."""
    parts = load_parts(read_base(base_folder))
    method = Lora(rank=4, alpha=10.0, targets=("to_q", "conv1"))
    moved(method, parts, 0)
    weight = {name: one.clone() for name, one in parts.unet.state_dict().items()}
    method.save(parts, tmp_path, "mira", {})
    tensors = load_file(tmp_path / "mira.safetensors")
    parts.unet.fuse_lora()
    checked = 0
    for name, fused in parts.unet.state_dict().items():
        key = f"lora_unet_{name.removesuffix('.base_layer.weight').replace('.', '_')}"
        if f"{key}.alpha" not in tensors:
            continue
        up, down, alpha = (tensors[f"{key}.{end}"] for end in ("lora_up.weight", "lora_down.weight", "alpha"))
        assert alpha.shape == ()
        change = (up.flatten(1) @ down.flatten(1)).reshape(fused.shape) * (alpha.item() / down.shape[0])
        torch.testing.assert_close(weight[name] + change, fused, rtol=1e-4, atol=1e-5)
        checked += 1
    assert checked == len([name for name in tensors if name.endswith(".alpha")]) > 10


# --- through the commands ----------------------------------------------------------------------------------------


def metadata(path: Path) -> dict[str, str]:
    with safe_open(path, "pt") as file:
        return dict(file.metadata())


def test_the_header_says_how_it_was_trained_and_not_where(write_config: WriteConfig, tmp_path: Path) -> None:
    config = read_config(write_config("mira-v1", method={"targets": ["to_q", "conv1"]}))
    list(trainer.start(config).run())
    files = list((config.output / "trained").iterdir())
    assert [file.name for file in files] == ["mira-v1.safetensors"]
    assert [file.name for file in (config.output / "checkpoints" / "step-000002" / "trained").iterdir()] == [
        "mira-v1-step00000002.safetensors"
    ]
    found = metadata(files[0])
    assert all(str(value) == value for value in found.values())
    assert found["ss_network_module"] == "networks.lora"
    assert (found["ss_network_dim"], found["ss_network_alpha"]) == ("4", "8.0")
    assert json.loads(found["ss_network_args"]) == {"conv_dim": "4", "conv_alpha": "8.0"}
    assert (found["ss_v2"], found["ss_base_model_version"], found["ss_sd_model_name"]) == ("False", "sd_v1", "model")
    assert (found["ss_steps"], found["ss_resolution"], found["ss_num_train_images"]) == ("4", "(32, 32)", "5")
    assert found["ss_output_name"] == "mira-v1"
    assert json.loads(found["ss_tag_frequency"]) == {
        "dataset": {"mira": 5, "smiling": 1, "sad": 1, "facing left": 1, "sitting": 1}
    }
    assert json.loads(found["ss_dataset_dirs"]) == {"dataset": {"n_repeats": 1, "img_count": 5}}
    assert found["modelspec.architecture"] == "stable-diffusion-v1/lora"
    assert found["modelspec.trigger_phrase"] == "mira"
    assert found["modelspec.resolution"] == "32x32"
    assert "lora_adapter_metadata" not in found  # diffusers takes either this or .alpha
    everything = " ".join((*found, *found.values()))
    assert str(tmp_path) not in everything
    assert str(tmp_path.parent.name) not in everything
    content = files[0].read_bytes()
    import hashlib

    tensors = content[8 + int.from_bytes(content[:8], "little") :]
    assert found["sshs_model_hash"] == hashlib.sha256(tensors).hexdigest()
    assert found["modelspec.hash_sha256"] == f"0x{hashlib.sha256(tensors).hexdigest()}"


def test_the_second_generation_is_named_so(base_folder: Path, tmp_path: Path, dataset_folder: Path) -> None:
    import shutil

    base = tmp_path / "two"
    shutil.copytree(base_folder, base)
    for name, key, value in (
        ("unet", "cross_attention_dim", 1024), ("scheduler", "prediction_type", "v_prediction"),
    ):  # fmt: skip
        path = base / name / ("scheduler_config.json" if name == "scheduler" else "config.json")
        path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    found = header.base_header(read_base(base), "0" * 64)
    assert (found["ss_v2"], found["ss_base_model_version"]) == ("True", "sd_v2_v")
    assert found["modelspec.architecture"] == "stable-diffusion-v2-768-v"
    assert found["modelspec.prediction_type"] == "v"


@pytest.mark.parametrize(
    ("folder", "name"),
    [("mira", "mira"), ("mira: v2?", "mira- v2-"), ("checkpoint-9", "lora"), ("a scheduler", "lora"), ("...", "lora")],
)
def test_a_file_is_named_after_its_run(folder: str, name: str) -> None:
    """diffusers passes over files with "checkpoint", "optimizer" or "scheduler" in their names."""
    assert formats.file_stem(folder) == name


def test_hostile_captions_stay_text(write_config: WriteConfig, dataset_folder: Path) -> None:
    captions = ['\ud800 mira, "}], {', "\ud800 mira\0, \N{RIGHT-TO-LEFT OVERRIDE}x", "\ud800 mira, <lora:x:1>"]
    rows = [json.dumps({"file_name": f"{number}.png", "text": caption}) for number, caption in enumerate(captions)]
    (dataset_folder / "metadata.jsonl").write_text("\n".join(rows), encoding="utf-8")
    config = read_config(write_config(steps=1))
    list(trainer.start(config).run())
    found = metadata(config.output / "trained" / "run.safetensors")
    assert json.loads(found["ss_tag_frequency"])["dataset"]['"}]'] == 1
    assert found["modelspec.trigger_phrase"] == "?"


# --- read back ----------------------------------------------------------------------------------------------------


def spoil(path: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    tensors, about = load_file(path), metadata(path)
    change(tensors)
    save_file(tensors, path, about)


SPOILT: dict[str, tuple[Callable[[dict[str, torch.Tensor]], Any], str]] = {
    "a module is gone": (
        lambda one: [one.pop(name) for name in list(one) if "mid" in name or "up_blocks_0" in name],
        r"lack.*up_blocks\.0",
    ),
    "a value": (lambda one: one[next(name for name in one if "up" in name.partition(".")[2])].add_(1e-6), "differ"),
    "alpha": (lambda one: [tensor.mul_(2) for name, tensor in one.items() if "alpha" in name], "answers otherwise"),
    "a name": (
        lambda one: one.update({"lora_unet_nowhere_to_q.lora_down.weight": torch.ones(4, 16),
                                "lora_unet_nowhere_to_q.lora_up.weight": torch.ones(16, 4)}),
        "nowhere",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", SPOILT)
def test_a_difference_is_an_error_that_names_it(base_folder: Path, tmp_path: Path, what: str) -> None:
    change, sentence = SPOILT[what]
    method = Lora(rank=4, targets=(*ATTENTION, "conv1"))
    parts = load_parts(read_base(base_folder))
    moved(method, parts, 0)
    method.save(parts, tmp_path, "mira", {})
    read_back(method, parts, tmp_path)
    spoil(tmp_path / "mira.safetensors", change)
    with pytest.raises(CheckpointError, match=sentence) as found:
        read_back(method, parts, tmp_path)
    assert "\n" not in str(found.value)
    assert "mira.safetensors" in str(found.value)


def test_training_stops_where_what_it_writes_is_not_what_it_trained(
    write_config: WriteConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = Lora.save

    def forgetful(self: Lora, parts: Parts, folder: Path, name: str, about: Mapping[str, str]) -> None:
        honest(self, parts, folder, name, about)
        spoil(folder / f"{name}.safetensors", lambda one: [one.pop(key) for key in list(one) if "to_q" in key])

    monkeypatch.setattr(Lora, "save", forgetful)
    config = read_config(write_config())
    with pytest.raises(CheckpointError, match=r"lack.*to_q"):
        list(trainer.start(config).run())
    assert not (config.output / "trained").exists()


def test_the_preview_from_memory_is_the_sample_from_the_file(write_config: WriteConfig) -> None:
    import numpy as np
    from PIL import Image

    from trainer.recipe import Drawn

    targets = [*ATTENTION, "conv1", "proj_in", "net.2"]
    path = write_config(method={"targets": targets, "text_encoder": True}, preview={"every": 4, "steps": 5})
    config = read_config(path)
    list(trainer.start(config).run())
    parts, step = trainer.load_trained(config.output)
    about = Drawn(prompt="mira, smiling", seed=0, steps=5, trained=step)
    drawn = np.asarray(trainer.draw(parts, [about])[0], int)
    with Image.open(config.output / "previews" / "step-000004" / "00.png") as preview:
        assert np.abs(np.asarray(preview, int) - drawn).max() <= 2


def test_a_folder_without_its_file_says_so(base_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"holds no \.safetensors"):
        Lora().load(load_parts(read_base(base_folder)), tmp_path)
    for name in "ab":
        save_file({"x": torch.ones(1)}, tmp_path / f"{name}.safetensors")
    with pytest.raises(CheckpointError, match=r"a\.safetensors and b\.safetensors"):
        Lora().load(load_parts(read_base(base_folder)), tmp_path)


def test_targets_that_name_no_module_are_refused(base_folder: Path) -> None:
    with pytest.raises(ConfigError, match="to_nothing"):
        Lora(targets=("to_q", "to_nothing")).prepare(load_parts(read_base(base_folder)))
    with pytest.raises(ConfigError, match="norm1"):
        Lora(targets=("to_q", "norm1")).prepare(load_parts(read_base(base_folder)))


def test_a_file_of_the_first_version_that_diffusers_reads_in_parts_is_refused(
    base_folder: Path, tmp_path: Path
) -> None:
    method = Lora(rank=4, targets=(*ATTENTION, "conv1"))
    parts = load_parts(read_base(base_folder))
    old = {
        name.replace("lora_A", "lora.down").replace("lora_B", "lora.up")
        if ".to_" in name
        else name: tensor.contiguous()
        for name, tensor in moved(method, parts, 0).items()
    }
    save_file(old, tmp_path / "pytorch_lora_weights.safetensors")
    with pytest.raises(CheckpointError, match="an earlier version wrote it.*`trainer resume` writes"):
        method.load(load_parts(read_base(base_folder)), tmp_path)
