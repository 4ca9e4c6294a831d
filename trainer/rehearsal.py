"""What training would refuse, found before it starts: the networks are built without their weights."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import torch
from safetensors import SafetensorError, safe_open

from trainer.base import Base
from trainer.config import Run, Training
from trainer.dataset import Dataset
from trainer.device import DTYPES, best_device, card_advice, choose_dtype
from trainer.errors import BaseModelError, LoaderWarning
from trainer.folder import check_drawable, check_output
from trainer.load import check_fit, load_frozen, skeleton
from trainer.memory import CONTEXT, SMALL_CARD, Memory, estimate, lower
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
    if said := card_advice():
        warnings.warn(said, LoaderWarning, stacklevel=2)
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
    captions = dataset.captions
    return Captions(parts.too_long(list(map(method.told, captions))), sum(not caption.strip() for caption in captions))


@dataclass(frozen=True, slots=True)
class Need:
    """The memory that steps take on a graphics card, in bytes, and what makes it less until `card` has enough."""

    memory: Memory
    total: float  # what CUDA itself takes included
    card: float
    lower: tuple[tuple[str, float], ...]  # keys of train.toml, each with those before it, and what it comes to then


def need(config: Run, dataset: Dataset) -> Need:
    """Without a card here, one of 8 GB is meant, and 16 bits unless fp32 is asked for."""
    size = max(dataset.sizes, key=math.prod)
    card = torch.cuda.get_device_properties(0).total_memory if torch.cuda.is_available() else SMALL_CARD
    memory = estimate(config, size, _dtype(config.training))
    total, lowered = memory.total + CONTEXT, list[tuple[str, float]]()
    for what, training in lower(config.training) if total > card else ():
        less = estimate(config.model_copy(update={"training": training}), size, _dtype(training)).total + CONTEXT
        lowered.append((what, less))
        if less <= card:
            break
    return Need(memory, total, card, tuple(lowered))


def _dtype(training: Training) -> torch.dtype:
    return DTYPES.get(training.precision, torch.bfloat16)


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
