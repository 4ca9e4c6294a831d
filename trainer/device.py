"""The device to compute on, and the type of numbers."""

from __future__ import annotations

import torch

from trainer.errors import ConfigError

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def best_device() -> str:
    """The first there is of cuda, mps, cpu."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def choose_dtype(precision: str, device: torch.device) -> torch.dtype:
    """The type to compute in; "auto" is bf16 on a GPU that has it, fp16 on one that has not, fp32 elsewhere."""
    if precision == "auto":
        if device.type != "cuda":
            return torch.float32
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    if precision == "fp16" and device.type != "cuda":
        raise ConfigError(f'precision "fp16" needs a CUDA GPU and this is {device.type}: write "fp32" or "bf16"')
    return DTYPES[precision]
