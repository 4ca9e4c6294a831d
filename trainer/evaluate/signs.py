"""Whether a run was trained too long or too fast: by losses and by what is seen. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeVar

from trainer.evaluate.columns import Column

K = TypeVar("K")
BY_HEART = 0.15
"""The share of what was learnt of training pictures that does not hold for others, from which on it is said. On the
sample base 40 pictures had at most 0.08 after 100 steps, and at least 0.35 after 2,000 (ten trials of each)."""
SURE = 2.0
"""Standard errors by which one model must be worse than another one for it to be said."""
LEAST = 0.01
"""Of a loss, by which it must have risen: less is nothing that anybody would see."""


class Share(NamedTuple):
    """A part of 1 and its standard error."""

    value: float
    error: float


def difference(one: Mapping[K, float], other: Mapping[K, float]) -> tuple[float, float]:
    """The mean of what `one` is above `other` over the keys that both have, and its standard error."""
    apart = [one[key] - other[key] for key in one.keys() & other.keys()]
    if len(apart) < 2:
        return 0.0, math.inf
    mean = sum(apart) / len(apart)
    return mean, math.sqrt(sum((value - mean) ** 2 for value in apart) / (len(apart) - 1) / len(apart))


def overtrained(columns: Sequence[Column]) -> list[str]:
    """Why the last of these models, of which the first is the base, is overtrained; nothing where it is not."""
    *before, last = columns
    base = before[0]
    signs = _by_loss(before, last), _by_heart(base, last), _by_adherence(before[1:], last)
    return [sign for sign in signs if sign]


def _by_loss(before: Sequence[Column], last: Column) -> str:
    known = [one for one in before if one.losses]
    if last.losses is None or not known:
        return ""
    lowest = min(known, key=lambda one: _mean(one.losses.telling if one.losses else {}))
    assert lowest.losses is not None
    up, error = difference(last.losses.telling, lowest.losses.telling)
    was = _mean(lowest.losses.telling)
    if up <= max(SURE * error, LEAST * was):
        return ""
    what = "held-out pictures" if last.losses.held_out else "its own training pictures"
    return f"the loss on {what} rose again, from {was:.3f} at {lowest.model} to {was + up:.3f} at {last.model}"


def by_heart(base: Column, one: Column) -> Share | None:
    """Of the loss that a model saves on its training pictures against the base, the share that it does not save on
    held-out ones, and with which standard error; None where it saves none, or none are held out."""
    if not (base.losses and one.losses and one.losses.held_out):
        return None
    own, own_error = difference(base.losses.training, one.losses.training)
    new, new_error = difference(base.losses.held_out, one.losses.held_out)
    if own <= SURE * own_error:
        return None
    return Share(1 - new / own, math.hypot(new_error, own_error * new / own) / own)


def _by_heart(base: Column, last: Column) -> str:
    share = by_heart(base, last)
    if share is None or share.value < BY_HEART or share.value < SURE * share.error:
        return ""
    return f"{share.value:.0%} of what {last.model} has learnt of its training pictures holds for no others"


def _by_adherence(before: Sequence[Column], last: Column) -> str:
    if not before:
        return ""
    best = max(before, key=lambda one: one.adherence)
    down, error = difference(best.scores, last.scores)
    if down <= SURE * error:
        return ""
    return (
        f"what is asked for is seen in {last.adherence:.0%} at {last.model}, after {best.adherence:.0%} at {best.model}"
    )


def _mean(values: Mapping[str, float]) -> float:
    return sum(values.values()) / len(values) if values else math.inf
