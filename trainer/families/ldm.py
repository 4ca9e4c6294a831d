"""Names of modules in the original code of latent diffusion, which single files and kohya's LoRA for SDXL keep.

Pure: from a dotted name in diffusers to the dotted name there.
"""

from __future__ import annotations

import re
from typing import Any

OUTSIDE = {
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
}
RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
MIDDLE = {("resnets", 0): 0, ("attentions", 0): 1, ("resnets", 1): 2}
BLOCK = re.compile(r"(down|up)_blocks\.(\d+)\.(resnets|attentions|downsamplers|upsamplers)\.(\d+)\.(.+)")
MIDDLE_BLOCK = re.compile(r"mid_block\.(resnets|attentions)\.(\d+)\.(.+)")


def unet_module(name: str, config: Any) -> str:
    """ "down_blocks.1.attentions.0.proj_in" -> "input_blocks.4.1.proj_in", by the configuration of the U-Net.

    What has no other name there, or lies in no block, keeps the one it has.
    """
    if name in OUTSIDE:
        return OUTSIDE[name]
    if middle := MIDDLE_BLOCK.fullmatch(name):
        kind, number, inside = middle[1], int(middle[2]), middle[3]
        return f"middle_block.{MIDDLE[kind, number]}.{_inside(kind, inside)}"
    if not (found := BLOCK.fullmatch(name)):
        return name
    side, level, kind, number, inside = found[1], int(found[2]), found[3], int(found[4]), found[5]
    layers = config.layers_per_block
    if side == "down":
        place = 1 + level * (layers + 1) + (layers if kind == "downsamplers" else number)
        return f"input_blocks.{place}.{'0.op' if kind == 'downsamplers' else _branch(kind, inside)}"
    place = level * (layers + 1) + (layers if kind == "upsamplers" else number)
    if kind == "upsamplers":
        branch = 2 if "CrossAttn" in config.up_block_types[level] else 1
        return f"output_blocks.{place}.{branch}.conv"
    return f"output_blocks.{place}.{_branch(kind, inside)}"


def _branch(kind: str, inside: str) -> str:
    return f"{int(kind == 'attentions')}.{_inside(kind, inside)}"


def _inside(kind: str, inside: str) -> str:
    return RESNET.get(inside, inside) if kind == "resnets" else inside
