"""Operations of torch: counted where they are gone through with shapes alone, and timed on a device, each kind once."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from statistics import median
from typing import Any

import torch
from torch.utils._pytree import TreeSpec, tree_flatten, tree_unflatten
from torch.utils.flop_counter import flop_registry

from trainer.shapes import Watch

LONG = 0.1
"""Seconds; what takes longer on a CPU is tried once, all else ROUNDS times more, of which the middle one counts."""
ROUNDS = 3
BETWEEN = 10e-6
"""Seconds that Python takes between two operations of a network, about."""
MOST_NUMBERS = 2**27
"""Of a tensor; an operation on larger ones is not tried."""
CACHE = 2**20
"""Numbers that are touched before an operation is timed, so that its own are no nearer than in a network."""
STRIDE = 4.0
"""How much more work the next size has that is tried of a kind of operation."""
AHEAD = 10
"""Operations that a device which works on its own is given at once."""


class Untried(Exception):
    """An operation that cannot be tried on a device, of any size: how long it takes is not known."""


Clock = Callable[[], float]
"""Seconds since some time: `time.perf_counter`, or `time.process_time`, which leaves out what other programs take."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What an operation is told of a tensor."""

    sizes: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: torch.dtype

    def tensor(self, device: torch.device) -> torch.Tensor:
        """One of that shape. It holds ones, or zeros where they are numbers of rows: no number slows a processor."""
        if 0 in self.strides:  # one number, seen in many places
            return torch.zeros([], dtype=self.dtype, device=device).expand(self.sizes)
        made = torch.empty_strided(self.sizes, self.strides, dtype=self.dtype, device=device)
        return made.fill_(1 if self.dtype.is_floating_point else 0)


@dataclass(frozen=True, slots=True)
class Call:
    """An operation and all that it is told but the numbers."""

    kind: str
    told: tuple[Any, ...]
    spec: TreeSpec
    work: float = field(compare=False)  # multiplications and additions; of what has none, numbers
    prepare: Callable[..., Callable[[], Any]] = field(compare=False)  # gives what carries it out

    def ready(self, device: torch.device) -> Callable[[], Any]:
        """What carries it out on a device, as often as it is called."""
        made = [
            one.tensor(device) if isinstance(one, Shape) else device if isinstance(one, torch.device) else one
            for one in self.told
        ]
        args, kwargs = tree_unflatten(made, self.spec)
        return self.prepare(*args, **kwargs)


class Calls(Watch):
    """Counts the operations that are carried out inside."""

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        """dtype: in which all is computed but norms, as autocast has it."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.counts = Counter[Call]()
        self._dtype = dtype

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Count it, unless it only looks at a tensor in another way."""
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        if not func.is_view:
            formula = flop_registry.get(func.overloadpacket)
            work = float(formula(*args, **kwargs, out_val=out)) if formula else 0.0
            self._count(str(func), (args, kwargs), work, partial(partial, func))
        return out

    def attention(self, way: str, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> None:
        """Count it: forward it is two products of matrices, backward five."""
        forward = way == "forward"
        work = 2.0 * (2 if forward else 5) * query.numel() * key.shape[-2]
        self._count(f"attention {way}", ((query, key, value), {}), work, _attend if forward else _attend_back)

    def _count(self, kind: str, given: Any, work: float, prepare: Callable[..., Any]) -> None:
        flat, spec = tree_flatten(given)
        dtype = torch.float32 if "norm" in kind else self._dtype
        told = tuple(_shape(one, dtype) if isinstance(one, torch.Tensor) else one for one in flat)
        numbers = max((one.numel() for one in flat if isinstance(one, torch.Tensor)), default=0)
        self.counts[Call(f"{kind} {dtype}", told, spec, work or float(max(1, numbers)), prepare)] += 1


class Stopwatch:
    """Tries operations on a device, each once, and tells from those how long others take."""

    def __init__(self, device: torch.device, clock: Clock = time.perf_counter) -> None:
        self._device, self._clock = device, clock
        self._tried: dict[str, dict[Call, float]] = {}  # seconds, by kind

    def total(self, calls: Calls, budget: float) -> float:
        """The seconds that all of them take, of which new ones are tried until `budget` seconds are over.

        What would take too long, or too much memory, is told from the nearest of its kind that was tried, by its share
        of the work. Raises Untried where none of a kind can be tried.
        """
        end = self._clock() + budget
        for call in _order(calls.counts):
            tried = self._tried.setdefault(call.kind, {})
            guess = self._guess(call) if tried else 0.0
            cost = guess if guess > LONG else (1 + ROUNDS) * guess
            if call not in tried and (not tried or self._clock() + cost < end):
                found = self._try(call)
                if found is not None:
                    tried[call] = found
        if lacking := {call.kind for call in calls.counts if not self._tried[call.kind]}:
            raise Untried(min(lacking))
        return sum(count * (BETWEEN + self._guess(call)) for call, count in calls.counts.items())

    def _guess(self, call: Call) -> float:
        tried = self._tried[call.kind]
        if call in tried:
            return tried[call]
        near = min(tried, key=lambda other: abs(math.log(other.work / call.work)))
        return tried[near] * call.work / near.work

    @torch.no_grad()
    def _try(self, call: Call) -> float | None:
        """Seconds; None where it is too large, or the device has no memory for it, or no such operation."""
        if max((math.prod(one.sizes) for one in call.told if isinstance(one, Shape)), default=0) > MOST_NUMBERS:
            return None
        try:
            return seconds(call.ready(self._device), self._device, self._clock)
        except (MemoryError, RuntimeError, TypeError):
            return None


def _order(counts: Mapping[Call, int]) -> list[Call]:
    """First of each kind some of all sizes, from small to large; then those that make up most of the work."""
    first, reached = list[Call](), dict[str, float]()
    for call in sorted(counts, key=lambda call: call.work):
        if call.work >= STRIDE * reached.get(call.kind, 0.0):
            first.append(call)
            reached[call.kind] = call.work
    return [*first, *sorted(counts.keys() - set(first), key=lambda call: -counts[call] * call.work)]


def seconds(work: Callable[[], Any], device: torch.device, clock: Clock = time.perf_counter) -> float:
    """What some work takes on a device."""
    first = _elapsed(work, device, 1, clock)  # which also prepares what the others find ready
    if device.type != "cpu":
        return _elapsed(work, device, AHEAD, clock) / AHEAD
    if first > LONG:
        return first
    others, rounds = torch.zeros(CACHE), list[float]()
    for _ in range(ROUNDS):
        others.add_(1)
        rounds.append(_elapsed(work, device, 1, clock))
    return median(rounds)


def _elapsed(work: Callable[[], Any], device: torch.device, times: int, clock: Clock) -> float:
    began = clock()
    for _ in range(times):
        work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
    return clock() - began


def _shape(tensor: torch.Tensor, dtype: torch.dtype) -> Shape:
    return Shape(tuple(tensor.shape), tensor.stride(), dtype if tensor.is_floating_point() else tensor.dtype)


def _attend(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> Callable[[], Any]:
    return partial(torch.nn.functional.scaled_dot_product_attention, query, key, value)


@torch.enable_grad()
def _attend_back(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> Callable[[], Any]:
    three = [one.requires_grad_() for one in (query, key, value)]
    answer = torch.nn.functional.scaled_dot_product_attention(query, key, value)
    gradient = torch.ones_like(answer)
    return lambda: torch.autograd.grad(answer, three, gradient, retain_graph=True)
