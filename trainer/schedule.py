"""Learning rates over steps: `1e-3`, or `"0.001:200, 0.0001:300"`, and how they fall. Pure: imports nothing heavy."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Shape = Literal["constant", "linear", "cosine"]


@dataclass(frozen=True, slots=True)
class Stage:
    """A learning rate, and the last step (counted from 1) that has it; None: to the end."""

    rate: float
    until: int | None


def read_schedule(written: float | str) -> tuple[Stage, ...]:
    """The stages of a learning rate as it is written in train.toml.

    `"0.001:200, 0.0001"` is 0.001 up to and with step 200, then 0.0001. Raises ValueError with a sentence.
    """
    if not isinstance(written, str):
        return (Stage(_rate(written), None),)
    stages: list[Stage] = []
    for part in written.split(","):
        rate, colon, until = part.partition(":")
        stage = Stage(_rate(rate), _step(until) if colon else None)
        if stages and stages[-1].until is None:
            raise ValueError(f'learning_rate "{written}": only the last rate may be without ":step"')
        if stages and stage.until is not None and stage.until <= (stages[-1].until or 0):
            raise ValueError(f'learning_rate "{written}": the steps must grow, and {stage.until} does not')
        stages.append(stage)
    return tuple(stages)


def auto_views(pictures: int) -> float:
    """How often each of so many pictures is to be seen: 284 times of 10, 238 of 50, 200 of 100, 83 of 1,000, and
    towards 50 of thousands.

    50 + 250 / (1 + pictures / 150): a rule of thumb among those who train characters, 200 to 300 for tens of pictures
    and 50 for thousands, with nothing sudden in between.
    """
    return 50 + 250 / (1 + pictures / 150)


def auto_steps(pictures: int, views_of_step: int) -> int:
    """The steps that this takes, with so many views a step: the batch times the batches that are accumulated."""
    return max(1, math.ceil(pictures * auto_views(pictures) / views_of_step))


def rate_at(
    step: int, stages: tuple[Stage, ...], warmup: int = 0, shape: Shape = "constant", steps: int | None = None
) -> float:
    """The learning rate of `step` (counted from 1), rising linearly from rate / warmup over the first steps.

    shape: how it falls after that, to reach zero one step after the last of `steps`: "linear", or "cosine", half a
    period of it (Loshchilov and Hutter 2017, arXiv:1608.03983, without restarts).
    """
    rate = next((stage.rate for stage in stages if stage.until is None or step <= stage.until), stages[-1].rate)
    if step <= warmup:
        return rate * min(1.0, step / warmup)
    if shape == "constant" or steps is None:
        return rate
    done = (step - warmup - 1) / max(1, steps - warmup)
    return rate * (1 - done if shape == "linear" else (1 + math.cos(math.pi * done)) / 2)


def _rate(written: float | str) -> float:
    try:
        rate = float(written)
    except ValueError:
        raise ValueError(f'learning_rate: "{str(written).strip()}" is not a number') from None
    if not (0 < rate <= 1) or math.isnan(rate):
        raise ValueError(f"learning_rate: {rate:g} is not above 0 and at most 1")
    return rate


def _step(written: str) -> int:
    try:
        return int(written)
    except ValueError:
        raise ValueError(f'learning_rate: "{written.strip()}" after ":" is not a whole number of steps') from None
