"""How long training takes on this machine, told without weights.

The networks are a skeleton: a step is gone through with shapes alone (`shapes`), and each operation of it is carried
out on the device with tensors that hold nothing (`operations`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from trainer import shapes
from trainer.buckets import Size
from trainer.config import Preview, Run, Training
from trainer.dataset import Dataset
from trainer.device import best_device, choose_dtype
from trainer.load import skeleton
from trainer.operations import Calls, Clock, Stopwatch, seconds
from trainer.optimizers import build_optimizer
from trainer.parts import Parts
from trainer.preview import SUGGESTED
from trainer.samplers import scheduler
from trainer.validation import ROUNDS

BUDGET, BUDGETS = 0.4, {"step": 2.0}
"""Seconds in which the operations of a pass are tried."""
MOST_NUMBERS = 2**24
"""Trained numbers that the optimiser is tried with; of more, its time is told by their share."""
AT_ONCE = 8
"""Pictures that go through the network at once: of previews; and of larger batches, whose time is told by that."""


@dataclass(frozen=True, slots=True)
class Duration:
    """Seconds, of a run from its beginning."""

    device: str  # "cpu", "cuda" or "mps"
    step: float  # one of them
    steps: float
    previews: float
    validation: float
    encoding: float  # all pictures, which is done once for all runs
    class_pictures: float  # drawing and encoding them, once, too

    @property
    def total(self) -> float:
        """All of it: but neither loading the base nor saving checkpoints is counted."""
        return self.steps + self.previews + self.validation + self.encoding + self.class_pictures


def estimate(config: Run, dataset: Dataset, held_out: Dataset, clock: Clock = time.perf_counter) -> Duration:
    """Of a run on the best device here, with nothing encoded before. Takes some seconds itself.

    config: with its number of steps. Pictures of several sizes are taken for ones of their mean area. Raises what
    `skeleton` and the method's `prepare` raise, ConfigError for a precision that the device lacks, and Untried.
    """
    training, preview, method, device = config.training, config.preview, config.build_method(), best_device()
    parts, prompts = skeleton(config.open_base()), len(preview.prompts) or SUGGESTED
    trained = method.prepare(parts)
    if training.gradient_checkpointing:
        parts.checkpoint_gradients()
    size, area = _mean_size(dataset)
    passes = _passes(parts, config, size, min(AT_ONCE, prompts))
    watch = Stopwatch(torch.device(device), clock)
    took = {name: watch.total(calls, BUDGETS.get(name, BUDGET)) for name, calls in passes.items()}
    update = _update(trained, training, torch.device(device), clock)
    scale = area * training.batch_size / min(AT_ONCE, training.batch_size)
    step = training.accumulate * (2 if method.prior else 1) * scale * took["step"] + update
    picture = _guesses(parts, preview) * took["guess"] / min(AT_ONCE, prompts) + took["decode"]
    encoding, prior = area * took["encode"], method.prior.pictures if method.prior else 0
    rounds = ROUNDS * math.ceil(len(held_out.examples) / training.batch_size)
    return Duration(
        device,
        step,
        training.steps * step,
        previews(config) * prompts * picture,
        validations(training) * rounds * scale * took["look"],
        (len(dataset.examples) + len(held_out.examples)) * encoding,
        prior * (picture + encoding),
    )


def previews(config: Run) -> int:
    """How often previews are drawn: before the first step, too."""
    every = config.preview.every
    return 1 + config.training.steps // every if every else 0


def validations(training: Training) -> int:
    """How often the loss on what is held out is taken: before the first step, at checkpoints, and as is asked for."""
    if training.validation_every == 0:
        return 0
    every = (training.checkpoint_every, training.validation_every or training.checkpoint_every)
    return 1 + sum(step == training.steps or any(step % n == 0 for n in every) for step in range(1, training.steps + 1))


def _mean_size(dataset: Dataset) -> tuple[Size, float]:
    """The size of the pictures that is nearest to their mean area, as they are seen, and that area in units of its."""
    area = sum(one.repeats * math.prod(one.size) for one in dataset.examples) / dataset.views
    size = min(dataset.sizes, key=lambda size: abs(math.prod(size) - area))
    return size, area / math.prod(size)


def _passes(parts: Parts, config: Run, size: Size, at_once: int) -> dict[str, Calls]:
    """The operations of each pass through the networks."""
    training, preview = config.training, config.preview
    dtype, batch = choose_dtype(training.precision, torch.device(best_device())), min(AT_ONCE, training.batch_size)
    drawn, pairs = preview.size or (parts.base.size, parts.base.size), 2 if preview.guidance > 1 else 1
    passes = {"step": Calls(dtype), "guess": Calls(dtype), "look": Calls(dtype), "encode": Calls(), "decode": Calls()}
    shapes.encode(parts, size, passes["encode"])
    shapes.decode(parts, drawn, passes["decode"])
    shapes.denoise(parts, drawn, pairs * at_once, passes["guess"])
    shapes.denoise(parts, size, batch, passes["look"])
    shapes.step(parts, size, batch, passes["step"])
    return passes


def _guesses(parts: Parts, preview: Preview) -> int:
    """How often the U-Net is asked for a picture: by some samplers twice a step."""
    chosen = scheduler(parts, preview.sampler)
    chosen.set_timesteps(preview.steps)
    return len(chosen.timesteps)


def _update(trained: Mapping[str, torch.Tensor], training: Training, device: torch.device, clock: Clock) -> float:
    """Seconds in which gradients are clipped and the optimiser moves the weights."""
    numbers, tried = sum(one.numel() for one in trained.values()), dict[str, torch.nn.Parameter]()
    for name, one in trained.items():
        if sum(other.numel() for other in tried.values()) + one.numel() <= MOST_NUMBERS or not tried:
            tried[name] = torch.nn.Parameter(torch.zeros(one.shape, device=device))
    optimizer = build_optimizer(tried, training)

    def update() -> None:
        for one in tried.values():
            one.grad = torch.ones_like(one)
        torch.nn.utils.clip_grad_norm_(tried.values(), 1.0)
        optimizer.step()

    return seconds(update, device, clock) * numbers / sum(one.numel() for one in tried.values())
