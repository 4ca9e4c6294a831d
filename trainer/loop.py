"""The training loop. It shows nothing and writes nothing: that is for the caller, after each step."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch

from trainer.config import Training
from trainer.errors import Diverged
from trainer.methods import Batch, Method
from trainer.optimizers import build_optimizer, effective_rate
from trainer.parts import Parts
from trainer.processes import ALONE, Processes
from trainer.schedule import rate_at

LEAST_SCALE = 1.0  # fp16 gradients that overflow even at this scale are no accident


@dataclass(frozen=True, slots=True)
class Progress:
    """What one step came to."""

    step: int  # counted from 1
    steps: int  # of the whole run
    loss: float
    learning_rate: float
    gradient_norm: float  # before clipping


@dataclass
class State:
    """What changes from step to step; saved whole, it is all that resuming needs."""

    parameters: dict[str, torch.nn.Parameter]
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler  # does nothing unless the precision is fp16
    step: int = 0
    average: Any = None  # diffusers' EMAModel over the parameters, where one is asked for

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Inside, the parameters are their running average, where there is one: what is drawn, shipped and judged."""
        if self.average is None:
            yield
            return
        parameters = list(self.parameters.values())
        self.average.store(parameters)
        self.average.copy_to(parameters)
        try:
            yield
        finally:
            self.average.restore(parameters)


def initial_state(parts: Parts, parameters: dict[str, torch.nn.Parameter], training: Training) -> State:
    """The state before the first step."""
    optimizer = build_optimizer(parameters, training)
    scaler = torch.amp.GradScaler(parts.device.type, enabled=parts.dtype == torch.float16)
    return State(parameters, optimizer, scaler, average=_average(parameters, training.ema))


def train(
    parts: Parts, method: Method, batches: Iterable[list[Batch]], state: State, training: Training,
    together: Processes = ALONE,
) -> Iterator[Progress]:  # fmt: skip
    """Train from `state` on, in place, a step at a time.

    `batches` gives this process's batches of the step after `state.step` first. All that is random in a batch comes
    from (seed, step, its number in the step), so a run that stops anywhere and goes on, on however many processes, is
    the same run. Raises Diverged before a loss or a gradient that is not a number reaches the weights.
    """
    stages = training.stages
    for step, batches_of_step in enumerate(islice(batches, training.steps - state.step), state.step + 1):
        rate = rate_at(step, stages, training.warmup, training.schedule, training.steps)
        loss = 0.0
        for number, batch in zip(together.own(training.batches), batches_of_step, strict=True):
            part = method.loss(parts, batch, seeded(training.seed, step, number)) / len(batches_of_step)
            torch.autograd.backward(state.scaler.scale(part))
            loss += part.item()
        loss = together.mean(loss)
        together.average_gradients(state.parameters.values())
        if not math.isfinite(loss):
            raise Diverged(step, "loss")
        norm = _update(state, rate, training.max_grad_norm)
        if state.average is not None:
            state.average.step(state.parameters.values())
        state.step = step
        yield Progress(step, training.steps, loss, effective_rate(state.optimizer, rate), norm)


def _average(parameters: dict[str, torch.nn.Parameter], decay: float) -> Any:
    """None, or the running average: after n steps it keeps min(decay, n / (9 + n)) of itself, so that what it began
    with is soon forgotten."""
    if not decay:
        return None
    from diffusers.training_utils import EMAModel

    return EMAModel(parameters.values(), decay=decay)


def _update(state: State, rate: float, max_grad_norm: float) -> float:
    """One step of the optimiser. Returns the norm of the gradient before clipping."""
    state.scaler.unscale_(state.optimizer)
    norm = float(torch.nn.utils.clip_grad_norm_(state.parameters.values(), max_grad_norm or math.inf))
    # In fp16 an overflow now and then is how the scaler finds its scale: it skips that update and halves the scale.
    searching = state.scaler.is_enabled() and state.scaler.get_scale() > LEAST_SCALE
    if not math.isfinite(norm) and not searching:
        raise Diverged(state.step + 1, "gradient")
    for group in state.optimizer.param_groups:
        group["lr"] = rate
    state.scaler.step(state.optimizer)
    state.scaler.update()
    state.optimizer.zero_grad(set_to_none=True)
    return norm


def seeded(seed: int, step: int, batch: int = 0) -> torch.Generator:
    """The randomness of one batch of a step; torch's global generator, which dropout draws from, is set along."""
    number = (seed * 1_000_003 + step + batch * 2**40) % 2**63
    torch.manual_seed(number)
    return torch.Generator().manual_seed(number)
