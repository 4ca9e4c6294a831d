"""LoRA files to draw with, ours or others', each with its weight, on top of what was trained."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peft import get_peft_model_state_dict
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file

from trainer.errors import LoraError
from trainer.load import loading
from trainer.lycoris_modules import attach, kept, modules_in
from trainer.parts import Parts
from trainer.sample import pipeline

DOWN = re.compile(r"[._]lora_down\.weight$|\.lora_A(?:\.\w+)?\.weight$|[._]lora\.down\.weight$")
"""The end of a module's first matrix: in kohya's names, in peft's, and in those of older diffusers."""
OTHER_KINDS = {"oft_blocks": "an OFT", "a1.weight": "a GLoRA", "emb_params": "an embedding"}
IN_PROMPT = re.compile(r"<(?:lora|lyco):[^<>]*>")


@dataclass(frozen=True, slots=True)
class LoraFile:
    """A .safetensors of a LoRA, and how much it counts."""

    path: Path
    weight: float = 1.0

    @property
    def name(self) -> str:
        """What A1111 calls it."""
        return self.path.stem


def read_lora(text: str) -> LoraFile:
    """ "FILE" or "FILE:0.8"; a colon in the path, as behind a drive's letter, is a part of it."""
    path, _, weight = text.rpartition(":")
    if path and re.fullmatch(r"[+-]?(?:\d+\.?\d*|\.\d+)", weight):
        return LoraFile(Path(path), float(weight))
    return LoraFile(Path(text))


def add_loras(parts: Parts, files: Sequence[LoraFile]) -> None:
    """Put them on the networks, beside what was trained. Raises LoraError where one cannot be read or does not fit."""
    names = [file.name for file in files]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise LoraError(f"{twice}: is the name of two LoRA files; call one of them otherwise")
    pipe = pipeline(parts)
    trained = list(
        dict.fromkeys(name for network in parts.networks.values() for name in getattr(network, "peft_config", {}))
    )
    added: dict[str, float] = {}
    for number, file in enumerate(files):
        names = _names(file.path)
        if modules_in(names):
            _add_lycoris(parts, file)
        else:
            _add(pipe, parts, file.path, f"file_{number}", names)
            added[f"file_{number}"] = file.weight
    if added:
        pipe.set_adapters([*trained, *added], [1.0] * len(trained) + list(added.values()))


def weigh_trained(parts: Parts, strength: float) -> None:
    """Let what was trained, a LoRA or LyCORIS, count by this much; 1 is as it was trained."""
    for modules in kept(parts).values():
        for module in modules.values():
            module.multiplier = strength
    networks = parts.networks.values()
    names = list(dict.fromkeys(name for network in networks for name in getattr(network, "peft_config", {})))
    if names:
        pipeline(parts).set_adapters(names, [strength] * len(names))


def check_prompt(prompt: str) -> None:
    """Raises LoraError where a prompt names a LoRA as A1111 does: it would be read as words."""
    if found := IN_PROMPT.search(prompt):
        raise LoraError(f"{found[0]} in a prompt is not read here; name the file instead: --lora FILE.safetensors:0.8")


def _add_lycoris(parts: Parts, file: LoraFile) -> None:
    tensors = load_file(file.path)
    said = f"{file.path}: does not fit the base {parts.base.path}"
    try:
        arrived = attach(parts, tensors, file.weight)
    except (ValueError, LookupError, TypeError, AttributeError, RuntimeError) as error:
        raise LoraError(f"{said}: {_why(error)}") from None
    there = {name.partition(".")[0] for name in tensors}
    if arrived < len(there):
        raise LoraError(
            f"{said}: {arrived} of its {len(there)} modules could be loaded; take one made for this kind of base"
        )


def _add(pipe: Any, parts: Parts, path: Path, adapter: str, names: Sequence[str]) -> None:
    modules = _modules(path, names)
    try:
        with loading():
            pipe.load_lora_weights(str(path.parent), weight_name=path.name, adapter_name=adapter, local_files_only=True)
    except (OSError, ValueError, KeyError, IndexError, RuntimeError, AttributeError, SafetensorError) as error:
        raise LoraError(f"{path}: does not fit the base {parts.base.path}: {_why(error)}") from None
    arrived = sum(
        ".lora_A." in name
        for network in parts.networks.values()
        if adapter in getattr(network, "peft_config", {})
        for name in get_peft_model_state_dict(network, adapter_name=adapter, save_embedding_layers=False)
    )
    if arrived < len(modules):
        raise LoraError(
            f"{path}: does not fit the base {parts.base.path}: {arrived} of its {len(modules)} modules could be"
            f" loaded; the first is {modules[0]}; take a LoRA that was made for this kind of base"
        )


def _names(path: Path) -> list[str]:
    """What the tensors of the file are called. Raises LoraError where it is no such file."""
    if not path.is_file():
        raise LoraError(f"{path}: there is no such file; --lora takes FILE.safetensors, or FILE.safetensors:0.8")
    try:
        with safe_open(path, "pt") as file:
            return list(file.keys())
    except (OSError, SafetensorError) as error:
        raise LoraError(f"{path}: is no .safetensors file, or is damaged: {error}") from None


def _modules(path: Path, names: Sequence[str]) -> list[str]:
    """The names of the modules that a LoRA changes. Raises LoraError where there is none."""
    if modules := sorted(DOWN.sub("", name) for name in names if DOWN.search(name)):
        return modules
    kind = next((kind for key, kind in OTHER_KINDS.items() if any(key in name for name in names)), None)
    raise LoraError(f"{path}: {f'is {kind}' if kind else 'holds no LoRA'}; only LoRA, LoHa and LoKr can be drawn with")


def _why(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return next((line for line in lines if "size mismatch" in line), lines[0])[:300]
