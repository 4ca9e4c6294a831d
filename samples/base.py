"""Trains the tiny base model of the samples, on drawn pictures only.

    python samples/base.py --work build/base --to samples/base-model

Run again, it goes on where it stopped.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path

import click
from tiny import assemble, autoencoder, denoiser, words
from tiny.autoencoder import Progress
from tiny.pictures import draw_set

log = logging.getLogger("base")


def reported(name: str, every: int, training: Iterable[Progress]) -> Iterator[Progress]:
    """Passes progress on and logs a running mean of the loss."""
    mean: float | None = None
    for progress in training:
        mean = progress.loss if mean is None else 0.98 * mean + 0.02 * progress.loss
        if progress.step % every == 0:
            log.info("%s step %d loss %.4f, %.2f s a step", name, progress.step, mean, progress.seconds)
        yield progress


def train_all(work: Path, *, pictures: int, vae_steps: int, steps: int, batch: int, seed: int) -> None:
    """Draws, trains the autoencoder, then the UNet with its text encoder; all kept in `work`."""
    work.mkdir(parents=True, exist_ok=True)
    drawings = draw_set(work, pictures, seed)
    if not (work / "tokenizer").exists():
        words.write_tokenizer(drawings.captions, work / "tokenizer")
    for _ in reported("autoencoder", 50, autoencoder.train(drawings, work, vae_steps, 16, seed)):
        pass
    latents, scale = denoiser.encode(autoencoder.load(work), drawings.pictures, work)
    log.info("latents %s, scaling factor %.4f", tuple(latents.shape), scale)
    for progress in reported("unet", 50, denoiser.train(latents, drawings, work, steps, batch, seed)):
        if progress.step % 1000 == 0:
            assemble.sheet(assemble.pipeline(work)).save(work / f"preview-{progress.step}.png")


@click.command(help="Train the tiny base model on drawn pictures.")
@click.option("--work", type=click.Path(path_type=Path), required=True, help="Where drawings and checkpoints are kept.")
@click.option("--to", type=click.Path(path_type=Path), required=True, help="Where the finished model goes.")
@click.option("--pictures", default=40_000, show_default=True)
@click.option("--vae-steps", default=4100, show_default=True)
@click.option("--steps", default=12_000, show_default=True, help="Of the UNet.")
@click.option("--batch", default=32, show_default=True)
@click.option("--seed", default=1, show_default=True)
def main(work: Path, to: Path, pictures: int, vae_steps: int, steps: int, batch: int, seed: int) -> None:
    work.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(filename=work / "base.log", level=logging.INFO, format="%(asctime)s %(message)s")
    train_all(work, pictures=pictures, vae_steps=vae_steps, steps=steps, batch=batch, seed=seed)
    pipe = assemble.pipeline(work)
    to.mkdir(parents=True, exist_ok=True)
    assemble.sheet(pipe).save(to / "preview.jpg", quality=90)
    print(f"{to}: {assemble.save(pipe, work, to) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
