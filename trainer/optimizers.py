"""The optimisers, and what of them a checkpoint keeps: tensors by the parameters' names, and plain numbers."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sorter.errors import MissingExtra

if TYPE_CHECKING:
    import torch

    from trainer.config import Training

MOMENTS = ("step", "exp_avg", "exp_avg_sq")
"""What torch's AdamW keeps of a parameter: the steps so far, and two moments of its shape."""
PACKAGES = {"adamw-8bit": "bitsandbytes", "prodigy": "prodigyopt"}
"""The optimisers that come from packages of their own, which "optimizers" installs."""
OF_A_RUN = ("params", "lr")
"""What a group of parameters has that a checkpoint need not tell."""


def check_optimizer(name: str) -> None:
    """Raise MissingExtra where the optimiser's package is not installed."""
    if (package := PACKAGES.get(name)) and importlib.util.find_spec(package) is None:
        raise MissingExtra("optimizers", f'optimizer = "{name}"')


def build_optimizer(parameters: Mapping[str, torch.nn.Parameter], training: Training) -> torch.optim.Optimizer:
    """The optimiser that `training` asks for, over these parameters. Raises MissingExtra."""
    import torch

    name, chosen, decay = training.optimizer, list(parameters.values()), training.weight_decay
    check_optimizer(name)
    if name == "adafactor":
        from transformers.optimization import Adafactor

        untyped: Any = Adafactor  # by a rate that is given: its own would be too low for matrices that begin at zero
        options = {"scale_parameter": False, "relative_step": False, "warmup_init": False, "weight_decay": decay}
        made: torch.optim.Optimizer = untyped(chosen, lr=1e-3, **options)
        return made
    if name == "adamw-8bit":
        return _adamw_8bit(chosen, decay)
    if name == "prodigy":
        return _prodigy(chosen, decay, training.warmup > 0)
    return torch.optim.AdamW(chosen, weight_decay=decay, fused=True if name == "adamw-fused" else None)


def effective_rate(optimizer: torch.optim.Optimizer, rate: float) -> float:
    """What the rate comes to: Prodigy multiplies it by its own estimate d."""
    return rate * float(optimizer.param_groups[0].get("d", 1.0))


def tensors_of(optimizer: torch.optim.Optimizer, parameters: Mapping[str, torch.nn.Parameter]) -> dict[str, Any]:
    """{"unet.conv.weight/exp_avg": tensor, ...}: the optimiser's own state, by the parameters' names."""
    return {f"{name}/{key}": value for name, key, value in _kept(optimizer, parameters) if hasattr(value, "dtype")}


def numbers_of(optimizer: torch.optim.Optimizer, parameters: Mapping[str, torch.nn.Parameter]) -> dict[str, Any]:
    """All of its state that is no tensor, for JSON, which keeps every bit of a float; AdamW has none."""
    each = {f"{name}/{key}": value for name, key, value in _kept(optimizer, parameters) if not hasattr(value, "dtype")}
    group = {key: value for key, value in optimizer.param_groups[0].items() if key not in OF_A_RUN}
    plain = {key: value for key, value in group.items() if type(value) in (int, float)}
    return {"each": each, "group": plain} if each else {}


def put_back(
    optimizer: torch.optim.Optimizer,
    parameters: Mapping[str, torch.nn.Parameter],
    tensors: Mapping[str, torch.Tensor],
    numbers: Mapping[str, Any],
) -> None:
    """Set the optimiser to what `tensors_of` and `numbers_of` gave. Raises ValueError where it does not fit."""
    places = {name: number for number, name in enumerate(parameters)}
    by_place: dict[int, dict[str, Any]] = {}
    for full, value in {**tensors, **numbers.get("each", {})}.items():
        name, _, key = full.rpartition("/")
        if name not in places:
            raise ValueError(f"there is no parameter {name}")
        by_place.setdefault(places[name], {})[key] = value
    groups = [{**group, **numbers.get("group", {})} for group in optimizer.state_dict()["param_groups"]]
    optimizer.load_state_dict({"state": by_place, "param_groups": groups})


def _kept(optimizer: torch.optim.Optimizer, parameters: Mapping[str, torch.nn.Parameter]) -> list[tuple[str, str, Any]]:
    return [
        (name, key, value)
        for name, parameter in parameters.items()
        for key, value in optimizer.state.get(parameter, {}).items()
    ]


def _adamw_8bit(parameters: list[torch.nn.Parameter], decay: float) -> torch.optim.Optimizer:
    """AdamW with moments of 8 bits (Dettmers et al. 2021, arXiv:2110.02861), for matrices of 4,096 numbers and more."""
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it would say which kernels it has no use for here
    import bitsandbytes

    untyped: Any = bitsandbytes
    made: torch.optim.Optimizer = untyped.optim.AdamW8bit(parameters, weight_decay=decay)
    return made


def _prodigy(parameters: list[torch.nn.Parameter], decay: float, warms_up: bool) -> torch.optim.Optimizer:
    """Prodigy, which estimates the rate itself (Mishchenko and Defazio 2023, arXiv:2306.06101), as its authors advise
    for diffusion models: with Adam's bias correction, and a safeguard where the rate warms up."""
    import prodigyopt

    untyped: Any = prodigyopt
    options = {"weight_decay": decay, "use_bias_correction": True, "safeguard_warmup": warms_up}
    with contextlib.redirect_stdout(io.StringIO()):  # it prints that weights decay
        made: torch.optim.Optimizer = untyped.Prodigy(parameters, lr=1.0, **options)
    return made
