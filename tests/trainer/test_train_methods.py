from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from trainer.base import read_base
from trainer.errors import BaseModelError, CheckpointError, ConfigError
from trainer.methods import Lora
from trainer.methods.denoise import denoising_loss, draw_latents, min_snr_weights
from trainer.parts import choose_dtype, load_parts
from trainer.sample import Drawn, pipeline, sample, write_png


def noised(parts, caption="mira, smiling"):  # type: ignore[no-untyped-def]
    """What the U-Net answers to a fixed question."""
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        text = parts.encode_text([caption], train=True)
        return parts.unet.eval()(latents, torch.tensor([500]), encoder_hidden_states=text).sample


@pytest.mark.parametrize("text_encoder", [False, True])
def test_what_lora_saves_diffusers_loads(base_folder: Path, tmp_path: Path, text_encoder: bool) -> None:
    method = Lora(rank=4, alpha=10.0, text_encoder=text_encoder)
    parts = load_parts(read_base(base_folder))
    plain = noised(parts)
    parameters = method.prepare(parts)
    assert torch.equal(noised(parts), plain)
    assert any(name.startswith("text_encoder.") for name in parameters) == text_encoder
    with torch.no_grad():
        for parameter in parameters.values():
            parameter.normal_(generator=torch.Generator().manual_seed(1))
    trained = noised(parts)
    assert not torch.allclose(trained, plain, atol=1e-3)
    method.save(parts, tmp_path)

    fresh = load_parts(read_base(base_folder))
    pipeline(fresh).load_lora_weights(tmp_path)
    torch.testing.assert_close(noised(fresh), trained, rtol=1e-5, atol=1e-5)
    again = load_parts(read_base(base_folder))
    method.load(again, tmp_path)
    assert torch.equal(noised(again), noised(fresh))


def test_lora_says_what_does_not_fit(base_folder: Path, tmp_path: Path) -> None:
    parts = load_parts(read_base(base_folder))
    with pytest.raises(ConfigError, match="targets"):
        Lora(targets=("to_nothing",)).prepare(parts)
    (tmp_path / "pytorch_lora_weights.safetensors").write_bytes(b"damaged")
    with pytest.raises(CheckpointError, match="cannot be loaded"):
        Lora().load(load_parts(read_base(base_folder)), tmp_path)


def test_the_loss_of_a_known_network(base_folder: Path) -> None:
    """A U-Net that answers nothing leaves the whole noise: its mean square is 1, and the velocity's as well."""
    parts = load_parts(read_base(base_folder))
    parts.unet.forward = lambda noisy, *_, **__: (torch.zeros_like(noisy),)
    moments = torch.cat([torch.zeros(64, 4, 8, 8), torch.full((64, 4, 8, 8), -30.0)], dim=1)
    text = torch.zeros(64, 16, 16)
    generator = torch.Generator().manual_seed(0)
    assert denoising_loss(parts, moments, text, generator).item() == pytest.approx(1, abs=0.05)
    parts.noise_scheduler.register_to_config(prediction_type="v_prediction")
    signal = parts.noise_scheduler.alphas_cumprod.mean().item()  # without a picture the velocity is the noise's share
    velocity = denoising_loss(parts, moments, text, generator).item()
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
    with pytest.raises(ConfigError, match="multiples of 4"):
        sample(parts, ["mira"], [5], size=(33, 32))


def test_a_png_says_how_it_was_made(base_folder: Path, tmp_path: Path) -> None:
    from PIL import Image

    drawn = Drawn(prompt="mira, \N{GRINNING FACE}\n../x", seed=3, guidance=2.5, trained=100)
    path = tmp_path / drawn.file_name
    write_png(Image.new("RGB", (8, 8)), path, drawn)
    assert path.parent == tmp_path
    with Image.open(path) as picture:
        assert picture.text["prompt"] == drawn.prompt
        assert {key: picture.text[key] for key in ("seed", "guidance", "sampler", "trained")} == {
            "seed": "3", "guidance": "2.5", "sampler": "DDIM", "trained": "100",
        }  # fmt: skip


def test_long_and_odd_captions_are_encoded_once(base_folder: Path) -> None:
    parts = load_parts(read_base(base_folder))
    captions = ["", "a\nb", "\N{GRINNING FACE}", "word " * 5000, ""]
    first = parts.encode_text(captions)
    assert first.shape == (5, 16, 16)
    parts.text_encoder.forward = None
    assert torch.equal(parts.encode_text(captions), first)
    assert parts.too_long(captions) == 1


BROKEN = {
    "model_index.json": (None, "not a diffusers folder"),
    "unet/config.json": ("{", "is not JSON"),
    "vae/diffusion_pytorch_model.safetensors": (None, "is missing; pickled"),
    "text_encoder/model.safetensors": ("damaged", "cannot be loaded"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_folder_that_is_no_base(base_folder: Path, tmp_path: Path, name: str) -> None:
    import shutil

    content, sentence = BROKEN[name]
    shutil.copytree(base_folder, tmp_path / "base")
    (tmp_path / "base" / name).unlink()
    if content is not None:
        (tmp_path / "base" / name).write_text(content, encoding="utf-8")
    with pytest.raises(BaseModelError, match=sentence):
        load_parts(read_base(tmp_path / "base"))


def test_other_kinds_of_base(tmp_path: Path, make_base: Callable[..., Path]) -> None:
    folder = make_base(tmp_path / "v", prediction_type="v_prediction")
    assert read_base(folder).prediction == "v_prediction"
    with pytest.raises(BaseModelError, match="no such folder"):
        read_base(tmp_path / "none")
    index = folder / "model_index.json"
    index.write_text(index.read_text().replace("StableDiffusionPipeline", "StableDiffusionXLPipeline"))
    with pytest.raises(BaseModelError, match="holds a StableDiffusionXLPipeline"):
        read_base(folder)


def test_precisions() -> None:
    cpu = torch.device("cpu")
    assert choose_dtype("auto", cpu) == torch.float32
    assert choose_dtype("bf16", cpu) == torch.bfloat16
    with pytest.raises(ConfigError, match="needs a CUDA GPU"):
        choose_dtype("fp16", cpu)
