"""A run judged: its checkpoints against each other and against its base, by the same prompts and seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from sorter.commands.job import Job, load_job
from sorter.errors import DatasetError
from trainer.config import Run, read_run
from trainer.dataset import Dataset, read_dataset
from trainer.evaluate.drawing import FOLDER, Model, draw_all, models
from trainer.evaluate.judge import Judged, Judgement, Show, judge
from trainer.evaluate.known import Known, of_dataset, of_library
from trainer.evaluate.likeness import Likeness, compare, looks_of
from trainer.evaluate.pictures import lens_of
from trainer.evaluate.trial import Trial, try_out
from trainer.evaluate.vocabulary import prompts


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be drawn of a run."""

    count: int = 48
    """Pictures of each model."""
    steps: tuple[int, ...] = ()
    """Of the checkpoints; none: some of all."""
    strengths: tuple[float, ...] = ()
    """Of a LoRA; none: as it was trained."""
    seed: int = 0
    batch_size: int = 8


@dataclass(frozen=True, eq=False)
class Column:
    """A model of the run, judged."""

    model: Model
    paths: Sequence[Path]
    """A picture a prompt."""
    made: Judgement
    like: Likeness | None = None

    @cached_property
    def seen(self) -> dict[Path, Judged]:
        """The pictures that are judged, by their files."""
        return {one.path: one for one in self.made.judged}

    @property
    def adherence(self) -> float:
        """The mean over the axes, 0..1."""
        return self.made.mean.value

    def scores(self) -> dict[int, float]:
        """The prompt's number -> the share of what it asks for that is seen."""
        judged = {number: self.seen[path] for number, path in enumerate(self.paths) if path in self.seen}
        return {number: float(np.mean(list(one.right().values()))) for number, one in judged.items()}


@dataclass(frozen=True, eq=False)
class RunJudgement:
    """What became of a run."""

    run: Path
    config: Run
    job: Job
    """The scheme with the sorters that judged."""
    prompts: Sequence[str]
    columns: Sequence[Column]
    """The base, and the models of the run in the order of their steps."""
    trial: Trial | None = None
    """How well the judge does on real pictures; None where there are none to try it on."""
    notes: Sequence[str] = field(default=())

    @property
    def base(self) -> Column:
        """What was there before training: the floor."""
        return self.columns[0]

    @property
    def trained(self) -> Sequence[Column]:
        """All but the base."""
        return self.columns[1:]

    @cached_property
    def best(self) -> Column:
        """The earliest one that is no more than a standard error below the one that does best.

        Breiman et al. 1984, "Classification and regression trees", section 3.4.3; the error is that of the difference
        between pictures of the same prompts and seeds.
        """
        top = max(self.trained, key=lambda one: one.adherence)
        level = [one for one in self.trained if top.adherence - one.adherence <= _error(top, one)]
        return min(level, key=lambda one: (one.model.step, abs(one.model.strength - 1)))

    @property
    def last(self) -> Column:
        """The last checkpoint, at the strength of the best."""
        same = [one for one in self.trained if one.model.strength == self.best.model.strength]
        return same[-1]


def evaluate_run(run: Path, scheme: Path, library: Path | None, wish: Wish, show: Show) -> RunJudgement:
    """Draw what is missing of a run's pictures, and judge them by the sorters of a scheme.toml.

    library: by its pictures the sorters are tried, and refitted where they are weak; without it, by those of the run's
    dataset. Raises EvaluationError, RunError, BaseModelError, and what loading a scheme or a library raises.
    """
    config, job, of = read_run(run), load_job(scheme), models(run, wish.steps, wish.strengths)
    dataset, notes = _dataset(config)
    captions = [text for one in dataset.examples for text in one.captions] if dataset else []
    told = config.build_method(str(run)).told
    asked = [told(prompt) for prompt in prompts(job, captions, wish.count, wish.seed)]
    drawn = draw_all(run, asked, of, show, wish.seed, wish.batch_size)
    first = judge(run / FOLDER, job, show, drawn[of[0]])
    training = of_dataset(dataset, job) if dataset else []
    known = of_library(library, job) if library else training
    trial = try_out(job, known, tuple(first.axes), lens_of(config.base, first.usual_size), show) if known else None
    judged = {model: judge(run / FOLDER, trial.job if trial else job, show, paths) for model, paths in drawn.items()}
    likes = _likes(drawn, training or known, trial, show)
    columns = [Column(model, drawn[model], judged[model], likes.get(model)) for model in of]
    return RunJudgement(run, config, trial.job if trial else job, asked, columns, trial, notes)


def _dataset(config: Run) -> tuple[Dataset | None, list[str]]:
    """What the run was trained on; None where that is gone, which is said."""
    try:
        base = config.open_base()
        side = config.training.resolution or base.size
        return read_dataset(config.dataset, base.factor, side, how=config.training.reading), []
    except DatasetError as error:
        return None, [f"nothing is compared with the training pictures: {error}"]


def _likes(
    drawn: Mapping[Model, Sequence[Path]], known: Sequence[Known], trial: Trial | None, show: Show
) -> dict[Model, Likeness]:
    if trial is None:
        return {}
    real = looks_of(known, trial.lens.size, show)
    return {model: compare(paths, real, trial, show) for model, paths in drawn.items()}


def _error(one: Column, other: Column) -> float:
    """The standard error of the difference of their adherences, over pictures of the same prompt and seed."""
    mine, theirs = one.scores(), other.scores()
    apart = [mine[number] - theirs[number] for number in mine.keys() & theirs.keys()]
    return float(np.std(apart, ddof=1)) / math.sqrt(len(apart)) if len(apart) > 1 else 0.0
