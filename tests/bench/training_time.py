"""How near `trainer check`'s estimate of time is to what steps take on the CPU.

    python -m tests.bench.training_time

On one thread, in seconds of the processor, so that what else the machine does counts for little. The sample's base as
it is, then a network of Stable Diffusion's shape and a quarter of its size, at random: at 256 and 512 pixels.
"""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

BASE = Path(__file__).parents[2] / "samples" / "base-model"
LORA = {"use": "lora", "rank": 16}
SMALL: list[tuple[int, dict[str, Any], dict[str, Any]]] = [
    (64, LORA, {"batch_size": 4}),
    (64, LORA, {"batch_size": 16}),
    (64, LORA, {"batch_size": 16, "gradient_checkpointing": True}),
    (64, {"use": "full"}, {"batch_size": 8}),
    (64, {"use": "full"}, {"batch_size": 8, "optimizer": "prodigy", "learning_rate": 1}),
    (64, {"use": "inversion", "token": "lbay-word", "initial_text": "girl"}, {"batch_size": 8}),
]
LARGE: list[tuple[int, dict[str, Any], dict[str, Any]]] = [
    (256, LORA, {"batch_size": 2}),
    (256, LORA, {"batch_size": 2, "precision": "bf16"}),
    (256, {"use": "full"}, {"batch_size": 2}),
    (512, LORA, {"batch_size": 1}),
    (512, LORA, {"batch_size": 1, "gradient_checkpointing": True}),
]


def main() -> None:
    """Print each case."""
    import torch

    torch.set_num_threads(1)
    for case in SMALL:
        show(BASE, *case, steps=10)
    with TemporaryDirectory() as folder:
        base = quarter_of_sd_15(Path(folder))
        for case in LARGE:
            show(base, *case, steps=3)


def show(base: Path, side: int, method: dict[str, Any], training: dict[str, Any], steps: int) -> None:
    """Print one case."""
    guess, took, checking = measure(base, side, method, training, steps)
    said = ", ".join(f"{key} {value}" for key, value in training.items())
    off = f"{guess:.3g} s a step, measured {took:.3g} s, off by {guess / took - 1:+.0%}"
    print(f"{side} px, {method['use']}, {said}: {off} (told in {checking:.1f} s)", flush=True)


def measure(
    folder: Path, side: int, method: dict[str, Any], training: dict[str, Any], steps: int
) -> tuple[float, float, float]:
    """Seconds of a step, estimated and taken, and those that the estimate took."""
    import torch

    from trainer.base import read_base
    from trainer.config import Run
    from trainer.dataset import Dataset, Example
    from trainer.duration import estimate
    from trainer.load import load_parts
    from trainer.loop import initial_state, seeded, train
    from trainer.methods import Batch

    paths = {"base": folder, "dataset": Path("x"), "output": Path("y")}
    config = Run.model_validate({**paths, "method": method, "training": {"steps": steps, **training}})
    pictures = Dataset(Path("x"), (Example(Path("x/a.png"), "", (side, side), "mira"),), ())
    began = time.process_time()
    guess = estimate(config, pictures, pictures, time.process_time).step
    checking = time.process_time() - began
    base = read_base(folder)
    parts, chosen = load_parts(base, config.training.precision, "cpu"), config.build_method()
    seeded(0, 0)
    state = initial_state(parts, chosen.prepare(parts), config.training)
    if config.training.gradient_checkpointing:
        parts.checkpoint_gradients()
    latents, count = side // base.factor, config.training.batch_size
    batch = Batch(torch.zeros(count, 2 * base.channels, latents, latents), ("mira",) * count)
    parts.encode_text(["mira"])
    walk = train(parts, chosen, [[batch]] * steps, state, config.training)
    laps = [time.process_time(), *(time.process_time() for _ in walk)]
    took = [after - before for before, after in pairwise(laps)]
    return guess, median(took[1:]), checking


def quarter_of_sd_15(folder: Path) -> Path:
    """A base with a U-Net of its shape, half as wide, and random weights; all else but the autoencoder is the sample's.

    Raises OSError where there is no room for a gigabyte.
    """
    import shutil

    import diffusers
    import torch

    untyped: Any = diffusers
    base = folder / "base"
    shutil.copytree(BASE, base, ignore=shutil.ignore_patterns("unet", "vae"))
    torch.manual_seed(0)
    untyped.UNet2DConditionModel(
        block_out_channels=(160, 320, 640, 640), cross_attention_dim=96, sample_size=64
    ).save_pretrained(base / "unet")
    kinds = {"down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4}
    untyped.AutoencoderKL(
        latent_channels=4, block_out_channels=(32, 64, 128, 128), layers_per_block=2, sample_size=512, **kinds
    ).save_pretrained(base / "vae")
    return base


if __name__ == "__main__":
    main()
