"""What a training step takes of a device's memory, and what to lower where that is too much.

The networks are a skeleton, without weights: a step is gone through with shapes alone, and what it would hold counted.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import torch
from torch.utils._pytree import tree_map_only
from torch.utils.weak import WeakIdKeyDictionary

from trainer.buckets import Size
from trainer.config import Run, Training
from trainer.load import skeleton
from trainer.parts import Parts
from trainer.shapes import Watch, step

GIGABYTE = 1e9
CONTEXT = 0.5 * GIGABYTE
"""What CUDA itself takes, and its allocator loses between blocks; a rough figure for today's drivers."""
SMALL_CARD = 8 * GIGABYTE
OPTIMIZER_BYTES = {"adamw": 8, "adamw-fused": 8, "adamw-8bit": 2, "prodigy": 16, "adafactor": 0.5}
"""Of a trained number: AdamW has two moments, Prodigy two sums more, Adafactor a row and a column."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes, at the largest of the pictures' sizes."""

    weights: float
    gradients: float
    optimizer: float  # and the running average
    activations: float  # what the two passes hold at their peak

    @property
    def total(self) -> float:
        """All of it, without what CUDA itself takes."""
        return self.weights + self.gradients + self.optimizer + self.activations


def estimate(config: Run, size: Size, dtype: torch.dtype) -> Memory:
    """The memory of a step with pictures of `size`, [width, height] in pixels, computing in `dtype`.

    The autoencoder is left out: it is there while pictures are encoded and previews are drawn, and not in a step; so
    are text encoders that are not trained, once the captions are known. Raises what `skeleton` and the method's
    `prepare` raise.
    """
    training, parts, method = config.training, skeleton(config.open_base()), config.build_method()
    trained = method.prepare(parts)
    if training.gradient_checkpointing:
        parts.checkpoint_gradients()
    half, numbers = dtype != torch.float32, sum(parameter.numel() for parameter in trained.values())
    weights = 0.0
    for name, network in parts.networks.items():
        if name == "unet" or any(parameter.requires_grad for parameter in network.parameters()):
            weights += sum(4.0 * parameter.numel() for parameter in network.parameters())
    if half:  # autocast makes a copy in 16 bits of each frozen weight, and keeps it until the step is done
        frozen = sum(p.numel() for p in parts.unet.parameters() if not p.requires_grad)
        weights += (-2 if training.half_frozen else 2) * frozen
    gradients = 4.0 * numbers
    at_once = training.batch_size * (2 if method.prior else 1)  # a batch of the class waits for the same backward pass
    working = max(0.0, _working(parts, size, at_once) - gradients) / (2 if half else 1)
    state = numbers * (OPTIMIZER_BYTES[training.optimizer] + (4 if training.ema else 0))
    return Memory(weights, gradients, state, working)


def lower(training: Training) -> Iterator[tuple[str, Training]]:
    """What may be lowered, in the order of what it costs: first what changes least in what is learnt. Each comes with
    those before it."""
    steps: list[tuple[str, dict[str, object]]] = []
    if training.precision not in ("bf16", "fp16", "auto"):
        steps.append(('precision = "auto"', {"precision": "auto"}))
    if not training.half_frozen:
        steps.append(("half_frozen = true", {"half_frozen": True, "precision": "auto"}))
    if not training.gradient_checkpointing:
        steps.append(("gradient_checkpointing = true", {"gradient_checkpointing": True}))
    if training.batch_size > 1:
        views = training.batch_size * training.accumulate
        steps.append((f"batch_size = 1 with accumulate = {views}", {"batch_size": 1, "accumulate": views}))
    if training.optimizer in ("adamw", "adamw-fused", "prodigy"):
        steps.append(('optimizer = "adamw-8bit"', {"optimizer": "adamw-8bit"}))
    together = accumulate((changes for _, changes in steps), lambda before, after: before | after)
    for (what, _), changes in zip(steps, together, strict=True):
        yield what, training.model_copy(update=changes)


def advice(training: Training) -> str:
    """The same as words, for a sentence."""
    return ", then ".join([*(what for what, _ in lower(training)), "a smaller resolution"])


def _working(parts: Parts, size: Size, batch_size: int) -> float:
    """Bytes that a forward and a backward pass in fp32 hold at their peak, beside weights and gradients."""
    peak = _Peak(parts)
    step(parts, size, batch_size, peak)
    return float(peak.most)


class _Peak(Watch):
    """Counts the bytes of all tensors that are alive at a time, of those that are made inside."""

    def __init__(self, parts: Parts) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.most = 0
        self._known: Any = WeakIdKeyDictionary()
        for network in parts.networks.values():
            for tensor in (*network.parameters(), *network.buffers()):
                self._known[tensor.untyped_storage()] = True

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Count what an operation gives."""
        out = func(*args, **(kwargs or {}))
        tree_map_only(torch.Tensor, self._count, out)
        return out

    def _count(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        if storage in self._known:
            return
        self._known[storage] = True
        self.now += storage.nbytes()
        self.most = max(self.most, self.now)
        weakref.finalize(storage, self._let_go, storage.nbytes())

    def _let_go(self, size: int) -> None:
        self.now -= size
