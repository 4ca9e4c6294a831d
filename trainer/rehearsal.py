"""What training would refuse, found before it starts: the networks are built without their weights."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from safetensors import SafetensorError, safe_open

from trainer.base import Base
from trainer.config import Run
from trainer.dataset import Dataset
from trainer.errors import BaseModelError
from trainer.parts import Parts, best_device, choose_dtype, skeleton
from trainer.run import check_output


@dataclass(frozen=True, slots=True)
class Captions:
    """How many captions will not be learnt as they stand."""

    cut: int
    """Longer than the text encoder reads."""
    empty: int


def rehearse(config: Run, base: Base, dataset: Dataset) -> Captions:
    """Go through what `start` checks, but for the weights' numbers. Raises what it raises."""
    check_output(config.output)
    choose_dtype(config.training.precision, torch.device(best_device()))
    parts = skeleton(base)
    _check_weights(base, parts)
    config.build_method().prepare(parts)
    captions = [example.caption for example in dataset.examples]
    return Captions(parts.too_long(captions), sum(not caption.strip() for caption in captions))


def _check_weights(base: Base, parts: Parts) -> None:
    """Raise BaseModelError where a file of weights is damaged, or the U-Net's lacks tensors."""
    for network in ("unet", "vae", "text_encoder"):
        path = base.weights(network)
        try:
            with safe_open(path, "pt") as file:
                shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError, ValueError) as error:
            raise BaseModelError(f"{path}: is damaged: {error}; take it from the base again") from None
        if network == "unet":
            wanted = {name: tuple(tensor.shape) for name, tensor in parts.unet.state_dict().items()}
            if lost := [name for name, shape in wanted.items() if shapes.get(name) != shape]:
                raise BaseModelError(f"{path}: lacks {len(lost)} tensors that its config asks for, {lost[0]} first")
