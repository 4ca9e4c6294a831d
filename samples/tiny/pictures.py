"""The drawn training set: 64 x 64 pictures in one array, and the parts of their captions."""

from __future__ import annotations

import json
import os
from multiprocessing import get_context
from pathlib import Path
from random import Random

import numpy as np
from drawing import DIRECTIONS, EXPRESSIONS, PLACES, POSES, Act
from drawing.scene import Shot, draw_shot
from people import anyone

SIZE = 64
CHUNK = 500


def draw_one(seed: int, number: int) -> tuple[np.ndarray, list[str]]:
    """One picture (64, 64, 3) uint8 and its caption in comma parts, the subject first."""
    random = Random(f"base-{seed}-{number}")
    look = anyone(random)
    act = Act(random.choice(POSES), random.choice(EXPRESSIONS), random.choice(DIRECTIONS))
    place = random.choice(PLACES)
    shot = Shot(
        look, act, place,
        height=random.uniform(0.78, 0.98), aside=random.uniform(-0.05, 0.05), floor=random.uniform(0.95, 0.98),
    )  # fmt: skip
    # The backdrop is hazy so that the small autoencoder spends itself on the figure.
    picture = draw_shot(shot, (SIZE, SIZE), random, oversample=4, haze=0.7)
    return np.asarray(picture), [look.words, *act.words.split(", "), place]


def _chunk(job: tuple[int, int, int]) -> tuple[np.ndarray, list[list[str]]]:
    seed, start, count = job
    drawn = [draw_one(seed, start + n) for n in range(count)]
    return np.stack([picture for picture, _ in drawn]), [parts for _, parts in drawn]


def draw_set(work: Path, count: int, seed: int, jobs: int = 2) -> tuple[np.ndarray, list[list[str]]]:
    """The whole set, drawn on the first call and read from `work` afterwards."""
    array, words = work / f"pictures-{count}.npy", work / f"captions-{count}.json"
    if not words.exists():
        todo = [(seed, start, min(CHUNK, count - start)) for start in range(0, count, CHUNK)]
        with get_context("spawn").Pool(jobs) as pool:
            chunks = pool.map(_chunk, todo)
        part = array.with_suffix(".part")
        with part.open("wb") as out:
            np.save(out, np.concatenate([pictures for pictures, _ in chunks]))
        os.replace(part, array)
        words.write_text(json.dumps([parts for _, lines in chunks for parts in lines]))
    parts: list[list[str]] = json.loads(words.read_text())
    return np.load(array, mmap_mode="r"), parts
