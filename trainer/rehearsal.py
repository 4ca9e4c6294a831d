"""What training would refuse, found before it starts: the networks are built without their weights."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from safetensors import SafetensorError, safe_open

from trainer.base import Base
from trainer.config import Run
from trainer.dataset import Dataset
from trainer.device import best_device, choose_dtype
from trainer.errors import BaseModelError
from trainer.folder import check_drawable, check_output
from trainer.load import check_fit, load_frozen, skeleton
from trainer.optimizers import check_optimizer
from trainer.parts import Parts
from trainer.sample import check_clip_skip
from trainer.samplers import scheduler


@dataclass(frozen=True, slots=True)
class Captions:
    """How many captions will not be learnt as they stand."""

    cut: int
    """Longer than the text encoder reads."""
    empty: int


def rehearse(config: Run, base: Base, dataset: Dataset) -> Captions:
    """Go through what `start` checks, but for the numbers in the U-Net's weights. Raises what it raises."""
    check_output(config)
    check_drawable(config, base)
    choose_dtype(config.training.precision, torch.device(best_device()))
    parts = skeleton(base)
    check_fit(parts)
    check_clip_skip(parts, config.training.clip_skip)
    check_optimizer(config.training.optimizer)
    scheduler(parts, config.preview.sampler)
    _check_unet(base, parts)
    load_frozen(base)
    method = config.build_method()
    method.prepare(parts)
    captions = [caption for example in dataset.examples for caption in example.captions]
    return Captions(parts.too_long(list(map(method.told, captions))), sum(not caption.strip() for caption in captions))


def _check_unet(base: Base, parts: Parts) -> None:
    """Raise BaseModelError where the U-Net's file is damaged, or lacks tensors; loading it would take gigabytes."""
    if base.single:
        return  # `skeleton` has looked at its header
    shapes: dict[str, tuple[int, ...]] = {}
    for path in base.weights("unet"):
        try:
            with safe_open(path, "pt") as file:
                shapes |= {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError, ValueError) as error:
            raise BaseModelError(f"{path}: is damaged: {error}; take it from the base again") from None
    wanted = {name: tuple(tensor.shape) for name, tensor in parts.unet.state_dict().items()}
    if lost := [name for name, shape in wanted.items() if shapes.get(name) != shape]:
        raise BaseModelError(f"{path}: lacks {len(lost)} tensors that its config asks for, {lost[0]} first")
