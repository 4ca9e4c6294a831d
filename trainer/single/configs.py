"""The configurations of the networks in a single file, from names and shapes; diffusers' folders have them. Pure.

What shapes do not tell is as published: 8 heads a level in Stable Diffusion 1, 64 numbers a head in all others.
"""

from __future__ import annotations

import re
from typing import Any

from trainer.original import UNET, VAE
from trainer.single.header import Shapes

HEADS_OF_SD_1 = 8
HEAD = 64
NOISE = {
    "_class_name": "DDPMScheduler", "num_train_timesteps": 1000, "beta_start": 0.00085, "beta_end": 0.012,
    "beta_schedule": "scaled_linear", "clip_sample": False, "set_alpha_to_one": False, "steps_offset": 1,
}  # fmt: skip
"""The noise that all of them were trained with (Rombach et al. 2022, configs/stable-diffusion/v1-inference.yaml)."""
SCALES = {False: 0.18215, True: 0.13025}
"""Of the latents: Stable Diffusion 1 and 2, and XL."""


def unet_config(shapes: Shapes, heads: int | None, side: int) -> dict[str, Any]:
    """heads: of each level; None: HEAD numbers each. side: of the latents it was made for. KeyError for what lacks."""
    unet = _inside(shapes, UNET)
    levels = _levels(unet)
    channels = [unet[f"input_blocks.{blocks[0]}.0.out_layers.3.weight"][0] for blocks in levels]
    depths = [_count(unet, rf"input_blocks\.{blocks[0]}\.1\.transformer_blocks\.(\d+)\.") for blocks in levels]
    middle = _count(unet, r"middle_block\.1\.transformer_blocks\.(\d+)\.")
    down = tuple("CrossAttnDownBlock2D" if depth else "DownBlock2D" for depth in depths)
    return {
        "_class_name": "UNet2DConditionModel",
        "sample_size": side,
        "in_channels": unet["input_blocks.0.0.weight"][1],
        "out_channels": unet["out.2.weight"][0],
        "block_out_channels": channels,
        "layers_per_block": len(levels[0]),
        "down_block_types": down,
        "up_block_types": tuple(kind.replace("Down", "Up") for kind in reversed(down)),
        "transformer_layers_per_block": [depth or middle for depth in depths],
        "cross_attention_dim": unet["middle_block.1.transformer_blocks.0.attn2.to_k.weight"][1],
        "attention_head_dim": heads or [max(1, width // HEAD) for width in channels],
        "use_linear_projection": len(unet["middle_block.1.proj_in.weight"]) == 2,
        **_added(shapes, unet),
    }


def vae_config(shapes: Shapes, xl: bool) -> dict[str, Any]:
    """xl: whether it is that of Stable Diffusion XL, whose latents have another scale."""
    vae = _inside(shapes, VAE)
    levels = _count(vae, r"encoder\.down\.(\d+)\.")
    return {
        "_class_name": "AutoencoderKL",
        "block_out_channels": [vae[f"encoder.down.{level}.block.0.conv1.weight"][0] for level in range(levels)],
        "down_block_types": ["DownEncoderBlock2D"] * levels,
        "up_block_types": ["UpDecoderBlock2D"] * levels,
        "layers_per_block": _count(vae, r"encoder\.down\.0\.block\.(\d+)\."),
        "latent_channels": vae["post_quant_conv.weight"][1],
        "scaling_factor": SCALES[xl],
    }


def clip_config(shapes: Shapes, prefix: str) -> dict[str, Any]:
    """The text encoder of Stable Diffusion 1, and the first one of XL."""
    text = _inside(shapes, f"{prefix}text_model.") or _inside(shapes, prefix)
    words, width = text["embeddings.token_embedding.weight"]
    layers = _count(text, r"encoder\.layers\.(\d+)\.")
    inside = text["encoder.layers.0.mlp.fc1.weight"][0]
    return _text(words, width, layers, inside, text["embeddings.position_embedding.weight"][0], "quick_gelu")


def open_clip_config(shapes: Shapes, prefix: str, whole: bool) -> dict[str, Any]:
    """The text encoder of Stable Diffusion 2, of which the last layer is not read, and the second one of XL, which is
    read whole, with the projection behind it."""
    text = _inside(shapes, prefix)
    words, width = text["token_embedding.weight"]
    layers = _count(text, r"transformer\.resblocks\.(\d+)\.") - (not whole)
    inside = text["transformer.resblocks.0.mlp.c_fc.weight"][0]
    config = _text(words, width, layers, inside, text["positional_embedding"][0], "gelu")
    return {**config, "projection_dim": text["text_projection"][1]} if whole else config


def _text(words: int, width: int, layers: int, inside: int, length: int, activation: str) -> dict[str, Any]:
    return {
        "model_type": "clip_text_model",
        "vocab_size": words,
        "hidden_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": max(1, width // HEAD),
        "intermediate_size": inside,
        "max_position_embeddings": length,
        "hidden_act": activation,
        "bos_token_id": words - 2,
        "eos_token_id": words - 1,
        "pad_token_id": words - 1,
    }


def _added(shapes: Shapes, unet: Shapes) -> dict[str, Any]:
    """What the U-Net of XL is told beside the text: six sizes, and the pooled text."""
    if "label_emb.0.0.weight" not in unet:
        return {}
    told, pooled = unet["label_emb.0.0.weight"][1], shapes["conditioner.embedders.1.model.text_projection"][1]
    return {
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": (told - pooled) // 6,
        "projection_class_embeddings_input_dim": told,
    }


def _inside(shapes: Shapes, prefix: str) -> Shapes:
    return {name.removeprefix(prefix): shape for name, shape in shapes.items() if name.startswith(prefix)}


def _levels(unet: Shapes) -> list[list[int]]:
    """The numbers of the blocks of each level on the way down; one that makes the picture smaller ends a level."""
    levels: list[list[int]] = [[]]
    for number in range(1, _count(unet, r"input_blocks\.(\d+)\.")):
        if f"input_blocks.{number}.0.op.weight" in unet:
            levels.append([])
        else:
            levels[-1].append(number)
    return levels


def _count(shapes: Shapes, pattern: str) -> int:
    """How many there are of what is numbered from 0."""
    return 1 + max((int(found[1]) for name in shapes if (found := re.match(pattern, name))), default=-1)
