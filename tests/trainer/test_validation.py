"""The loss on what is held out, the best checkpoint by it, and how many steps there are to be."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import trainer
from tests.trainer.test_cli import invoke
from trainer import read_config, read_losses, read_validation
from trainer.config import Training
from trainer.errors import ConfigError
from trainer.schedule import auto_steps, auto_views
from trainer.validation import validation_loss

WriteConfig = Callable[..., Path]
QUIET = {"preview": {"every": 0}}


@pytest.fixture
def held_out(dataset_folder: Path, write_dataset: Callable[..., Path]) -> Path:
    """The dataset with two pictures of one size and one of another held out."""
    train = dataset_folder / "train"
    train.mkdir()
    for path in list(dataset_folder.iterdir()):
        if path != train:
            path.rename(train / path.name)
    write_dataset(dataset_folder / "validation", [("v0.png", "mira, waving"), ("v1.png", "mira")])
    return write_dataset(dataset_folder / "validation", [("v2.png", "mira, angry")], (40, 32))


def saved(run: Path) -> list[str]:
    return sorted(path.name for path in (run / "checkpoints").iterdir())


def whole(path: Path) -> Path:
    config = read_config(path)
    list(trainer.start(config, path).run())
    return config.output


def test_the_loss_of_what_is_held_out_is_taken_without_touching_the_run(
    held_out: Path, write_config: WriteConfig
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    keys = {**QUIET, "steps": 5, "checkpoint_every": 5, "method": {"dropout": 0.2}}
    run = whole(write_config(validation_every=2, **keys))
    taken = read_validation(run)
    assert [step for step, _ in taken] == [0, 2, 4, 5]
    assert len({loss for _, loss in taken}) == 4
    board = EventAccumulator(str(run / "tensorboard"))
    board.Reload()
    assert [(event.step, event.value) for event in board.Scalars("validation_loss")] == [
        (step, pytest.approx(loss, rel=1e-5)) for step, loss in taken
    ]
    never = whole(write_config("never", validation_every=0, **keys))
    assert read_validation(never) == []
    first, second = (load_file(one / "checkpoints" / "step-000005" / "parameters.safetensors") for one in (run, never))
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())
    assert read_losses(run) == read_losses(never)


def test_the_same_weights_have_the_same_loss_and_it_is_the_methods_own(
    held_out: Path, write_config: WriteConfig
) -> None:
    session = trainer.start(read_config(write_config(**QUIET, method={"dropout": 0.5})))
    assert session.held_out is not None
    losses = {validation_loss(session.parts, session.method, session.held_out, 2) for _ in range(3)}
    assert len(losses) == 1
    one_by_one = validation_loss(session.parts, session.method, session.held_out, 1)
    assert one_by_one == pytest.approx(losses.pop(), rel=0.5)  # other noise, the same pictures
    assert {example.caption for example in session.held_out.dataset.examples} == {"mira, waving", "mira", "mira, angry"}
    train, apart = ({one.path for one in some.dataset.examples} for some in (session.encoded, session.held_out))
    assert not train & apart


def test_the_best_checkpoint_is_kept_beside_the_last_and_named(held_out: Path, write_config: WriteConfig) -> None:
    path = write_config(
        **QUIET, steps=6, checkpoint_every=1, keep=1, warmup=0, learning_rate="0.01:3, 1", method={"alpha": 400}
    )
    answer = json.loads(invoke("train", path, "--json").stdout)
    run = read_config(path).output
    losses = {step: loss for step, loss in read_validation(run) if step}
    best = min(losses, key=lambda step: losses[step])
    assert best != 6  # at such a rate the first steps are the best
    assert saved(run) == [f"step-{best:06d}", "step-000006"]
    assert answer["best"] == {"step": best, "validation_loss": losses[best]}
    result = invoke("resume", run, "--steps", 7)
    losses = {step: loss for step, loss in read_validation(run) if step in (best, 7)}
    best = min(losses, key=lambda step: losses[step])
    assert f"best      step {best}, by a loss of {losses[best]:.4f} on what is held out" in result.stdout


def test_a_run_with_it_can_be_stopped_bit_for_bit(held_out: Path, write_config: WriteConfig) -> None:
    keys = {**QUIET, "steps": 5, "checkpoint_every": 2, "validation_every": 3, "ema": 0.5}
    straight = whole(write_config("whole", **keys))
    config = read_config(write_config("parts", **keys))
    list(itertools.islice(trainer.start(config).run(), 4))
    list(trainer.resume(config.output).run())
    assert read_validation(straight) == read_validation(config.output)
    assert [step for step, _ in read_validation(straight)] == [0, 2, 3, 4, 5]
    session = trainer.resume(config.output, step=2)
    assert [step for step, _ in read_validation(config.output / "aside-1")] == [0, 2, 3, 4, 5]
    list(session.run())
    assert read_validation(straight) == read_validation(config.output)


def test_steps_are_counted_by_a_rule_that_is_printed(write_config: WriteConfig, held_out: Path) -> None:
    views = [auto_views(pictures) for pictures in range(1, 20_000)]
    assert all(later < earlier for earlier, later in itertools.pairwise(views))
    assert [round(auto_views(pictures)) for pictures in (10, 50, 100, 1000, 10_000)] == [284, 238, 200, 83, 54]
    total = [pictures * each for pictures, each in enumerate(views, 1)]
    assert all(later > earlier for earlier, later in itertools.pairwise(total))
    path = write_config(**QUIET, steps="auto", batch_size=16, accumulate=4)
    result = invoke("check", path)
    assert "steps     auto: 5 pictures x 292 views each = 1460 views / 64 a step = 23 steps" in result.stdout
    assert "23 steps x 16 pictures x 4 accumulated = 1472 views of 5 pictures" in result.stdout
    assert "held out  3 pictures, whose loss is taken at each checkpoint" in result.stdout
    assert auto_steps(5, 64) == 23
    trained = write_config("counted", **QUIET, steps="auto", batch_size=100, accumulate=8, validation_every=0)
    result = invoke("train", trained)
    assert "views / 800 a step = 2 steps" in result.stdout
    run = read_config(trained).output
    assert [step for step, _, _ in read_losses(run)] == [1, 2]
    assert json.loads((run / "run.json").read_text())["training"]["steps"] == 2
    with pytest.raises(ConfigError, match=r'steps = "auto", which comes to 23: .*ends at step 4, before steps = 23'):
        trainer.start(read_config(write_config("x", steps="auto", batch_size=64, learning_rate="0.1:4")))
    assert Training(steps="auto").steps == 0


def test_a_run_goes_on_at_another_rate(write_config: WriteConfig) -> None:
    run = whole(write_config(**QUIET))
    invoke("resume", run, "--steps", 6, "--learning-rate", "0.002:5, 0.001")
    assert [rate for _, _, rate in read_losses(run)] == [0.005, 0.01, 0.01, 0.01, 0.002, 0.001]
    invoke("resume", run, "--steps", 7)
    assert read_losses(run)[-1][2] == 0.001
    result = invoke("resume", run, "--steps", 9, "--learning-rate", "0.002:5")
    assert result.exit_code == 2
    assert "ends at step 5, before steps = 9" in result.stderr
    assert json.loads((run / "run.json").read_text())["training"]["learning_rate"] == "0.002:5, 0.001"
