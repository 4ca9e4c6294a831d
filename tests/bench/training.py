"""Seconds a step and memory of `trainer train` against diffusers' own example script: same base, pictures and targets.

    python -m tests.bench.training path/to/diffusers/examples/text_to_image/train_text_to_image_lora.py

Both train a LoRA of rank 16 on the attention, in fp32, on batches of 8. Each is run twice, for few steps and for many,
and the difference counts, so that starting, encoding and saving do not. They take turns, three times. Where torchvision
cannot be imported, the script is given the transforms that it uses, made of Pillow and numpy.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.bench.arms import BASE, write_dataset
from tests.bench.base import ROOT

FEW, MANY, ROUNDS = 20, 170, 3
PICTURES, BATCH = 160, 8
TRANSFORMS = """
import random
import numpy as np
import torch


class InterpolationMode:
    BILINEAR, LANCZOS = 2, 1


class Compose:
    def __init__(self, steps):
        self.steps = steps

    def __call__(self, picture):
        for step in self.steps:
            picture = step(picture)
        return picture


def Resize(side, interpolation=2):
    return lambda picture: picture if min(picture.size) == side else picture.resize((side, side), interpolation)


def CenterCrop(side):
    return lambda picture: picture


RandomCrop = CenterCrop


def RandomHorizontalFlip():
    return lambda picture: picture.transpose(0) if random.random() < 0.5 else picture


def Lambda(function):
    return function


def ToTensor():
    return lambda picture: torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous().float().div(255)


def Normalize(mean, deviation):
    return lambda tensor: tensor.sub(mean[0]).div(deviation[0])
"""


BEGIN = """
import runpy
import sys
from transformers import CLIPTextModel
from diffusers import StableDiffusionPipeline

try:
    from torchvision import transforms
except Exception:
    sys.modules.pop("torchvision", None)
    sys.path.insert(0, {stand_in!r})
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one run."""

    seconds: float
    megabytes: float
    """The most memory that it held at once."""


def main() -> None:
    """Print both, and their ratios."""
    script = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    if script is None or not script.is_file():
        raise SystemExit(__doc__)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_dataset(folder / "dataset", "full", True, PICTURES, False)
        write_begin(folder)
        steps: dict[str, list[float]] = {"trainer": [], "script": []}
        memory: dict[str, list[float]] = {"trainer": [], "script": []}
        for turn in range(ROUNDS):
            for who in steps:
                few, many = (
                    cost(command(who, folder, script, count, f"{turn}-{count}"), folder) for count in (FEW, MANY)
                )
                steps[who].append((many.seconds - few.seconds) / (MANY - FEW))
                memory[who].append(many.megabytes)
    for who, seconds in steps.items():
        each = ", ".join(f"{one:.3f}" for one in seconds)
        print(f"{who:8} {median(seconds):.3f} s a step ({each}), {median(memory[who]):.0f} MB")
    faster = median(steps["script"]) / median(steps["trainer"])
    print(f"trainer: {faster:.2f} times as fast (bar: 1.3), {ratio(memory):.2f} of the memory (bar: 1)")


def ratio(memory: dict[str, list[float]]) -> float:
    return median(memory["trainer"]) / median(memory["script"])


def command(who: str, folder: Path, script: Path, steps: int, name: str) -> list[str]:
    """The command of one run."""
    if who == "script":
        options = {
            "pretrained_model_name_or_path": BASE, "train_data_dir": folder / "dataset",
            "output_dir": folder / f"s{name}",
            "resolution": 64, "train_batch_size": BATCH, "max_train_steps": steps, "learning_rate": 1e-4, "rank": 16,
            "checkpointing_steps": 100_000, "seed": 0, "dataloader_num_workers": 0, "caption_column": "text",
        }  # fmt: skip
        begin = [str(folder / "begin.py"), str(script)]
        return [sys.executable, *begin, *(f"--{key}={value}" for key, value in options.items()), "--center_crop"]
    config = folder / f"{name}.toml"
    config.write_text(
        f'base = "{BASE.as_posix()}"\ndataset = "dataset"\noutput = "t{name}"\n[method]\nuse = "lora"\nrank = 16\n'
        f"[training]\nsteps = {steps}\nbatch_size = {BATCH}\nlearning_rate = 1e-4\ncheckpoint_every = {steps}\n"
        'precision = "fp32"\n[preview]\nevery = 0\n',
        encoding="utf-8",
    )
    return [sys.executable, "-m", "trainer", "train", str(config)]


def cost(command: Sequence[str], folder: Path) -> Cost:
    """Run it, and say what it took. Raises SystemExit where it fails."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    log = folder / "log.txt"
    began = time.perf_counter()
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=out, stderr=out)
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)}: {log.read_text(errors='replace')[-2000:]}")
    return Cost(time.perf_counter() - began, usage.ru_maxrss / 1024)


def write_begin(folder: Path) -> None:
    """What starts the script: transformers is told of no torchvision that it cannot use."""
    package = folder / "stand-in" / "torchvision"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("from . import transforms\n", encoding="utf-8")
    (package / "transforms.py").write_text(TRANSFORMS, encoding="utf-8")
    (folder / "begin.py").write_text(BEGIN.format(stand_in=str(package.parent)), encoding="utf-8")


if __name__ == "__main__":
    main()
