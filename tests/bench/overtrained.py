"""Does `trainer evaluate` call an overtrained run so, and a good one not? What `make demo` left in demo/ is needed.

    python -m tests.bench.overtrained WORK [TRIALS]

Each trial takes other pictures and another seed: 40 to train on, 40 held out. A good run is 100 steps at the
demo's rate; one is ten times as fast, one 20 times as long. What is done already in the folder WORK is not done again.
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

from tests.bench.base import ROOT

DEMO = ROOT / "demo"
PICTURES, BATCH = 40, 4
STEPS, RATE = 100, 1e-3
RUNS = {"good": (STEPS, RATE), "rate": (STEPS, 10 * RATE), "steps": (20 * STEPS, RATE)}
"""Steps and learning rate of each kind of run."""
CHECKPOINTS = 4
"""Of each run."""
COUNT = 16
"""Pictures that are drawn of each."""


def write_dataset(folder: Path, seed: int) -> None:
    """Some of the demo's pictures, and as many others that are held out."""
    lines = (DEMO / "dataset" / "metadata.jsonl").read_text(encoding="utf-8").splitlines()
    random.Random(seed).shuffle(lines)
    for part, some in (("train", lines[:PICTURES]), ("validation", lines[PICTURES : 2 * PICTURES])):
        (folder / part).mkdir(parents=True, exist_ok=True)
        for line in some:
            for name in filter(None, map(json.loads(line).get, ("file_name", "mask_file_name"))):
                (folder / part / name).parent.mkdir(exist_ok=True)
                shutil.copy(DEMO / "dataset" / name, folder / part / name)
        (folder / part / "metadata.jsonl").write_text("\n".join(some) + "\n", encoding="utf-8")


def write_config(folder: Path, kind: str, seed: int) -> Path:
    """The demo's train.toml with other steps and another rate."""
    with (DEMO / "train.toml").open("rb") as file:
        config: dict[str, Any] = tomllib.load(file)
    steps, rate = RUNS[kind]
    config |= {"base": str(ROOT / "samples" / "base-model"), "dataset": "dataset", "output": kind}
    config["training"] = {
        "steps": steps, "batch_size": BATCH, "learning_rate": rate, "warmup": 20, "seed": seed,
        "checkpoint_every": steps // CHECKPOINTS,
    }  # fmt: skip
    config["preview"] |= {"every": 0}
    path = folder / f"{kind}.toml"
    import tomli_w

    path.write_text(tomli_w.dumps(config), encoding="utf-8")
    return path


def verdict(folder: Path, kind: str, seed: int) -> dict[str, Any]:
    """What evaluate says of the run, which is trained first if it is not there yet."""
    kept = folder / f"{kind}.json"
    if not kept.exists():
        if not (folder / "dataset").exists():
            write_dataset(folder / "dataset", seed)
        if not (folder / kind / "trained").exists():
            begun = (folder / kind / "run.json").exists()
            trainer(*(("resume", folder / kind) if begun else ("train", write_config(folder, kind, seed))))
        said = trainer("evaluate", folder / kind, "--scheme", DEMO / "scheme.toml", "--count", COUNT, "--json")
        kept.write_text(said, encoding="utf-8")
    found: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))
    return found


def trainer(*arguments: object) -> str:
    """Run a command of the trainer; what it printed."""
    command = [sys.executable, "-m", "trainer", *map(str, arguments)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT).stdout


def table(said: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Rows of text: of each kind of run, how many there are, and how many are called overtrained."""
    lines = ["run      trials  called overtrained"]
    for kind, answers in said.items():
        lines.append(f"{kind:7}  {len(answers):6}  {sum(bool(one['overtrained']) for one in answers):6}")
    return lines


def main() -> None:
    """Print a line a run, and the table."""
    work, trials = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 10
    said: dict[str, list[dict[str, Any]]] = {kind: [] for kind in RUNS}
    for seed in range(trials):
        for kind, answers in said.items():
            answers.append(verdict(work / f"trial-{seed}", kind, seed))
            print(f"trial {seed}, {kind}: {'; '.join(answers[-1]['overtrained']) or 'good'}", flush=True)
    print("\n".join(table(said)))


if __name__ == "__main__":
    main()
