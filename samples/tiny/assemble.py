"""The trained parts as a Stable Diffusion folder, and pictures drawn with it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import autoencoder, denoiser, keep
from .pictures import SIZE

if TYPE_CHECKING:
    from PIL import Image

PROMPTS = (
    "a girl with long red hair and a green dress, standing, happy, facing left, hills",
    "a girl with long red hair and a green dress, standing, happy, facing right, hills",
    "a girl with long red hair and a green dress, standing, happy, facing the viewer, hills",
    "a boy with spiky blond hair and a blue shirt, running, angry, facing left, town",
    "a boy with spiky blond hair and a blue shirt, sitting, sad, facing right, sea",
    "a boy with spiky blond hair and a blue shirt, waving, surprised, facing the viewer, room",
    "a girl with a brown ponytail and a purple dress, waving, neutral, facing left, night",
    "a girl with a brown ponytail and a purple dress, sitting, angry, facing right, hills",
    "a girl with a brown ponytail and a purple dress, running, sad, facing the viewer, sea",
    "a boy with short black hair and a red shirt, standing, surprised, facing left, room",
    "a boy with short black hair and a red shirt, waving, happy, facing right, town",
    "a boy with short black hair and a red shirt, sitting, neutral, facing the viewer, night",
    "a grey cat, standing, angry, facing left, sea",
    "a grey cat, waving, happy, facing right, room",
    "a pink rabbit, sitting, surprised, facing the viewer, hills",
    "a brown bear, running, happy, facing right, hills",
    "a white rabbit, standing, sad, facing left, town",
    "a brown bear, waving, neutral, facing the viewer, sea",
    "sad, facing left",
    "running, night",
    "a girl with blue bunches and a yellow dress",
    "a cat, sitting, facing right",
    "zubo tek, waving, happy, facing left, sea",
    "",
)


def pipeline(work: Path) -> Any:
    """The averaged weights as last saved in `work`, as a StableDiffusionPipeline."""
    from diffusers import StableDiffusionPipeline

    state = keep.load(work / "unet.pt")
    latents = keep.load(work / "latents.pt")
    if state is None or latents is None:
        raise FileNotFoundError(f"{work}: nothing is trained there yet")
    parts = denoiser.Parts.fresh(work)
    parts.restore(state["model"])
    vae = autoencoder.load(work)
    vae.register_to_config(scaling_factor=float(latents["scale"]))
    return StableDiffusionPipeline(  # type: ignore[no-untyped-call]
        vae=vae,
        text_encoder=parts.text.eval(),
        tokenizer=parts.tokens,
        unet=parts.unet.eval(),
        scheduler=denoiser.schedule(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def save(pipe: Any, work: Path, to: Path) -> int:
    """Writes the pipeline as fp16 safetensors; returns its size in bytes."""
    import torch

    pipe.to(dtype=torch.float16).save_pretrained(to, safe_serialization=True)
    # Transformers 5 writes tokenizer.json alone; earlier ones and other tools read these two.
    for name in ("vocab.json", "merges.txt"):
        shutil.copyfile(work / "tokenizer" / name, to / "tokenizer" / name)
    files = [path for path in to.rglob("*") if path.is_file()]
    for path in files:
        path.chmod(0o644)
    return sum(path.stat().st_size for path in files)


def sheet(pipe: Any, prompts: tuple[str, ...] = PROMPTS, columns: int = 6, seed: int = 3) -> Image.Image:
    """A contact sheet of the prompts at twice their size."""
    import torch
    from PIL import Image

    pipe.set_progress_bar_config(disable=True)
    generators = [torch.Generator().manual_seed(seed + n) for n in range(len(prompts))]
    drawn = pipe(
        list(prompts), width=SIZE, height=SIZE, num_inference_steps=30, guidance_scale=4.0, generator=generators
    ).images
    side = 2 * SIZE
    whole = Image.new("RGB", (side * columns, side * -(-len(drawn) // columns)))
    for number, picture in enumerate(drawn):
        at = (number % columns * side, number // columns * side)
        whole.paste(picture.resize((side, side), Image.Resampling.NEAREST), at)
    return whole
