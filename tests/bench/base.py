"""Whether a base model draws what it is asked for, as sorters see it that were fitted on drawn pictures of that size.

    python -m tests.bench.base [BASE]

Everything is asked of people and animals that the base knows. The sorters are fitted on, and tried on, pictures that
samples/drawing drew and the base's autoencoder has been through, since that is all that the base can reach.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[2]
EXAMPLES, REAL, DRAWN = 600, 240, 240
AXES = {
    "pose": ("standing", "sitting", "waving", "running"),
    "expression": ("neutral", "happy", "sad", "angry", "surprised"),
    "direction": ("left", "right", "front"),
}
BARS = {"pose": 0.90, "expression": 0.80, "direction": 0.95}
FACING = {"left": "facing left", "right": "facing right", "front": "facing the viewer"}
HEAD = 'folders = "{pose}/{expression}/{direction}"'
GUIDANCE, STEPS, SAMPLER = 4.0, 25, "DDIM"
"""As samples/train.toml draws."""


def main() -> None:
    """Print, by axis, how often real pictures through the autoencoder are judged right, and how often drawn ones."""
    base = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "samples" / "base-model"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        draw_real(folder, base)
        for axis in AXES:
            run("sorter", "fit", str(folder / "examples" / axis), "--to", str(folder / axis), "--group", "none")
        (folder / "scheme.toml").write_text("\n".join([HEAD, *map(table, AXES)]), encoding="utf-8")
        draw_asked(folder / "drawn", base)
        scores = {part: judged(folder, part) for part in ("real", "drawn")}
    print(f"{base.name}: {DRAWN} pictures drawn with {SAMPLER}, {STEPS} steps, guidance {GUIDANCE:g}")
    for axis, bar in BARS.items():
        real, drawn = (scores[part]["axes"][axis] for part in ("real", "drawn"))
        print(f"{axis:10} {shown(drawn)} (bar {bar:.2f}); real pictures {shown(real)}")
        classes = {name: one["share"] for name, one in scores["drawn"]["axes"][axis]["classes"].items()}
        print("           " + ", ".join(f"{name} {share:.2f}" for name, share in classes.items()))


def shown(share: dict[str, Any]) -> str:
    return f"{share['share']:.3f} [{share['low']:.2f}, {share['high']:.2f}]"


def table(axis: str) -> str:
    """Of scheme.toml."""
    tags = "".join(f'\n[axes.direction.classes.{name}]\ntag = "{tag}"' for name, tag in FACING.items())
    return f'[axes.{axis}]\nmodel = "{axis}"\nthreshold = 0.0' + tags * (axis == "direction")


def draw_real(folder: Path, base: Path) -> None:
    """Examples in class folders, and others with their prompts beside them, all through the base's autoencoder."""
    sys.path.insert(0, str(ROOT / "samples"))
    from tiny.pictures import draw_one

    from trainer.evaluate.autoencoder import autoencoder

    through = autoencoder(base)
    for number in range(EXAMPLES + REAL):
        pixels, _, parts = draw_one(777, number)
        picture = Image.fromarray(through(np.ascontiguousarray(pixels)))
        asked = classes(parts)
        if number >= EXAMPLES:
            save(picture, folder / "real", number, ", ".join(parts))
            continue
        for axis, name in asked.items():
            path = folder / "examples" / axis / name / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            picture.save(path)


def classes(parts: Sequence[str]) -> dict[str, str]:
    """The class of each axis, from a caption's parts."""
    names = {tag: name for name, tag in FACING.items()}
    words = [names.get(part, part) for part in parts]
    return {axis: next(word for word in words if word in of) for axis, of in AXES.items()}


def prompts() -> Iterator[str]:
    """Prompts of somebody that the base knows: every combination of the axes equally often."""
    sys.path.insert(0, str(ROOT / "samples"))
    from drawing import PLACES
    from people import anyone

    chance = Random(5)
    acts = list(product(*AXES.values()))
    for number in range(DRAWN):
        pose, mood, way = acts[number % len(acts)]
        yield ", ".join((anyone(chance).words, pose, mood, FACING[way], chance.choice(PLACES)))


def draw_asked(to: Path, base: Path) -> None:
    from trainer.base import read_base
    from trainer.load import load_parts
    from trainer.sample import sample

    asked = list(prompts())
    parts = load_parts(read_base(base), "fp32")
    drawn = sample(parts, asked, range(DRAWN), steps=STEPS, guidance=GUIDANCE, sampler=SAMPLER, batch_size=24)
    for number, (picture, prompt) in enumerate(zip(drawn, asked, strict=True)):
        save(picture, to, number, prompt)


def save(picture: Image.Image, to: Path, number: int, prompt: str) -> None:
    to.mkdir(parents=True, exist_ok=True)
    picture.save(to / f"{number:04}.png")
    (to / f"{number:04}.txt").write_text(prompt, encoding="utf-8")


def judged(folder: Path, part: str) -> dict[str, Any]:
    """What `trainer evaluate` says of a folder of pictures."""
    scheme = str(folder / "scheme.toml")
    said = run("trainer", "evaluate", "--pictures", str(folder / part), "--scheme", scheme, "--json")
    return json.loads(said)  # type: ignore[no-any-return]


def run(*command: str) -> str:
    done = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, cwd=ROOT, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


if __name__ == "__main__":
    main()
