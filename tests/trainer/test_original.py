"""The names of single files: against the tables of the original networks, and diffusers' own converter."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import torch

from tests.trainer.test_formats import compvis_modules, full_depth
from trainer.families import FAMILIES
from trainer.original import original_tensors, unet_names, vae_names
from trainer.parts import Parts

VERSIONS = (1, 2)


def in_file(networks: Sequence[Mapping[str, torch.Tensor]], version: int) -> dict[str, torch.Tensor]:
    prefixes = FAMILIES["StableDiffusionPipeline"].in_file(version == 2)
    return original_tensors(dict(zip(("unet", "vae", "text_encoder"), networks, strict=True)), prefixes)


def autoencoder() -> Any:
    """As deep as that of SD 1 and 2, and as narrow as it may be."""
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=(4, 8, 12, 12), down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4, norm_num_groups=4, layers_per_block=2,
    )  # fmt: skip


def converted(parts: Parts, vae: Any, tensors: Mapping[str, torch.Tensor]) -> list[dict[str, torch.Tensor]]:
    """What diffusers makes of a single file: the U-Net, the autoencoder and the text encoder."""
    from diffusers.loaders import single_file_utils as diffusers

    text = (
        diffusers.convert_ldm_clip_checkpoint(dict(tensors))
        if any(name.startswith("cond_stage_model.transformer.") for name in tensors)
        else diffusers.convert_open_clip_checkpoint(parts.text_encoder, dict(tensors))
    )
    return [
        diffusers.convert_ldm_unet_checkpoint(dict(tensors), dict(parts.unet.config)),
        diffusers.convert_ldm_vae_checkpoint(dict(tensors), dict(vae.config)),
        {name.removeprefix("text_model."): tensor for name, tensor in text.items()},
    ]


def assert_equal(found: Mapping[str, torch.Tensor], wanted: Mapping[str, torch.Tensor]) -> None:
    assert found.keys() == wanted.keys()
    assert [name for name in wanted if not torch.equal(found[name].reshape(wanted[name].shape), wanted[name])] == []


@pytest.mark.parametrize("version", VERSIONS)
def test_diffusers_reads_every_tensor_back(version: int) -> None:
    parts, vae = full_depth(version), autoencoder()
    networks = [network.state_dict() for network in (parts.unet, vae, parts.text_encoder)]
    tensors = in_file(networks, version)
    for found, wanted in zip(converted(parts, vae, tensors), networks, strict=True):
        assert len(wanted) > 100
        assert_equal(found, wanted)


@pytest.mark.parametrize("version", VERSIONS)
def test_what_diffusers_reads_of_an_original_is_written_back_the_same(version: int) -> None:
    """Other numbers under the original names, those of the layer that diffusers leaves out with them."""
    parts, vae = full_depth(version), autoencoder()
    networks = [network.state_dict() for network in (parts.unet, vae, parts.text_encoder)]
    shapes = in_file(networks, version)
    generator = torch.Generator().manual_seed(0)
    published = {name: torch.randn(tensor.shape, generator=generator) for name, tensor in shapes.items()}
    again = in_file(converted(parts, vae, published), version)
    unread = ("resblocks.23.", "text_projection", "logit_scale")
    assert again.keys() == published.keys()
    left = {name for name in published if any(word in name for word in unread)}
    assert len(left) == {1: 0, 2: 14}[version]
    assert_equal(
        {name: one for name, one in again.items() if name not in left},
        {name: one for name, one in published.items() if name not in left},
    )


@pytest.mark.parametrize("version", VERSIONS)
def test_every_layer_has_its_place_in_the_original(version: int) -> None:
    """By the table that ComfyUI's and A1111's names of LoRA are tested against: linear layers and convolutions."""
    unet, text = compvis_modules(version)
    parts = full_depth(version)
    tensors = in_file((parts.unet.state_dict(), {}, parts.text_encoder.state_dict()), version)
    modules = {re.sub(r"\.weight$|\.in_proj_weight$", "", name) for name in tensors}
    wanted = {f"model.diffusion_model.{name}" for name in unet} | {f"cond_stage_model.{name}" for name in text}
    assert len(wanted) > 300
    assert wanted - modules == set()


def test_what_the_original_has_no_name_for_is_not_passed_over() -> None:
    with pytest.raises(KeyError):
        unet_names(["down_blocks.0.resnets.0.conv1.weight", "controlnet.weight"])
    with pytest.raises(KeyError):
        unet_names(["down_blocks.0.resnets.0.unheard.weight"])
    assert vae_names(["quant_conv.weight"]) == {"quant_conv.weight": "first_stage_model.quant_conv.weight"}
