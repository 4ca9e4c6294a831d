"""Checkpoints that are whole or absent, and the running average of weights."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def save(path: Path, state: Mapping[str, Any]) -> None:
    """Writes `path.part`, then moves it into place."""
    import torch

    part = path.with_suffix(".part")
    torch.save(dict(state), part)
    os.replace(part, path)


def load(path: Path) -> dict[str, Any] | None:
    """What was saved, or None. Reads tensors and plain values only."""
    import torch

    if not path.exists():
        return None
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state


class Average:
    """An exponential moving average of parameters, quick to follow at the start."""

    def __init__(self, modules: list[torch.nn.Module], decay: float) -> None:
        self.parameters = [p for module in modules for p in module.parameters()]
        self.decay = decay
        self.shadow = [p.detach().clone() for p in self.parameters]

    def update(self, step: int) -> None:
        import torch

        decay = min(self.decay, (1 + step) / (10 + step))
        with torch.no_grad():
            torch._foreach_lerp_(self.shadow, [p.detach() for p in self.parameters], 1 - decay)

    def swap(self) -> None:
        """Exchanges the averaged and the live weights; a second call undoes it."""
        import torch

        with torch.no_grad():
            for parameter, kept in zip(self.parameters, self.shadow, strict=True):
                live = parameter.detach().clone()
                parameter.copy_(kept)
                kept.copy_(live)
