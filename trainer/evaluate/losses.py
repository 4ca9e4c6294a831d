"""How well each model of a run tells noise from the pictures it was trained on, and from those that were held out.

Always the same noise and timesteps, so that what differs between models, or between pictures, is not the draw.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sorter.files import read_file, write
from trainer.config import Run
from trainer.dataset import Dataset, Example
from trainer.evaluate.drawing import FOLDER, FULL, Model
from trainer.evaluate.judge import Show

if TYPE_CHECKING:
    from trainer.parts import Parts

MOST = 100
"""Pictures of either part that the models are compared on."""
DRAWS = 8
"""Of noise and timestep for each picture."""
FILE = "losses.json"
VERSION = "1"
"""Counted up when losses would come out otherwise."""


@dataclass(frozen=True, slots=True)
class Losses:
    """The mean loss of pictures by one model: sha256 -> loss."""

    training: Mapping[str, float]
    held_out: Mapping[str, float]

    @property
    def telling(self) -> Mapping[str, float]:
        """Those of held-out pictures; where there are none, of the training's own."""
        return self.held_out or self.training


def all_losses(
    run: Path, config: Run, dataset: Dataset, held_out: Dataset | None, of: Sequence[Model], show: Show
) -> dict[Model, Losses]:
    """Those of each model at full strength; what was computed once is kept beside its pictures.

    Raises what `load_trained` and `losses_of` raise.
    """
    from trainer.drawing import load_trained

    key = " ".join([VERSION, dataset.fingerprint(), held_out.fingerprint() if held_out else ""])
    found: dict[Model, Losses] = {}
    plain = [model for model in of if not model.step or model.strength == FULL]
    for number, model in enumerate(plain):
        folder = run / FOLDER / model.folder
        losses = _read(folder, key)
        if losses is None:
            show("comparing losses", number, len(plain))
            parts, _ = load_trained(run, model.step)
            known, new = (losses_of(parts, config, part, some_of(part)) if part else {} for part in (dataset, held_out))
            losses = Losses(known, new)
            rows = {"key": key, "training": known, "held_out": new}
            write(folder / FILE, json.dumps(rows).encode())
        found[model] = losses
    return found


def some_of(dataset: Dataset, most: int = MOST) -> list[Example]:
    """At most so many of its pictures, evenly spread."""
    examples = dataset.examples
    count = min(most, len(examples))
    return [examples[number * len(examples) // count] for number in range(count)]


def _read(folder: Path, key: str) -> Losses | None:
    """What was kept beside a model's pictures, of the same dataset; None where there is none."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        rows = json.loads(read_file(folder / FILE))
        if rows["key"] == key:
            return Losses(rows["training"], rows["held_out"])
    return None


def losses_of(parts: Parts, config: Run, dataset: Dataset, examples: Sequence[Example]) -> dict[str, float]:
    """The mean loss of each of these pictures of a dataset; those that cannot be read are left out.

    Raises DatasetError where none can, or the cache of latents cannot be written.
    """
    from dataclasses import replace

    import torch

    from trainer.latents import encode
    from trainer.methods import Batch
    from trainer.methods.denoise import denoising_loss

    if not examples:
        return {}
    method, found = config.build_method(), {}
    encoded = encode(parts, replace(dataset, examples=tuple(examples)), config.latents)
    with torch.no_grad(), parts.evaluating():
        for example, moments in zip(encoded.dataset.examples, encoded.moments, strict=True):
            said = (method.told(example.caption),) * DRAWS
            batch = Batch(moments.expand(DRAWS, *moments.shape), said)
            text = parts.encode_text(batch.captions)
            found[example.sha256] = float(denoising_loss(parts, batch, text, torch.Generator().manual_seed(0)))
    return found
