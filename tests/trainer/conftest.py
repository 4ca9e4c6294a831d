"""A Stable Diffusion that was never trained, small enough for a test, and datasets to train it on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.sorter.conftest import draw, exports, grow, keras, project  # noqa: F401  # sorters whose answers are known

CHARACTERS = [chr(code) for code in range(33, 127)]


WORDS = [*CHARACTERS, *(letter + "</w>" for letter in CHARACTERS), "<|startoftext|>", "<|endoftext|>"]
BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


def _make_base(folder: Path, **schedule: Any) -> Path:
    """Pictures of 32x32, latents of 8x8 with 4 channels, texts of 16 tokens."""
    import torch
    from diffusers import DDPMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextModel

    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=8, block_out_channels=(16, 32), layers_per_block=1, norm_num_groups=8, cross_attention_dim=16,
        attention_head_dim=4, down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
    )  # fmt: skip
    StableDiffusionPipeline(
        vae=_autoencoder(), text_encoder=CLIPTextModel(_text_config(16, 1)), tokenizer=_tokenizer(), unet=unet,
        scheduler=DDPMScheduler(**BETAS, clip_sample=False, steps_offset=1, **schedule),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    ).save_pretrained(folder)  # fmt: skip
    return folder


def _make_sdxl(folder: Path, **schedule: Any) -> Path:
    """The same with the parts of Stable Diffusion XL: two text encoders, the second with a pooled text of 8 numbers."""
    import torch
    from diffusers import EulerDiscreteScheduler, StableDiffusionXLPipeline, UNet2DConditionModel
    from transformers import CLIPTextModel, CLIPTextModelWithProjection

    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=8, block_out_channels=(16, 32), layers_per_block=2, norm_num_groups=8, cross_attention_dim=16 + 24,
        attention_head_dim=(2, 4), transformer_layers_per_block=(1, 2), use_linear_projection=True,
        addition_embed_type="text_time", addition_time_embed_dim=8, projection_class_embeddings_input_dim=6 * 8 + 8,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
    )  # fmt: skip
    StableDiffusionXLPipeline(
        vae=_autoencoder(scaling_factor=0.13025), unet=unet, tokenizer=_tokenizer(), tokenizer_2=_tokenizer("!"),
        text_encoder=CLIPTextModel(_text_config(16, 2)),
        text_encoder_2=CLIPTextModelWithProjection(_text_config(24, 2, projection_dim=8, hidden_act="gelu")),
        scheduler=EulerDiscreteScheduler(**BETAS, steps_offset=1, **schedule), add_watermarker=False,
    ).save_pretrained(folder)  # fmt: skip
    return folder


def _tokenizer(filling: str = "<|endoftext|>") -> Any:
    from transformers import CLIPTokenizer

    ids = {word: number for number, word in enumerate(WORDS)}
    return CLIPTokenizer(vocab=ids, merges=[], model_max_length=16, pad_token=filling)


def _text_config(width: int, layers: int, **more: Any) -> Any:
    from transformers import CLIPTextConfig

    start, end = len(WORDS) - 2, len(WORDS) - 1
    return CLIPTextConfig(
        vocab_size=len(WORDS), hidden_size=width, intermediate_size=32, num_hidden_layers=layers, num_attention_heads=2,
        max_position_embeddings=16, bos_token_id=start, eos_token_id=end, **{"pad_token_id": end, **more},
    )  # fmt: skip


def _autoencoder(**more: Any) -> Any:
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=(8, 8, 8), down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3, norm_num_groups=4, sample_size=32, **more,
    )  # fmt: skip


def _write_dataset(folder: Path, rows: list[tuple[str, str]], size: tuple[int, int] = (32, 32)) -> Path:
    """A plain picture a row, each of another colour; rows are file names and captions."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for number, (name, caption) in enumerate(rows):
        Image.new("RGB", size, (37 * number % 256, 91 * number % 256, 200)).save(folder / name)
        lines.append(json.dumps({"file_name": name, "text": caption, "pose": "standing"}, ensure_ascii=False))
    with (folder / "metadata.jsonl").open("a", encoding="utf-8") as out:
        out.write("\n".join(lines) + "\n")
    return folder


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(inner)}" for key, inner in value.items()) + " }"
    return json.dumps(value)


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Networks this small only lose time when threads wait for each other."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def make_base() -> Callable[..., Path]:
    return _make_base


@pytest.fixture(scope="session")
def write_dataset() -> Callable[..., Path]:
    return _write_dataset


@pytest.fixture(scope="session")
def base_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _make_base(tmp_path_factory.mktemp("base") / "model")


@pytest.fixture(scope="session")
def make_sdxl() -> Callable[..., Path]:
    return _make_sdxl


@pytest.fixture(scope="session")
def sdxl_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _make_sdxl(tmp_path_factory.mktemp("sdxl") / "model")


@pytest.fixture
def dataset_folder(tmp_path: Path) -> Path:
    rows = [(f"{number}.png", f"mira, {word}") for number, word in enumerate(("smiling", "sad", "facing left"))]
    _write_dataset(tmp_path / "dataset", rows)
    return _write_dataset(tmp_path / "dataset", [("wide0.png", "mira, sitting"), ("wide1.png", "mira")], (40, 32))


@pytest.fixture
def write_config(tmp_path: Path, base_folder: Path, dataset_folder: Path) -> Callable[..., Path]:
    """Writes train.toml: four quick steps, with the [training], [method] and [preview] keys given."""

    def write(output: str = "run", method: dict[str, Any] | None = None, preview: dict[str, Any] | None = None,
              base: Path = base_folder, **training: Any) -> Path:  # fmt: skip
        method = method or {}
        tables = {
            "method": method if "use" in method else {"use": "lora", "rank": 4, "alpha": 8.0, **method},
            "training": {
                "steps": 4, "batch_size": 2, "learning_rate": 0.01, "checkpoint_every": 2, "warmup": 2, **training
            },
            "preview": {"every": 2, "prompts": ["mira, smiling"], "steps": 2, **(preview or {})},
        }  # fmt: skip
        lines = [f"base = {json.dumps(str(base))}", 'dataset = "dataset"', f"output = {json.dumps(output)}"]
        for table, values in tables.items():
            lines += [f"[{table}]", *(f"{key} = {_toml(value)}" for key, value in values.items())]
        path = tmp_path / "train.toml"
        path.write_text("\n".join(lines), encoding="utf-8")
        return path

    return write
