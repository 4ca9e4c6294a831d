"""The names of Stable Diffusion 1, 2 and XL as they were published, in which A1111, Forge, ComfyUI and kohya's
sd-scripts load a single file: `model.diffusion_model.`, `first_stage_model.` and so on before each network's own.

The names are those of CompVis' and Stability's `openaimodel.py` and `model.py`, and of OpenCLIP for the text encoder of
version 2 and the second one of XL. Pure: tensors in, tensors out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

UNET, VAE = "model.diffusion_model.", "first_stage_model."

RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
ENDS = {
    "conv_in": "input_blocks.0.0",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
}
ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}
OPEN_CLIP_LAYER = {
    "self_attn.out_proj": "attn.out_proj",
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}
OPEN_CLIP_ENDS = {
    "embeddings.token_embedding.weight": "token_embedding.weight",
    "embeddings.position_embedding.weight": "positional_embedding",
    "final_layer_norm.weight": "ln_final.weight",
    "final_layer_norm.bias": "ln_final.bias",
}


def unet_names(names: Iterable[str]) -> dict[str, str]:
    """diffusers' name of each of a U-Net's tensors -> the original one.

    The blocks are counted through there: each level's resnets, then what scales it. Raises KeyError for what the
    original has no name for.
    """
    names = list(names)
    first_level = {name.split(".")[3] for name in names if name.startswith("down_blocks.0.resnets.")}
    each = len(first_level) + 1
    attending = {name.split(".")[1] for name in names if name.startswith("up_blocks.") and ".attentions." in name}
    return {name: UNET + _unet_name(name, each, attending) for name in names}


def unet_module(module: str, config: Any) -> str:
    """The same of a module, by the configuration of the U-Net, without `model.diffusion_model.`; KeyError, too."""
    attending = {str(level) for level, kind in enumerate(config.up_block_types) if "CrossAttn" in kind}
    return _unet_name(f"{module}.weight", config.layers_per_block + 1, attending).removesuffix(".weight")


def _unet_name(name: str, each: int, attending: set[str]) -> str:
    """each: blocks of a level, what scales it included; attending: the levels on the way up that have attention."""
    match name.split("."):
        case ["down_blocks" | "up_blocks" as way, level, kind, number, *rest]:
            first = int(level) * each
            side, place = ("input_blocks", first + 1) if way == "down_blocks" else ("output_blocks", first)
            if kind == "resnets":
                return f"{side}.{place + int(number)}.0.{_resnet(rest)}"
            if kind == "attentions":
                return f"{side}.{place + int(number)}.1.{'.'.join(rest)}"
            if kind == "downsamplers":
                return f"{side}.{place + each - 1}.0.op.{rest[-1]}"
            if kind == "upsamplers":
                return f"{side}.{place + each - 1}.{2 if level in attending else 1}.conv.{rest[-1]}"
        case ["mid_block", "resnets", number, *rest]:
            return f"middle_block.{2 * int(number)}.{_resnet(rest)}"
        case ["mid_block", "attentions", "0", *rest]:
            return f"middle_block.1.{'.'.join(rest)}"
    module, _, end = name.rpartition(".")
    return f"{ENDS[module]}.{end}"


def _resnet(rest: list[str]) -> str:
    return ".".join([RESNET[rest[0]], *rest[1:]])


def vae_names(names: Iterable[str]) -> dict[str, str]:
    """diffusers' name of each of an autoencoder's tensors -> the original one; levels up are counted from the end."""
    names = list(names)
    levels = len({name.split(".")[2] for name in names if name.startswith("decoder.up_blocks.")})
    return {name: VAE + _vae_name(name, levels) for name in names}


def _vae_name(name: str, levels: int) -> str:
    match name.split("."):
        case [side, "down_blocks" | "up_blocks" as way, number, kind, inner, *rest]:
            level = int(number) if way == "down_blocks" else levels - 1 - int(number)
            place = f"{side}.{way.removesuffix('_blocks')}.{level}"
            if kind == "resnets":
                return f"{place}.block.{inner}.{'.'.join(rest).replace('conv_shortcut', 'nin_shortcut')}"
            return f"{place}.{kind.removesuffix('rs')}.{'.'.join(rest)}"
        case [side, "mid_block", "resnets", number, *rest]:
            return f"{side}.mid.block_{int(number) + 1}.{'.'.join(rest)}"
        case [side, "mid_block", "attentions", "0", *rest]:
            return f"{side}.mid.attn_1.{ATTENTION['.'.join(rest[:-1])]}.{rest[-1]}"
    return name.replace(".conv_norm_out.", ".norm_out.")


def vae_tensors(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """An autoencoder's tensors by their original names: its attention has convolutions of 1x1 for matrices."""
    names = vae_names(weights)
    return {
        names[name]: tensor[..., None, None] if ".attn_1." in names[name] and tensor.dim() == 2 else tensor
        for name, tensor in weights.items()
    }


def clip_tensors(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The text encoder of version 1, and the first one of XL: a part of transformers' own CLIP, up to its version 4."""
    return {f"text_model.{name.removeprefix('text_model.')}": tensor for name, tensor in weights.items()}


def open_clip_tensors(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The text encoder of version 2, and the second one of XL, in OpenCLIP's names: q, k and v are one matrix.

    What is read of version 2 is the answer of the last layer but one, so diffusers leaves the last one out, and the
    projection behind it: a copy of the one before it, and a matrix of ones on the diagonal, take their places, as a
    strict reader asks for them.
    """
    import torch

    weights = {name.removeprefix("text_model."): tensor for name, tensor in weights.items()}
    layers = 1 + max(int(found[1]) for name in weights if (found := re.match(r"encoder\.layers\.(\d+)\.", name)))
    tensors = {name: weights[old] for old, name in OPEN_CLIP_ENDS.items()}
    whole = "text_projection.weight" in weights
    for number in range(layers if whole else layers + 1):
        old, new = f"encoder.layers.{min(number, layers - 1)}", f"transformer.resblocks.{number}"
        for end in ("weight", "bias"):
            joined = torch.cat([weights[f"{old}.self_attn.{one}_proj.{end}"] for one in "qkv"])
            tensors[f"{new}.attn.in_proj_{end}"] = joined
            tensors |= {f"{new}.{to}.{end}": weights[f"{old}.{one}.{end}"] for one, to in OPEN_CLIP_LAYER.items()}
    if whole:
        tensors["text_projection"] = weights["text_projection.weight"].T
    else:
        tensors["text_projection"] = torch.eye(weights["final_layer_norm.weight"].shape[0])
    tensors["logit_scale"] = torch.tensor(math.log(100))
    return tensors


def original_tensors(
    networks: Mapping[str, Mapping[str, torch.Tensor]], texts: Mapping[str, str]
) -> dict[str, torch.Tensor]:
    """All of a base by the names of a single file; nothing is copied but what changes its form.

    networks: the state of each, by its folder in diffusers; texts: what stands before the names of each text encoder,
    `Family.in_file`; OpenCLIP's ends in "model.".
    """
    names = unet_names(networks["unet"])
    found = {names[name]: tensor for name, tensor in networks["unet"].items()} | vae_tensors(networks["vae"])
    for network, prefix in texts.items():
        read: Callable[[Mapping[str, torch.Tensor]], dict[str, torch.Tensor]]
        read = open_clip_tensors if prefix.endswith(".model.") else clip_tensors
        found |= {prefix + name: tensor for name, tensor in read(networks[network]).items()}
    return found
