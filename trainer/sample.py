"""Draw pictures with the networks, trained or not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from inspect import signature
from itertools import groupby
from typing import Any

import torch
from PIL import Image

from trainer.errors import ConfigError
from trainer.families.family import Text, joined
from trainer.load import untyped
from trainer.out_of_memory import halving
from trainer.parts import Parts
from trainer.prompt import count_pieces, encode, encode_pairs, whole
from trainer.samplers import STANDARD, check_steps, find_sampler, scheduler
from trainer.source import Source, check_source

SMALLER = "close what else uses it, or draw smaller ones: --size, or size in [preview]"


def sample(
    parts: Parts,
    prompts: Sequence[str],
    seeds: Sequence[int],
    *,
    steps: int = 50,
    guidance: float = 7.5,
    sampler: str = STANDARD,
    negative: str = "",
    size: tuple[int, int] | None = None,
    batch_size: int = 8,
    emphasis: bool = True,
    clip_skip: int = 1,
    source: Source | None = None,
) -> list[Image.Image]:
    """One RGB picture for each prompt and seed, with classifier-free guidance (Ho and Salimans 2022).

    size: width and height, multiples of `Base.multiple`; none is the source's, or the base's own. guidance: 1 or less
    is none. sampler: of `SAMPLERS`. emphasis: whether prompts are read as `prompt.parse` does, at any length; else
    brackets are words, and what is too long is cut, as captions are in training. clip_skip: 2 leaves out the text
    encoder's last layer. source: what to draw from, and what of it. A picture depends on its own prompt and seed, not
    on which others are drawn with it. Raises ConfigError, SourceError or BaseModelError.
    """
    own = source.picture.size if source else (parts.base.size, parts.base.size)
    width, height = size or own
    if width % parts.base.multiple or height % parts.base.multiple:
        raise ConfigError(f"size {width}x{height}: both must be multiples of {parts.base.multiple}")
    check_steps(find_sampler(sampler), steps)
    if source:
        check_source(source, parts.base, steps)
        source = source.fitted((width, height))
    check_clip_skip(parts, clip_skip)
    pieces = [count_pieces(parts, prompt, negative) if emphasis else 1 for prompt in prompts]
    pipe = pipeline(parts, sampler, _kind(source))

    def draw(batch: Sequence[int]) -> list[Image.Image]:
        said, unsaid = _texts(parts, [prompts[index] for index in batch], negative, emphasis, clip_skip)
        with parts.autocast():
            latents = pipe(
                **_conditions(said, unsaid),
                generator=[torch.Generator().manual_seed(seeds[index]) for index in batch],
                **_drawn_from(source, (width, height), len(batch)),
                num_inference_steps=steps,
                guidance_scale=guidance,
                output_type="latent",
            ).images
        decoded = _decode(parts, latents)
        return list(map(source.keep, decoded)) if source else decoded

    with torch.no_grad(), parts.evaluating(), parts.present(*parts.networks):
        what, batches = f"while drawing a picture of {width}x{height}", _batches(pieces, batch_size)
        return [picture for batch in batches for picture in halving(draw, batch, what, SMALLER)]


def pipeline(parts: Parts, sampler: str = STANDARD, drawn_from: str = "text") -> Any:
    """The parts as a pipeline of diffusers, with a sampler of `SAMPLERS`; it shares the networks, and copies none.

    drawn_from: "text", "image", or "mask".
    """
    kind = getattr(untyped, parts.base.family.pipelines[drawn_from])
    more = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False,
            "add_watermarker": False}  # fmt: skip
    pipe = kind(
        **parts.networks,
        **dict(zip(parts.base.family.tokenizers, parts.tokenizers, strict=True)),
        scheduler=scheduler(parts, sampler),
        **{name: value for name, value in more.items() if name in signature(kind).parameters},
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def _kind(source: Source | None) -> str:
    if source is None:
        return "text"
    return "image" if source.mask is None else "mask"


def _conditions(said: Text, unsaid: Text) -> dict[str, torch.Tensor]:
    """What a pipeline takes instead of prompts."""
    states = {"prompt_embeds": said.states, "negative_prompt_embeds": unsaid.states}
    if said.pooled is None or unsaid.pooled is None:
        return states
    return {**states, "pooled_prompt_embeds": said.pooled, "negative_pooled_prompt_embeds": unsaid.pooled}


def _drawn_from(source: Source | None, size: tuple[int, int], count: int) -> dict[str, Any]:
    """What that pipeline takes beside all else."""
    sides = {"width": size[0], "height": size[1]}
    if source is None:
        return sides
    pictures = {"image": [source.picture] * count, "strength": source.strength}
    return pictures if source.mask is None else {**pictures, "mask_image": [source.mask] * count, **sides}


def _batches(pieces: Sequence[int], most: int) -> Iterator[list[int]]:
    """Numbers of prompts that go through the network at once: neighbours whose texts have as many pieces."""
    for _, run in groupby(range(len(pieces)), pieces.__getitem__):
        indices = list(run)
        yield from (indices[start : start + most] for start in range(0, len(indices), most))


def _texts(parts: Parts, prompts: Sequence[str], negative: str, emphasis: bool, clip_skip: int) -> tuple[Text, Text]:
    """What the prompts say and what the negative prompt says."""
    if emphasis:
        return encode_pairs(parts, prompts, negative, clip_skip)
    said, unsaid = (
        joined(encode(parts, whole(parts.tokenizer, text), clip_skip) for text in texts)
        for texts in (prompts, [negative] * len(prompts))
    )
    return said, unsaid


def check_clip_skip(parts: Parts, clip_skip: int) -> None:
    """Raise ConfigError where the text encoder has not so many layers."""
    layers = parts.text_encoder.config.num_hidden_layers
    if not 1 <= clip_skip <= layers:
        raise ConfigError(f"clip skip {clip_skip}: the text encoder of this base has {layers} layers; 1 skips none")


def _decode(parts: Parts, latents: torch.Tensor) -> list[Image.Image]:
    """Latents -> pictures, in fp32, since some autoencoders overflow in fp16."""
    decoded = parts.vae.decode(latents.float() / parts.vae.config.scaling_factor, return_dict=False)[0]
    pixels = ((decoded / 2 + 0.5).clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    return [Image.fromarray(picture) for picture in pixels]
