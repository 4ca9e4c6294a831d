"""What a file is, by the names and shapes in it. Pure."""

from __future__ import annotations

from collections.abc import Callable

from trainer.original import UNET, VAE
from trainer.single.header import Shapes

FIRST = f"{UNET}input_blocks.0.0.weight"
"""The U-Net's first convolution: [channels, channels of the latents, 3, 3]."""
SD_1, SD_2 = "cond_stage_model.transformer.", "cond_stage_model.model."
SDXL, REFINER = "conditioner.embedders.1.model.", "conditioner.embedders.0.model."


def pipeline_of(shapes: Shapes, described: bool = False) -> str | None:
    """The pipeline of diffusers that a base of these tensors is one of; None where it is none that can be trained.

    described: the header tells its networks; latents then need not have the four channels of those that are published.
    """
    channels = shapes.get(FIRST, (0, 0))[1]
    if not _any(shapes, f"{VAE}decoder.") or channels != (_of_latents(shapes) if described else 4):
        return None
    if _any(shapes, SD_1) or _any(shapes, SD_2):
        return "StableDiffusionPipeline"
    return "StableDiffusionXLPipeline" if _any(shapes, SDXL) else None


def is_second(shapes: Shapes) -> bool:
    """Whether it is a Stable Diffusion 2, by its text encoder."""
    return _any(shapes, SD_2)


def what_is(shapes: Shapes) -> str:
    """What a file that is no such base is, as the end of a sentence: "is a LoRA, ..."."""
    return next((said for said, holds in KINDS if holds(shapes)), "is no Stable Diffusion that is known here")


def _of_latents(shapes: Shapes) -> int | None:
    """The channels of the latents, by the autoencoder."""
    return shapes.get(f"{VAE}post_quant_conv.weight", (None, None))[1]


def _any(shapes: Shapes, *beginnings: str) -> bool:
    return any(name.startswith(beginnings) for name in shapes)


def _with(*parts: str) -> Callable[[Shapes], bool]:
    return lambda shapes: any(part in name for name in shapes for part in parts)


def _beginning(*beginnings: str) -> Callable[[Shapes], bool]:
    return lambda shapes: _any(shapes, *beginnings)


def _takes(channels: int) -> Callable[[Shapes], bool]:
    return lambda shapes: shapes.get(FIRST, (0, 0))[1] == channels


KINDS: tuple[tuple[str, Callable[[Shapes], bool]], ...] = (
    ("is a LoRA, which comes on top of a base; base is what it was made for",
     _with("lora_down", "lora_up", ".lora_A", ".lora_B", "lora.down")),
    ("is a LoHa, LoKr or OFT, which comes on top of a base; base is what it was made for",
     _with("hada_w1", "lokr_w1", "oft_blocks")),
    ("is an embedding, which comes on top of a base; base is what it was made for",
     lambda shapes: len(shapes) <= 2 and all(len(shape) == 2 and shape[0] <= 128 for shape in shapes.values())),
    ("is a ControlNet, and base is a whole model", _with("control_model.", "controlnet_cond_embedding.")),
    ("is a Flux, and only Stable Diffusion 1, 2 and XL can be trained here",
     _with("double_blocks.0.img_attn", "single_stream_modulation")),
    ("is a Stable Diffusion 3, and only 1, 2 and XL can be trained here", _with("joint_blocks.0.")),
    ("is a newer transformer, and only Stable Diffusion 1, 2 and XL can be trained here",
     _with("cap_embedder.", "patch_embedding.", "txt_in.", "llm_adapter.", "noise_refiner.")),
    ("is the refiner of Stable Diffusion XL, which is not trained on characters; take the base", _beginning(REFINER)),
    ("has latents of other channels than Stable Diffusion's four, and does not say what else is its own; base is the"
     " diffusers folder that it was made of",
     lambda shapes: FIRST in shapes and shapes[FIRST][1] == _of_latents(shapes) != 4),
    ("is an inpainting model, which cannot be trained here; take the plain one", _takes(9)),
    ("is a model for edits by instruction, which cannot be trained here", _takes(8)),
    ("holds one network of a diffusers folder; base is the whole folder",
     _with("down_blocks.0.resnets.0.conv1.weight", "down_blocks.0.attentions.0.")),
    ("has no autoencoder (VAE); take the file that has it baked in",
     lambda shapes: FIRST in shapes and _any(shapes, SD_1, SD_2, SDXL)),
    ("holds a U-Net and no text encoder; base is the whole model", lambda shapes: FIRST in shapes),
    ("is an autoencoder (VAE) alone; base is a whole model", _beginning("encoder.conv_in.", "decoder.conv_in.", VAE)),
    ("is a text encoder alone; base is a whole model", _with("text_model.encoder.layers.0.", "resblocks.0.")),
)  # fmt: skip
"""What they are called, and how they are known; the first that holds."""
