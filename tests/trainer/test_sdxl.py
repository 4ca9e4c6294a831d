"""Stable Diffusion XL: what diffusers' own pipeline says and draws, and what sd-scripts looks for in a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

import trainer
from tests.trainer.test_formats import TARGETS, moved
from trainer.base import read_base
from trainer.config import read_config
from trainer.errors import BaseModelError, LoraError
from trainer.load import check_fit, count_weights, load_parts, skeleton
from trainer.loras import LoraFile, add_loras
from trainer.methods import Lora
from trainer.parts import Parts
from trainer.prompt import encode, parse, pieces
from trainer.readback import answer, read_back
from trainer.sample import sample

WriteConfig = Callable[..., Path]
PROMPT = "mira, sad"


@pytest.fixture
def parts(sdxl_folder: Path) -> Parts:
    return load_parts(read_base(sdxl_folder), "fp32", "cpu")


def theirs(folder: Path, kind: str = "StableDiffusionXLPipeline") -> Any:
    """diffusers' own pipeline, read from the folder."""
    pipe = getattr(diffusers, kind).from_pretrained(folder, local_files_only=True, add_watermarker=False)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def test_texts_are_what_diffusers_makes_of_them(parts: Parts, sdxl_folder: Path) -> None:
    states, _, pooled, _ = theirs(sdxl_folder).encode_prompt(PROMPT, device="cpu", do_classifier_free_guidance=False)
    mine = parts.encode_text([PROMPT, "a"])[0]
    assert mine.states.shape == (16, 40)
    torch.testing.assert_close(mine.states, states[0])
    torch.testing.assert_close(mine.pooled, pooled[0])


def test_what_the_unet_is_given_is_what_diffusers_script_gives(parts: Parts, sdxl_folder: Path) -> None:
    """train_text_to_image_lora_sdxl.py, compute_time_ids: the size before scaling, the cut's corner, the cut's size."""
    text = parts.encode_text([PROMPT])
    noisy, time = torch.randn(1, 4, 8, 12, generator=torch.Generator().manual_seed(0)), torch.tensor([300])
    ids = torch.tensor([[600.0, 900.0, 3.0, 7.0, 32.0, 48.0]])
    with torch.no_grad():
        expected = theirs(sdxl_folder).unet(
            noisy, time, text.states, added_cond_kwargs={"time_ids": ids, "text_embeds": text.pooled}
        ).sample  # fmt: skip
        mine = parts.predict(noisy, time, text, torch.tensor([[600, 900, 3, 7]]))
        uncut = parts.predict(noisy, time, text)
    assert torch.equal(mine, expected)
    assert not torch.allclose(mine, uncut)


def test_pictures_say_how_they_were_cut(tmp_path: Path, write_dataset: Callable[..., Path]) -> None:
    folder = write_dataset(tmp_path / "data", [("a.png", "mira")], (200, 105))
    (example,) = trainer.read_dataset(folder, 4, 32).examples
    assert example.scaled is not None
    width, height = example.scaled
    assert example.cut == (105, 200, (height - example.size[1]) // 2, (width - example.size[0]) // 2)


@pytest.mark.parametrize("guidance", [1.0, 5.0])
def test_it_draws_what_diffusers_draws(parts: Parts, sdxl_folder: Path, guidance: float) -> None:
    pipe = theirs(sdxl_folder)
    pipe.scheduler = diffusers.EulerDiscreteScheduler.from_config(pipe.scheduler.config, timestep_spacing="linspace")
    drawn = pipe(
        PROMPT, negative_prompt="a", num_inference_steps=4, guidance_scale=guidance, width=40, height=32,
        generator=torch.Generator().manual_seed(3),
    ).images[0]  # fmt: skip
    mine = sample(parts, [PROMPT], [3], steps=4, guidance=guidance, sampler="Euler", negative="a", size=(40, 32))[0]
    assert np.abs(np.asarray(drawn, int) - np.asarray(mine, int)).max() <= 1


def test_it_draws_from_a_picture_and_behind_a_mask(parts: Parts) -> None:
    from PIL import Image

    from trainer.source import Source

    picture, mask = Image.new("RGB", (32, 32), "red"), Image.new("L", (32, 32))
    mask.paste(255, (16, 0, 32, 32))
    (whole,) = sample(parts, [PROMPT], [3], steps=4, source=Source(picture, None, 0.5))
    (half,) = sample(parts, [PROMPT], [3], steps=4, source=Source(picture, mask, 0.5))
    assert np.asarray(whole).shape == (32, 32, 3)
    assert np.array_equal(np.asarray(half)[:, :16], np.asarray(picture)[:, :16])
    assert not np.array_equal(np.asarray(half)[:, 16:], np.asarray(picture)[:, 16:])


def test_weights_count_in_both_encoders_and_not_in_the_pooled_text(parts: Parts) -> None:
    (plain,), (heavy,) = (pieces(parts.tokenizer, parse(text)) for text in (PROMPT, "mira, (sad:1.5)"))
    with torch.no_grad():
        one, other = encode(parts, plain), encode(parts, heavy)
    assert torch.equal(one.pooled, other.pooled)
    for encoder in (slice(0, 16), slice(16, 40)):  # each keeps its own mean
        assert not torch.allclose(one.states[..., encoder], other.states[..., encoder])
        means = [text.states[..., encoder].mean().item() for text in (one, other)]
        assert means[1] == pytest.approx(means[0], rel=1e-3)
    drawn = [np.asarray(sample(parts, ["word " * 9 + end], [3], steps=3)[0], int) for end in ("a", "b")]
    assert np.abs(drawn[0] - drawn[1]).max() > 0  # the second piece is read, too


def test_clip_skip_counts_for_nothing_as_in_a1111(parts: Parts) -> None:
    one, two = (sample(parts, [PROMPT], [3], steps=2, clip_skip=skip)[0] for skip in (1, 2))
    assert one.tobytes() == two.tobytes()


# --- the file ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("targets", TARGETS)
@pytest.mark.parametrize("text_encoder", [False, True])
def test_what_is_saved_is_what_diffusers_loads(
    parts: Parts, sdxl_folder: Path, tmp_path: Path, targets: str, text_encoder: bool
) -> None:
    method = Lora(rank=3, alpha=7.3, text_encoder=text_encoder, targets=TARGETS[targets])
    trained = moved(method, parts, 5)
    wanted = answer(parts)
    method.save(parts, tmp_path, "mira", {})
    read_back(method, parts, tmp_path)
    pipe = theirs(sdxl_folder)
    pipe.load_lora_weights(tmp_path)
    fresh = Parts(
        parts.base, parts.tokenizers, {"text_encoder": pipe.text_encoder, "text_encoder_2": pipe.text_encoder_2},
        pipe.vae, pipe.unet, parts.noise_scheduler, parts.device, parts.dtype, parts.timestep_weights,
    )  # fmt: skip
    loaded = method.trained(fresh)
    assert loaded.keys() == trained.keys()
    assert [name for name in trained if not torch.equal(loaded[name], trained[name])] == []
    torch.testing.assert_close(answer(fresh), wanted, rtol=0, atol=1e-3)


def test_others_files_are_drawn_with(parts: Parts, sdxl_folder: Path, base_folder: Path, tmp_path: Path) -> None:
    method = Lora(rank=3, alpha=6.0, text_encoder=True)
    moved(method, parts, 5)
    method.save(parts, tmp_path, "style", {})
    one, other = (load_parts(read_base(sdxl_folder), "fp32", "cpu") for _ in range(2))
    plain = answer(one)
    add_loras(one, [LoraFile(tmp_path / "style.safetensors")])
    assert not torch.allclose(answer(one), plain, atol=1e-3)
    torch.testing.assert_close(answer(one), answer(parts), rtol=0, atol=1e-3)
    add_loras(other, [LoraFile(tmp_path / "style.safetensors", 0.0)])
    torch.testing.assert_close(answer(other), plain, rtol=0, atol=1e-5)
    with pytest.raises(LoraError, match="does not fit the base"):
        add_loras(load_parts(read_base(base_folder), "fp32", "cpu"), [LoraFile(tmp_path / "style.safetensors")])


def original_modules(layers: int = 2) -> set[str]:
    """The dotted modules with weights of Stability's SDXL U-Net (generative-models, openaimodel.py; sd-scripts'
    library/sdxl_original_unet.py builds the same): 320, 640 and 1280 channels, 0, 2 and 10 transformer layers."""
    depths = (0, 2, 10)
    found = {"input_blocks.0.0", "out.2", "time_embed.0", "time_embed.2", "label_emb.0.0", "label_emb.0.2"}

    def resnet(place: str, skip: bool) -> set[str]:
        names = {f"{place}.in_layers.2", f"{place}.emb_layers.1", f"{place}.out_layers.3"}
        return names | {f"{place}.skip_connection"} if skip else names

    def transformer(place: str, depth: int) -> set[str]:
        inner = [f"attn{n}.to_{what}" for n in (1, 2) for what in ("q", "k", "v", "out.0")]
        names = {f"{place}.proj_in", f"{place}.proj_out"}
        for number in range(depth):
            names |= {f"{place}.transformer_blocks.{number}.{one}" for one in (*inner, "ff.net.0.proj", "ff.net.2")}
        return names

    for level, depth in enumerate(depths):
        for number in range(layers):
            place = f"input_blocks.{1 + (layers + 1) * level + number}"
            found |= resnet(f"{place}.0", skip=number == 0 and level > 0)
            found |= transformer(f"{place}.1", depth) if depth else set()
        if level < 2:
            found.add(f"input_blocks.{(layers + 1) * (level + 1)}.0.op")
    found |= resnet("middle_block.0", False) | transformer("middle_block.1", 10) | resnet("middle_block.2", False)
    for level, depth in enumerate(reversed(depths)):
        for number in range(layers + 1):
            place = f"output_blocks.{(layers + 1) * level + number}"
            found |= resnet(f"{place}.0", skip=True)
            found |= transformer(f"{place}.1", depth) if depth else set()
        if level < 2:
            found.add(f"output_blocks.{(layers + 1) * level + layers}.2.conv")
    return found


def test_every_module_of_sdxl_has_its_original_name() -> None:
    from trainer.families import FAMILIES

    with torch.device("meta"):
        unet = diffusers.UNet2DConditionModel(
            block_out_channels=(320, 640, 1280), cross_attention_dim=2048, transformer_layers_per_block=(1, 2, 10),
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"), attention_head_dim=(5, 10, 20),
            use_linear_projection=True, addition_embed_type="text_time", addition_time_embed_dim=256,
            projection_class_embeddings_input_dim=2816,
        )  # fmt: skip
    names = [name for name, module in unet.named_modules() if isinstance(module, torch.nn.Linear | torch.nn.Conv2d)]
    named = [FAMILIES["StableDiffusionXLPipeline"].lora_module("unet", name, unet) for name in names]
    assert len(named) == len(set(named)) == 794
    assert set(named) == original_modules()


# --- a run -------------------------------------------------------------------------------------------------------


def test_a_run_from_start_to_sample(write_config: WriteConfig, sdxl_folder: Path, tmp_path: Path) -> None:
    config = read_config(write_config(base=sdxl_folder, method={"text_encoder": True}))
    session = trainer.start(config)
    before = {name: parameter.detach().clone() for name, parameter in session.state.parameters.items()}
    list(session.run())
    assert {name.partition(".")[0] for name in before} == {"unet", "text_encoder", "text_encoder_2"}
    still = {name for name, parameter in session.state.parameters.items() if torch.equal(before[name], parameter)}
    # The last layer of the first one is not read.
    assert {name.partition(".self_attn")[0] for name in still} == {"text_encoder.encoder.layers.1"}
    with safe_open(config.output / "trained" / "run.safetensors", "pt") as file:
        about, keys = file.metadata(), list(file.keys())
    assert (about["ss_base_model_version"], about["ss_v2"]) == ("sdxl_base_v1-0", "False")
    assert about["modelspec.architecture"] == "stable-diffusion-xl-v1-base/lora"
    assert {key.split("_")[1] for key in keys} == {"unet", "te1", "te2"}
    assert "lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q.lora_down.weight" in keys
    assert (config.output / "previews" / "step-000004" / "00.png").exists()
    parts, step = trainer.load_trained(config.output)
    from trainer.recipe import Drawn

    assert trainer.draw(parts, [Drawn(prompt="mira", seed=0, steps=2, trained=step)])[0].size == (32, 32)


def test_it_trains_and_draws_in_16_bits(write_config: WriteConfig, sdxl_folder: Path) -> None:
    from PIL import Image

    from trainer.source import Source

    config = read_config(write_config(base=sdxl_folder, precision="bf16", steps=2, preview={"every": 2}))
    assert all(np.isfinite(progress.loss) for progress in trainer.start(config).run())
    parts, _ = trainer.load_trained(config.output)
    assert parts.dtype == torch.bfloat16
    (drawn,) = sample(parts, [PROMPT], [3], steps=4, source=Source(Image.new("RGB", (32, 32), "red"), None, 0.5))
    assert np.asarray(drawn).std() > 0
    assert parts.vae.dtype == torch.float32  # diffusers' pipeline changes it for a while


def test_an_embedding_is_read_by_diffusers_as_its_documentation_says(
    write_config: WriteConfig, make_sdxl: Any, tmp_path: Path
) -> None:
    """Also where the configuration has the number 2 for the end of a text, as Stability published it: the pooled text
    is then looked for at the largest number, which is now one of the word's tokens."""
    import json

    folder = make_sdxl(tmp_path / "published")
    path = folder / "text_encoder_2" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "eos_token_id": 2}))
    method = {"use": "inversion", "token": "miratok", "vectors": 2}
    config = read_config(write_config(base=folder, method=method, steps=2, learning_rate=0.1, preview={"every": 0}))
    session = trainer.start(config)
    list(session.run())
    held = load_file(config.output / "trained" / "miratok.safetensors")
    assert {key: tuple(rows.shape) for key, rows in held.items()} == {"clip_l": (2, 16), "clip_g": (2, 24)}
    pipe = theirs(folder)
    pipe.load_textual_inversion(held["clip_l"], "miratok", text_encoder=pipe.text_encoder, tokenizer=pipe.tokenizer)
    pipe.load_textual_inversion(held["clip_g"], "miratok", text_encoder=pipe.text_encoder_2, tokenizer=pipe.tokenizer_2)
    pipe.text_encoder_2.text_model.eos_token_id = pipe.tokenizer.eos_token_id
    states, _, pooled, _ = pipe.encode_prompt("a miratok, sad", device="cpu", do_classifier_free_guidance=False)
    ours = session.parts.encode_text(["a miratok, sad"], train=True)
    torch.testing.assert_close(ours.states, states)
    torch.testing.assert_close(ours.pooled, pooled)


def test_velocity_and_no_signal_at_the_end_are_read_from_the_scheduler(tmp_path: Path, make_sdxl: Any) -> None:
    """As NoobAI's and others' folders say it."""
    folder = make_sdxl(tmp_path / "v", prediction_type="v_prediction", rescale_betas_zero_snr=True)
    base = read_base(folder)
    assert base.prediction == "v_prediction"
    parts = load_parts(base, "fp32", "cpu")
    assert parts.noise_scheduler.config.prediction_type == "v_prediction"
    assert parts.noise_scheduler.alphas_cumprod[-1].item() == pytest.approx(0, abs=1e-6)
    assert np.asarray(sample(parts, ["mira"], [1], steps=3)[0]).std() > 0


def test_its_weights_are_counted_without_loading_them(sdxl_folder: Path) -> None:
    base = read_base(sdxl_folder)
    counted = count_weights(skeleton(base))
    assert list(counted) == ["unet", "vae", "text_encoder", "text_encoder_2"]
    for name, count in counted.items():
        (path,) = base.weights(name)
        assert count == sum(tensor.numel() for key, tensor in load_file(path).items() if "position_ids" not in key)


def test_parts_of_another_base_are_refused(tmp_path: Path, make_sdxl: Any, base_folder: Path) -> None:
    import shutil

    folder = make_sdxl(tmp_path / "mixed")
    shutil.rmtree(folder / "text_encoder")
    shutil.copytree(folder / "text_encoder_2", folder / "text_encoder")
    with pytest.raises(BaseModelError, match="its parts do not fit each other"):
        check_fit(skeleton(read_base(folder)))
    vocabulary = folder / "tokenizer_2" / "tokenizer.json"
    vocabulary.write_text(vocabulary.read_text().replace('"a"', '"§"'))
    with pytest.raises(BaseModelError, match="number words differently|cannot be loaded|is damaged"):
        check_fit(skeleton(read_base(folder)))
    shutil.rmtree(folder / "text_encoder_2")
    with pytest.raises(BaseModelError, match=r"text_encoder_2/config\.json is missing"):
        read_base(folder)


def test_a_folder_in_several_files_is_read(tmp_path: Path, make_sdxl: Any, sdxl_folder: Path) -> None:
    """As diffusers saves what is larger than it wants a file to be."""
    folder = make_sdxl(tmp_path / "parts")
    pipe = theirs(folder)
    (folder / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    pipe.unet.save_pretrained(folder / "unet", max_shard_size="500KB")
    files = read_base(folder).weights("unet")
    assert len(files) > 1
    one, other = (load_parts(read_base(path), "fp32", "cpu").unet.state_dict() for path in (folder, sdxl_folder))
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())
    files[0].unlink()
    with pytest.raises(BaseModelError, match=r"unet/diffusion_pytorch_model\.safetensors is missing"):
        read_base(folder)
