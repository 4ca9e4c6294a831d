"""The commands that train."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trainer.cli.shared import command, config_argument, has_torch, need_torch, run_argument
from trainer.say import census, class_pictures, duration, left_out, memory, oddities, unreadable
from trainer.terminal import Bar, Stop

if TYPE_CHECKING:
    from trainer.base import Base
    from trainer.config import Run, Training
    from trainer.dataset import Dataset
    from trainer.duration import Duration
    from trainer.rehearsal import Captions, Need
    from trainer.session import Session


@command
@config_argument
def check(config: Path) -> tuple[dict[str, Any], str]:
    """Check CONFIG, the base and the dataset, and print what training would do."""
    from trainer.config import read_config
    from trainer.dataset import read_dataset

    run = read_config(config)
    base = run.open_base()
    side = run.training.resolution or base.size
    with Bar() as bar:
        dataset = read_dataset(
            run.dataset, base.factor, side, True, partial(bar.show, "reading pictures"), run.training.reading
        )
    pictures = len(dataset.examples)
    counting = _auto(run, pictures)
    run = run.counted(pictures)
    captions = _rehearse(run, base, dataset)
    training = run.training
    needed = _need(run, dataset)
    held_out = read_dataset(run.dataset, base.factor, side, how=training.reading, part="validation")
    takes = _takes(run, dataset, held_out)
    passes = training.views / dataset.views
    answer = {
        "config": str(config),
        "method": run.method,
        "base": {"folder": str(run.base), "family": base.kind, "size": base.size, "prediction": base.prediction},
        "pictures": pictures,
        "sizes": {f"{width}x{height}": count for (width, height), count in dataset.sizes.items()},
        "unreadable": unreadable(dataset.unreadable),
        "repeated": dataset.views if dataset.views > pictures else 0,
        "masked": dataset.masked,
        "scaled_down": 0 if training.buckets else dataset.scaled,
        "scaled": dataset.scaled if training.buckets else 0,
        "lonely": 0 if training.buckets else dataset.lonely(training.batch_size),
        "lonely_in_buckets": dataset.lonely(training.batch_size) if training.buckets else 0,
        "small": dataset.small(side),
        "cut_captions": captions and captions.cut,
        "empty_captions": captions and captions.empty,
        "memory": needed and {**asdict(needed.memory), "total": needed.total, "lower": dict(needed.lower)},
        "time": takes and {**asdict(takes), "total": takes.total},
        "steps": training.steps,
        "views": training.views,
        "held_out": len(held_out.examples),
        "passes": round(passes, 2),
        "output": str(run.output),
    }
    lines = [
        f"base      {run.base}, {base.kind}, {base.size}x{base.size}, {base.prediction}",
        f"method    {', '.join(f'{key} {value}' for key, value in run.method.items())}",
        f"training  {_arithmetic(training)} of {_seen(dataset)} = {passes:.3g} passes",
        *counting,
        *census(dataset),
        *_held_out(run, held_out),
        *(memory(needed) if needed else []),
        *(duration(takes) if takes else []),
        *oddities(answer),
    ]
    return answer, "\n".join(lines)


def _arithmetic(training: Training) -> str:
    """The pictures that are seen in the whole run, and of what they come."""
    factors = [f"{training.steps} steps", f"{training.batch_size} pictures"]
    factors += [f"{training.accumulate} accumulated"] if training.accumulate > 1 else []
    factors += [f"{training.processes} processes"] if (training.processes or 1) > 1 else []
    return f"{' x '.join(factors)} = {training.views} views"


def _auto(run: Run, pictures: int, processes: int = 1) -> list[str]:
    """The arithmetic of steps = "auto", where that is asked for."""
    from trainer.schedule import auto_views

    if run.training.steps:
        return []
    each, training = auto_views(pictures), run.counted(pictures, processes).training
    said = f"{pictures} pictures x {each:.0f} views each = {pictures * each:.0f} views / {training.of_step} a step"
    return [f"steps     auto: {said} = {training.steps} steps"]


def _held_out(run: Run, held_out: Dataset) -> list[str]:
    """Whether a validation loss is taken, and when."""
    every = run.training.validation_every
    if not held_out.examples or every == 0:
        return []
    when = "at each checkpoint" if every is None else f"every {every} steps and at each checkpoint"
    return [f"held out  {len(held_out.examples)} pictures, whose loss is taken {when}", *left_out(held_out.unreadable)]


def _seen(dataset: Dataset) -> str:
    """What is seen in a pass."""
    pictures = len(dataset.examples)
    if dataset.views == pictures:
        return f"{pictures} pictures"
    return f"{dataset.views} ({pictures} pictures, each as often as it is repeated)"


@command
@config_argument
def train(config: Path) -> tuple[dict[str, Any], str]:
    """Train as CONFIG says, into a new run folder."""
    need_torch()
    from trainer.config import read_config
    from trainer.run import start

    run = read_config(config)
    with Bar() as bar:
        session = start(run, config, bar.show)
        training, dataset = session.config.training, session.encoded.dataset
        said = _auto(run, len(dataset.examples), session.together.count)
        if session.together.count > 1:
            said.append(f"training  {_arithmetic(training)} of {_seen(dataset)}")
        answer, text = _train(session, bar)
        return answer, "\n".join([*said, text])


@command
@run_argument
@click.option(
    "--steps", type=click.IntRange(min=1), help="Steps in all, those that are done included.  [default: as configured]"
)
@click.option(
    "--step",
    type=click.IntRange(min=0),
    help="Go back to the checkpoint of this step, 0 to the beginning.  [default: the last]",
)
@click.option("--learning-rate", help='Another one from here on, as in train.toml: 5e-5, or "1e-4:2000, 1e-5".')
def resume(run: Path, steps: int | None, step: int | None, learning_rate: str | None) -> tuple[dict[str, Any], str]:
    """Continue the run in folder RUN from its last checkpoint."""
    need_torch()
    from trainer.run import resume as resume_run

    with Bar() as bar:
        return _train(resume_run(run, steps, bar.show, step, learning_rate), bar)


def _train(session: Session, bar: Bar) -> tuple[dict[str, Any], str]:
    output, total, progress = session.config.output, session.config.training.steps, None
    with Stop() as stop:
        for progress in session.run(lambda: stop.asked):
            bar.show(f"training, loss {progress.loss:.4f}", progress.step, total)
    step = session.state.step
    finished = step == total
    notes, best = session.method.notes(session.parts), session.best
    answer = {
        "run": str(output),
        "step": step,
        "steps": total,
        "finished": finished,
        "loss": progress and progress.loss,  # none where only `trained` was still to be written
        "notes": notes,
        "best": best and {"step": best[0], "validation_loss": best[1]},
        "pictures": len(session.encoded.dataset.examples),
        "encoded": session.encoded.newly_encoded,
        "cut_captions": session.cut_captions,
        "scaled_down": 0 if session.config.training.buckets else session.encoded.dataset.scaled,
        "unreadable": unreadable(session.unreadable),
        "class_pictures": session.prior and {"drawn": session.prior.newly_drawn, "kept": session.prior.kept},
    }
    if finished:
        summary = f"done: {total} steps; the trained weights are in {output / 'trained'}"
    else:
        summary = f"stopped after step {step} of {total}; continue with `trainer resume {output}`"
    noted = [f"note      {note}" for note in notes]
    if best:
        noted.append(f"best      step {best[0]}, by a loss of {best[1]:.4f} on what is held out")
    return answer, "\n".join(
        [summary, *oddities(answer), *class_pictures(answer), *noted, *left_out(session.unreadable)]
    )


def _rehearse(run: Run, base: Base, dataset: Dataset) -> Captions | None:
    """What training would refuse is refused; None where it cannot be tried, without torch."""
    if not has_torch():
        return None
    need_torch()
    from trainer.rehearsal import rehearse

    return rehearse(run, base, dataset)


def _need(run: Run, dataset: Dataset) -> Need | None:
    """The memory that steps will take; None where it cannot be counted, without torch."""
    if not has_torch():
        return None
    from trainer.rehearsal import need

    return need(run, dataset)


def _takes(run: Run, dataset: Dataset, held_out: Dataset) -> Duration | None:
    """How long training will take on this machine; None where it cannot be tried: without torch, or memory."""
    if not has_torch():
        return None
    from trainer.duration import estimate
    from trainer.operations import Untried

    try:
        return estimate(run, dataset, held_out)
    except Untried:
        return None
