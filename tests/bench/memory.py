"""How much memory a sort of 10,000 pictures of 1920x1080 holds, and whether it grows on the way.

python -m tests.bench.memory
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tests.bench import data, speed

PICTURES, EARLY = 10_000, 1_000


def main() -> None:
    """Print the most that was held after 1,000 pictures, and in all."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _heap(folder)
        axes = "".join(
            f"[axes.a{number}]\nmodel = '{data.folder('tm') / export}'\n" for number, export in enumerate(speed.EXPORTS)
        )
        (folder / "scheme.toml").write_text(f"folders = '{{a0}}/{{a1}}'\n{axes}[axes.blur]\nmeasure = 'sharpness'\n")
        command = [sys.executable, "-m", "tests.bench.memory", name]
        early, whole = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    print(f"sort of {PICTURES:,} pictures of 1920x1080, five axes: {whole} MB at most (bar: 700)")
    print(f"of which after {EARLY:,} pictures: {early} MB")


def measured(folder: Path) -> None:
    """Sort, and print the two figures."""
    from sorter.commands.job import load_job
    from sorter.commands.sort import sort
    from tests.bench.scale import memory

    held = []

    def track(items: Iterable[Any], what: str, total: int | None) -> Iterator[Any]:
        for number, item in enumerate(items):
            if number == EARLY:
                held.append(memory())
            yield item

    sort(folder / "heap", folder / "library", load_job(folder / "scheme.toml"), track=track)
    print(held[0], memory())


def _heap(folder: Path) -> None:
    """As many files of different bytes: each drawn picture several times, with something behind its end."""
    drawn = [path.read_bytes() for path in speed.frames(folder / "drawn", 200)]
    (folder / "heap").mkdir()
    for number in range(PICTURES):
        (folder / "heap" / f"{number:05}.jpg").write_bytes(drawn[number % len(drawn)] + number.to_bytes(4, "big"))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measured(Path(sys.argv[1]))
    else:
        main()
