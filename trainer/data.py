"""A dataset -> batches without end. The order is a function of the seed alone, so resuming is skipping ahead."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count, islice

import torch

from trainer.buckets import Size
from trainer.config import Training
from trainer.latents import Encoded
from trainer.methods import Batch
from trainer.processes import ALONE, Processes


def steps(
    encoded: Encoded, training: Training, after: int = 0, prior: Encoded | None = None, together: Processes = ALONE
) -> Iterator[list[Batch]]:
    """This process's batches of step after + 1, after + 2, ..., without end. Raises ConfigError as `own` does.

    prior: pictures of which each batch has as many beside its own, under their captions as they are.
    """
    own = together.own(training.batches)
    first = after * training.batches + own.start
    batches = _batches(encoded, training, first, own.step)
    if prior is not None:
        beside = _batches(prior, training.as_written(), first, own.step)
        batches = (replace(batch, prior=other) for batch, other in zip(batches, beside, strict=True))
    while True:
        yield list(islice(batches, len(own)))


def _batches(encoded: Encoded, training: Training, after: int, every: int) -> Iterator[Batch]:
    """That behind the first `after`, and each `every`-th from there on, without end."""
    examples, size = encoded.dataset.examples, training.batch_size
    sizes, repeats = [example.size for example in examples], [example.repeats for example in examples]
    order = enumerate(batch_order(sizes, size, training.seed, repeats))
    for number, chosen in islice(order, after, None, every):
        yield _batch(encoded, training, chosen, number * size)


def _batch(encoded: Encoded, training: Training, chosen: Sequence[int], view: int) -> Batch:
    """The pictures of these numbers, their captions varied; `view` is how many were seen before them."""
    examples = [encoded.dataset.examples[index] for index in chosen]
    captions = (
        vary_caption(example.caption, training, number, example.other_captions)
        for number, example in enumerate(examples, view)
    )
    return make_batch(encoded, chosen, tuple(captions))


def make_batch(encoded: Encoded, chosen: Sequence[int], captions: tuple[str, ...]) -> Batch:
    """The pictures of these numbers, all of one size, with a caption each."""
    moments = torch.stack([encoded.moments[index] for index in chosen])
    masks = _masks([encoded.masks[index] for index in chosen], moments)
    cuts = torch.tensor([encoded.dataset.examples[index].cut for index in chosen])
    return Batch(moments, captions, masks=masks, cuts=cuts)


def _masks(masks: Sequence[torch.Tensor | None], like: torch.Tensor) -> torch.Tensor | None:
    """What there is to learn of each picture of a batch, [B, 1, h, w], 0 to 1; None: all of all."""
    if all(mask is None for mask in masks):
        return None
    whole = torch.full(like.shape[-2:], 255, dtype=torch.uint8)
    return torch.stack([whole if mask is None else mask for mask in masks])[:, None].float() / 255


def batch_order(
    sizes: Sequence[Size], batch_size: int, seed: int, repeats: Sequence[int] | None = None
) -> Iterator[list[int]]:
    """Which pictures make up each batch, without end. Pure.

    Every batch is full and holds pictures of one size (a bucket). Each bucket is gone through in a new random order
    pass after pass, a batch may reach into the next pass, and the next batch comes from the bucket that is furthest
    behind. So no picture is left out, and in the long run all are seen equally often; or, with `repeats`, each as many
    times as often as it says.
    """
    buckets: dict[Size, list[int]] = {}
    for index, size in enumerate(sizes):
        buckets.setdefault(size, []).extend([index] * (repeats[index] if repeats else 1))
    streams = {size: _shuffled(members, f"{seed} {size}") for size, members in buckets.items()}
    taken = dict.fromkeys(buckets, 0)
    while True:
        behind = min(buckets, key=lambda size: ((taken[size] + 0.5) / len(buckets[size]), size))
        taken[behind] += 1
        yield list(islice(streams[behind], batch_size))


def vary_caption(caption: str, training: Training, view: int, others: Sequence[str] = ()) -> str:
    """The caption as the network sees it at this view (pictures seen before it): dropped, or one of the picture's, with
    its tags shuffled and some of them dropped."""
    chance = random.Random(f"{training.seed} {view}")
    if chance.random() < training.caption_dropout:
        return ""
    if others:
        caption = chance.choice((caption, *others))
    if not training.shuffle_tags and not training.tag_dropout:
        return caption
    tags = [tag.strip() for tag in caption.split(",")]
    kept, rest = tags[: training.keep_tags], tags[training.keep_tags :]
    if training.shuffle_tags:
        chance.shuffle(rest)
    rest = [tag for tag in rest if not training.tag_dropout or chance.random() >= training.tag_dropout]
    return ", ".join(kept + rest)


def _shuffled(members: Sequence[int], seed: str) -> Iterator[int]:
    for passed in count():
        yield from random.Random(f"{seed} {passed}").sample(members, len(members))
