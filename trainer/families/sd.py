"""Stable Diffusion 1 and 2: one text encoder, and nothing beside what it says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from trainer.families.family import Family, Network, Text

if TYPE_CHECKING:
    import torch

ARCHITECTURES = {
    "sd_v1": "stable-diffusion-v1",
    "sd_v1_v": "stable-diffusion-v1",
    "sd_v2": "stable-diffusion-v2-512",
    "sd_v2_v": "stable-diffusion-v2-768-v",
}
"""kohya's name of a base's version -> modelspec's."""


class StableDiffusion(Family):
    """The last layer of the text encoder, normed, is all that the U-Net is told."""

    pipelines: ClassVar[Mapping[str, str]] = {
        "text": "StableDiffusionPipeline",
        "image": "StableDiffusionImg2ImgPipeline",
        "mask": "StableDiffusionInpaintPipeline",
    }
    networks: ClassVar[Mapping[str, Network]] = {
        "unet": Network("UNet2DConditionModel"),
        "vae": Network("AutoencoderKL"),
        "text_encoder": Network("CLIPTextModel", "model"),
    }
    embeddings: ClassVar[Mapping[str, str]] = {"text_encoder": "emb_params"}  # sd-scripts' word; any other will do
    tokenizers = ("tokenizer",)
    lora_prefixes: ClassVar[Mapping[str, str]] = {"unet": "lora_unet", "text_encoder": "lora_te"}

    def name(self, second: bool) -> str:
        """Two of them."""
        return f"Stable Diffusion {1 + second}"

    def read_states(
        self, encoders: Sequence[Any], ids: Sequence[torch.Tensor], clip_skip: int
    ) -> tuple[list[torch.Tensor], torch.Tensor | None]:
        """The last layer but `clip_skip - 1`, through the norm that stands behind the last, as A1111 has it."""
        (encoder,), (numbers,) = encoders, ids
        if clip_skip == 1:
            return [encoder(numbers, return_dict=False)[0]], None
        layers = encoder(numbers, output_hidden_states=True).hidden_states
        # Up to version 4 of transformers, the text model is a part of the encoder.
        model = getattr(encoder, "text_model", encoder)
        return [model.final_layer_norm(layers[-clip_skip])], None

    def conditions(self, text: Text, sizes: torch.Tensor) -> dict[str, Any]:
        """The text alone."""
        return {"encoder_hidden_states": text.states}

    def in_file(self, second: bool) -> Mapping[str, str]:
        """CLIP in version 1, OpenCLIP in version 2."""
        return {"text_encoder": "cond_stage_model.model." if second else "cond_stage_model.transformer."}

    def fillings(self, second: bool) -> tuple[str | None, ...]:
        """OpenCLIP's are filled up with the number 0."""
        return ("!" if second else None,)

    def versions(self, second: bool, velocity: bool) -> tuple[str, str]:
        """Four of them."""
        version = f"sd_v{1 + second}{'_v' * velocity}"
        return version, ARCHITECTURES[version]
