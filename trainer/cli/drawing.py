"""The command that draws."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from trainer.cli.shared import (
    batch_size_option,
    command,
    need_torch,
    number_option,
    path_option,
    run_argument,
    seed_option,
)


@command
@run_argument
@click.argument("prompt")
@seed_option("Seed of the first picture.")
@number_option("--count", 1, "How many pictures; each next one has the next seed.")
@batch_size_option("How many are drawn")
@click.option("--sampler", default="Euler a", show_default=True, help="By its known name; `trainer list` shows them.")
@number_option("--steps", 50, "Steps of the sampler.")
@click.option(
    "--guidance",
    type=click.FloatRange(min=0),
    default=7.5,
    show_default=True,
    help="How closely to follow the prompt; 1 turns guidance off.",
)
@click.option("--negative", default="", help="Negative prompt: what the pictures should not show.")
@click.option(
    "--emphasis/--no-emphasis",
    default=True,
    show_default=True,
    help="Read (word:1.3), [word] and \\( as A1111 does, and prompts of any length; or take brackets for words.",
)
@click.option(
    "--clip-skip",
    type=click.IntRange(min=1),
    help="Layer of the text encoder, from its end, as A1111 counts; 2 for most models of anime.  [default: as trained]",
)
@click.option(
    "--size",
    type=(click.IntRange(min=1), click.IntRange(min=1)),
    help="Width and height in pixels.  [default: the image's, or the base's own]",
)
@click.option(
    "--lora",
    "loras",
    multiple=True,
    metavar="FILE:WEIGHT",
    help="A LoRA, anyone's, on top of what was trained, such as style.safetensors:0.8; may be given several times.",
)
@path_option("--image", "A picture to draw from, instead of from nothing.")
@path_option("--mask", "A picture of the same size: white is redrawn, black stays as it is in the image.")
@click.option(
    "--strength",
    type=float,
    default=0.75,
    show_default=True,
    help="How far from the image, above 0 and at most 1; 1 is as if from nothing.",
)
@path_option("--to", "Folder for the pictures.  [default: RUN/samples]")
@click.option("--step", type=click.IntRange(min=0), help="Step of the checkpoint to draw with.  [default: the last]")
@click.option("--base-only", is_flag=True, help="Draw with the base alone, without what was trained, to compare.")
def sample(
    run: Path, prompt: str, seed: int, count: int, size: tuple[int, int] | None, to: Path | None, step: int | None,
    base_only: bool, loras: tuple[str, ...], image: Path | None, mask: Path | None, strength: float,
    batch_size: int, **options: Any,
) -> tuple[dict[str, Any], str]:  # fmt: skip
    """Draw PROMPT with the model that was trained in folder RUN."""
    need_torch()
    from trainer.config import read_run
    from trainer.drawing import draw, load_trained, trained_base, trained_lora
    from trainer.loras import add_loras, check_prompt, read_lora
    from trainer.recipe import Drawn, write_png
    from trainer.samplers import check_steps, find_sampler
    from trainer.source import find_source, named

    options["sampler"] = find_sampler(options["sampler"])
    check_steps(options["sampler"], options["steps"])
    check_prompt(prompt)
    options["clip_skip"] = options["clip_skip"] or read_run(run).training.clip_skip
    source = find_source(image, mask, strength)
    parts, trained = load_trained(run, 0 if base_only else step)
    added = [read_lora(text) for text in loras]
    add_loras(parts, added)
    options["loras"] = trained_lora(run, trained) | {lora.name: lora.weight for lora in added}
    options |= {"image": named(image), "mask": named(mask), "strength": strength}
    options |= {"base": parts.base.fingerprint()[:10], "model": trained_base(run, trained) or parts.base.name}
    about = Drawn(prompt, seed, trained=trained, **options)
    drawn = [replace(about, seed=seed + number) for number in range(count)]
    folder = to or run / "samples"
    for picture, about in zip(draw(parts, drawn, size, source, batch_size), drawn, strict=True):
        write_png(picture, folder / about.file_name, about)
    files = [str(folder / about.file_name) for about in drawn]
    return {"step": trained, "pictures": files}, "\n".join(files)
