"""Checkpoints: `checkpoints/step-000100/` in the run folder, written whole or not at all, and without pickle.

    trained/                what the method saves: what is loaded to draw
    parameters.safetensors  the trained parameters, exactly
    optimizer.safetensors   the optimiser's two moments of each
    state.json              the step, and the hashes of base and dataset

A machine that stops in the middle costs the steps since the last one.
"""

from __future__ import annotations

import json
import re
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from sorter.files import whole_folder
from trainer.errors import CheckpointError, LoaderWarning
from trainer.loop import State

FORMAT = 1


def save_checkpoint(
    folder: Path, state: State, fingerprints: dict[str, str], save_trained: Callable[[Path], None], keep: int = 0
) -> Path:
    """Save under `folder`, then remove all but the last `keep` (0: keep all). Returns the checkpoint's folder.

    fingerprints: hashes by name: "base", "dataset", and "pictures", which is "dataset" without the captions.
    """
    target = folder / f"step-{state.step:06d}"
    with whole_folder(target) as part:
        (part / "trained").mkdir()
        save_trained(part / "trained")
        (part / "parameters.safetensors").write_bytes(save(_plain(state.parameters)))
        (part / "optimizer.safetensors").write_bytes(save(_plain(_moments(state))))
        about = {"format": FORMAT, "step": state.step, "scaler": state.scaler.state_dict(), **fingerprints}
        (part / "state.json").write_text(json.dumps(about, indent=2), encoding="utf-8")
    for old in checkpoints(folder)[:-keep] if keep else []:
        shutil.rmtree(old)
    return target


def checkpoints(folder: Path) -> list[Path]:
    """The finished checkpoints, oldest first."""
    if not folder.is_dir():
        return []
    return sorted((path for path in folder.iterdir() if re.fullmatch(r"step-\d{6,}", path.name)), key=step_of)


def step_of(checkpoint: Path) -> int:
    """The step after which it was saved."""
    return int(checkpoint.name.removeprefix("step-"))


def find_checkpoint(folder: Path, step: int | None = None) -> Path:
    """The checkpoint of `step`, or the last. Raises CheckpointError, which lists the steps that there are."""
    saved = checkpoints(folder)
    if not saved:
        raise CheckpointError(f"{folder}: there is no checkpoint yet")
    if step is None:
        return saved[-1]
    if step not in map(step_of, saved):
        steps = ", ".join(str(step_of(path)) for path in saved)
        raise CheckpointError(f"{folder}: there is no checkpoint of step {step}; there are {steps}")
    return next(path for path in saved if step_of(path) == step)


def load_checkpoint(checkpoint: Path, state: State, fingerprints: dict[str, str]) -> None:
    """Set `state` to what was saved. Raises CheckpointError where files are damaged, or base or dataset are others."""
    try:
        about = json.loads((checkpoint / "state.json").read_text(encoding="utf-8"))
        parameters = load((checkpoint / "parameters.safetensors").read_bytes())
        moments = load((checkpoint / "optimizer.safetensors").read_bytes())
    except (OSError, ValueError, RecursionError, SafetensorError) as error:
        raise _damaged(checkpoint, str(error)) from None
    if not isinstance(about, dict) or about.get("step") != step_of(checkpoint):
        raise _damaged(checkpoint, "state.json does not say the step")
    if about.get("format") != FORMAT:
        raise CheckpointError(f"{checkpoint}: has format {about.get('format')}, and this version reads {FORMAT}")
    _check_same(checkpoint, about, fingerprints)
    if {name: one.shape for name, one in parameters.items()} != {
        name: one.shape for name, one in state.parameters.items()
    }:
        raise _damaged(checkpoint, "it holds other parameters than this method trains")
    try:
        with torch.no_grad():
            for name, parameter in state.parameters.items():
                parameter.copy_(parameters[name])
        state.optimizer.load_state_dict(_optimizer_state(state, moments))
        state.scaler.load_state_dict(about["scaler"])
    except (ValueError, KeyError, TypeError, RuntimeError, AttributeError) as error:
        raise _damaged(checkpoint, f"{type(error).__name__}: {error}") from None
    state.step = about["step"]


def _check_same(checkpoint: Path, about: dict[str, Any], fingerprints: dict[str, str]) -> None:
    """Captions may have been corrected since, which is said; base and pictures must be the same."""
    for name in ("base", "dataset"):
        if about.get(name) == fingerprints[name]:
            continue
        if name == "dataset" and about.get("pictures") == fingerprints["pictures"]:
            said = f"{checkpoint}: captions have changed since; the run goes on with the new ones"
            warnings.warn(said, LoaderWarning, stacklevel=2)
            continue
        raise CheckpointError(
            f"{checkpoint}: was trained with another {name} than this one;"
            f" put the {name} back as it was, or start a new run"
        )


def _damaged(checkpoint: Path, why: str) -> CheckpointError:
    earlier = [step_of(path) for path in checkpoints(checkpoint.parent) if step_of(path) < step_of(checkpoint)]
    advice = f"go back to the one before with --step {earlier[-1]}" if earlier else "there is none before it"
    first = next(iter(why.splitlines()), "")
    return CheckpointError(f"{checkpoint}: damaged: {first}; {advice}")


def _plain(tensors: dict[str, Any]) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def _moments(state: State) -> dict[str, torch.Tensor]:
    """{"unet.conv.weight/exp_avg": tensor, ...}: the optimiser's own state, by the parameters' names."""
    return {
        f"{name}/{key}": value
        for name, parameter in state.parameters.items()
        for key, value in state.optimizer.state.get(parameter, {}).items()
    }


def _optimizer_state(state: State, moments: dict[str, torch.Tensor]) -> dict[str, Any]:
    numbers = {name: number for number, name in enumerate(state.parameters)}
    by_number: dict[int, dict[str, torch.Tensor]] = {}
    for full, value in moments.items():
        name, _, key = full.rpartition("/")
        by_number.setdefault(numbers[name], {})[key] = value
    return {"state": by_number, "param_groups": state.optimizer.state_dict()["param_groups"]}
