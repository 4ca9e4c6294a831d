"""Pictures -> moments of their latents, encoded once and kept on the disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load, save

from sorter.errors import DatasetError
from sorter.files import read_file, write
from trainer.dataset import (
    BAD_PICTURE,
    Dataset,
    Example,
    Unreadable,
    none_readable,
    open_mask,
    open_picture,
    reason,
)
from trainer.out_of_memory import halving
from trainer.parts import Parts

ENCODED_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Encoded:
    """A dataset whose pictures all have their moments: means and log variances of the latents, [2C, h, w] each."""

    dataset: Dataset
    moments: tuple[torch.Tensor, ...]  # in the order of dataset.examples
    newly_encoded: int  # how many pictures were encoded now rather than read from the cache
    masks: tuple[torch.Tensor | None, ...]  # in the same order: what there is to learn, [h, w], 0 to 255; None: all


def encode(
    parts: Parts, dataset: Dataset, cache: Path, on_progress: Callable[[int, int], None] = lambda done, of: None
) -> Encoded:
    """Encode every picture that `cache` does not hold. `on_progress(done, of)` is called after each.

    A picture is kept under its sha256, its size and the VAE's hash, so that nothing stale is ever read; a picture
    that turns out broken joins `dataset.unreadable`. Raises DatasetError where the cache cannot be written or no
    picture is left.
    """
    folder = cache / parts.base.hash_of("vae")[:16]
    encoded: dict[Example, torch.Tensor] = {}
    masks: dict[Example, torch.Tensor | None] = {}
    broken: list[Unreadable] = []
    waiting: list[tuple[Example, torch.Tensor]] = []
    newly_encoded = 0

    def encode_waiting() -> None:
        nonlocal newly_encoded
        for (example, _), moments in zip(waiting, _encode(parts, [pixels for _, pixels in waiting]), strict=True):
            _write(folder, example, moments)
            encoded[example] = moments
        newly_encoded += len(waiting)
        waiting.clear()

    with parts.present("vae"):  # else it would come and go with each batch
        for done, example in enumerate(dataset.examples, 1):
            known = _read(folder / _name(example), parts, example)
            try:
                masks[example] = _mask(example, parts.base.factor)
                pixels = _pixels(open_picture(example.path, example.size, example.scaled)) if known is None else None
            except BAD_PICTURE as error:
                broken.append(Unreadable(_file_name(dataset, example), reason(error)))
            else:
                if known is not None:
                    encoded[example] = known
                if pixels is not None:
                    if waiting and (waiting[0][0].size != example.size or len(waiting) == ENCODED_AT_ONCE):
                        encode_waiting()
                    waiting.append((example, pixels))
            on_progress(done, len(dataset.examples))
        if waiting:
            encode_waiting()
    return _encoded(dataset, encoded, masks, broken, newly_encoded)


def _encoded(
    dataset: Dataset, moments: dict[Example, torch.Tensor], masks: dict[Example, torch.Tensor | None],
    broken: list[Unreadable], newly_encoded: int,
) -> Encoded:  # fmt: skip
    examples = tuple(example for example in dataset.examples if example in moments)
    if not examples and dataset.examples:
        raise DatasetError(f"{dataset.folder}: there is nothing to train on: {none_readable(broken)}")
    whole = replace(dataset, examples=examples, unreadable=(*dataset.unreadable, *broken))
    kept, to_learn = tuple(moments[example] for example in examples), tuple(masks[example] for example in examples)
    return Encoded(whole, kept, newly_encoded, to_learn)


def _mask(example: Example, factor: int) -> torch.Tensor | None:
    """How much of each latent there is to learn, [h, w], 0 to 255: the mean of its pixels; None: all."""
    mask = open_mask(example)
    if mask is None:
        return None
    width, height = (length // factor for length in example.size)
    return torch.from_numpy(np.array(mask.resize((width, height), Image.Resampling.BOX)))


def _encode(parts: Parts, pixels: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """[3, H, W] in -1..1, all of one size -> moments. Raises OutOfMemory where there is not enough for one."""
    height, width = pixels[0].shape[-2:]
    todo = "close what else uses it, or write a smaller resolution in [training], with buckets = true"
    return halving(partial(_encode_at_once, parts), pixels, f"while encoding a picture of {width}x{height}", todo)


@torch.no_grad()
def _encode_at_once(parts: Parts, pixels: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Always in fp32, since some autoencoders overflow in fp16."""
    batch = torch.stack(list(pixels)).to(parts.device)
    with parts.present("vae"):
        return list(parts.vae.encode(batch).latent_dist.parameters.float().cpu())


def _pixels(picture: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.asarray(picture, dtype=np.float32) / 127.5 - 1).permute(2, 0, 1)


def _file_name(dataset: Dataset, example: Example) -> str:
    return example.path.relative_to(dataset.folder).as_posix()


def _name(example: Example) -> str:
    width, height = example.size
    scaled = "-of-{}x{}".format(*example.scaled) if example.scaled else ""
    return f"{example.sha256}-{width}x{height}{scaled}.safetensors"


def _write(folder: Path, example: Example, moments: torch.Tensor) -> None:
    path = folder / _name(example)
    try:
        write(path, save({"moments": moments.contiguous()}))
    except OSError as error:
        raise DatasetError(f'{path}: cannot be written: {error.strerror}; set "cache" to another folder') from None


def _read(path: Path, parts: Parts, example: Example) -> torch.Tensor | None:
    """None where there is none, or it is damaged: it is only a cache, so it is made again."""
    try:
        moments = load(read_file(path))["moments"]
    except (OSError, SafetensorError, KeyError):
        return None
    width, height = (length // parts.base.factor for length in example.size)
    right = moments.shape == (2 * parts.base.channels, height, width) and moments.dtype == torch.float32
    return moments if right and bool(moments.isfinite().all()) else None
