"""LoHa and LoKr beside the modules of the networks, by lycoris-lora, the package of those who thought of them."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from sorter.errors import MissingExtra
from trainer.formats import module_name

if TYPE_CHECKING:
    import torch

    from trainer.parts import Parts

FIRST = ("hada_w1_a", "lokr_w1", "lokr_w1_a")
"""The tensors by which a file's module is known for LoHa or LoKr."""


def lycoris() -> Any:
    """The package, silent and without compiled kernels, which need a compiler. Raises MissingExtra."""
    os.environ.setdefault("LYCORIS_KERNEL_BACKEND", "torch")
    logging.getLogger("LyCORIS").disabled = True  # it speaks on standard output
    try:
        import lycoris
    except ImportError:
        raise MissingExtra("lycoris", "LoHa or LoKr") from None
    return lycoris


class Place(NamedTuple):
    """A layer, below any LoRA, and where it is."""

    part: str  # the network's folder
    name: str  # in that network
    layer: Any


def places(parts: Parts) -> dict[str, Place]:
    """Every layer with weights, of all networks that a LoRA may change, by its name in a file."""
    found = {}
    for part in parts.base.family.lora_prefixes:
        for name, module in parts.networks[part].named_modules():
            layer = getattr(module, "base_layer", module)
            is_own = not {"base_layer", "lora_A", "lora_B", "lycoris"} & set(name.split("."))
            if is_own and getattr(layer, "weight", None) is not None:
                found[module_name(part, name, parts)] = Place(part, name, layer)
    return found


def kept(parts: Parts) -> dict[str, Any]:
    """What is held in each network that has any, by the network's name: modules by their names in a file."""
    return {part: network.lycoris for part, network in parts.networks.items() if hasattr(network, "lycoris")}


def modules_in(names: Iterable[str]) -> list[str]:
    """The names of a file's modules that are LoHa or LoKr."""
    return sorted({name.partition(".")[0] for name in names if name.partition(".")[2] in FIRST})


def attach(parts: Parts, tensors: Mapping[str, torch.Tensor], weight: float = 1.0, keep: bool = False) -> int:
    """Put a file's modules on the networks, and say on how many there was a place for one.

    keep: hold them in the networks as `lycoris`, as `prepare` does. Raises ValueError or RuntimeError where shapes do
    not fit.
    """
    package, there, attached = lycoris(), places(parts), 0
    for name in modules_in(tensors):
        if place := there.get(name):
            kind, parameters = package.modules.get_module(tensors, name)
            module = package.make_module(kind, parameters, name, place.layer)
            module.multiplier = weight
            add(parts, place, module.requires_grad_(False).eval(), keep)
            attached += 1
    return attached


def add(parts: Parts, place: Place, module: Any, keep: bool = True) -> None:
    """Have a layer answer with the module's change. Raises RuntimeError where the two do not fit each other."""
    import torch

    if tuple(module.get_weight(module.shape).shape) != tuple(place.layer.weight.shape):
        raise RuntimeError(f"{module.lora_name} is of another shape than the layer")
    module.to(parts.device).apply_to()
    network = parts.networks[place.part]
    if keep:
        if not hasattr(network, "lycoris"):
            network.lycoris = torch.nn.ModuleDict()
        network.lycoris[module.lora_name] = module
