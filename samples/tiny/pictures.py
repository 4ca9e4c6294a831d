"""The drawn training set: 64 x 64 pictures in one array, where the heads are, and the parts of their captions."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from random import Random

import numpy as np
from drawing import DIRECTIONS, EXPRESSIONS, PLACES, POSES, Act
from drawing.scene import Shot, draw_shot_with_head
from people import anyone

SIZE = 64
CHUNK = 500


@dataclass(frozen=True, slots=True)
class Drawings:
    """The whole set."""

    pictures: np.ndarray  # (n, 64, 64, 3) uint8, mapped from the disk
    heads: np.ndarray  # (n, 4) uint8: left, top, right, bottom in pixels
    captions: list[list[str]]

    def weights(self, numbers: np.ndarray, cell: int) -> np.ndarray:
        """How much each cell of `cell` pixels counts in the loss of these pictures, (n, side, side), one on average.

        A face is a tenth of the picture and says a quarter of the caption, so a head counts six times.
        """
        middles = np.arange(cell / 2, SIZE, cell)
        left, top, right, bottom = self.heads[numbers].astype(np.float32).T[..., None]
        across = (middles >= left - cell / 2) & (middles <= right + cell / 2)
        down = (middles >= top - cell / 2) & (middles <= bottom + cell / 2)
        weights = 1.0 + 5.0 * (down[:, :, None] & across[:, None, :])
        return (weights / weights.mean((1, 2), keepdims=True)).astype(np.float32)


def draw_one(seed: int, number: int) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """One picture (64, 64, 3) uint8, its head's box and its caption in comma parts, the subject first."""
    random = Random(f"base-{seed}-{number}")
    look = anyone(random)
    act = Act(random.choice(POSES), random.choice(EXPRESSIONS), random.choice(DIRECTIONS))
    place = random.choice(PLACES)
    shot = Shot(
        look, act, place,
        height=random.uniform(0.70, 0.98), aside=random.uniform(-0.09, 0.09), floor=random.uniform(0.86, 0.98),
    )  # fmt: skip
    # The backdrop is hazy so that the small autoencoder spends itself on the figure.
    picture, head = draw_shot_with_head(shot, (SIZE, SIZE), random, oversample=4, haze=0.7)
    box = np.clip(np.round(head), 0, SIZE).astype(np.uint8)
    return np.asarray(picture), box, [look.words, *act.words.split(", "), place]


def _chunk(job: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray, list[list[str]]]:
    seed, start, count = job
    pictures, heads, captions = zip(*(draw_one(seed, start + n) for n in range(count)), strict=True)
    return np.stack(pictures), np.stack(heads), list(captions)


def draw_set(work: Path, count: int, seed: int, jobs: int = 2) -> Drawings:
    """The whole set, drawn on the first call and read from `work` afterwards."""
    array, boxes, words = work / f"pictures-{count}.npy", work / f"heads-{count}.npy", work / f"captions-{count}.json"
    if not words.exists():
        todo = [(seed, start, min(CHUNK, count - start)) for start in range(0, count, CHUNK)]
        with get_context("spawn").Pool(jobs) as pool:
            chunks = pool.map(_chunk, todo)
        _save(array, np.concatenate([pictures for pictures, _, _ in chunks]))
        _save(boxes, np.concatenate([heads for _, heads, _ in chunks]))
        words.write_text(json.dumps([parts for _, _, lines in chunks for parts in lines]))
    return Drawings(np.load(array, mmap_mode="r"), np.load(boxes), json.loads(words.read_text()))


def _save(path: Path, array: np.ndarray) -> None:
    part = path.with_suffix(".part")
    with part.open("wb") as out:
        np.save(out, array)
    os.replace(part, path)
