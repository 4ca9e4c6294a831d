"""Whether what `sorter export --validation` holds out is new: of scenes made from real pictures, frames next to each
other, copies elsewhere, mirrored and compressed again, how many stand on both sides; and what it costs to divide many.

    python -m tests.bench.validation
"""

from __future__ import annotations

import hashlib
import json
import random
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from tests.bench.data import folder as real

SCHEME = 'folders = "{blur}"\n[axes.blur]\nmeasure = "sharpness"\nthreshold = 0.0\n'
NEIGHBOURS, COPIES = 6, 2
"""Frames of a scene, and copies of its first that lie in another folder."""
SHARE, SEEDS = 0.2, 5
MANY = 100_000


def main() -> None:
    """Print how many scenes stand on both sides, by this split and by chance, and the seconds."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scenes = draw(folder / "heap")
        for seed in range(SEEDS):
            parts = held_out(folder, seed)
            of = {part: {name.split("_")[1] for name in names} for part, names in parts.items()}
            count, both = sum(map(len, parts.values())), of["train"] & of["validation"]
            chance = by_chance(sorted({*parts["train"], *parts["validation"]}), len(parts["validation"]), seed)
            print(
                f"seed {seed}: {len(parts['validation'])} of {count} pictures of {scenes} scenes held out, "
                f"{len(both)} scenes on both sides (bar: 0; by chance {chance})"
            )
    print(f"{MANY:,} pictures of 20,000 scenes grouped in {grouped():.1f} s (bar: 60 s)")
    print(f"{MANY:,} pictures of 20,000 scenes and 5 axes divided in {divided():.1f} s (bar: 15 s)")


def draw(heap: Path) -> int:
    """Scenes of real pictures: a person's portrait or a quarter of a film frame each; how many."""
    sources = sorted(real("frames").glob("*.jpg"))
    quarters = [(sources[number], box) for number in (0, 2, 4, 6, 18) for box in ((0, 0), (0, 360))]
    portraits = [min(one.glob("*.png")) for one in sorted(real("cmu_faces").iterdir()) if one.is_dir()]
    pictures = [Image.open(path).convert("RGB").crop((*box, box[0] + 640, box[1] + 360)) for path, box in quarters]
    pictures += [Image.open(path).convert("RGB").resize((512, 480)) for path in portraits]
    chance = random.Random(0)
    for scene, picture in enumerate(pictures):
        for number in range(NEIGHBOURS + COPIES):
            shift = chance.randrange(0, picture.width // 60) if number else 0
            moved = picture.crop((shift, shift, picture.width - 8 + shift // 2, picture.height - 6 + shift // 2))
            made = ImageEnhance.Brightness(moved.resize(picture.size)).enhance(chance.uniform(0.96, 1.04))
            if number >= NEIGHBOURS:
                half = picture.width // 2, picture.height // 2
                made = ImageOps.mirror(picture) if number % 2 else picture.resize(half)
            place = heap / ("elsewhere" if number >= NEIGHBOURS else f"ep{scene % 3}")
            place.mkdir(parents=True, exist_ok=True)
            made.save(place / f"film_{scene:03}_{number}.jpg", quality=chance.randrange(60, 95))
    return len(pictures)


def held_out(folder: Path, seed: int) -> dict[str, list[str]]:
    """Sort and export; part -> names."""
    from sorter.commands.export import export
    from sorter.commands.job import load_job
    from sorter.commands.sort import sort
    from sorter.commands.validation import Validation

    (folder / "scheme.toml").write_text(SCHEME, encoding="utf-8")
    job = load_job(folder / "scheme.toml")
    sort(folder / "heap", folder / "library", job)
    to = folder / f"dataset-{seed}"
    export(folder / "library", to, job, validation=Validation(SHARE, seed))
    tables = {part: (to / part / "metadata.jsonl").read_text(encoding="utf-8") for part in ("train", "validation")}
    return {part: [json.loads(line)["file_name"] for line in text.splitlines()] for part, text in tables.items()}


def by_chance(names: list[str], count: int, seed: int) -> int:
    """Scenes on both sides where so many single pictures are drawn."""
    drawn = set(random.Random(seed).sample(names, count))
    sides: dict[str, set[bool]] = {}
    for name in names:
        sides.setdefault(name.split("_")[1], set()).add(name in drawn)
    return sum(len(one) > 1 for one in sides.values())


def grouped() -> float:
    """Seconds to find which of many pictures are near-identical, mirrored or not."""
    from sorter.fit.folds import joined

    draw = np.random.default_rng(0)
    films = draw.integers(0, 2**64, MANY // 5, np.uint64).repeat(5)
    started = time.perf_counter()
    found = joined(np.arange(MANY), films, draw.integers(0, 2**64, MANY, np.uint64))
    assert len(np.unique(found)) <= MANY // 5
    return time.perf_counter() - started


def divided() -> float:
    """Seconds to divide many pictures."""
    from sorter.dataset.split import Member, divide

    chance = random.Random(0)
    axes: dict[str, Any] = {"character": 8, "pose": 12, "expression": 10, "direction": 3, "shot": 4}
    members = [
        Member(
            hashlib.sha256(str(number).encode()).hexdigest(),
            tuple((axis, f"{axis}_{chance.randrange(many)}") for axis, many in axes.items()),
            number // 5,
        )
        for number in range(MANY)
    ]
    started = time.perf_counter()
    divide(members, 0.1)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
