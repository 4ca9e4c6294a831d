from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import load, save

from trainer.base import read_base
from trainer.data import Batch
from trainer.device import choose_dtype
from trainer.errors import BaseModelError, CheckpointError, ConfigError
from trainer.families import Text
from trainer.load import load_parts
from trainer.methods import METHODS, Lora, Method
from trainer.methods.denoise import denoising_loss, draw_latents, min_snr_weights
from trainer.parts import Parts
from trainer.readback import answer
from trainer.recipe import Drawn, write_png
from trainer.sample import sample


def test_lora_starts_from_the_base_unchanged(base_folder: Path) -> None:
    parts = load_parts(read_base(base_folder))
    plain = answer(parts)
    Lora(rank=4, text_encoder=True).prepare(parts)
    assert torch.equal(answer(parts), plain)


def test_lora_says_what_does_not_fit(base_folder: Path, tmp_path: Path) -> None:
    parts = load_parts(read_base(base_folder))
    with pytest.raises(ConfigError, match="targets"):
        Lora(targets=("to_nothing",)).prepare(parts)
    (tmp_path / "mira.safetensors").write_bytes(b"damaged")
    with pytest.raises(CheckpointError, match=r"mira\.safetensors: cannot be loaded"):
        Lora().load(load_parts(read_base(base_folder)), tmp_path)


def test_the_loss_of_a_known_network(base_folder: Path) -> None:
    """A U-Net that answers nothing leaves the whole noise: its mean square is 1, and the velocity's as well."""
    parts = load_parts(read_base(base_folder))
    parts.unet.forward = lambda noisy, *_, **__: (torch.zeros_like(noisy),)
    moments = torch.cat([torch.zeros(64, 4, 8, 8), torch.full((64, 4, 8, 8), -30.0)], dim=1)
    batch, text = Batch(moments, ("",) * 64), Text(torch.zeros(64, 16, 16))
    generator = torch.Generator().manual_seed(0)
    assert denoising_loss(parts, batch, text, generator).item() == pytest.approx(1, abs=0.05)
    parts.noise_scheduler.register_to_config(prediction_type="v_prediction")
    signal = parts.noise_scheduler.alphas_cumprod.mean().item()  # without a picture the velocity is the noise's share
    velocity = denoising_loss(parts, batch, text, generator).item()
    assert velocity == pytest.approx(signal, abs=0.12)


def test_latents_are_drawn_from_their_moments() -> None:
    moments = torch.cat(
        [torch.full((500, 1, 2, 2), 3.0), torch.full((500, 1, 2, 2), 2 * torch.log(torch.tensor(0.5)))], 1
    )
    drawn = draw_latents(moments, torch.Generator().manual_seed(0))
    assert drawn.mean().item() == pytest.approx(3, abs=0.05)
    assert drawn.std().item() == pytest.approx(0.5, abs=0.05)


def test_min_snr_weighs_timesteps_with_little_noise_less(base_folder: Path) -> None:
    schedule = load_parts(read_base(base_folder)).noise_scheduler
    weights = min_snr_weights(schedule, 5.0)
    snr = schedule.alphas_cumprod / (1 - schedule.alphas_cumprod)
    assert weights[0].item() == pytest.approx(5 / snr[0].item(), rel=1e-3)
    assert weights[-1].item() == pytest.approx(1)
    assert min_snr_weights(schedule, 0).unique().tolist() == [1.0]


def test_a_picture_is_that_of_its_prompt_and_seed(base_folder: Path) -> None:
    parts = load_parts(read_base(base_folder))
    alone = sample(parts, ["mira"], [5], steps=3)[0]
    among = sample(parts, ["other", "mira", "mira"], [5, 5, 6], steps=3)
    difference = torch.tensor(list(alone.tobytes())).sub(torch.tensor(list(among[1].tobytes()))).abs().max()
    assert difference <= 1  # a product of larger matrices may round the last bit otherwise
    assert alone.size == (32, 32)
    assert among[1].tobytes() not in (among[0].tobytes(), among[2].tobytes())
    assert sample(parts, ["mira"], [5], steps=2, size=(48, 32))[0].size == (48, 32)
    with pytest.raises(ConfigError, match="multiples of 8"):
        sample(parts, ["mira"], [5], size=(33, 32))


def test_a_png_says_how_it_was_made(base_folder: Path, tmp_path: Path) -> None:
    from PIL import Image

    drawn = Drawn(prompt="mira, \N{GRINNING FACE}\n../x", seed=3, guidance=2.5, trained=100)
    path = tmp_path / drawn.file_name
    write_png(Image.new("RGB", (8, 8)), path, drawn)
    assert path.parent == tmp_path
    with Image.open(path) as picture:
        assert Drawn(**json.loads(picture.text["modelsheet"])) == drawn


def test_long_and_odd_captions_are_encoded_once(base_folder: Path) -> None:
    parts = load_parts(read_base(base_folder))
    captions = ["", "a\nb", "\N{GRINNING FACE}", "word " * 5000, ""]
    first = parts.encode_text(captions)
    assert first.states.shape == (5, 16, 16)
    parts.text_encoder.forward = None
    assert torch.equal(parts.encode_text(captions).states, first.states)
    assert parts.too_long(captions) == 1


LACKING = save({"conv_in.bias": torch.zeros(16)})
BROKEN: dict[str, tuple[str | bytes | None, str]] = {
    "model_index.json": (None, "not a diffusers folder"),
    "unet/config.json": ("{", "is not JSON"),
    "vae/diffusion_pytorch_model.safetensors": (None, "is missing; pickled"),
    "text_encoder/model.safetensors": ("damaged", "cannot be loaded"),
    "unet/diffusion_pytorch_model.safetensors": (LACKING, "unet: its weights lack .* tensors"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_folder_that_is_no_base(base_folder: Path, tmp_path: Path, name: str) -> None:
    import shutil

    content, sentence = BROKEN[name]
    shutil.copytree(base_folder, tmp_path / "base")
    (tmp_path / "base" / name).unlink()
    if content is not None:
        (tmp_path / "base" / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(BaseModelError, match=sentence):
        load_parts(read_base(tmp_path / "base"))


def test_other_kinds_of_base(tmp_path: Path, make_base: Callable[..., Path]) -> None:
    folder = make_base(tmp_path / "v", prediction_type="v_prediction")
    assert read_base(folder).prediction == "v_prediction"
    with pytest.raises(BaseModelError, match="no such file or folder"):
        read_base(tmp_path / "none")
    index = folder / "model_index.json"
    index.write_text(index.read_text().replace("StableDiffusionPipeline", "KandinskyPipeline"))
    with pytest.raises(BaseModelError, match="holds a KandinskyPipeline"):
        read_base(folder)


def test_precisions() -> None:
    cpu = torch.device("cpu")
    assert choose_dtype("auto", cpu) == torch.float32
    assert choose_dtype("bf16", cpu) == torch.bfloat16
    with pytest.raises(ConfigError, match="needs a CUDA GPU"):
        choose_dtype("fp16", cpu)


class Extra(Method):
    """One number beside the U-Net, drawn towards 1."""

    start: float = 0.5

    def prepare(self, parts: Parts) -> dict[str, torch.nn.Parameter]:
        parts.unet.extra = torch.nn.Parameter(torch.tensor(self.start))
        return {"unet.extra": parts.unet.extra}

    def loss(self, parts: Parts, batch: Batch, generator: torch.Generator) -> torch.Tensor:
        return (parts.unet.extra - 1).square()

    def trained(self, parts: Parts) -> dict[str, torch.Tensor]:
        return {"unet.extra": parts.unet.extra.detach()}

    def save(self, parts: Parts, folder: Path, name: str, about: Mapping[str, str]) -> None:
        (folder / f"{name}.safetensors").write_bytes(save(self.trained(parts), dict(about)))

    def load(self, parts: Parts, folder: Path) -> None:
        (path,) = folder.glob("*.safetensors")
        parts.unet.extra = torch.nn.Parameter(load(path.read_bytes())["unet.extra"])


def test_a_method_of_others_is_trained_saved_and_read_back(write_config: Callable[..., Path]) -> None:
    import trainer

    METHODS.add("extra")(Extra)
    try:
        path = write_config(method={"use": "extra", "start": 0.25, "rank": None, "alpha": None}, warmup=0)
        text = "\n".join(line for line in path.read_text().splitlines() if "null" not in line)
        path.write_text(text)
        config = trainer.read_config(path)
        list(trainer.start(config).run())
        (file,) = (config.output / "trained").iterdir()
        assert load(file.read_bytes())["unet.extra"].item() == pytest.approx(0.25 + 4 * 0.01, abs=1e-3)
        parts, step = trainer.load_trained(config.output)
        assert step == 4
        assert parts.unet.extra.item() == load(file.read_bytes())["unet.extra"].item()
    finally:
        del METHODS._known["extra"]
