"""A base in one .safetensors, and by its name on the hub: read as what diffusers made it of, or called what it is."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

import trainer
from tests.trainer.conftest import WORDS
from trainer.base import read_base
from trainer.config import read_config, read_run
from trainer.errors import BaseModelError
from trainer.families import FAMILIES
from trainer.load import check_fit, count_weights, load_autoencoder, load_parts, skeleton
from trainer.original import original_tensors

ROOT = Path(trainer.__file__).parent.parent
KINDS = ("SD 1", "SD 2", "SDXL")
Networks = dict[str, Any]


def text(width: int, layers: int, activation: str, **more: Any) -> Any:
    return CLIPTextConfig(
        vocab_size=len(WORDS), hidden_size=width, intermediate_size=2 * width, num_hidden_layers=layers,
        num_attention_heads=width // 64, max_position_embeddings=16, hidden_act=activation,
        bos_token_id=len(WORDS) - 2, eos_token_id=len(WORDS) - 1, **more,
    )  # fmt: skip


def networks(kind: str) -> Networks:
    """As published, with fewer and narrower layers: 8 heads a level in SD 1, 64 numbers a head in the others."""
    torch.manual_seed(0)
    xl = kind == "SDXL"
    levels = ("DownBlock2D", "CrossAttnDownBlock2D") if xl else ("CrossAttnDownBlock2D", "DownBlock2D")
    more: dict[str, Any] = {"attention_head_dim": 8} if kind == "SD 1" else {
        "attention_head_dim": [1, 2], "use_linear_projection": True,
    }  # fmt: skip
    if xl:
        more |= {
            "transformer_layers_per_block": [1, 2], "addition_embed_type": "text_time", "addition_time_embed_dim": 8,
            "projection_class_embeddings_input_dim": 6 * 8 + 32,
        }  # fmt: skip
    unet = UNet2DConditionModel(
        block_out_channels=(64, 128), down_block_types=levels, cross_attention_dim=192 if xl else 64,
        up_block_types=tuple(level.replace("Down", "Up") for level in reversed(levels)), **more,
    )  # fmt: skip
    vae = AutoencoderKL(
        block_out_channels=(32, 32), down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2, layers_per_block=2, scaling_factor=0.13025 if xl else 0.18215,
    )  # fmt: skip
    found = {
        "unet": unet,
        "vae": vae,
        "text_encoder": CLIPTextModel(text(64, 2, "gelu" if kind == "SD 2" else "quick_gelu")),
    }
    if xl:
        found["text_encoder_2"] = CLIPTextModelWithProjection(text(128, 2, "gelu", projection_dim=32))
    return found


def write_file(path: Path, kind: str, more: dict[str, torch.Tensor] | None = None, **about: str) -> Networks:
    """What stands in the file, too."""
    made = networks(kind)
    family = FAMILIES["StableDiffusionXLPipeline" if kind == "SDXL" else "StableDiffusionPipeline"]
    tensors = original_tensors({name: one.state_dict() for name, one in made.items()}, family.in_file(kind == "SD 2"))
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: one.clone().contiguous() for name, one in {**tensors, **(more or {})}.items()}, path, about)
    return made


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer's folder as ComfyUI's comfy/sd1_tokenizer."""
    folder = tmp_path_factory.mktemp("words")
    (folder / "vocab.json").write_text(json.dumps({word: number for number, word in enumerate(WORDS)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return folder


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Networks]]:
    folder = tmp_path_factory.mktemp("files")
    return {kind: (path, write_file(path, kind)) for kind in KINDS for path in [folder / f"{kind}.safetensors"]}


@pytest.mark.parametrize("kind", KINDS)
def test_every_tensor_and_what_it_means_is_read(files: Any, words: Path, kind: str) -> None:
    path, made = files[kind]
    base = read_base(path, words, "epsilon")
    assert (base.size, base.factor, base.name) == ({"SD 1": 512, "SD 2": 512, "SDXL": 1024}[kind], 2, kind)
    assert base.second_generation == (kind == "SD 2")
    parts = load_parts(base, "fp32", "cpu")
    assert parts.networks.keys() == made.keys()
    for name, network in made.items():
        ours, theirs = parts.networks[name].state_dict(), network.state_dict()
        assert ours.keys() == theirs.keys()
        assert [key for key in theirs if not torch.equal(ours[key], theirs[key])] == []
    assert parts.vae.config.scaling_factor == made["vae"].config.scaling_factor
    ids = torch.arange(16)[None]
    noise, moment = torch.randn(1, 4, 8, 8), torch.tensor([500])
    with torch.no_grad():
        for name, network in made.items():
            if name.startswith("text"):  # heads and activation are in no tensor
                assert torch.equal(parts.networks[name](ids)[0], network(ids)[0])
        said = parts.encode_text(["mira"])
        expected = made["unet"](noise, moment, return_dict=False, **base.family.conditions(
            said, torch.tensor([[16, 16, 0, 0, 16, 16]])
        ))[0]  # fmt: skip
        torch.testing.assert_close(parts.predict(noise, moment, said), expected)
    bare = skeleton(base)
    check_fit(bare)
    assert count_weights(bare) == count_weights(parts)
    picture = torch.zeros(1, 3, 16, 16)
    assert torch.equal(load_autoencoder(base).encode(picture)[0].mean, made["vae"].encode(picture)[0].mean)


@pytest.mark.parametrize("kind", ["SD 1", "SDXL"])
def test_clip_may_be_named_without_its_wrapper(files: Any, words: Path, tmp_path: Path, kind: str) -> None:
    path, made = files[kind]
    tensors = {name.replace(".text_model.", "."): tensor for name, tensor in load_file(path).items()}
    assert tensors.keys() != load_file(path).keys()
    save_file(tensors, tmp_path / "bare.safetensors")
    base = read_base(tmp_path / "bare.safetensors", words, "epsilon")
    check_fit(skeleton(base))
    parts = load_parts(base, "fp32", "cpu")
    for name, network in made.items():
        ours = parts.networks[name].state_dict()
        assert [key for key, one in network.state_dict().items() if not torch.equal(ours[key], one)] == []
    assert not any(one.requires_grad for network in parts.networks.values() for one in network.parameters())
    del tensors[next(name for name in tensors if name.endswith("transformer.final_layer_norm.bias"))]
    save_file(tensors, tmp_path / "bare.safetensors")
    with pytest.raises(BaseModelError, match=r"lacks 1 of \d+ tensors, con"):
        skeleton(read_base(tmp_path / "bare.safetensors", words, "epsilon"))


PUBLISHED = {
    "SD 1": {"unet": 859_520_964, "vae": 83_653_863, "text_encoder": 123_060_480},
    "SD 2": {"unet": 865_910_724, "vae": 83_653_863, "text_encoder": 340_387_840},
    "SDXL": {"unet": 2_567_463_684, "vae": 83_653_863, "text_encoder": 123_060_480, "text_encoder_2": 694_659_840},
}
"""How many numbers each network has, of the folders that Runway and Stability published."""


def published(kind: str) -> dict[str, tuple[int, ...]]:
    """The shapes in the file of a base as it was published; no weights."""
    xl, cross = kind == "SDXL", {"SD 1": 768, "SD 2": 1024, "SDXL": 2048}[kind]
    down = ("DownBlock2D", *("CrossAttnDownBlock2D",) * 2) if xl else (*("CrossAttnDownBlock2D",) * 3, "DownBlock2D")
    more: dict[str, Any] = {
        "transformer_layers_per_block": (1, 2, 10), "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256, "projection_class_embeddings_input_dim": 2816,
    } if xl else {}  # fmt: skip
    with torch.device("meta"):
        unet = UNet2DConditionModel(
            block_out_channels=(320, 640, 1280) if xl else (320, 640, 1280, 1280), down_block_types=down,
            up_block_types=tuple(one.replace("Down", "Up") for one in reversed(down)), cross_attention_dim=cross,
            attention_head_dim=8 if kind == "SD 1" else [5, 10, 20, 20][: len(down)],
            use_linear_projection=kind != "SD 1", **more,
        )  # fmt: skip
        vae = AutoencoderKL(
            block_out_channels=(128, 256, 512, 512), down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4, layers_per_block=2,
        )  # fmt: skip
        sizes = {"hidden_size": 1024, "num_hidden_layers": 23} if kind == "SD 2" else {"hidden_size": 768}
        wide = {"vocab_size": 49408, "max_position_embeddings": 77, "num_hidden_layers": 12, "num_attention_heads": 16}
        first = CLIPTextConfig(**{**wide, **sizes, "intermediate_size": 4 * sizes["hidden_size"]})
        made: Networks = {"unet": unet, "vae": vae, "text_encoder": CLIPTextModel(first)}
        if xl:
            second = {"hidden_size": 1280, "num_hidden_layers": 32, "intermediate_size": 5120, "projection_dim": 1280}
            made["text_encoder_2"] = CLIPTextModelWithProjection(CLIPTextConfig(**{**wide, **second}))
    family = FAMILIES["StableDiffusionXLPipeline" if xl else "StableDiffusionPipeline"]
    tensors = original_tensors({name: one.state_dict() for name, one in made.items()}, family.in_file(kind == "SD 2"))
    return {name: tuple(one.shape) for name, one in tensors.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_the_published_bases_are_told_by_their_header(tmp_path: Path, words: Path, kind: str) -> None:
    """Of a file that has the right header, and holes instead of numbers."""
    shapes, offset, header = published(kind), 0, {}
    for name, shape in shapes.items():
        size = 2 * math.prod(shape)
        header[name] = {"dtype": "F16", "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    data = json.dumps(header).encode()
    path = tmp_path / "published.safetensors"
    with path.open("wb") as file:
        file.write(len(data).to_bytes(8, "little") + data)
        file.truncate(8 + len(data) + offset)
    base = read_base(path, words, "epsilon")
    assert (base.size, base.factor, base.channels) == (1024 if kind == "SDXL" else 512, 8, 4)
    length = base.config("text_encoder")["max_position_embeddings"]
    assert (length, base.config("text_encoder")["vocab_size"]) == (77, 49408)
    heads = {"SD 1": 8, "SD 2": [5, 10, 20, 20], "SDXL": [5, 10, 20]}[kind]
    assert base.config("unet")["attention_head_dim"] == heads
    bare = skeleton(base)
    check_fit(bare)
    assert count_weights(bare) == PUBLISHED[kind]
    path.unlink()


def test_a_run_on_a_single_file_from_start_to_sample(
    files: Any, words: Path, write_config: Any, tmp_path: Path
) -> None:
    from trainer.recipe import Drawn

    path = write_config(base=files["SD 1"][0], steps=2, preview={"size": [32, 32]})
    path.write_text(f"tokenizer = {json.dumps(str(words))}\n{path.read_text()}")
    config = read_config(path)
    list(trainer.start(config, path).run())
    parts, step = trainer.load_trained(config.output)
    assert step == 2
    about = Drawn(prompt="mira", seed=0, steps=2, base=parts.base.fingerprint()[:10])
    assert trainer.draw(parts, [about], (32, 32))[0].size == (32, 32)
    assert load_file(config.output / "trained" / "run.safetensors")
    assert list(trainer.resume(config.output, 3).run())[-1].step == 3


SAYS: dict[str, tuple[str, dict[str, torch.Tensor], dict[str, str], str | None, str]] = {
    "nothing": ("SD 1", {}, {}, None, "epsilon"),
    "a key": ("SDXL", {"v_pred": torch.tensor([])}, {}, None, "v_prediction"),
    "the header": ("SD 1", {}, {"modelspec.prediction_type": "v"}, None, "v_prediction"),
    "the header, noise": ("SD 2", {}, {"modelspec.prediction_type": "epsilon"}, None, "epsilon"),
    "a .yaml": ("SD 2", {}, {}, 'model:\n  params:\n    parameterization: "v"\n', "v_prediction"),
    "a .yaml without": ("SD 2", {}, {}, "model:\n  params:\n    linear_start: 0.00085\n", "epsilon"),
}


@pytest.mark.parametrize("what", SAYS)
def test_what_it_predicts_is_said_by(tmp_path: Path, words: Path, what: str) -> None:
    kind, more, about, yaml, expected = SAYS[what]
    path = tmp_path / "model.safetensors"
    write_file(path, kind, more, **about)
    if yaml:
        path.with_suffix(".yaml").write_text(yaml)
    base = read_base(path, words)
    assert base.prediction == expected
    assert base.size == (1024 if kind == "SDXL" else 768 if (kind, expected) == ("SD 2", "v_prediction") else 512)
    assert skeleton(base).noise_scheduler.config.prediction_type == expected
    assert read_base(path, words, "v_prediction").prediction == "v_prediction"


def test_noise_without_a_signal_at_its_end_is_said_by_a_key(tmp_path: Path, words: Path) -> None:
    path = tmp_path / "noob.safetensors"
    write_file(path, "SDXL", {"v_pred": torch.tensor([]), "ztsnr": torch.tensor([])})
    schedule = load_parts(read_base(path, words), "fp32", "cpu").noise_scheduler
    assert schedule.alphas_cumprod[-1].item() == pytest.approx(0, abs=1e-6)


def test_sd_2_that_does_not_say_what_it_predicts_is_asked_for(files: Any) -> None:
    with pytest.raises(BaseModelError, match='does not say what it predicts: add prediction = "v_prediction" if'):
        read_base(files["SD 2"][0])


U, V, C = "model.diffusion_model.", "first_stage_model.", "cond_stage_model.transformer.text_model."
FIRST = {f"{U}input_blocks.0.0.weight": (8, 4, 3, 3), f"{V}decoder.conv_in.weight": (8, 4, 3, 3)}
OTHERS: dict[str, tuple[dict[str, tuple[int, ...]], str]] = {
    "LoRA": ({"lora_unet_mid_block_attentions_0_proj_in.lora_down.weight": (4, 8)}, "is a LoRA, which comes on top"),
    "LoKr": ({"lora_unet_mid_block_attentions_0_proj_in.lokr_w1": (4, 8)}, "is a LoHa, LoKr or OFT"),
    "embedding": ({"emb_params": (4, 768)}, "is an embedding"),
    "embedding of SDXL": ({"clip_l": (4, 768), "clip_g": (4, 1280)}, "is an embedding"),
    "VAE": ({"encoder.conv_in.weight": (8, 3, 3, 3), "decoder.conv_in.weight": (8, 4, 3, 3)}, "is an autoencoder"),
    "VAE, named": ({f"{V}encoder.conv_in.weight": (8, 3, 3, 3)}, "is an autoencoder"),
    "refiner": ({**FIRST, "conditioner.embedders.0.model.transformer.resblocks.0.ln_1.weight": (8,)}, "is the refiner"),
    "inpainting": ({**FIRST, f"{U}input_blocks.0.0.weight": (8, 9, 3, 3)}, "is an inpainting model"),
    "pix2pix": ({**FIRST, f"{U}input_blocks.0.0.weight": (8, 8, 3, 3)}, "for edits by instruction"),
    "Flux": ({f"{U}double_blocks.0.img_attn.qkv.weight": (8, 8), "x": (1,), "y": (1,)}, "is a Flux"),
    "SD 3": ({f"{U}joint_blocks.0.x_block.attn.qkv.weight": (8, 8), "x": (1,), "y": (1,)}, "is a Stable Diffusion 3"),
    "ControlNet": ({"control_model.input_blocks.0.0.weight": (8, 4, 3, 3)}, "is a ControlNet"),
    "U-Net of a folder": ({"down_blocks.0.resnets.0.conv1.weight": (8, 8, 3, 3)}, "one network of a diffusers folder"),
    "no VAE": ({f"{U}input_blocks.0.0.weight": (8, 4, 3, 3), f"{C}final_layer_norm.bias": (8,)}, "has no autoencoder"),
    "U-Net alone": ({f"{U}input_blocks.0.0.weight": (8, 4, 3, 3)}, "holds a U-Net and no text encoder"),
    "text encoder": ({f"{C}encoder.layers.0.mlp.fc1.weight": (8, 8, 1)}, "is a text encoder alone"),
    "something": ({"x.weight": (200, 8)}, "is no Stable Diffusion that is known here"),
    "half a base": ({**FIRST, f"{C}embeddings.token_embedding.weight": (8, 8)}, "is damaged, or no whole"),
}


@pytest.mark.parametrize("what", OTHERS)
def test_a_file_of_another_kind_is_called_what_it_is(tmp_path: Path, what: str) -> None:
    shapes, sentence = OTHERS[what]
    path = tmp_path / "other.safetensors"
    save_file({name: torch.zeros(shape) for name, shape in shapes.items()}, path)
    with pytest.raises(BaseModelError, match=sentence) as found:
        read_base(path)
    assert "\n" not in str(found.value)
    assert str(path) in str(found.value)


def test_files_that_cannot_be_read_are_a_sentence(tmp_path: Path, files: Any, words: Path) -> None:
    path = tmp_path / "model.safetensors"
    for data in (b"", b"\x80\x04pickle", b"\xff" * 50, (2**62).to_bytes(8, "little") + b"{}", b"\x02\0\0\0\0\0\0\0[]"):
        path.write_bytes(data)
        with pytest.raises(BaseModelError, match=r"is no \.safetensors file, or is damaged"):
            read_base(path)
    path.write_bytes(files["SD 1"][0].read_bytes()[:-1000])
    with pytest.raises(BaseModelError, match="bytes and should be .*download it again"):
        read_base(path)
    whole = load_file(files["SD 1"][0])
    save_file({name: one for name, one in whole.items() if "output_blocks.5.0" not in name}, path)
    with pytest.raises(BaseModelError, match=r"lacks \d+ of \d+ tensors"):
        load_parts(read_base(path, words), "fp32", "cpu")
    for name in ("model.ckpt", "model.pt"):
        (tmp_path / name).write_bytes(b"")
        with pytest.raises(BaseModelError, match="is a pickle, which may run programs, and is not read"):
            read_base(tmp_path / name)
    (tmp_path / "model.txt").write_bytes(b"")
    with pytest.raises(BaseModelError, match=r"is a file; base is a \.safetensors, or a folder"):
        read_base(tmp_path / "model.txt")


def test_a_name_on_the_hub_stays_one_in_a_run_folder(write_config: Any, tmp_path: Path) -> None:
    path = write_config(base="someone/tiny-base")
    config = read_config(path)
    assert config.base.as_posix() == "someone/tiny-base"
    config.output.mkdir()
    (config.output / "run.json").write_text(config.to_json())
    assert read_run(config.output).base == config.base
    (tmp_path / "someone" / "tiny-base").mkdir(parents=True)  # a folder comes first
    assert read_config(path).base == tmp_path / "someone" / "tiny-base"


# --- by the command, in a process whose hub is a folder -----------------------------------------------------------


@pytest.fixture
def check(tmp_path: Path, write_config: Any) -> Callable[..., tuple[int, dict[str, Any]]]:
    """`trainer check` of a train.toml, without a network; the answer of --json."""

    def run(base: str, more: str = "") -> tuple[int, dict[str, Any]]:
        path = write_config(preview={"every": 0})
        path.write_text("\n".join([more, f"base = {json.dumps(base)}", *path.read_text().splitlines()[1:]]))
        places = {"HF_HUB_CACHE": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, "-m", "trainer", "check", path, "--json"], capture_output=True, text=True, timeout=280,
            env={**os.environ, **places},
        )  # fmt: skip
        return done.returncode, json.loads(done.stdout)

    return run


def keep(cache: Path, name: str, folder: Path) -> Path:
    """A model as huggingface_hub keeps it."""
    home = cache / f"models--{name.replace('/', '--')}"
    snapshot = home / "snapshots" / ("0123456789" * 4)
    shutil.copytree(folder, snapshot)
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text(snapshot.name)
    return snapshot


def test_a_name_on_the_hub_is_read_from_what_is_kept(check: Any, base_folder: Path, tmp_path: Path) -> None:
    snapshot = keep(tmp_path / "hub", "someone/tiny-base", base_folder)
    code, answer = check("someone/tiny-base")
    assert code == 0, answer
    assert answer["base"]["size"] == 32
    (snapshot / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    code, answer = check("someone/tiny-base")
    assert code == 2
    assert "someone/tiny-base: there is no such folder, and" in answer["error"]
    assert "lacks files of a base as diffusers saves it" in answer["error"]
    code, answer = check("someone/else")
    assert code == 2
    assert "huggingface.co cannot be reached" in answer["error"]
    assert "\n" not in answer["error"]


def test_the_words_of_clip_are_read_from_what_is_kept(check: Any, files: Any, words: Path, tmp_path: Path) -> None:
    file = str(files["SD 1"][0])
    code, answer = check(file)
    assert code == 2
    assert "has no tokenizer, and that of openai/clip-vit-large-patch14 is not here" in answer["error"]
    assert "set tokenizer in train.toml to a folder with vocab.json and merges.txt" in answer["error"]
    keep(tmp_path / "hub", "openai/clip-vit-large-patch14", words)
    assert check(file)[0] == 0
    code, answer = check(file, "tokenizer = 'nowhere'")
    assert code == 2
    assert "nowhere: cannot be loaded" in answer["error"]
