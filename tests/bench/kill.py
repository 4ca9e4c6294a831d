"""Commands killed at random moments, and run again: a sort, an undo and an export 200 times; sort --take, its undo, the
daemon, a fit and a training 50 times each.

What must come out, byte for byte, is what a run that was not killed gives; no original may have changed or be lost; and
no sorter may be half one and half another.

    python -m tests.bench.kill [NAME...]
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

KILLS, PICTURES, MORE_KILLS = 200, 120, 50
COMMANDS = ("sort", "sort again", "undo", "export")
EXPORTS = {"a": "waste-2023-h5", "b": "carlogos-2025-h5"}


def main() -> None:
    """Print how many kills fell where, and after how many of them all was well."""
    if os.name == "nt":
        sys.exit("there is no SIGKILL on Windows")
    others = {"take": _Taking, "undo of a take": _Untaking, "watch": _Watching, "fit": _Fitting, "train": _Training}
    wanted = sys.argv[1:] if __name__ == "__main__" else []
    with tempfile.TemporaryDirectory() as name:
        if not wanted or "sort" in wanted:
            _sorting(Path(name) / "sorting")
        for what, kind in others.items():
            if not wanted or what in wanted:
                _others(what, kind(Path(name) / what.replace(" ", "-")))


def _sorting(folder: Path) -> None:
    folder.mkdir()
    rounds = _Rounds(folder)
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


def _others(what: str, round_of: _Round) -> None:
    draw, well, midway = random.Random(what), 0, 0
    round_of.set_up()
    started = time.perf_counter()
    round_of.run()
    seconds = time.perf_counter() - started
    expected = round_of.state()
    for _ in range(MORE_KILLS):
        round_of.set_up()
        before = round_of.state()
        process = subprocess.Popen(round_of.command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        round_of.meanwhile()
        time.sleep(draw.uniform(0, round_of.span) if round_of.span else draw.uniform(round_of.earliest, 1) * seconds)
        process.kill()
        process.wait()
        state = round_of.state()
        midway += state not in (before, expected)
        is_whole = round_of.is_whole()
        round_of.run()
        is_well = is_whole and round_of.state() == expected
        well += is_well
        if not is_well:
            print(f"{what}: not well: whole {is_whole}, state {sorted(set(round_of.state()) ^ set(expected))[:5]}")
    print(f"{what:14} killed {MORE_KILLS} times, {midway} of them midway; well after {well} (bar: all)")


class _Round:
    """A command that is killed, on what stood before."""

    earliest = 0.4
    """The share of a whole run before which nothing is written."""
    span = 0.0
    """Seconds in which it writes, after what `meanwhile` waits for; 0: not known."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.prepare()

    def prepare(self) -> None:
        """Once."""

    def set_up(self) -> None:
        """What stands before."""
        raise NotImplementedError

    def command(self) -> list[str]:
        """What is killed, and then run again."""
        raise NotImplementedError

    def meanwhile(self) -> None:
        """What somebody else does while it runs."""

    def state(self) -> dict[str, str]:
        """What must be the same in the end."""
        raise NotImplementedError

    def is_whole(self) -> bool:
        """Whether what a kill left is in order."""
        return True

    def run(self) -> None:
        """Run it to its end."""
        run = subprocess.run(self.command(), check=False, capture_output=True, text=True)
        if run.returncode:
            sys.exit(f"{self.command()}: exit code {run.returncode}: {run.stderr}")


class _Taking(_Round):
    """sort --take."""

    def prepare(self) -> None:
        self.heap, self.library, self.scheme = self.folder / "heap", self.folder / "library", self.folder / "s.toml"
        _pictures(self.folder / "originals")
        self.scheme.write_text('folders = "{blur}"\n[axes.blur]\nmeasure = "sharpness"\nthreshold = 0.0\n')
        self.hashes = set(_tree(self.folder / "originals").values())

    def set_up(self) -> None:
        for one in (self.heap, self.library):
            shutil.rmtree(one, ignore_errors=True)
        shutil.copytree(self.folder / "originals", self.heap)

    def command(self) -> list[str]:
        return _sorter("sort", self.heap, "--to", self.library, "--take", "--scheme", self.scheme)

    def state(self) -> dict[str, str]:
        kept = _tree(self.library / ".modelsheet" / "originals", hidden=True)
        return _tree(self.library) | {f"heap {name}": sha256 for name, sha256 in _tree(self.heap).items()} | {
            f"kept {name}": sha256 for name, sha256 in kept.items() if not name.endswith(".jsonl")
        }  # fmt: skip

    def is_whole(self) -> bool:
        """Every original is where it was, or kept."""
        return self.hashes <= {sha256 for name, sha256 in self.state().items() if name.startswith(("heap ", "kept "))}


class _Untaking(_Taking):
    """The undo of a sort --take."""

    def set_up(self) -> None:
        super().set_up()
        subprocess.run(super().command(), check=True, capture_output=True)

    def command(self) -> list[str]:
        return _sorter("undo", self.library, 1)


class _Watching(_Taking):
    """A daemon, and a sort after it."""

    earliest = 0.0

    def set_up(self) -> None:
        super().set_up()
        shutil.rmtree(self.heap)
        self.heap.mkdir()
        self.is_killed = True

    def command(self) -> list[str]:
        return _sorter("watch", self.heap, "--to", self.library, "--still", 0.2, "--scheme", self.scheme)

    def meanwhile(self) -> None:
        until = time.monotonic() + 20
        while not (self.library / ".modelsheet" / "lock.txt").exists() and time.monotonic() < until:
            time.sleep(0.05)
        shutil.copytree(self.folder / "originals", self.heap, dirs_exist_ok=True)

    def run(self) -> None:
        shutil.copytree(self.folder / "originals", self.heap, dirs_exist_ok=True)
        subprocess.run(_sorter("sort", self.heap, "--to", self.library, "--scheme", self.scheme), check=True,
                       capture_output=True)  # fmt: skip

    def is_whole(self) -> bool:
        return True


class _Fitting(_Round):
    """A sorter that is fitted over another one."""

    span = 0.04

    def meanwhile(self) -> None:
        """Until the first file is being replaced."""
        before, until = (self.sorter / "card.toml").read_bytes(), time.monotonic() + 60
        while (self.sorter / "card.toml").read_bytes() == before and time.monotonic() < until:
            time.sleep(0.001)

    def prepare(self) -> None:
        self.sorter, faces = self.folder / "models" / "sorter", data.folder("cmu_faces")
        from tests.bench.cmu_faces import copy, truth

        for axis in ("direction", "eyes"):
            for path in sorted(faces.glob("*/*.png"))[:60]:
                copy(path, self.folder / axis / truth(path)[axis] / path.name)
        subprocess.run(
            _sorter("fit", self.folder / "eyes", "--to", self.folder / "old"), check=True, capture_output=True
        )

    def set_up(self) -> None:
        shutil.rmtree(self.sorter, ignore_errors=True)
        shutil.copytree(self.folder / "old", self.sorter)

    def command(self) -> list[str]:
        return _sorter("fit", self.folder / "direction", "--to", self.sorter)

    def state(self) -> dict[str, str]:
        return {name: sha256 for name, sha256 in _tree(self.sorter).items() if name in ("keras_model.h5", "labels.txt")}

    def is_whole(self) -> bool:
        """The old sorter, or the new one, or one that is refused."""
        from sorter.classify.askers import load_asked
        from sorter.errors import ModelError

        try:
            found = load_asked(self.sorter)
        except ModelError:
            return True
        outputs = 4 if "straight" in found.labels or "left" in found.labels else 2
        return len(found.labels) == outputs == found.head.outputs  # type: ignore[union-attr]


class _Training(_Round):
    """A training, and what resume makes of it."""

    earliest = 0.3

    def prepare(self) -> None:
        from tests.trainer.conftest import _make_base, _write_dataset

        _make_base(self.folder / "base")
        _write_dataset(self.folder / "dataset", [(f"{n}.png", f"a picture, {n}") for n in range(6)])
        (self.folder / "train.toml").write_text(
            "".join(
                f"{key} = '{self.folder / name}'\n"
                for key, name in (("base", "base"), ("dataset", "dataset"), ("output", "run"))
            )
            + "[method]\nuse = 'lora'\nrank = 2\n[training]\nsteps = 8\nbatch_size = 2\ncheckpoint_every = 2\n"
        )

    def set_up(self) -> None:
        shutil.rmtree(self.folder / "run", ignore_errors=True)

    def command(self) -> list[str]:
        return [sys.executable, "-m", "trainer", "train", str(self.folder / "train.toml")]

    def state(self) -> dict[str, str]:
        """The tensors; the header has the date in it."""
        from safetensors.numpy import load

        files = (self.folder / "run" / "trained").glob("*.safetensors")
        return {
            name: hashlib.sha256(tensor.tobytes()).hexdigest()
            for path in files
            for name, tensor in load(path.read_bytes()).items()
        }

    def run(self) -> None:
        command = self.command()
        if (self.folder / "run" / "trained").exists():  # it was killed after its end
            return
        if (self.folder / "run" / "run.json").exists():
            command = [sys.executable, "-m", "trainer", "resume", str(self.folder / "run")]
        run = subprocess.run(command, check=False, capture_output=True, text=True)
        if run.returncode:
            print(f"{command}: exit code {run.returncode}: {run.stderr[-300:]}")


def _sorter(*words: object) -> list[str]:
    return [sys.executable, "-m", "sorter", *map(str, words)]


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


def _tree(folder: Path, hidden: bool = False) -> dict[str, str]:
    """Path -> hash of every file but the manifest's; `hidden`: of these."""
    files = (path for path in folder.rglob("*") if path.is_file() and (hidden or ".modelsheet" not in path.parts))
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


if __name__ == "__main__":
    main()
