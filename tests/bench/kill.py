"""A sort, an undo and an export, killed at random moments, 200 times; each time the same command is run again.

What must come out, byte for byte, is what a run that was not killed gives; and no original may have changed.

    python -m tests.bench.kill
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from PIL import Image

from tests.bench import data

KILLS, PICTURES = 200, 120
COMMANDS = ("sort", "sort again", "undo", "export")
EXPORTS = {"a": "waste-2023-h5", "b": "carlogos-2025-h5"}


def main() -> None:
    """Print how many kills fell where, and after how many of them all was well."""
    if os.name == "nt":
        sys.exit("there is no SIGKILL on Windows")
    with tempfile.TemporaryDirectory() as name:
        rounds = _Rounds(Path(name))
        draw = random.Random(0)
        midway, well = Counter[str](), Counter[str]()
        for number in range(KILLS):
            what = COMMANDS[number % len(COMMANDS)]
            was_midway, is_well = rounds(what, draw)
            midway[what] += was_midway
            well[what] += is_well
        times = KILLS // len(COMMANDS)
        for what in COMMANDS:
            print(f"{what:10} killed {times} times, {midway[what]} of them midway; well after {well[what]}")
        print(f"well: {well.total()} of {KILLS}")


class _Rounds:
    """One kill after the other, each on a copy of what stood before."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.heap = folder, folder / "heap"
        _pictures(self.heap)
        for name, folders in (("first.toml", "{a}/{b}"), ("second.toml", "moved/{b}/{a}")):
            axes = "".join(
                f"[axes.{axis}]\nmodel = '{data.folder('tm') / export}'\n" for axis, export in EXPORTS.items()
            )
            (folder / name).write_text(f"trigger = '{name}'\nfolders = '{folders}'\n{axes}")
        self.originals = _tree(self.heap)
        self.start = {"sort": None, "sort again": "sorted", "undo": "sorted again", "export": "sorted"}
        self.whole: dict[str, tuple[float, dict[str, str]]] = {}
        for what, then in (("sort", "sorted"), ("sort again", "sorted again"), ("undo", None), ("export", None)):
            self._set_up(what)
            started = time.perf_counter()
            self._run(what)
            self.whole[what] = time.perf_counter() - started, _tree(self._out(what))
            if then:
                shutil.copytree(self._out(what), folder / then)

    def __call__(self, what: str, draw: random.Random) -> tuple[bool, bool]:
        """Kill a command; whether that was midway, and whether all was well when it had been run again."""
        seconds, expected = self.whole[what]
        self._set_up(what)
        before = _tree(self._out(what))
        process = subprocess.Popen(self._command(what), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(draw.uniform(0.4, 1) * seconds)
        process.kill()
        process.wait()
        midway = _tree(self._out(what)) not in (before, expected)
        self._run(what)
        return midway, _tree(self._out(what)) == expected and _tree(self.heap) == self.originals

    def _set_up(self, what: str) -> None:
        for name in ("library", "dataset"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        start = self.start[what]
        if start:
            shutil.copytree(self.folder / start, self.folder / "library")

    def _out(self, what: str) -> Path:
        return self.folder / ("dataset" if what == "export" else "library")

    def _command(self, what: str) -> list[str]:
        library, scheme = str(self.folder / "library"), str(self.folder / "first.toml")
        words = {
            "sort": ["sort", str(self.heap), "--to", library, "--scheme", scheme],
            "sort again": ["sort", str(self.heap), "--to", library, "--scheme", str(self.folder / "second.toml")],
            "undo": ["undo", library, "2"],
            "export": ["export", library, "--to", str(self.folder / "dataset"), "--doubtful", "--scheme", scheme],
        }
        return [sys.executable, "-m", "sorter", *words[what]]

    def _run(self, what: str) -> None:
        run = subprocess.run(self._command(what), check=False, capture_output=True, text=True)
        if run.returncode:
            sys.exit(f"{what}: exit code {run.returncode}: {run.stderr}")


def _pictures(to: Path) -> None:
    to.mkdir()
    sources = [Image.open(path).convert("RGB") for path in sorted(data.folder("frames").glob("*.jpg"))]
    for number in range(PICTURES):
        source = sources[number % len(sources)]
        left = 10 * (number // len(sources))
        part = source.crop((left, 0, left + source.width - 100, source.height))
        part.resize((320, 180)).save(to / f"{number:03}.{'jpg' if number % 3 else 'png'}")


def _tree(folder: Path) -> dict[str, str]:
    """Path -> hash of every file but the manifest's."""
    files = (path for path in folder.rglob("*") if path.is_file() and ".modelsheet" not in path.parts)
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


if __name__ == "__main__":
    main()
