"""A run judged: its checkpoints against each other and against its base, by the same prompts and seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from sorter.commands.job import Job, load_job
from sorter.errors import DatasetError
from trainer.config import Run, read_run
from trainer.dataset import Dataset, read_dataset
from trainer.evaluate.captions import Captioned, by_gain
from trainer.evaluate.columns import Column
from trainer.evaluate.drawing import FOLDER, Model, draw_all, models
from trainer.evaluate.judge import Show, judge
from trainer.evaluate.known import Known, of_dataset, of_library
from trainer.evaluate.likeness import Likeness, compare, looks_of
from trainer.evaluate.losses import all_losses
from trainer.evaluate.pictures import lens_of
from trainer.evaluate.signs import difference, overtrained
from trainer.evaluate.trial import Trial, try_out
from trainer.evaluate.vocabulary import prompts
from trainer.preview import BRACKET


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
    captions: Sequence[Captioned] = ()
    """Training pictures, those that their captions help least first, by the last checkpoint."""

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
        level = [one for one in self.trained if top.adherence - one.adherence <= difference(top.scores, one.scores)[1]]
        return min(level, key=lambda one: (one.model.step, abs(one.model.strength - 1)))

    @cached_property
    def overtrained(self) -> list[str]:
        """Why the last checkpoint is overtrained; nothing where it is not."""
        same = [one for one in self.trained if one.model.strength == self.last.model.strength]
        return overtrained([self.base, *same])

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
    dataset, held_out, notes = _datasets(config)
    captions = [text for one in dataset.examples for text in one.captions] if dataset else []
    told = config.build_method(str(run)).told
    asked = [told(prompt) for prompt in prompts(job, captions, wish.count, wish.seed)]
    if config.preview.emphasis:  # a bracket in a tag is a bracket
        asked = [BRACKET.sub(r"\\\1", prompt) for prompt in asked]
    drawn = draw_all(run, asked, of, show, wish.seed, wish.batch_size)
    first = judge(run / FOLDER, job, show, drawn[of[0]])
    training, new = (of_dataset(part, job) if part else [] for part in (dataset, held_out))
    known = of_library(library, job) if library else [*training, *new]
    lens = lens_of(config.open_base(), first.usual_size)
    trial = try_out(job, known, tuple(first.axes), lens, show) if known else None
    judged = {model: judge(run / FOLDER, trial.job if trial else job, show, paths) for model, paths in drawn.items()}
    likes = _likes(drawn, training or known, new, trial, show)
    columns = [Column(one, drawn[one], judged[one], likes.get(one)) for one in of]
    found = RunJudgement(run, config, trial.job if trial else job, asked, columns, trial, notes)
    return _with_losses(found, dataset, held_out, show) if dataset else found


def _with_losses(found: RunJudgement, dataset: Dataset, held_out: Dataset | None, show: Show) -> RunJudgement:
    """With the losses of each model, and what captions are worth; where they cannot be computed, that is said."""
    of = [one.model for one in found.columns]
    try:
        losses = all_losses(found.run, found.config, dataset, held_out, of, show)
        captions = by_gain(found.run, found.config, dataset, found.last.model, show)
    except DatasetError as error:
        return replace(found, notes=[*found.notes, f"losses are not compared: {error}"])
    columns = [replace(one, losses=losses.get(one.model)) for one in found.columns]
    return replace(found, columns=columns, captions=captions)


def _datasets(config: Run) -> tuple[Dataset | None, Dataset | None, list[str]]:
    """What the run was trained on, and what was held out; None where that is gone, which is said of the first."""
    base = config.open_base()
    side, how = config.training.resolution or base.size, config.training.reading
    try:
        training = read_dataset(config.dataset, base.factor, side, how=how)
    except DatasetError as error:
        return None, None, [f"nothing is compared with the training pictures: {error}"]
    try:
        held_out = read_dataset(config.dataset, base.factor, side, how=how, part="validation")
    except DatasetError:
        return training, None, []
    return training, held_out if held_out.examples else None, []


def _likes(
    drawn: Mapping[Model, Sequence[Path]],
    known: Sequence[Known],
    held_out: Sequence[Known],
    trial: Trial | None,
    show: Show,
) -> dict[Model, Likeness]:
    if trial is None:
        return {}
    real, new = (looks_of(some, trial.lens.size, show) if some else [] for some in (known, held_out))
    return {model: compare(paths, real, trial, show, new) for model, paths in drawn.items()}
