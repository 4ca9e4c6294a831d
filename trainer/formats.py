"""The file of a LoRA, in the names that diffusers, kohya's sd-scripts, A1111, Forge and ComfyUI all read.

A module is `lora_unet_` or `lora_te_` and its dotted name in diffusers with every dot an underscore; of SDXL it is
`lora_te1_`, `lora_te2_`, and the U-Net's modules have the names of the original code. Its tensors are
`.lora_down.weight`, `.lora_up.weight` and `.alpha`, and its weight changes by alpha / rank x up x down. The tables of
the loaders that this rests on are written down in tests/trainer/test_formats.py.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.errors import CheckpointError

if TYPE_CHECKING:
    import torch

    from trainer.parts import Parts

SUFFIX = ".safetensors"
MATRICES = {"lora_A": "lora_down", "lora_B": "lora_up"}
"""peft's names, and kohya's."""

KOHYA_BLOCKS = ("Transformer2DModel", "ResnetBlock2D", "Downsample2D", "Upsample2D")
"""The classes in which sd-scripts looks for modules of a U-Net (networks/lora.py, UNET_TARGET_REPLACE_MODULE)."""

NOT_FOUND_BY_DIFFUSERS = ("checkpoint", "optimizer", "scheduler")
"""`load_lora_weights(folder)` passes over files with these in their names (lora_base.py, _best_guess_weight_name)."""


def kohya_tensors(trained: Mapping[str, torch.Tensor], alpha: float, parts: Parts) -> dict[str, torch.Tensor]:
    """{"unet.mid_block.resnets.0.conv1.lora_A.weight": matrix, ...} -> the tensors of the file, in fp32 on the CPU."""
    import torch

    tensors: dict[str, torch.Tensor] = {}
    for full, matrix in trained.items():
        name, end = kohya_name(full, parts)
        tensors[f"{name}.{end}"] = matrix.detach().float().cpu().contiguous()
        tensors[f"{name}.alpha"] = torch.tensor(alpha, dtype=torch.float32)
    return tensors


def kohya_name(full: str, parts: Parts) -> tuple[str, str]:
    """A trained matrix's name -> its module's name and its own in the file."""
    part, _, rest = full.partition(".")
    module, matrix, weight = rest.rsplit(".", 2)
    return module_name(part, module, parts), f"{MATRICES[matrix]}.{weight}"


def module_name(part: str, module: str, parts: Parts) -> str:
    """The name in the file of a module of "unet" or of a text encoder."""
    family = parts.base.family
    # Up to version 4 of transformers, and in all other tools, the text model is a part of the encoder.
    if part in family.text_encoders and not module.startswith("text_model."):
        module = f"text_model.{module}"
    named = family.lora_module(part, module, parts.unet)
    return f"{family.lora_prefixes[part]}_{named.replace('.', '_')}"


def unknown_to_kohya(unet: Any) -> list[str]:
    """The modules with a LoRA that sd-scripts, alone among the tools, does not look for: they lie in no block."""
    trained = {name for name, module in unet.named_modules() if hasattr(module, "lora_A")}
    blocks = [f"{name}." for name, module in unet.named_modules() if type(module).__name__ in KOHYA_BLOCKS]
    return sorted(name for name in trained if not name.startswith(tuple(blocks)))


def write_lora(path: Path, tensors: dict[str, torch.Tensor], about: Mapping[str, str]) -> None:
    """Write the file, with its hashes as other tools compute them: sha256 of everything behind the header (sd-scripts,
    train_util.py, addnet_hash_safetensors) and the older one of 64 KiB at 1 MiB, for which only ss_ is in the header.
    """
    from safetensors.torch import save

    about = {
        key: value.encode(errors="replace").decode() for key, value in about.items()
    }  # a folder's name may be no text
    plain = save(tensors, {key: value for key, value in about.items() if key.startswith("ss_")})
    digest = hashlib.sha256(plain[8 + int.from_bytes(plain[:8], "little") :]).hexdigest()
    hashes = {
        "sshs_model_hash": digest,
        "sshs_legacy_hash": hashlib.sha256(plain[0x100000:0x110000]).hexdigest()[:8],
        "modelspec.hash_sha256": f"0x{digest}",
    }
    path.write_bytes(save(tensors, {**about, **hashes}))


def save_tensors(path: Path, tensors: Mapping[str, torch.Tensor], about: Mapping[str, str] | None = None) -> None:
    """Write a file without a second copy of it in memory. safetensors lets nobody but the owner read it; here it may be
    read by whoever reads other files, such as a server that draws. Raises SafetensorError where a disk is full."""
    from safetensors.torch import save_file

    legal = {key: value.encode(errors="replace").decode() for key, value in (about or {}).items()}
    path.touch()
    mode = path.stat().st_mode & 0o777
    save_file(dict(tensors), path, legal or None)
    path.chmod(mode)


def find_file(folder: Path) -> Path:
    """The one .safetensors in a `trained` folder. Raises CheckpointError where there is none, or more than one."""
    files = sorted(folder.glob(f"*{SUFFIX}"))
    if not files:
        raise CheckpointError(f"{folder}: holds no {SUFFIX} file")
    if len(files) > 1:
        names = " and ".join(path.name for path in files)
        raise CheckpointError(f"{folder}: holds {names}; leave only the one that was trained")
    return files[0]


def file_stem(run: str) -> str:
    """A run folder's name as the name of its file: legal on every system and in a prompt's <lora:name:1>."""
    name = re.sub(r'[\x00-\x1f<>:"/\\|?*]', "-", run).strip(". ")
    return name if name and not any(word in name for word in NOT_FOUND_BY_DIFFUSERS) else "lora"
