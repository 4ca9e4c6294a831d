"""Trainings killed (SIGKILL) while they save, 50 times for each method; a checkpoint is saved at every step, so that
most of the time is saving. What is whole must load, and what comes out after resuming must be, bit for bit, what a run
that was not killed gives.

    python -m tests.bench.kill_saves [METHOD...]
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

KILLS = 50
METHODS: dict[str, dict[str, object]] = {
    "lora": {"rank": 4},
    "full": {},
    "inversion": {"token": "miratok"},
    "dreambooth": {"instance_prompt": "ox q", "class_prompt": "q", "class_pictures": 2},
    "lycoris": {"rank": 4},
}


def main() -> None:
    """Print, for each method, how many kills fell into a save, and after how many all was well."""
    if os.name == "nt":
        sys.exit("there is no SIGKILL on Windows")
    import diffusers
    import torch
    import transformers

    torch.set_num_threads(1)
    for library in (diffusers.utils.logging, transformers.utils.logging):
        library.set_verbosity_error()
        library.disable_progress_bar()
    wanted = sys.argv[1:] if __name__ == "__main__" else []
    for method in wanted or METHODS:
        with tempfile.TemporaryDirectory() as name:
            _kill(method, Path(name))


def _kill(method: str, folder: Path) -> None:
    import trainer
    from sorter.files import is_ours
    from tests.trainer.conftest import _make_base, _write_dataset

    _make_base(folder / "base")
    _write_dataset(folder / "dataset", [(f"{n}.png", f"a picture, {n}") for n in range(6)])
    options = {"use": method, **METHODS[method]}
    lines = [*(f"{key} = {json.dumps(value)}" for key, value in options.items())]
    (folder / "train.toml").write_text(
        'base = "base"\ndataset = "dataset"\noutput = "run"\n[method]\n'
        + "\n".join(lines)
        + "\n[training]\nsteps = 3\n"
        "batch_size = 2\ncheckpoint_every = 1\nlearning_rate = 0.01\n[preview]\nevery = 0\nsteps = 2\n"
    )
    config = trainer.read_config(folder / "train.toml")
    list(trainer.start(config).run())
    shutil.rmtree(config.output)
    started = time.perf_counter()
    list(trainer.start(config).run())
    seconds = time.perf_counter() - started
    expected = _state(config.output)
    draw, midway, well = random.Random(method), 0, 0
    for _ in range(KILLS):
        shutil.rmtree(config.output)
        child = os.fork()
        if child == 0:
            list(trainer.start(config).run())
            os._exit(0)
        time.sleep(draw.uniform(0.2, 1) * seconds)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        places = [config.output, config.output / "checkpoints"]
        midway += any(is_ours(path.name) for place in places if place.is_dir() for path in place.iterdir())
        if not (config.output / "trained").exists():
            begun = (config.output / "run.json").exists()
            list((trainer.resume(config.output) if begun else trainer.start(config)).run())
        well += _state(config.output) == expected
    print(f"{method:11} killed {KILLS} times, {midway} of them in a save; well after {well} (bar: all)", flush=True)


def _state(run: Path) -> dict[str, bytes]:
    """Every tensor of the last checkpoint and of what came out."""
    from safetensors.numpy import load

    last = run / "checkpoints" / "step-000003"
    files = [last / "parameters.safetensors", last / "optimizer.safetensors", *(run / "trained").iterdir()]
    return {
        f"{path.name} {name}": tensor.tobytes() for path in files for name, tensor in load(path.read_bytes()).items()
    }


if __name__ == "__main__":
    main()
