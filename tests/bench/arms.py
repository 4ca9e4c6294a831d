"""Whether careful captions and one direction make a better model: four arms, several seeds, as sorters see it.

    python -m tests.bench.arms --work FOLDER [--seeds 3] [--pictures 160] [--steps 150,300,600] [--uneven]

Full captions say character, pose, expression and direction, bare ones the character alone; turned pictures face left or
the viewer, unturned ones any way. The sample's two characters are drawn, framed as the base knows pictures, with a
pose and an expression that the base has never seen. All arms learn by samples/train.toml and are asked for the same
pictures with the same seeds; those that face right are asked for apart, since turned pictures cannot teach it. The
sorters are fitted on other drawings of the same characters, sent through the base's autoencoder.

Goes on where it stopped; prints the table when all is there. --uneven: one character is seldom anything but standing
and neutral, as a background figure is.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

import click
import numpy as np
from PIL import Image

from tests.bench.base import AXES, FACING, GUIDANCE, HEAD, ROOT, SAMPLER, STEPS, run, save, table

sys.path.insert(0, str(ROOT / "samples"))

BASE = ROOT / "samples" / "base-model"
POSES = (*AXES["pose"], "cheering")
EXPRESSIONS = (*AXES["expression"], "asleep")
NEW = ("cheering", "asleep")
CHARACTERS = {"mira": "mira, a girl with teal hair and fox ears", "tobo": "tobo, an orange robot"}
EXAMPLES = 500
CAPTIONS, TURNS = ("full", "bare"), ("turned", "unturned")
COLUMNS = (
    *("step", "captions", "pictures", "character", "pose", "expression", "direction"),
    *("new pose", "new expression", "all of these", "facing right"),
)


@dataclass(frozen=True, slots=True)
class Act:
    """What one picture shows."""

    character: str
    pose: str
    expression: str
    direction: str

    @property
    def words(self) -> str:
        """The full caption, which is also the prompt."""
        return f"lbay {CHARACTERS[self.character]}, {self.pose}, {self.expression}, {FACING[self.direction]}"

    @property
    def classes(self) -> dict[str, str]:
        return {name: getattr(self, name) for name in ("character", "pose", "expression", "direction")}


def draw(act: Act, seed: str) -> Image.Image:
    """As samples/tiny draws the base's own pictures."""
    import drawing
    from lantern_bay import MIRA, TOBO
    from tiny.pictures import draw_framed

    chance = Random(seed)
    look = {"mira": MIRA, "tobo": TOBO}[act.character]
    shown = drawing.Act(act.pose, act.expression, act.direction)  # type: ignore[arg-type]
    return draw_framed(look, shown, chance.choice(drawing.PLACES), chance)[0]


def acts(count: int, seed: int, uneven: bool = False) -> list[Act]:
    """Poses and expressions at random; of eight pictures three face left, three right and two the viewer."""
    chance = Random(seed)
    ways = ("left", "right", "left", "right", "left", "right", "front", "front")
    found = []
    for number in range(count):
        pose, mood = chance.choice(POSES), chance.choice(EXPRESSIONS)
        if uneven and number % 2 and chance.random() < 0.8:
            pose, mood = "standing", "neutral"
        found.append(Act(tuple(CHARACTERS)[number % 2], pose, mood, chance.choice(ways)))
    return found


def write_dataset(folder: Path, captions: str, turned: bool, count: int, uneven: bool) -> None:
    """An imagefolder with metadata.jsonl, as `sorter export` writes it; the same drawings in every arm."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for number, act in enumerate(acts(count, 11, uneven)):
        picture = draw(act, f"arms-{number}")
        if turned and act.direction == "right":
            picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
            act = Act(act.character, act.pose, act.expression, "left")
        picture.save(folder / f"{number:04}.png")
        text = act.words if captions == "full" else f"lbay {act.character}"
        lines.append(json.dumps({"file_name": f"{number:04}.png", "text": text}))
    (folder / "metadata.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def fit_judges(work: Path) -> Path:
    """Sorters fitted on real pictures of every class, through the autoencoder; returns their scheme.toml."""
    scheme = work / "judges" / "scheme.toml"
    if scheme.is_file():
        return scheme
    from trainer.evaluate.autoencoder import autoencoder

    through = autoencoder(BASE)
    for number, act in enumerate(acts(EXAMPLES, 12)):
        pixels = through(np.ascontiguousarray(draw(act, f"judges-{number}")))
        for axis, name in act.classes.items():
            path = work / "judges" / "examples" / axis / name / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
    for axis in Act.__dataclass_fields__:
        examples, to = work / "judges" / "examples" / axis, work / "judges" / axis
        run("sorter", "fit", str(examples), "--to", str(to), "--group", "none")
    tags = "".join(f'\n[axes.character.classes.{name}]\ntag = "{tag}"' for name, tag in CHARACTERS.items())
    tables = [table(axis) + tags * (axis == "character") for axis in Act.__dataclass_fields__]
    scheme.write_text("\n".join(['trigger = "lbay"', HEAD, *tables]), encoding="utf-8")
    return scheme


def asked() -> list[Act]:
    """What every arm is asked for: every combination, of which those that face right are looked at apart."""
    return [Act(*one) for one in product(CHARACTERS, POSES, EXPRESSIONS, ("left", "front", "right"))]


def train_arm(
    folder: Path, captions: str, turned: bool, seed: int, steps: Sequence[int], options: dict[str, Any]
) -> None:
    """Train one arm with one seed, and draw and judge its checkpoints; writes scores.json."""
    if not (folder / "dataset" / "metadata.jsonl").is_file():
        write_dataset(folder / "dataset", captions, turned, options["count"], options["uneven"])
    config = folder / "train.toml"
    lines = (ROOT / "samples" / "train.toml").read_text(encoding="utf-8").split("[training]")[0]
    method = lines[lines.index("[method]") :]
    config.write_text(
        f'base = "{BASE.as_posix()}"\ndataset = "dataset"\noutput = "run"\n{method}[training]\nsteps = {steps[-1]}\n'
        f'batch_size = 8\nlearning_rate = "1e-3:{steps[-1] * 2 // 3}, 3e-4:{steps[-1]}"\nwarmup = 20\nseed = {seed}\n'
        f"checkpoint_every = {steps[0]}\n[preview]\nevery = 0\n",
        encoding="utf-8",
    )
    if not (folder / "run" / "trained").exists():
        begun = (folder / "run" / "run.json").exists()
        run("trainer", *(("resume", str(folder / "run")) if begun else ("train", str(config))))
    scores = {step: judge_step(folder, step, options["scheme"]) for step in steps}
    (folder / "scores.json").write_text(json.dumps(scores), encoding="utf-8")


def judge_step(folder: Path, step: int, scheme: Path) -> list[dict[str, dict[str, Any]]]:
    """Draw all that is asked for, and see it as `trainer evaluate --pictures` does; what of each picture is right."""
    from sorter.commands.job import load_job
    from trainer.drawing import load_trained
    from trainer.evaluate.judge import judge
    from trainer.sample import sample

    parts, _ = load_trained(folder / "run", step)
    prompts = [act.words for act in asked()]
    seeds = [1000 + number for number in range(len(prompts))]
    drawn = sample(parts, prompts, seeds, steps=STEPS, guidance=GUIDANCE, sampler=SAMPLER, batch_size=24)
    for number, (picture, prompt) in enumerate(zip(drawn, prompts, strict=True)):
        save(picture, folder / f"drawn-{step}", number, prompt)
    made = judge(folder / f"drawn-{step}", load_job(scheme), lambda *_: None)
    return [{"asked": dict(one.asked.classes), "right": one.right()} for one in made.judged]


def report(work: Path, steps: Sequence[int]) -> Iterator[str]:
    """The table: means over the seeds, and the lowest and highest seed."""
    yield f"| {' | '.join(COLUMNS)} |"
    yield "|---" * len(COLUMNS) + "|"
    for step, captions, turns in product(steps, CAPTIONS, TURNS):
        rows = [
            figures(json.loads(path.read_text())[str(step)]) for path in work.glob(f"{captions}-{turns}-*/scores.json")
        ]
        if not rows:
            continue
        cells = [
            f"{np.mean(column):.2f} ({min(column):.2f} to {max(column):.2f})" for column in zip(*rows, strict=True)
        ]
        yield f"| {step} | {captions} | {turns} | {' | '.join(cells)} |"


def figures(pictures: list[dict[str, dict[str, Any]]]) -> list[float]:
    """The cells of a row: shares of pictures."""
    either = [one for one in pictures if one["asked"]["direction"] != "right"]
    right = [one for one in pictures if one["asked"]["direction"] == "right"]

    def share(some: list[dict[str, dict[str, Any]]], axis: str) -> float:
        return float(np.mean([one["right"][axis] for one in some]))

    of = [share(either, axis) for axis in Act.__dataclass_fields__]
    new = [
        share([one for one in either if one["asked"][axis] == name], axis)
        for axis, name in zip(("pose", "expression"), NEW, strict=True)
    ]
    every = float(np.mean([all(one["right"].values()) for one in either]))
    return [*of, *new, every, share(right, "direction")]


@click.command(help=__doc__)
@click.option("--work", type=click.Path(path_type=Path), required=True)
@click.option("--seeds", default=3, show_default=True)
@click.option("--pictures", default=160, show_default=True)
@click.option("--steps", default="150,300,600", show_default=True)
@click.option("--uneven", is_flag=True)
def main(work: Path, seeds: int, pictures: int, steps: str, uneven: bool) -> None:
    """Train what is not trained yet, then print the table."""
    points = [int(step) for step in steps.split(",")]
    scheme = fit_judges(work)
    for seed, captions, turns in product(range(seeds), CAPTIONS, TURNS):
        folder = work / f"{captions}-{turns}-{seed}"
        if not (folder / "scores.json").is_file():
            options = {"count": pictures, "uneven": uneven, "scheme": scheme}
            train_arm(folder, captions, turns == "turned", seed, points, options)
            print(f"{folder.name} done", flush=True)
    print("\n".join(report(work, points)))


if __name__ == "__main__":
    main()
