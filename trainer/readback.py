"""Every `trained` folder is loaded again, as its users will, and compared with what was trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from trainer.errors import CheckpointError
from trainer.load import load_parts
from trainer.methods.method import Method
from trainer.parts import Parts

NAMED = 3  # of what was lost; the rest is counted
OTHER_DEVICE = 0.01  # of the answer's spread: what another device's rounding may come to
ROUNDED = 0.1  # the same of weights that were saved in 16 bits, which `_compare` has found to be right


def read_back(method: Method, parts: Parts, folder: Path) -> None:
    """Load `folder` into a base that is read from the disk again, and compare it with what is in `parts`.

    The tensors must be equal bit for bit, and the U-Net's answer to one input as well; where `parts` are on a GPU,
    up to the rounding of another device, since that base stays on the CPU: a GPU may have no memory left for it; and
    where the method saves in fewer bits, up to that.
    Raises CheckpointError with the names of what was lost.
    """
    loaded = replace(load_parts(parts.base, "fp32", "cpu"), clip_skip=parts.clip_skip)
    method.load(loaded, folder)
    _compare(method.trained(parts), method.trained(loaded), folder)
    halved = next((p.dtype for p in parts.unet.parameters() if p.dtype != torch.float32), torch.float32)
    trained, read = answer(parts, halved), answer(loaded, halved)
    share = OTHER_DEVICE if parts.device.type != "cpu" else 0.0
    if method.rounds or (share and halved != torch.float32):
        share = ROUNDED
    if not bool(((trained - read).abs() <= share * trained.std()).all()):
        raise _error(folder, "its tensors are those that were trained, but the U-Net answers otherwise with them")


def answer(parts: Parts, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """What the U-Net says to one fixed noise at the middle timestep, [1, C, h, w], in fp32, on the CPU.

    dtype: in which it computes: 16 bits where some of its weights have no more.
    """
    plain, chosen = replace(parts, dtype=torch.float32), replace(parts, dtype=dtype)
    side = min(16, parts.base.size // parts.base.factor)
    noise = torch.randn(1, parts.base.channels, side, side, generator=torch.Generator().manual_seed(0))
    middle = torch.tensor([parts.noise_scheduler.config.num_train_timesteps // 2], device=parts.device)
    with torch.no_grad(), parts.evaluating():
        text = plain.encode_text(["a picture"], train=True)
        with chosen.autocast():
            return parts.predict(noise.to(parts.device), middle, text).float().cpu()


def _compare(trained: Mapping[str, torch.Tensor], loaded: Mapping[str, torch.Tensor], folder: Path) -> None:
    lost = [name for name in trained if name not in loaded]
    if lost:
        raise _error(folder, f"{len(lost)} of {len(trained)} trained tensors are lacking: {_some(lost)}")
    more = [name for name in loaded if name not in trained]
    if more:
        raise _error(folder, f"there are {len(more)} tensors that were not trained: {_some(more)}")
    other = [
        name for name, tensor in trained.items() if not torch.equal(tensor.float().cpu(), loaded[name].float().cpu())
    ]
    if other:
        raise _error(folder, f"{len(other)} of {len(trained)} tensors differ from the trained ones: {_some(other)}")


def _error(folder: Path, what: str) -> CheckpointError:
    written = ", ".join(sorted(path.name for path in folder.iterdir()))
    return CheckpointError(
        f"{folder}: was written and read back, and is not what was trained: {what} ({written});"
        " this is a fault of Modelsheet or of the diffusers and peft that are installed: please report it"
    )


def _some(names: Sequence[str]) -> str:
    rest = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + rest
