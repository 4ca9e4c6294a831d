"""The drawn training set: 64 x 64 pictures in one array, where the heads are, and the parts of their captions."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from random import Random

import numpy as np
from drawing import DIRECTIONS, EXPRESSIONS, PLACES, POSES, Act, Look, Place
from drawing.scene import Shot, draw_shot_with_head
from people import anyone
from PIL import Image

from sorter.dataset.croppers.subject import HIGH

SIZE = 64
FRAME = (256, 144)
HEADS = 2.4
"""The side of a picture in heads, as in samples/scheme.toml."""
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
        balanced: np.ndarray = (weights / weights.mean((1, 2), keepdims=True)).astype(np.float32)
        return balanced


def draw_one(seed: int, number: int) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """One picture (64, 64, 3) uint8, its head's box and its caption in comma parts, the subject first."""
    random = Random(f"base-{seed}-{number}")
    look = anyone(random)
    act = Act(random.choice(POSES), random.choice(EXPRESSIONS), random.choice(DIRECTIONS))
    place = random.choice(PLACES)
    picture, head = draw_framed(look, act, place, random)
    return np.asarray(picture), head, [look.words, *act.words.split(", "), place]


def draw_framed(look: Look, act: Act, place: Place, random: Random) -> tuple[Image.Image, np.ndarray]:
    """A frame of the franchise's kind, cut about the head as samples/scheme.toml has it, and the head's box in that.

    With heads of one size in one place, a small network learns faces from a tenth of the pictures. The cut is a little
    off each time, as a locator's is.
    """
    height = random.uniform(0.58, 0.94)
    aside, floor = random.uniform(-0.2, 0.2) * (1.3 - height), random.uniform(0.93, 0.98)
    shot = Shot(look, act, place, height=height, aside=aside, floor=floor)
    # The backdrop is hazy so that the small autoencoder spends itself on the figure.
    frame, head = draw_shot_with_head(shot, FRAME, random, oversample=3, haze=1.5)
    side = min(FRAME[1], HEADS * max(head[2] - head[0], head[3] - head[1]) * random.uniform(0.96, 1.04))
    left = (head[0] + head[2]) / 2 - side / 2 + side * random.uniform(-0.02, 0.02)
    top = (head[1] + head[3]) / 2 - HIGH["mid"] * side + side * random.uniform(-0.02, 0.02)
    left, top = (min(max(0.0, low), most - side) for low, most in zip((left, top), FRAME, strict=True))
    box = (np.array(head) - (left, top, left, top)) * SIZE / side
    picture = frame.resize((SIZE, SIZE), Image.Resampling.LANCZOS, (left, top, left + side, top + side))
    return picture, np.clip(np.round(box), 0, SIZE).astype(np.uint8)


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
