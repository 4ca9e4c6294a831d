"""Draws the sample franchise: examples to fit sorters on, a heap to sort, and the truth about it.

python samples/franchise.py --to build/lantern-bay --seed 7
"""

from __future__ import annotations

import csv
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from multiprocessing import get_context
from pathlib import Path, PurePosixPath
from random import Random

import click
from drawing.blur import blurred
from drawing.scene import draw_shot
from lantern_bay import HEAP, TWINS, Frame, axes, examples, heap, showcase
from PIL import Image

SIZE = (1280, 720)
COLUMNS = ["path", "sha256", "character", "pose", "expression", "direction", "blur", "reason"]
NOTES = b"Scenes to ask the studio for again: the ferry at dusk, the lamp room, the long stairs.\n"


@dataclass(frozen=True, slots=True)
class Drawn:
    """How much was written."""

    examples: int
    heap: int


def draw(frame: Frame) -> Image.Image:
    """The frame at 1280 x 720."""
    random = Random(frame.seed)
    picture = draw_shot(frame.shot, SIZE, random)
    return blurred(picture, random) if frame.blurry else picture


def encode(frame: Frame) -> bytes:
    """The frame's file, the same bytes for the same seed and Pillow."""
    out = BytesIO()
    kind = {".jpg": "JPEG", ".png": "PNG", ".webp": "WEBP"}[frame.suffix]
    quality = {} if kind == "PNG" else {"quality": 90}
    draw(frame).save(out, kind, **quality)
    return out.getvalue()


def encode_all(frames: Sequence[Frame], jobs: int) -> list[bytes]:
    """Every frame's file, drawn by several processes."""
    if jobs == 1:
        return [encode(frame) for frame in frames]
    with get_context("spawn").Pool(jobs) as pool:
        return pool.map(encode, frames, chunksize=8)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def write_examples(to: Path, frames: Sequence[Frame], files: Sequence[bytes]) -> None:
    """`to/AXIS/CLASS/*.jpg`; a picture stands under each axis that it is an example for."""
    for number, (frame, content) in enumerate(zip(frames, files, strict=True)):
        for axis in axes(frame):
            _write(to / axis / frame.labels[axis] / f"{frame.character}_{number:03d}.jpg", content)


def _names(random: Random) -> list[PurePosixPath]:
    """Names as an extractor of frames gives them, a few episodes and a trailer."""
    folders = ["ep01"] * 110 + ["ep02"] * 100 + ["ep03"] * 60 + ["extras/trailer"] * (HEAP - 270)
    names, at = [], 0
    for folder in folders:
        at += random.randint(3, 90)
        names.append(PurePosixPath(folder) / f"{PurePosixPath(folder).name}_{at:06d}.jpg")
    random.shuffle(names)
    return names


def write_heap(to: Path, frames: Sequence[Frame], files: Sequence[bytes], seed: int) -> None:
    """`to/heap` with twins and two files that cannot be read, and `to/truth.csv`."""
    random = Random(f"names-{seed}")
    names = _names(random)
    rows: list[dict[str, str]] = []

    def put(content: bytes, suffix: str, labels: dict[str, str], reason: str = "") -> None:
        path = names.pop().with_suffix(suffix)
        _write(to / "heap" / path, content)
        sha256 = hashlib.sha256(content).hexdigest()
        rows.append({"path": str(path), "sha256": sha256, **labels, "reason": reason})

    for frame, content in zip(frames, files, strict=True):
        put(content, frame.suffix, frame.labels)
    for number in random.sample(range(len(frames)), TWINS):
        put(files[number], frames[number].suffix, frames[number].labels)
    nothing = dict.fromkeys(COLUMNS[2:7], "")
    whole = next(content for frame, content in zip(frames, files, strict=True) if frame.suffix == ".jpg")
    put(whole[: len(whole) * 2 // 5], ".jpg", nothing, "truncated")
    names[-1] = PurePosixPath("ep01/notes.jpg")
    put(NOTES, ".png", nothing, "not a picture")
    with (to / "truth.csv").open("w", newline="", encoding="utf-8") as out:
        table = csv.DictWriter(out, COLUMNS, lineterminator="\n")
        table.writeheader()
        table.writerows(sorted(rows, key=lambda row: row["path"]))


def write_pictures(to: Path, seed: int) -> None:
    """A dozen scenes, small, named by their labels."""
    for frame in showcase(seed):
        out = BytesIO()
        draw(frame).resize((640, 360), Image.Resampling.LANCZOS).save(out, "JPEG", quality=88)
        _write(to / f"{frame.title}.jpg", out.getvalue())


def write_franchise(to: Path, seed: int = 7, jobs: int = 2) -> Drawn:
    """Examples, heap and truth under `to`."""
    fit_on, incoming = examples(seed), heap(seed)
    files = encode_all([*fit_on, *incoming], jobs)
    write_examples(to / "examples", fit_on, files[: len(fit_on)])
    write_heap(to, incoming, files[len(fit_on) :], seed)
    return Drawn(len(fit_on), HEAP)


@click.command(help="Draw the sample franchise Lantern Bay.")
@click.option("--to", type=click.Path(path_type=Path), help="Folder for examples/, heap/ and truth.csv.")
@click.option("--pictures", type=click.Path(path_type=Path), help="Folder for a dozen small scenes to look at.")
@click.option("--seed", default=7, show_default=True)
@click.option("--jobs", default=min(4, os.cpu_count() or 1), show_default=True, help="Processes.")
def main(to: Path | None, pictures: Path | None, seed: int, jobs: int) -> None:
    if pictures is not None:
        write_pictures(pictures, seed)
        print(f"a dozen scenes in {pictures}")
    if to is not None:
        drawn = write_franchise(to, seed, jobs)
        print(f"{drawn.examples} examples and a heap of {drawn.heap} in {to}")


if __name__ == "__main__":
    main()
