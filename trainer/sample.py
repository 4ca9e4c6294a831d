"""Draw pictures with the networks, trained or not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image

from trainer.errors import ConfigError
from trainer.parts import Parts, untyped
from trainer.samplers import STANDARD, check_steps, find_sampler, scheduler


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
) -> list[Image.Image]:
    """One RGB picture for each prompt and seed, with classifier-free guidance (Ho and Salimans 2022).

    size: width and height, multiples of the base's pixels a latent; none is the base's own. guidance: 1 or less
    is none. sampler: of `SAMPLERS`. A picture depends on its own prompt and seed, not on which others are drawn with
    it. Raises ConfigError.
    """
    width, height = size or (parts.base.size, parts.base.size)
    if width % parts.base.factor or height % parts.base.factor:
        raise ConfigError(f"size {width}x{height}: both must be multiples of {parts.base.factor}, the base's latents")
    check_steps(find_sampler(sampler), steps)
    pipe = pipeline(parts, sampler)
    pictures: list[Image.Image] = []
    with torch.no_grad(), parts.evaluating():
        for start in range(0, len(prompts), batch_size):
            batch = list(prompts[start : start + batch_size])
            with parts.autocast():
                latents = pipe(
                    prompt=batch,
                    negative_prompt=[negative] * len(batch),
                    generator=[torch.Generator().manual_seed(seed) for seed in seeds[start : start + batch_size]],
                    width=width,
                    height=height,
                    num_inference_steps=steps,
                    guidance_scale=guidance,
                    output_type="latent",
                ).images
            pictures += _decode(parts, latents)
    return pictures


def pipeline(parts: Parts, sampler: str = STANDARD) -> Any:
    """The parts as the pipeline of diffusers, with a sampler of `SAMPLERS`; it shares the networks, and copies none."""
    pipe = untyped.StableDiffusionPipeline(
        vae=parts.vae,
        text_encoder=parts.text_encoder,
        tokenizer=parts.tokenizer,
        unet=parts.unet,
        scheduler=scheduler(parts, sampler),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def _decode(parts: Parts, latents: torch.Tensor) -> list[Image.Image]:
    """Latents -> pictures, in fp32, since some autoencoders overflow in fp16."""
    decoded = parts.vae.decode(latents.float() / parts.vae.config.scaling_factor, return_dict=False)[0]
    pixels = ((decoded / 2 + 0.5).clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    return [Image.fromarray(picture) for picture in pixels]
