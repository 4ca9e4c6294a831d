"""What a library of a million files costs: to plan it, to report on it, and to sort an unchanged folder again.

The plan's library is only a manifest: 500,000 pictures with labels on two axes, hence 1,000,000 outputs. The folder
that is sorted again holds real files: 100,000 pictures, each with its caption in the library.

    python -m tests.bench.scale
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

PICTURES, FILES = 500_000, 100_000
AXES = {"mood": ("happy", "sad", "angry", "calm"), "direction": ("left", "right", "front")}
SCHEME = "".join(f"[axes.{name}]\nthreshold = 0.6\n" for name in AXES)


def main() -> None:
    """Print seconds and megabytes, each measured in a process of its own."""
    with tempfile.TemporaryDirectory() as name:
        for part in ("nothing placed", "all placed"):
            seconds, memory, steps = _alone("plan", Path(name), part)
            bars = "bars: 10 s, 2000 MB"
            print(f"plan of {2 * PICTURES:,} outputs, {part}: {steps} steps, {seconds} s, {memory} MB ({bars})")
        seconds, memory, _ = _alone("report", Path(name))
        print(f"report on them: {seconds} s, {memory} MB")
        seconds, memory, files = _alone("first", Path(name))
        print(f"first sort of {FILES:,} tiny pictures: {seconds} s, {memory} MB")
        seconds, memory, files = _alone("again", Path(name))
        print(f"second sort, {files} files unchanged: {seconds} s, {memory} MB  (bar: 15 s)")
        with tempfile.TemporaryDirectory() as other:
            seconds, *_ = _alone("walk", Path(name) / "heap", other)
        print(f"the walk alone: {seconds} s")


def _alone(*arguments: object) -> list[str]:
    command = [sys.executable, "-m", "tests.bench.scale", *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip().split("\t")


def _timed(work: Callable[[], Any]) -> None:
    started = time.perf_counter()
    found = work()
    print(f"{time.perf_counter() - started:.1f}", memory(), found, sep="\t")


def memory() -> int:
    """The most that this process has held, in MB."""
    import resource

    if sys.platform == "linux":  # where getrusage counts what a parent held before this program was started, too
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) >> 10 for line in lines if line.startswith("VmHWM:"))
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most // (1 << 20 if sys.platform == "darwin" else 1 << 10)


def plan(folder: Path, part: str) -> None:
    """Plan a library of which nothing is placed, or all."""
    from sorter.commands.plan import plan
    from sorter.library.store.contents import Placed
    from sorter.library.store.manifest import Manifest
    from sorter.records import Put
    from sorter.tally import Report

    job = _job()
    with Manifest(folder / "large", create=True) as manifest:
        if not manifest.counts()["pictures"]:
            with manifest.change():
                for picture, labels in _pictures():
                    manifest.add_picture(picture, labels)
        if part == "all placed":
            with manifest.change():
                steps = list(plan(manifest, job, Report()))
                manifest.set_placed(*(Placed(step.output, "0" * 64, 1, 1) for step in steps if isinstance(step, Put)))
                del steps
        else:
            _timed(lambda: sum(1 for _ in plan(manifest, job, Report())))
    if part == "all placed":  # in a fresh process, so that only its own memory counts
        print(*_alone("planned", folder), sep="\t")


def planned(folder: Path) -> None:
    """Plan a library of which all is placed."""
    from sorter.commands.plan import plan
    from sorter.library.store.manifest import Manifest
    from sorter.tally import Report

    with Manifest(folder / "large") as manifest:
        job = _job()
        _timed(lambda: sum(1 for _ in plan(manifest, job, Report())))


def report(folder: Path) -> None:
    """Write the report on the planned library, of which no file was really written: each is said to stand as it was.

    A real library costs a look at each of its files beside that (`sorter report` reads what was done by hand).
    """
    from sorter.commands.report import write_report
    from sorter.files import Found
    from sorter.library import survey

    survey.found_at = lambda path: Found(path, 1, 1)  # type: ignore[attr-defined]
    _timed(lambda: write_report(folder / "large", folder / "report.html", _job()).counts["pictures"])


def _job() -> Any:
    """A scheme of two axes, whose sorters are not asked."""
    from sorter.commands.job import Job
    from sorter.dataset.croppers import Whole
    from sorter.library.caption import captioner_of
    from sorter.library.layout import class_folders
    from sorter.scheme import Axis, Class, Scheme

    class Sources:
        asked: Mapping[str, Any] = {}

        def sources(self) -> dict[str, str]:
            return dict.fromkeys(AXES, "a sorter")

        def told(self, labels: Any) -> Any:
            return labels

    turned = {"left": Class(mirror="right"), "right": Class(mirror="left")}
    axes = {"mood": Axis(model="mood"), "direction": Axis(model="direction", canonical="left", classes=turned)}
    scheme = Scheme(name="large", trigger="lbay", folders="{mood}/{direction}", axes=axes)
    return Job(scheme, Sources(), class_folders(scheme, AXES, captioner_of(scheme, labels=AXES)), {}, Whole())  # type: ignore[arg-type]


def _pictures() -> Iterator[tuple[Any, Any]]:
    from sorter.records import Label, Picture

    draw = np.random.default_rng(0)
    moods, sides = draw.integers(0, 4, PICTURES), draw.integers(0, 3, PICTURES)
    scores = draw.uniform(0.4, 1, (PICTURES, 2))
    for number in range(PICTURES):
        sha256 = hashlib.sha256(number.to_bytes(4, "big")).hexdigest()
        path = f"/frames/episode_{number // 2000:03}/frame_{number % 2000:05}.jpg"
        chosen = zip(AXES, (AXES["mood"][moods[number]], AXES["direction"][sides[number]]), scores[number], strict=True)
        labels = [Label(axis, name, float(score), "a sorter") for axis, name, score in chosen]
        yield Picture(sha256, path, 1920, 1080, "JPEG"), labels


def first(folder: Path) -> None:
    """Draw the folder of small pictures and sort it."""
    heap = folder / "heap"
    pixels = np.zeros((16, 16, 3), np.uint8)
    for number in range(FILES):
        path = heap / f"{number // 1000:03}" / f"{number:06}.bmp"
        if number % 1000 == 0:
            path.parent.mkdir(parents=True)
        pixels[0, 0] = number & 255, number >> 8 & 255, number >> 16
        Image.fromarray(pixels).save(path)
    (folder / "scheme.toml").write_text('folders = "{blur}"\n[axes.blur]\nmeasure = "sharpness"\n')
    again(folder)


def again(folder: Path) -> None:
    """Sort the folder of small pictures."""
    from sorter.commands.job import load_job
    from sorter.commands.sort import sort

    job = load_job(folder / "scheme.toml")
    _timed(lambda: sort(folder / "heap", folder / "library", job)[0].counts["files"])


def walk(folder: Path, _: str) -> None:
    """Walk through the folder of small pictures."""
    from sorter.pictures.scan import walk as files

    _timed(lambda: sum(1 for _ in files(folder)))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        what, where, *more = sys.argv[1:]
        globals()[what](Path(where), *more)
    else:
        main()
