"""Pictures with what was trained in a run folder."""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image

from trainer.checkpoint import find_checkpoint, step_of
from trainer.config import Run, read_run
from trainer.load import load_parts
from trainer.parts import Parts
from trainer.recipe import Drawn
from trainer.sample import sample
from trainer.source import Source


def load_trained(folder: Path, step: int | None = None, device: str | None = None) -> tuple[Parts, int]:
    """The parts as trained in a run folder at `step` (none: the last checkpoint), and that step. Step 0 is the base.

    Raises CheckpointError where there is no such checkpoint.
    """
    config = read_run(folder)
    checkpoint = None if step == 0 else find_checkpoint(folder / "checkpoints", step)
    parts = load_parts(config.open_base(), _drawing_precision(config), device, at_rest=True)
    if checkpoint:
        config.build_method(str(folder)).load(parts, checkpoint / "trained")
    if config.training.half_frozen and parts.dtype != torch.float32:
        parts.halve_frozen()
    parts.stay("unet")
    return parts, step_of(checkpoint) if checkpoint else 0


def trained_lora(folder: Path, step: int) -> dict[str, float]:
    """The name of the LoRA that a run folder holds of `step`, as A1111 finds it, and its weight; none of step 0."""
    config = read_run(folder)
    return {_file_of(config, step): 1.0} if step and config.build_method(str(folder)).is_lora else {}


def trained_base(folder: Path, step: int) -> str | None:
    """The name of the base that a run folder holds of `step`, where it holds one and not what is put on top of one."""
    config = read_run(folder)
    return _file_of(config, step) if step and config.build_method(str(folder)).is_base else None


def _file_of(config: Run, step: int) -> str:
    """The name of the file in `trained`, or of that in a checkpoint's, without its ending."""
    name = config.build_method().stem(config.output.name)
    return name if step == config.training.steps else f"{name}-step{step:08d}"


def draw(
    parts: Parts,
    drawn: list[Drawn],
    size: tuple[int, int] | None = None,
    source: Source | None = None,
    batch_size: int = 8,
) -> list[Image.Image]:
    """Draw the pictures that are described, so many at once; all but prompts and seeds are those of the first."""
    if not drawn:
        return []
    return sample(
        parts,
        [picture.prompt for picture in drawn],
        [picture.seed for picture in drawn],
        steps=drawn[0].steps,
        guidance=drawn[0].guidance,
        sampler=drawn[0].sampler,
        emphasis=drawn[0].emphasis,
        clip_skip=drawn[0].clip_skip,
        source=source,
        batch_size=batch_size,
        negative=drawn[0].negative,
        size=size,
    )


def _drawing_precision(config: Run) -> str:
    """fp16 is only for GPUs, and a run may be looked at on another machine."""
    return "auto" if config.training.precision == "fp16" else config.training.precision
