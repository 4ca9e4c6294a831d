"""64 x 64 pictures to 16 x 16 latents and back: training, encoding, a look at the result."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from math import cos, pi
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import keep
from .pictures import SIZE, Drawings

if TYPE_CHECKING:
    import torch

CHANNELS = 8
CELL = 4
"""Pixels a latent, along one side."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What a training step says of itself."""

    step: int
    loss: float
    seconds: float


def rate(step: int, steps: int, top: float, warm: int = 100) -> float:
    """A warm-up, then a cosine down to a fiftieth of `top`."""
    if step < warm:
        return top * (step + 1) / warm
    done = (step - warm) / max(1, steps - warm)
    return top * (0.02 + 0.98 * 0.5 * (1 + cos(pi * min(1.0, done))))


def build() -> Any:
    """An AutoencoderKL of about one million parameters."""
    from diffusers import AutoencoderKL

    return AutoencoderKL(  # type: ignore[no-untyped-call]
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(32, 48, 80),
        layers_per_block=1,
        latent_channels=CHANNELS,
        norm_num_groups=8,
        sample_size=SIZE,
    )


def pixels(pictures: np.ndarray) -> torch.Tensor:
    """(n, 64, 64, 3) uint8 to (n, 3, 64, 64) floats from -1 to 1."""
    import torch

    flat = torch.from_numpy(np.array(pictures))  # a copy: the set is mapped read-only
    return flat.permute(0, 3, 1, 2).float().div(127.5).sub(1).contiguous(memory_format=torch.channels_last)


def recolour(batch: torch.Tensor, generator: np.random.Generator) -> torch.Tensor:
    """Half of a batch in colours that nobody drew, so that new characters keep theirs.

    An autoencoder that sees few colours learns them by heart and turns teal hair blue.
    """
    import torch

    half = len(batch) // 2
    order = torch.from_numpy(generator.permutation(3))
    gain = torch.from_numpy(generator.uniform(0.6, 1.1, (half, 3, 1, 1))).float()
    shift = torch.from_numpy(generator.uniform(-0.2, 0.2, (half, 3, 1, 1))).float()
    strange = (batch[:half, order] * gain + shift).clamp(-1, 1)
    return torch.cat([strange, batch[half:]]).contiguous(memory_format=torch.channels_last)


def _loss(vae: Any, batch: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Distance of pixels and of their differences: the second keeps lines crisp. weights: (n, 1, h, w)."""
    import torch

    with torch.autocast("cpu", torch.bfloat16):
        posterior = vae.encode(batch).latent_dist
        decoded = vae.decode(posterior.sample()).sample
    decoded = decoded.float()
    error = decoded - batch
    down = ((error[..., 1:, :] - error[..., :-1, :]).abs() * weights[..., 1:, :]).mean()
    across = ((error[..., 1:] - error[..., :-1]).abs() * weights[..., 1:]).mean()
    loss: torch.Tensor = (error.abs() * weights).mean() + 0.5 * (down + across) + 1e-6 * posterior.kl().mean()
    return loss


def train(drawings: Drawings, work: Path, steps: int, batch: int, seed: int) -> Iterator[Progress]:
    """Trains or continues; leaves `vae.pt` in `work`."""
    import torch

    torch.manual_seed(seed)
    vae = build().to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(vae.parameters(), lr=1e-3, betas=(0.9, 0.99), weight_decay=1e-4)
    average = keep.Average([vae], 0.995)
    start = 0
    if state := keep.load(work / "vae.pt"):
        vae.load_state_dict(state["live"])
        optimiser.load_state_dict(state["optimiser"])
        average.shadow = state["shadow"]
        start = state["step"]
    for step in range(start, steps):
        began = time.perf_counter()
        for group in optimiser.param_groups:
            group["lr"] = rate(step, steps, 1.5e-3)
        generator = np.random.default_rng((seed, step))
        chosen = np.sort(generator.integers(0, len(drawings.pictures), batch))
        generator.shuffle(chosen)
        weights = torch.from_numpy(drawings.weights(chosen, 1))[:, None]
        loss = _loss(vae, recolour(pixels(drawings.pictures[chosen]), generator), weights)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimiser.step()
        average.update(step)
        if (step + 1) % 100 == 0 or step + 1 == steps:
            average.swap()
            shown = {name: value.clone() for name, value in vae.state_dict().items()}
            average.swap()
            keep.save(
                work / "vae.pt",
                {
                    "step": step + 1,
                    "live": vae.state_dict(),
                    "model": shown,
                    "shadow": average.shadow,
                    "optimiser": optimiser.state_dict(),
                },
            )
        yield Progress(step + 1, loss.item(), time.perf_counter() - began)


def load(work: Path) -> Any:
    """The averaged autoencoder as last saved."""
    state = keep.load(work / "vae.pt")
    if state is None:
        raise FileNotFoundError(f"{work / 'vae.pt'}: train the autoencoder first")
    vae = build()
    vae.load_state_dict(state["model"])
    return vae.eval()
