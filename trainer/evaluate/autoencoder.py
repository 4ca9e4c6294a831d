"""Pictures through a base's autoencoder: what the base draws cannot be better than what this leaves of real ones."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from trainer.base import Base, read_base
from trainer.load import load_autoencoder

Pixels = NDArray[np.uint8]


def autoencoder(base: Base | Path) -> Callable[[Pixels], Pixels]:
    """What sends a picture (height, width, 3), RGB, through the autoencoder of a base, or of the one there, and back.

    It takes the means of the latents, in fp32, one picture at a time whoever calls. Raises BaseModelError.
    """
    base = read_base(base) if isinstance(base, Path) else base
    network, lock = load_autoencoder(base), threading.Lock()

    def through(pixels: Pixels) -> Pixels:
        height, width, _ = pixels.shape
        more = [(0, -length % base.factor) for length in (height, width)]
        padded = np.pad(pixels, (*more, (0, 0)), mode="edge").astype(np.float32)
        batch = torch.from_numpy(padded / 127.5 - 1).permute(2, 0, 1)[None].to(network.device)
        with lock, torch.no_grad():
            decoded = network.decode(network.encode(batch).latent_dist.mode(), return_dict=False)[0]
        made = ((decoded[0] / 2 + 0.5).clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy()
        return np.ascontiguousarray(made[:height, :width])

    return through
