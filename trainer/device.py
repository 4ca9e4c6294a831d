"""The device to compute on, and the type of numbers."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import torch

from trainer.errors import ConfigError
from trainer.terminal import is_alone

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

CUDA_INDEX = "https://download.pytorch.org/whl/cu128"
"""Where torch has builds for NVIDIA cards: of a CUDA that drivers since early 2025 run."""


def best_device() -> str:
    """The first there is of cuda, mps, cpu; the last where `accelerate launch --cpu` says so."""
    if os.environ.get("ACCELERATE_USE_CPU", "").lower() in ("true", "1"):
        return "cpu"
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def card_advice() -> str | None:
    """A sentence where there is an NVIDIA card that this torch was not built for, or more of them than train; else
    None."""
    cards = torch.cuda.device_count()
    if cards > 1 and is_alone():
        return (
            f"this machine has {cards} cards, of which one trains; for all of them:"
            f" accelerate launch --multi_gpu --num_processes {cards} -m trainer train CONFIG"
        )
    if torch.version.cuda is not None or torch.version.hip is not None:
        return None
    system = Path(os.environ.get("SYSTEMROOT", "C:/Windows")) / "System32" / "nvcuda.dll"
    if not (shutil.which("nvidia-smi") or Path("/proc/driver/nvidia").exists() or system.exists()):
        return None
    return (
        "this machine has an NVIDIA card, and the torch that is installed cannot use it; for one that can: "
        f"{sys.executable} -m pip install --force-reinstall torch --index-url {CUDA_INDEX}"
    )


def choose_dtype(precision: str, device: torch.device) -> torch.dtype:
    """The type to compute in; "auto" is bf16 on a GPU that has it, fp16 on one that has not, fp32 elsewhere."""
    if precision == "auto":
        if device.type != "cuda":
            return torch.float32
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    if precision == "fp16" and device.type != "cuda":
        raise ConfigError(f'precision "fp16" needs a CUDA GPU and this is {device.type}: write "fp32" or "bf16"')
    return DTYPES[precision]
