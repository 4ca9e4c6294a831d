"""What the networks do, gone through with shapes alone: no weights, no numbers, and next to no time.

All `parts` are skeletons. A `Watch` sees each operation that is gone through.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from trainer.buckets import Size
from trainer.families import Text
from trainer.parts import Parts


class Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees each of torch's operations in `__torch_dispatch__`, and attention as one."""

    def attention(self, way: str, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> None:
        """Called for each attention that is gone through. way: "forward" or "backward"."""


def step(parts: Parts, size: Size, batch_size: int, watch: Watch) -> None:
    """The forward and the backward pass of a batch of pictures of `size`, [width, height] in pixels.

    Encoding texts is watched only where the gradient goes through that, since else it is done once and not in a step.
    """
    learns = any(weight.requires_grad for network in parts.text_encoders.values() for weight in network.parameters())
    with torch.device("meta"), _fused_attention(watch):
        text = None if learns else _text(parts, batch_size)
        with watch:
            latents = _latents(parts, size, batch_size)
            answered = parts.predict(latents, torch.zeros(batch_size), text or _text(parts, batch_size))
            torch.autograd.backward((answered - latents).square().mean())


@torch.no_grad()
def denoise(parts: Parts, size: Size, batch_size: int, watch: Watch) -> None:
    """The forward pass alone."""
    with torch.device("meta"), _fused_attention(watch):
        text = _text(parts, batch_size)
        with watch:
            parts.predict(_latents(parts, size, batch_size), torch.zeros(batch_size), text)


@torch.no_grad()
def decode(parts: Parts, size: Size, watch: Watch) -> None:
    """One picture out of the autoencoder."""
    with torch.device("meta"), _fused_attention(watch), watch:
        parts.vae.decode(_latents(parts, size, 1))


@torch.no_grad()
def encode(parts: Parts, size: Size, watch: Watch) -> None:
    """One picture into the autoencoder."""
    with torch.device("meta"), _fused_attention(watch), watch:
        parts.vae.encode(torch.zeros(1, 3, size[1], size[0]))


def _latents(parts: Parts, size: Size, batch_size: int) -> torch.Tensor:
    width, height = (length // parts.base.factor for length in size)
    return torch.zeros(batch_size, parts.base.channels, height, width)


def _text(parts: Parts, batch_size: int) -> Text:
    return parts.encode_ids(torch.zeros(batch_size, parts.tokenizer.model_max_length, dtype=torch.long))


@contextmanager
def _fused_attention(watch: Watch) -> Iterator[None]:
    """Inside, attention is as devices have it: what every place thinks of every other is never held as a whole."""
    functions: Any = torch.nn.functional
    attend: Any = _Attention.apply
    own = functions.scaled_dot_product_attention
    functions.scaled_dot_product_attention = lambda query, key, value, *_, **__: attend(watch, query, key, value)
    try:
        yield
    finally:
        functions.scaled_dot_product_attention = own


class _Attention(torch.autograd.Function):
    """Shapes alone: keeps the three and the answer."""

    @staticmethod
    def forward(ctx: Any, watch: Watch, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """[..., n, d], [..., m, d], [..., m, e] -> [..., n, e]"""
        answer = query.new_empty(*query.shape[:-1], value.shape[-1])
        ctx.save_for_backward(query, key, value, answer)
        ctx.watch = watch
        watch.attention("forward", query, key, value)
        return answer

    @staticmethod
    def backward(ctx: Any, *_: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """One gradient for each."""
        query, key, value, _answer = ctx.saved_tensors
        ctx.watch.attention("backward", query, key, value)
        return None, torch.empty_like(query), torch.empty_like(key), torch.empty_like(value)
