"""The whole way on the sample franchise: fit, sort, export, train, judge; then a table and demo/report.html.

    make demo            (or: python .ci/make.py demo)

Everything is done with the commands that a user types; only the scoring at the end reads the truth about the heap.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
import time
import tomllib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sorter.page import Shown

SAMPLES = Path(__file__).resolve().parent
DEMO = SAMPLES.parent / "demo"
NETWORKS = ("character", "pose", "expression", "direction")
AXES = (*NETWORKS, "blur")
AS_PREVIEWS = ("--sampler", "DDIM", "--steps", "25", "--guidance", "4.0")
"""How train.toml has previews drawn, so that pictures can be laid beside them."""


def main() -> None:
    """Do all of it in demo/, which is emptied first."""
    started = time.monotonic()
    shutil.rmtree(DEMO, ignore_errors=True)
    DEMO.mkdir()
    for name in ("scheme.toml", "train.toml"):
        shutil.copy(SAMPLES / name, DEMO)
    run_commands()
    scores = score(evaluated())
    write_report(scores)
    for line in scores.table():
        print(line)
    print(f"\n{time.monotonic() - started:.0f} s in all; open {DEMO / 'report.html'} in a browser")


def run_commands() -> None:
    """The stages, as a user would type them."""
    python(str(SAMPLES / "franchise.py"), "--to", "frames")
    for axis in NETWORKS:
        sorter("fit", f"frames/examples/{axis}", "--to", f"models/{axis}")
    sorter("fit", "frames/examples/blur", "--to", "models/blur", "--measure", "sharpness")
    sorter("check")
    sorter("sort", "frames/heap", "--to", "library", failing=True)  # two files of the heap are broken on purpose
    sorter("report", "library", "--to", "library.html")
    sorter("export", "library", "--to", "dataset")
    trainer("check", "train.toml")
    trainer("train", "train.toml")
    for seed, prompt in enumerate(preview_prompts()):
        trainer("sample", "run", prompt, "--seed", str(seed), *AS_PREVIEWS)


def evaluated() -> dict[str, Any]:
    """What the sorters say of the base and of what was trained, asked for the same pictures."""
    command = ["evaluate", "run", "--steps", str(_steps()), "--count", "60", "--json"]
    print(f"\n$ trainer {' '.join(command)}", flush=True)
    return json.loads(python("-m", "trainer", *command, output=subprocess.PIPE))  # type: ignore[no-any-return]


def _steps() -> int:
    with (DEMO / "train.toml").open("rb") as file:
        return int(tomllib.load(file)["training"]["steps"])


def preview_prompts() -> list[str]:
    """Those of train.toml; each next one has the next seed."""
    with (DEMO / "train.toml").open("rb") as file:
        return list(tomllib.load(file)["preview"]["prompts"])


def sorter(*arguments: str, failing: bool = False) -> None:
    """Run a sorter command in demo/."""
    print(f"\n$ sorter {' '.join(arguments)}", flush=True)
    python("-m", "sorter", *arguments, allowed=1 if failing else 0)


def trainer(*arguments: str) -> None:
    """Run a trainer command in demo/."""
    print(f"\n$ trainer {' '.join(arguments)}", flush=True)
    python("-m", "trainer", *arguments)


def python(*arguments: str, allowed: int = 0, output: int | None = None) -> str:
    """Run this Python in demo/; stop if it fails. output: PIPE to have what it prints."""
    environment = os.environ | {"PYTHONPATH": str(SAMPLES.parent), "PYTHONUTF8": "1"}
    done = subprocess.run([sys.executable, *arguments], cwd=DEMO, env=environment, stdout=output, encoding="utf-8")
    if done.returncode > allowed:
        sys.exit(done.returncode)
    return done.stdout or ""


@dataclass(frozen=True, slots=True)
class Scores:
    """What the demo has to show."""

    folders: dict[str, int]
    right: dict[str, tuple[int, int]]
    """Axis -> pictures answered rightly, and pictures answered, as the sorters first said."""
    before: Counter[str]
    """Direction -> pictures in the library, as they came."""
    after: Counter[str]
    """The same, as they stand in the library."""
    wrong_turns: int
    reasons: dict[str, int]
    apart: int
    """Grey levels, at most, between what was drawn from memory at the end of training and from the file after it."""
    drawn: list[list[str]]
    """As the sorters see drawn pictures: axis, share as asked of the base's, of the trained model's, of real ones."""

    def table(self) -> list[str]:
        """The table, line by line."""
        placed = self.before.total()
        lines = ["", f"{placed} pictures in {len(self.folders)} class folders, the fullest:"]
        lines += [f"  {count:4}  {folder}" for folder, count in Counter(self.folders).most_common(8)]
        lines += ["right, against the truth:"]
        lines += [f"  {right / asked:6.1%}  {axis} ({right} of {asked})" for axis, (right, asked) in self.right.items()]
        lines += ["facing          before  after"]
        lines += [f"  {way:12} {self.before[way]:7} {self.after[way]:6}" for way in ("left", "right", "front")]
        lines += [f"  turned the wrong way: {self.wrong_turns}", "files that could not be used:"]
        lines += [f"  {count:4}  {reason}" for reason, count in self.reasons.items()]
        lines += [f"previews from memory and samples from the file: {self.apart} grey levels apart at most"]
        lines += ["drawn as asked      base  trained  real pictures"]
        return [*lines, *(f"  {axis:16} {base:>5} {trained:>8} {real:>9}" for axis, base, trained, real in self.drawn)]


def score(evaluation: dict[str, Any]) -> Scores:
    """Compare the library with the truth about the heap, and drawn pictures with what they were asked to show."""
    from sorter.commands.job import load_job
    from sorter.commands.plan import plan
    from sorter.library.store.manifest import Manifest
    from sorter.records import Render
    from sorter.tally import Report

    job = load_job(DEMO / "scheme.toml")
    with (DEMO / "frames" / "truth.csv").open(encoding="utf-8", newline="") as file:
        truth = {row["sha256"]: row for row in csv.DictReader(file) if not row["reason"]}
    with Manifest(DEMO / "library") as manifest:
        report = Report()
        plan(manifest, job, report)
        right = {axis: [0, 0] for axis in AXES}
        for picture, labels in manifest.pictures(job.questions.sources()):
            for label in labels:
                if label.axis in right:  # the locator's answers have no class
                    right[label.axis][0] += truth[picture.sha256][label.axis] == label.name
                    right[label.axis][1] += 1
        contents = [one.output.content for one in manifest.placed()]
        unreadable = Counter(one.reason for one in manifest.unreadable())
    renders = [(truth[one.sha256]["direction"], one.mirror) for one in contents if isinstance(one, Render)]
    mirrored = {"left": "right", "right": "left", "front": "front"}
    return Scores(
        dict(report.folders),
        {axis: (good, asked) for axis, (good, asked) in right.items()},
        Counter(way for way, _ in renders),
        Counter(mirrored[way] if turned else way for way, turned in renders),
        sum(turned and way != "right" for way, turned in renders),
        dict(unreadable.most_common()),
        max(difference(*pair) for pair in memory_and_file()),
        drawn_as_asked(evaluation),
    )


def drawn_as_asked(evaluation: dict[str, Any]) -> list[list[str]]:
    """Rows of axis, base, trained model and real pictures; the last for all axes at once."""
    base, trained = evaluation["models"]
    rows = [
        [axis, *(f"{one:.0%}" for one in (base["axes"][axis]["share"], score["share"], score["ceiling"]["share"]))]
        for axis, score in trained["axes"].items()
    ]
    return [*rows, ["all of these", f"{base['all_right']['share']:.0%}", f"{trained['all_right']['share']:.0%}", ""]]


def memory_and_file() -> list[tuple[Path, Path]]:
    """Each last preview, drawn in training, and the picture of the same prompt and seed that `trainer sample` drew."""
    drawn = {_prompt(path): path for path in (DEMO / "run" / "samples").glob("*.png")}
    last = max((DEMO / "run" / "previews").iterdir())
    return [(path, drawn[_prompt(path)]) for path in sorted(last.glob("*.png"))]


def difference(one: Path, other: Path) -> int:
    """The largest difference of a value, 0 to 255."""
    import numpy as np
    from PIL import Image

    with Image.open(one) as first, Image.open(other) as second:
        return int(np.abs(np.asarray(first.convert("RGB"), int) - np.asarray(second.convert("RGB"), int)).max())


def write_report(scores: Scores) -> None:
    """demo/report.html: the table, turned pictures, the loss, and previews before and after training."""
    from sorter.commands.gallery import Gallery
    from sorter.commands.job import load_job
    from sorter.commands.plan import verdicts
    from sorter.commands.sheets import SAMPLES, before_and_after
    from sorter.library.store.manifest import Manifest
    from sorter.page import Link, Section, line_plot, page, shown

    job = load_job(DEMO / "scheme.toml")
    with Manifest(DEMO / "library") as manifest:
        asked = [verdict for verdict in verdicts(manifest, job) if verdict.mirror and not verdict.unwanted]
        turned = list(filter(None, before_and_after(asked[:SAMPLES], Gallery(manifest, DEMO), job)))
    facing = [[way, scores.before[way], scores.after[way]] for way in ("left", "right", "front")]
    accuracy = [[axis, f"{good / asked:.1%}", f"{good} of {asked}"] for axis, (good, asked) in scores.right.items()]
    folders = sorted((DEMO / "run" / "previews").iterdir())
    sections = [
        Section(
            "Before training and after, same prompt and seed",
            pictures=_pairs([(path, folders[-1] / path.name) for path in sorted(folders[0].glob("*.png"))]),
            crisp=True,
        ),
        Section(
            "Drawn as asked, as the sorters see it",
            head=["", "base", "trained", "real pictures"],
            rows=scores.drawn,
            links=[Link("each picture", "run/evaluation.html")],
        ),
        Section(
            "Drawn from memory in training, and from the file in run/trained afterwards",
            [f"{scores.apart} grey levels of 255 apart at most."],
            pictures=_pairs(memory_and_file()),
            crisp=True,
        ),
        Section("Turned pictures, as they came and as they stand", pictures=turned),
        Section("Facing", [f"Turned the wrong way: {scores.wrong_turns}."], ["direction", "before", "after"], facing),
        Section("The sorters against the truth", head=["axis", "right", ""], rows=accuracy),
        Section("Files that could not be used", rows=[[why, count] for why, count in scores.reasons.items()]),
        Section("Loss", plot=line_plot(_losses(), "step", "loss")),
    ]
    for folder in folders[1:-1]:
        pictures = [shown(path, _prompt(path), 192, keep_pixels=True) for path in sorted(folder.glob("*.png"))]
        sections.append(Section(f"After step {int(folder.name[-6:])}", pictures=pictures, crisp=True, folded=True))
    places = Counter(scores.folders).most_common()
    sections.append(Section(f"The {len(places)} class folders", bars=places, folded=True))
    (DEMO / "report.html").write_text(page("Modelsheet: the sample franchise", sections), encoding="utf-8")


def _pairs(paths: list[tuple[Path, Path]]) -> list[Shown]:
    """Two pictures of a prompt, side by side."""
    from PIL import Image

    from sorter.page import shown

    pairs = []
    for path, other in paths:
        with Image.open(path) as first, Image.open(other) as second:
            both = Image.new("RGB", (first.width + second.width + 2, first.height), "white")
            both.paste(first, (0, 0))
            both.paste(second, (first.width + 2, 0))
        pairs.append(shown(both, _prompt(path), 440, keep_pixels=True))
    return pairs


def _losses() -> dict[str, tuple[list[float], list[float]]]:
    """Each step's loss, and its running mean, which is what can be read from noise of this size."""
    with (DEMO / "run" / "losses.csv").open(encoding="utf-8", newline="") as file:
        rows = [(float(row["step"]), float(row["loss"])) for row in csv.DictReader(file)]
    steps, losses = [step for step, _ in rows], [loss for _, loss in rows]
    means = [sum(part) / len(part) for part in (losses[max(0, i - 24) : i + 1] for i in range(len(losses)))]
    return {"each step": (steps, losses), "mean of 25": (steps, means)}


def _prompt(path: Path) -> str:
    from PIL import Image

    from trainer.recipe import written_prompt

    with Image.open(path) as image:
        return written_prompt(image.info) or path.stem


if __name__ == "__main__":
    main()
