"""Training pictures that their captions help least: often the caption is wrong.

A picture's loss says mostly how much there is in it: with a fifth of the sample's captions exchanged, it ranked 0.62 of
pairs of a right and a wrong one rightly. The loss by the caption against that by none, which says what the caption is
worth, ranked 0.93.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from sorter.files import read_file, write
from trainer.config import Run
from trainer.dataset import Dataset
from trainer.evaluate.drawing import FOLDER, Model
from trainer.evaluate.judge import Show
from trainer.evaluate.losses import losses_of, some_of

MOST = 200
"""Pictures that are looked at."""
FEW = 0.25
"""The share of all captions that may be wrong."""
FILE = "captions.json"
VERSION = "1"
"""Counted up when what is kept would come out otherwise."""


class Captioned(NamedTuple):
    """A training picture."""

    path: Path
    caption: str
    gain: float
    """The share of its loss without a caption that the caption saves; below 0 it does harm."""


def by_gain(run: Path, config: Run, dataset: Dataset, model: Model, show: Show) -> list[Captioned]:
    """Training pictures, those that their captions help least first; kept beside the model's pictures.

    Raises what `load_trained` and `losses_of` raise.
    """
    path, key = run / FOLDER / model.folder / FILE, f"{VERSION} {dataset.fingerprint()}"
    gains = _read(path, key)
    if gains is None:
        gains = _gains(run, config, dataset, model, show)
        write(path, json.dumps({"key": key, "gains": gains}).encode())
    found = [Captioned(one.path, one.caption, gains[one.sha256]) for one in dataset.examples if one.sha256 in gains]
    return sorted(found, key=lambda one: one.gain)


def _gains(run: Path, config: Run, dataset: Dataset, model: Model, show: Show) -> dict[str, float]:
    from trainer.drawing import load_trained

    parts, told_of = load_trained(run, model.step)[0], config.build_method(str(run)).told
    # What is told nothing of its caption has none to be judged.
    examples = [one for one in some_of(dataset, MOST) if told_of(one.caption) != told_of("")]
    show("comparing captions", 0, 2)
    told = losses_of(parts, config, dataset, examples)
    show("comparing captions", 1, 2)
    untold = losses_of(parts, config, dataset, [replace(one, caption="") for one in examples])
    return {sha256: 1 - loss / untold[sha256] for sha256, loss in told.items() if untold.get(sha256)}


def _read(path: Path, key: str) -> dict[str, float] | None:
    with suppress(OSError, ValueError, KeyError, TypeError):
        kept = json.loads(read_file(path))
        if kept["key"] == key:
            return {sha256: float(gain) for sha256, gain in kept["gains"].items()}
    return None


def harmful(found: Sequence[Captioned]) -> list[Captioned]:
    """Those whose captions make the loss no smaller; none where that is so of many, since little was learnt then."""
    none = [one for one in found if one.gain <= 0]
    return none if len(none) <= FEW * len(found) else []
