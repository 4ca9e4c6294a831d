"""Stable Diffusion XL: two text encoders, a pooled text, and the sizes that a picture had (Podell et al. 2023,
arXiv:2307.01952, section 2.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from trainer.families.family import Family, Network, Text
from trainer.original import unet_module

if TYPE_CHECKING:
    import torch


class StableDiffusionXL(Family):
    """Two encoders side by side, each by its last layer but one; the second one's pooled state and six numbers of
    sizes go to the U-Net beside them."""

    pipelines: ClassVar[Mapping[str, str]] = {
        "text": "StableDiffusionXLPipeline",
        "image": "StableDiffusionXLImg2ImgPipeline",
        "mask": "StableDiffusionXLInpaintPipeline",
    }
    networks: ClassVar[Mapping[str, Network]] = {
        "unet": Network("UNet2DConditionModel"),
        "vae": Network("AutoencoderKL"),
        "text_encoder": Network("CLIPTextModel", "model"),
        "text_encoder_2": Network("CLIPTextModelWithProjection", "model"),
    }
    embeddings: ClassVar[Mapping[str, str]] = {"text_encoder": "clip_l", "text_encoder_2": "clip_g"}
    tokenizers = ("tokenizer", "tokenizer_2")
    lora_prefixes: ClassVar[Mapping[str, str]] = {
        "unet": "lora_unet",
        "text_encoder": "lora_te1",
        "text_encoder_2": "lora_te2",
    }

    def name(self, second: bool) -> str:
        """There is one."""
        return "Stable Diffusion XL"

    def read_states(
        self, encoders: Sequence[Any], ids: Sequence[torch.Tensor], clip_skip: int
    ) -> tuple[list[torch.Tensor], torch.Tensor | None]:
        """The last layer but one of each, not normed. clip_skip counts for nothing, as in A1111 unless one of its
        options (sdxl_clip_l_skip) is turned on: these bases skip one layer by themselves."""
        read = [one(numbers, output_hidden_states=True) for one, numbers in zip(encoders, ids, strict=True)]
        return [one.hidden_states[-2] for one in read], read[-1].text_embeds

    def conditions(self, text: Text, sizes: torch.Tensor) -> dict[str, Any]:
        """Sizes as diffusers' train_text_to_image_lora_sdxl.py has them: the picture's before it was scaled, where the
        cut begins after that, and the cut's own."""
        return {
            "encoder_hidden_states": text.states,
            "added_cond_kwargs": {"text_embeds": text.pooled, "time_ids": sizes.to(text.states.dtype)},
        }

    def lora_module(self, network: str, module: str, denoiser: Any) -> str:
        """sd-scripts trains these U-Nets in the names of the original code, and other tools read those first."""
        return unet_module(module, denoiser.config) if network == "unet" else module

    def in_file(self, second: bool) -> Mapping[str, str]:
        """CLIP, then OpenCLIP."""
        return {
            "text_encoder": "conditioner.embedders.0.transformer.",
            "text_encoder_2": "conditioner.embedders.1.model.",
        }

    def fillings(self, second: bool) -> tuple[str | None, ...]:
        """OpenCLIP's with the number 0."""
        return None, "!"

    def versions(self, second: bool, velocity: bool) -> tuple[str, str]:
        """There is one."""
        return "sdxl_base_v1-0", "stable-diffusion-xl-v1-base"
