"""What `sorter coverage` costs on a library of 100,000 pictures and 5 axes, with a look at each of its 200,000 files.

python -m tests.bench.coverage
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sorter.commands.job import Job
from sorter.records import Label, Picture, Text

PICTURES = 100_000
AXES = {"character": 8, "pose": 12, "expression": 10, "direction": 3, "shot": 4}
"""Axis -> how many classes it has."""
BAR = 15.0
"""Seconds."""


def main() -> None:
    """Make the library, and count it in a process of its own."""
    with tempfile.TemporaryDirectory() as name:
        fill(Path(name) / "library")
        for page in ("", "page"):
            command = [sys.executable, "-m", "tests.bench.coverage", name, page]
            print(subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip(), f"(bar: {BAR} s)")


def count(folder: Path, page: str) -> None:
    """Count the library, and print seconds and megabytes."""
    from sorter.commands.coverage import coverage
    from sorter.commands.coverage_page import write_page
    from sorter.commands.coverage_text import lines_of
    from sorter.library.store.manifest import Manifest
    from tests.bench.scale import memory

    started = time.perf_counter()
    with Manifest(folder / "library", dry_run=True) as manifest:
        found = coverage(manifest, job())
        lines_of(found, folder, False)
        if page:
            write_page(found, manifest, folder / "page.html")
    seconds = time.perf_counter() - started
    what = f"{found.numbers.pictures:,} pictures, {len(AXES)} axes, {len(found.gaps):,} gaps{', page' if page else ''}"
    print(f"{what}: {seconds:.1f} s, {memory()} MB")


def fill(library: Path) -> None:
    """A library with all its files: pictures of a few bytes, captions as they should be."""
    from sorter.library.store.contents import Placed
    from sorter.library.store.manifest import Manifest

    one = job()
    with Manifest(library, create=True) as manifest, manifest.change():
        for picture, labels in _pictures():
            manifest.add_picture(picture, labels)
            placed = []
            for output in one.layout(one.decide(picture, labels)):
                data = (
                    output.content.text.encode() if isinstance(output.content, Text) else bytes.fromhex(picture.sha256)
                )
                path = library / output.path
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
                placed.append(Placed(output, hashlib.sha256(data).hexdigest(), len(data), path.stat().st_mtime_ns))
            manifest.set_placed(*placed)


def job() -> Job:
    """A scheme of these axes, whose sorters are not asked."""
    from sorter.dataset.croppers import Whole
    from sorter.library.caption import captioner_of
    from sorter.library.layout import class_folders
    from sorter.scheme import Axis, Scheme

    class Sources:
        asked: Mapping[str, Any] = {}

        def sources(self) -> dict[str, str]:
            return dict.fromkeys(AXES, "a sorter")

        def told(self, labels: Any) -> Any:
            return labels

        def labels(self) -> dict[str, tuple[str, ...]]:
            return {axis: tuple(f"{axis}_{number}" for number in range(count)) for axis, count in AXES.items()}

    classes = Sources().labels()
    axes = {axis: Axis(model=axis) for axis in AXES}
    scheme = Scheme(name="large", trigger="lbay", folders="{character}/{pose}", axes=axes)
    layout = class_folders(scheme, classes, captioner_of(scheme, labels=classes))
    return Job(scheme, Sources(), layout, {}, Whole(), classes)  # type: ignore[arg-type]


def _pictures() -> Iterator[tuple[Picture, tuple[Label, ...]]]:
    """Classes of falling frequency, as they are in films; one picture in ten is in doubt."""
    draw = np.random.default_rng(0)
    drawn = {}
    for axis, count in AXES.items():
        weights = 1 / np.arange(1, count + 1)
        drawn[axis] = draw.choice(count, PICTURES, p=weights / weights.sum())
    sure = draw.uniform(size=PICTURES) > 0.1
    for number in range(PICTURES):
        if (drawn["character"][number] + drawn["pose"][number]) % 7 == 6:  # so that there are gaps
            continue
        sha256 = hashlib.sha256(number.to_bytes(4, "big")).hexdigest()
        path = f"/frames/episode_{number // 2000:03}/frame_{number % 2000:05}.jpg"
        labels = [
            Label(axis, f"{axis}_{drawn[axis][number]}", 0.9 if sure[number] else 0.3, "a sorter") for axis in AXES
        ]
        yield Picture(sha256, path, 1920, 1080, "JPEG"), tuple(labels)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        count(Path(sys.argv[1]), sys.argv[2])
    else:
        main()
