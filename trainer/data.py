"""A dataset -> batches without end. The order is a function of the seed alone, so resuming is skipping ahead."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import count, islice

import torch

from trainer.buckets import Size
from trainer.config import Training
from trainer.latents import Encoded
from trainer.methods import Batch


def steps(encoded: Encoded, training: Training, after: int = 0) -> Iterator[list[Batch]]:
    """The batches of step after + 1, after + 2, ...: `accumulate` batches each, without end."""
    examples, size = encoded.dataset.examples, training.batch_size
    order = enumerate(batch_order([example.size for example in examples], size, training.seed))
    remaining = islice(order, after * training.accumulate, None)
    while True:
        yield [
            Batch(
                torch.stack([encoded.moments[chosen] for chosen in batch]),
                tuple(
                    vary_caption(examples[chosen].caption, training, view)
                    for view, chosen in enumerate(batch, number * size)
                ),
                torch.tensor([examples[chosen].cut for chosen in batch]),
            )
            for number, batch in islice(remaining, training.accumulate)
        ]


def batch_order(sizes: Sequence[Size], batch_size: int, seed: int) -> Iterator[list[int]]:
    """Which pictures make up each batch, without end. Pure.

    Every batch is full and holds pictures of one size (a bucket). Each bucket is gone through in a new random order
    pass after pass, a batch may reach into the next pass, and the next batch comes from the bucket that is furthest
    behind. So no picture is left out, and in the long run all are seen equally often.
    """
    buckets: dict[Size, list[int]] = {}
    for index, size in enumerate(sizes):
        buckets.setdefault(size, []).append(index)
    streams = {size: _shuffled(members, f"{seed} {size}") for size, members in buckets.items()}
    taken = dict.fromkeys(buckets, 0)
    while True:
        behind = min(buckets, key=lambda size: ((taken[size] + 0.5) / len(buckets[size]), size))
        taken[behind] += 1
        yield list(islice(streams[behind], batch_size))


def vary_caption(caption: str, training: Training, view: int) -> str:
    """The caption as the network sees it at this view (pictures seen before it): dropped, or with its tags shuffled."""
    chance = random.Random(f"{training.seed} {view}")
    if chance.random() < training.caption_dropout:
        return ""
    if not training.shuffle_tags:
        return caption
    tags = [tag.strip() for tag in caption.split(",")]
    kept, rest = tags[: training.keep_tags], tags[training.keep_tags :]
    chance.shuffle(rest)
    return ", ".join(kept + rest)


def _shuffled(members: Sequence[int], seed: str) -> Iterator[int]:
    for passed in count():
        yield from random.Random(f"{seed} {passed}").sample(members, len(members))
