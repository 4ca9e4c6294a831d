"""Export of 1,000 pictures of 1920x1080 as squares of 512, against a loop of Pillow's in one process.

    python -m tests.bench.export

The loop does what a script would: open, crop, resize by Lanczos, save as PNG, write the caption. Both in turn, so that
a noisy minute falls on both; CPU seconds say what two idle cores would do.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image

from tests.bench import data
from tests.bench.speed import frames

PICTURES, FEW, ROUNDS = 1000, 100, 3
SCHEME = """\
folders = "{blur}"
[axes.blur]
measure = "sharpness"
threshold = 0.0
"""


def main() -> None:
    """Print pictures a second and the ratio."""
    from sorter.commands.export import export
    from sorter.commands.job import load_job
    from sorter.commands.sort import sort
    from sorter.dataset.croppers import croppers

    data.folder("frames")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = frames(folder / "heap", PICTURES)
        (folder / "scheme.toml").write_text(SCHEME)
        job = load_job(folder / "scheme.toml")
        sort(folder / "heap", folder / "library", job)
        crop = croppers.build("centre", size=512)
        best: dict[str, float] = {}
        spent: dict[str, float] = {}

        def measure(name: str, work: Callable[[], Any], pictures: int) -> None:
            wall, cpu = time.perf_counter(), time.process_time()
            work()
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            best[name] = max(best.get(name, 0), pictures / wall)
            spent[name] = min(spent.get(name, cpu), cpu / pictures)

        for number in range(ROUNDS):
            measure("loop", partial(pillow, paths[:FEW], folder / f"theirs{number}"), FEW)
            if not number:  # then nothing is known yet of black bars
                first = partial(export, folder / "library", folder / "first", job, use="kohya", crop=crop)
                measure("first", first, PICTURES)
            for use in ("kohya", "webdataset"):
                to = folder / f"{use}{number}"
                measure(use, partial(export, folder / "library", to, job, use=use, crop=crop), PICTURES)
    print(
        f"a loop of Pillow's, one process:  {best['loop']:6.1f} pictures a second, {1000 * spent['loop']:.0f} ms of CPU"
    )
    print(f"sorter export, the first one:     {best['first']:6.1f}, {1000 * spent['first']:.0f} ms of CPU")
    for use in ("kohya", "webdataset"):
        times = best[use] / best["loop"]
        print(f"sorter export --as {use:11}    {best[use]:6.1f} (bar: 60), {times:.2f} times (bar: 2), "
              f"{1000 * spent[use]:.0f} ms of CPU: {2 / spent[use]:.0f} on two idle cores")  # fmt: skip


def pillow(paths: list[Path], to: Path) -> None:
    """What a script would do."""
    to.mkdir()
    for path in paths:
        with Image.open(path) as opened:
            picture = opened.convert("RGB")
        side = min(picture.size)
        left, top = (picture.width - side) // 2, (picture.height - side) // 2
        picture = picture.crop((left, top, left + side, top + side)).resize((512, 512), Image.Resampling.LANCZOS)
        picture.save(to / f"{path.stem}.png")
        (to / f"{path.stem}.txt").write_text("mira\n", encoding="utf-8")


if __name__ == "__main__":
    main()
