"""The loss on pictures that are held out: the same noise and timesteps each time, so that steps can be compared."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from trainer.data import make_batch
from trainer.latents import Encoded
from trainer.methods import Batch, Method
from trainer.parts import Parts

ROUNDS = 4
"""How often each picture is looked at, each time with other noise and another timestep: one alone says little."""


@torch.no_grad()
def validation_loss(parts: Parts, method: Method, held_out: Encoded, batch_size: int) -> float:
    """The method's own loss, the mean over the pictures, without dropout, with whole captions."""
    total, count = 0.0, 0
    with parts.evaluating():
        for number, batch in enumerate(_batches(held_out, batch_size)):
            for turn in range(ROUNDS):
                loss = method.loss(parts, batch, torch.Generator().manual_seed(ROUNDS * number + turn))
                total += loss.item() * len(batch.captions)
            count += len(batch.captions)
    return total / (ROUNDS * count)


def _batches(held_out: Encoded, batch_size: int) -> Iterator[Batch]:
    """All pictures, once each, in their order, those of one size together; the last of a size may be fewer."""
    by_size: dict[tuple[int, int], list[int]] = {}
    for index, example in enumerate(held_out.dataset.examples):
        by_size.setdefault(example.size, []).append(index)
    for indices in by_size.values():
        for start in range(0, len(indices), batch_size):
            chosen = indices[start : start + batch_size]
            yield make_batch(held_out, chosen, tuple(held_out.dataset.examples[index].caption for index in chosen))
