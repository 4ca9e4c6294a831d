"""Several processes that train together, started as a user starts them; what they make is held against one process."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.trainer.test_run import weights
from trainer import read_losses

WriteConfig = Callable[..., Path]
STEPS = 4
PATIENCE = 250  # seconds; it takes ten, on a machine that does nothing else
KEYS = {
    "steps": STEPS,
    "batch_size": 2,
    "learning_rate": 0.01,
    "checkpoint_every": 2,
    "shuffle_tags": True,
    "preview": {"every": 0},
}
METHODS = {
    "lora": {"dropout": 0.2, "text_encoder": True},
    "dreambooth": {"train": "full", "instance_prompt": "ox q", "class_prompt": "q", "class_pictures": 2},
}
pytestmark = pytest.mark.skipif(os.name == "nt", reason="the starter needs a torch with libuv, which Windows' has not")


def begin(*arguments: object, processes: int = 2) -> subprocess.Popen[str]:
    """The trainer in several processes, on the CPU."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", f"--num_processes={processes}"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.Popen(
        [*command, f"--main_process_port={port}", "-m", "trainer", *map(str, arguments)], env=environment,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def launch(*arguments: object, processes: int = 2) -> tuple[int, str, str]:
    """The same, to its end: exit status, and what it said."""
    started = begin(*arguments, processes=processes)
    try:
        out, err = started.communicate(timeout=PATIENCE)
    finally:
        if started.poll() is None:
            started.terminate()  # which it passes on
            started.communicate()
    return started.returncode, out, err


def alone(*arguments: object) -> None:
    subprocess.run([sys.executable, "-m", "trainer", *map(str, arguments)], check=True, capture_output=True)


def assert_alike(one: Path, other: Path) -> None:
    """Losses and weights are those of the other run, but for the order in which numbers are added.

    Where a gradient is nothing but what that leaves over, Adam makes a whole step of it: so a few weights may differ.
    """
    first, second = read_losses(one), read_losses(other)
    assert len(first) == len(second) == STEPS
    for mine, theirs in zip(first, second, strict=True):
        assert mine == pytest.approx(theirs, rel=1e-4)
    ours, others = weights(one, STEPS), weights(other, STEPS)
    assert ours.keys() == others.keys()
    alike = torch.cat([ours[name].isclose(others[name], rtol=1e-3, atol=1e-5).flatten() for name in ours])
    assert alike.float().mean() > 0.99


@pytest.mark.parametrize("method", METHODS)
def test_two_processes_are_one_that_accumulates_twice_as_much(write_config: WriteConfig, method: str) -> None:
    keys = {**KEYS, "method": {"use": method, **METHODS[method]}}
    status, said, errors = launch("train", write_config("two", **keys))
    assert status == 0, errors
    one = write_config("one", **keys, accumulate=2)
    alone("train", one)
    two = one.parent / "two"
    assert f"training  {STEPS} steps x 2 pictures x 2 processes = 16 views of 5 pictures" in said
    assert said.count("done: 4 steps") == 1
    assert_alike(two, one.parent / "one")
    (made,) = (two / "trained").glob("*.safetensors")
    assert load_file(made)


def test_a_run_of_two_goes_on_alone_and_the_other_way_round(write_config: WriteConfig) -> None:
    whole = write_config("whole", **KEYS, accumulate=2)
    alone("train", whole)
    begun = write_config("begun", **{**KEYS, "steps": 2})
    assert launch("train", begun)[0] == 0
    alone("resume", begun.parent / "begun", "--steps", STEPS)
    assert_alike(begun.parent / "begun", whole.parent / "whole")
    other = write_config("other", **{**KEYS, "steps": 2}, accumulate=2)
    alone("train", other)
    status, _, errors = launch("resume", other.parent / "other", "--steps", STEPS)
    assert status == 0, errors
    assert_alike(other.parent / "other", whole.parent / "whole")


def test_what_cannot_be_shared_is_one_sentence(write_config: WriteConfig) -> None:
    path = write_config("three", **KEYS, accumulate=3, processes=1)
    status, said, errors = launch("train", path)
    assert status != 0
    assert said == ""
    ours = [line for line in errors.splitlines() if line.startswith("trainer: ")]
    sentence = "a step of this run is 3 batches, which 2 processes cannot share equally; start 1 or 3"
    # The other has waited for the first, and says that it is gone, unless it was ended before.
    gone = "trainer: process 1: another process has ended, so this one ends, too; the other says why"
    assert ours in ([f"trainer: {sentence}"], [f"trainer: {sentence}", gone])
    assert not (path.parent / "three").exists()


def test_steps_are_counted_for_what_all_see(write_config: WriteConfig) -> None:
    path = write_config("counted", **{**KEYS, "steps": "auto", "batch_size": 40})
    status, said, errors = launch("train", path)
    assert status == 0, errors
    steps = re.search(r"views / 80 a step = (\d+) steps", said)
    assert steps and f"{steps[1]} steps x 40 pictures x 2 processes" in said
    assert len(read_losses(path.parent / "counted")) == int(steps[1])


def test_an_interrupt_stops_all_after_a_step_with_a_checkpoint(write_config: WriteConfig) -> None:
    path = write_config("stopped", **{**KEYS, "steps": 100_000, "checkpoint_every": 50_000})
    started = begin("train", path)
    losses = path.parent / "stopped" / "losses.csv"
    while started.poll() is None and not (losses.exists() and losses.read_text().count("\n") > 3):
        time.sleep(0.1)
    os.killpg(started.pid, signal.SIGINT)  # as a terminal does, to the starter and to all that it started
    _, errors = started.communicate(timeout=120)
    assert errors.count("trainer: finishing this step and saving a checkpoint") == 1
    run = path.parent / "stopped"
    (saved,) = (run / "checkpoints").glob("step-*")
    alone("resume", run, "--steps", int(saved.name[5:]) + 1)
    assert len(read_losses(run)) == int(saved.name[5:]) + 1


def test_of_other_commands_there_is_one(write_config: WriteConfig) -> None:
    status, said, errors = launch("check", write_config("checked", **KEYS))
    assert status == 0, errors
    assert said.count("training  ") == 1
