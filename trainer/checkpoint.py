"""Checkpoints: `checkpoints/step-000100/` in the run folder, written whole or not at all, and without pickle.

    trained/                what the method saves: what is loaded to draw
    parameters.safetensors  the trained parameters, exactly
    optimizer.safetensors   the optimiser's two moments of each, or what else it keeps
    average.safetensors     the running average of each, where one is asked for
    state.json              the step, and the hashes of base and dataset

A machine that stops in the middle costs the steps since the last one.
"""

from __future__ import annotations

import json
import re
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load

from sorter.files import remove_folder, whole_folder
from trainer.errors import CheckpointError, LoaderWarning
from trainer.formats import save_tensors
from trainer.loop import State
from trainer.optimizers import MOMENTS, numbers_of, put_back, tensors_of

FORMAT = 1
AVERAGE = "average.safetensors"
Tensors = dict[str, torch.Tensor]


def save_checkpoint(
    folder: Path, state: State, fingerprints: dict[str, str], save_trained: Callable[[Path], None], keep: int = 0,
    best: Callable[[list[int]], int | None] = lambda steps: None,
) -> Path:  # fmt: skip
    """Save under `folder`, then remove all but the last `keep` (0: keep all) and the best of their steps. Returns the
    checkpoint's folder.

    fingerprints: hashes by name: "base", "dataset", "pictures", which is "dataset" without the captions, "scales", what
    pictures are scaled to, and "seen", how they are repeated and masked.
    """
    target = folder / f"step-{state.step:06d}"
    with whole_folder(target) as part:
        (part / "trained").mkdir()
        save_trained(part / "trained")
        save_tensors(part / "parameters.safetensors", _plain(state.parameters))
        save_tensors(part / "optimizer.safetensors", _plain(tensors_of(state.optimizer, state.parameters)))
        if state.average is not None:
            save_tensors(part / AVERAGE, _plain(_average(state)))
        about = {"format": FORMAT, "step": state.step, "scaler": state.scaler.state_dict(), **fingerprints}
        if numbers := numbers_of(state.optimizer, state.parameters):
            about["optimizer"] = numbers
        (part / "state.json").write_text(json.dumps(about, indent=2), encoding="utf-8")
    saved = checkpoints(folder)
    kept = best([step_of(path) for path in saved])
    for old in saved[:-keep] if keep else []:
        if step_of(old) != kept:
            remove_folder(old)
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
        about, parameters, moments, average = _read(checkpoint, state)
    except ValueError as error:
        raise _damaged(checkpoint, str(error), state) from None
    if about.get("format") != FORMAT:
        raise CheckpointError(f"{checkpoint}: has format {about.get('format')}, and this version reads {FORMAT}")
    _check_same(checkpoint, about, fingerprints)
    try:
        # What another precision saved has no scale of its gradients: then it is found again.
        if about["scaler"]:
            state.scaler.load_state_dict(about["scaler"])
        put_back(state.optimizer, state.parameters, moments, about.get("optimizer", {}))
    except (ValueError, KeyError, TypeError, RuntimeError, AttributeError) as error:
        raise _damaged(checkpoint, f"state.json: {type(error).__name__}: {error}", state) from None
    with torch.no_grad():
        for name, parameter in state.parameters.items():
            parameter.copy_(parameters[name])
        for name, kept in _average(state).items():
            kept.copy_(average[name])
    state.step = about["step"]
    if state.average is not None:
        state.average.optimization_step = state.step  # it is moved once a step


def _read(checkpoint: Path, state: State) -> tuple[dict[str, Any], Tensors, Tensors, Tensors]:
    """What state.json says, the parameters, the optimiser's state and the running average. Raises ValueError where it
    is damaged."""
    try:
        about = json.loads((checkpoint / "state.json").read_text(encoding="utf-8"))
        parameters = load((checkpoint / "parameters.safetensors").read_bytes())
        moments = load((checkpoint / "optimizer.safetensors").read_bytes())
        average = load((checkpoint / AVERAGE).read_bytes()) if state.average is not None else {}
    except (OSError, ValueError, RecursionError, SafetensorError) as error:
        raise ValueError(str(error)) from None
    if not isinstance(about, dict) or about.get("step") != step_of(checkpoint):
        raise ValueError("state.json does not say the step")
    wanted = {name: one.shape for name, one in state.parameters.items()}
    if {name: one.shape for name, one in parameters.items()} != wanted:
        raise ValueError("it holds other parameters than this method trains")
    if average.keys() != _average(state).keys() or any(one.shape != wanted[name] for name, one in average.items()):
        raise ValueError(f"{AVERAGE} does not fit the parameters")
    if isinstance(state.optimizer, torch.optim.AdamW):
        _check_moments(moments, wanted)
    return about, parameters, moments, average


def _check_moments(moments: Tensors, wanted: dict[str, torch.Size]) -> None:
    """Raise ValueError where they are not those of AdamW; other optimisers see to theirs as they take them."""
    there = {name.rpartition("/")[0] for name in moments}
    expected = {
        f"{name}/{key}": shape if key != "step" else torch.Size()
        for name, shape in wanted.items() if name in there for key in MOMENTS
    }  # fmt: skip
    # An fp16 run may have skipped every update so far; then there are none yet.
    if {name: one.shape for name, one in moments.items()} != expected:
        raise ValueError("optimizer.safetensors does not fit the parameters")


def _check_same(checkpoint: Path, about: dict[str, Any], fingerprints: dict[str, str]) -> None:
    """Captions may have been corrected since, which is said; base and pictures must be the same."""
    if about.get("scales", "") != fingerprints["scales"]:
        raise CheckpointError(
            f"{checkpoint}: was trained on its pictures at other sizes than they are scaled to now, since earlier"
            " versions did not scale the large ones; start a new run"
        )
    if about.get("seen", "") != fingerprints.get("seen", ""):
        raise CheckpointError(
            f"{checkpoint}: was trained with other repeats, masks or further captions than the dataset has now, or by"
            " an earlier version, which did not follow them; put them back as they were, or start a new run"
        )
    if about.get("class", "") != fingerprints.get("class", ""):
        raise CheckpointError(
            f"{checkpoint}: was trained beside other pictures of the class than there are now; put them back as they"
            " were, or start a new run"
        )
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


def _damaged(checkpoint: Path, why: str, state: State) -> CheckpointError:
    earlier = [path for path in checkpoints(checkpoint.parent) if step_of(path) < step_of(checkpoint)]
    good = next((step_of(path) for path in reversed(earlier) if _is_whole(path, state)), 0)
    before = "the one before" if earlier and good == step_of(earlier[-1]) else "the last good one"
    advice = f"go back to {before} with --step {good}" if good else "begin again with --step 0"
    first = next(iter(why.splitlines()), "")
    return CheckpointError(f"{checkpoint}: damaged: {first}; {advice}")


def _is_whole(checkpoint: Path, state: State) -> bool:
    try:
        _read(checkpoint, state)
    except ValueError:
        return False
    return True


def _plain(tensors: dict[str, Any]) -> dict[str, torch.Tensor]:
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    # Of what several share, as the tables of 8-bit moments, each has its own in the file.
    shared = {pointer for pointer, count in Counter(map(_pointer, plain.values())).items() if count > 1}
    return {name: tensor.clone() if _pointer(tensor) in shared else tensor for name, tensor in plain.items()}


def _pointer(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _average(state: State) -> Tensors:
    """The running average, by the parameters' names; none where none is asked for."""
    if state.average is None:
        return {}
    return dict(zip(state.parameters, state.average.shadow_params, strict=True))
