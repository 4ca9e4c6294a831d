"""Draw pictures with the networks, trained or not."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from sorter.files import write
from trainer.errors import ConfigError
from trainer.parts import Parts, ddim, untyped


@dataclass(frozen=True, slots=True)
class Drawn:
    """How a picture was made; all of it is written into the PNG, so that it can be made again."""

    prompt: str
    seed: int
    negative: str = ""
    steps: int = 25
    guidance: float = 4.0
    sampler: str = "DDIM"
    trained: int = 0  # steps of training behind it; 0 is the base alone
    base: str = ""  # first digits of the base's hash

    @property
    def file_name(self) -> str:
        """Readable, legal everywhere, and different whenever anything here differs: "mira-smiling-1f3a0c-seed0.png"."""
        words = re.sub(r"[^a-z0-9]+", "-", self.prompt.lower()).strip("-")[:40].strip("-") or "picture"
        return f"{words}-{sha256(repr(self).encode()).hexdigest()[:6]}-seed{self.seed}.png"


def sample(
    parts: Parts,
    prompts: Sequence[str],
    seeds: Sequence[int],
    *,
    steps: int = 25,
    guidance: float = 4.0,
    negative: str = "",
    size: tuple[int, int] | None = None,
    batch_size: int = 8,
) -> list[Image.Image]:
    """One RGB picture for each prompt and seed, by DDIM with classifier-free guidance (Ho and Salimans 2022).

    size: width and height, multiples of the base's pixels a latent; none is the base's own. guidance: 1 or less
    is none. A picture depends on its own prompt and seed, not on which others are drawn with it. Raises ConfigError.
    """
    width, height = size or (parts.base.size, parts.base.size)
    if width % parts.base.factor or height % parts.base.factor:
        raise ConfigError(f"size {width}x{height}: both must be multiples of {parts.base.factor}, the base's latents")
    pipe = pipeline(parts)
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


def pipeline(parts: Parts) -> Any:
    """The parts as the pipeline of diffusers, with DDIM; it shares the networks rather than copying them."""
    pipe = untyped.StableDiffusionPipeline(
        vae=parts.vae,
        text_encoder=parts.text_encoder,
        tokenizer=parts.tokenizer,
        unet=parts.unet,
        scheduler=ddim(parts),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def write_png(picture: Image.Image, path: Path, drawn: Drawn) -> None:
    """Write the picture whole, with how it was made as text chunks."""
    chunks = PngInfo()
    for key, value in asdict(drawn).items():
        chunks.add_itxt(key, str(value))
    out = BytesIO()
    picture.save(out, "PNG", pnginfo=chunks)
    write(path, out.getvalue())


def _decode(parts: Parts, latents: torch.Tensor) -> list[Image.Image]:
    """Latents -> pictures, in fp32, since some autoencoders overflow in fp16."""
    decoded = parts.vae.decode(latents.float() / parts.vae.config.scaling_factor, return_dict=False)[0]
    pixels = ((decoded / 2 + 0.5).clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    return [Image.fromarray(picture) for picture in pixels]
