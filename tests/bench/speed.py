"""Sorting by four axes against Teachable Machine's loop, and against the least that any sorter must do.

    python -m tests.bench.speed

Real film frames scaled to 1920x1080 JPEG, four real exports. Teachable Machine's loop: each picture opened, decoded,
fitted
and predicted for each model, then copied into its class folder. The bound: as many threads as we use do nothing but
decode and one backbone pass. Both warm; all in one run, since only ratios mean anything.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from tests.bench import data

EXPORTS = ("waste-2023-h5", "arrows-2023-h5", "carlogos-2025-h5", "racecar-2019-h5")
PICTURES, FEW = 1500, 24
ROUNDS = 3


def main() -> None:
    """Print pictures a second and the two ratios."""
    from sorter.commands.job import load_job

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        heap, paths = folder / "heap", frames(folder / "heap")
        scheme = "folders = '{a0}/{a1}/{a2}/{a3}'\n"
        for number, export in enumerate(EXPORTS):
            scheme += f"[axes.a{number}]\nmodel = '{data.folder('tm') / export}'\nthreshold = 0.0\n"
        (folder / "scheme.toml").write_text(scheme)
        job = load_job(folder / "scheme.toml")
        network = next(iter(job.questions.asked.values())).backbone  # type: ignore[union-attr]
        list(bound(network, paths[:8]))
        loop = their_loop(folder / "theirs")
        loop(paths[:2])
        ours, least, theirs = [], [], []
        for number in range(ROUNDS):  # in turn, so that a noisy minute falls on all of them
            theirs.append(rate(lambda: loop(paths[:FEW]), FEW))
            least.append(rate(lambda: list(bound(network, paths)), len(paths)))
            ours.append(rate(lambda: sort(heap, folder / f"library{number}", job), len(paths)))  # noqa: B023
    print(f"Teachable Machine's loop, four models: {max(theirs):7.1f} pictures a second")
    print(f"the bound:                  {max(least):7.1f}")
    print(f"sorter sort, files placed:  {max(ours):7.1f}")
    print(f"against Teachable Machine's loop:  {max(ours) / max(theirs):7.1f} times (bar: 50, goal: 75)")
    print(f"of the bound:               {max(ours) / max(least):7.2f} (bar: 0.85)")


def rate(work: Callable[[], Any], pictures: int) -> float:
    """Pictures a second."""
    started = time.perf_counter()
    work()
    return pictures / (time.perf_counter() - started)


def sort(heap: Path, library: Path, job: Any) -> None:
    """What `sorter sort` does, but for the loading."""
    from sorter.commands.sort import sort

    report, _ = sort(heap, library, job)
    assert report.counts["pictures placed"] == PICTURES, report.counts


def bound(network: Any, paths: list[Path]) -> Any:
    """A scaled decode and one backbone pass a picture, as many threads as cores."""
    from sorter.networks.run import Runners
    from sorter.pictures import images
    from sorter.threads import in_step

    runners = Runners()

    def look(path: Path) -> None:
        data = path.read_bytes()
        picture = images.load_small(data, images.open_picture(data), at_least=2 * network.size)
        runners(network, images.fit_view(picture, network.size))

    return in_step(look, paths)


def their_loop(to: Path) -> Callable[[list[Path]], None]:
    """Teachable Machine's own Python recipe, once for each of the four exports."""
    from sorter.networks.convert import import_keras

    keras, models = import_keras(), []
    for export in EXPORTS:
        folder = data.folder("tm") / export
        labels = [line[2:].strip() for line in (folder / "labels.txt").read_text().splitlines()]
        models.append((keras.models.load_model(folder / "keras_model.h5", compile=False), labels))

    def run(paths: list[Path]) -> None:
        for number, (model, labels) in enumerate(models):
            for path in paths:
                image = ImageOps.fit(Image.open(path).convert("RGB"), (224, 224), Image.Resampling.LANCZOS)
                batch = np.asarray(image, np.float32)[None] / 127.5 - 1
                place = int(model.predict(batch, verbose=0).argmax())
                target = to / str(number) / "".join(char for char in labels[place] if char.isalnum())
                target.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, target / path.name)

    return run


def frames(to: Path, count: int = PICTURES) -> list[Path]:
    """Film frames at 1920x1080, each cut a little differently, so that none is the same file."""
    to.mkdir(parents=True)
    sources = [Image.open(path).convert("RGB") for path in sorted(data.folder("frames").glob("*.jpg"))]
    paths = []
    for number in range(count):
        source = sources[number % len(sources)]
        top, left = divmod(number // len(sources), 8)
        part = source.crop((left, top, source.width - 60 + left, source.height - 60 + top))
        paths.append(to / f"{number:05}.jpg")
        part.resize((1920, 1080), Image.Resampling.BILINEAR).save(paths[-1], quality=90)
    return paths


if __name__ == "__main__":
    main()
