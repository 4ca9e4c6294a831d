"""Pictures of a run's checkpoints and of its base, by the same prompts and seeds; what was drawn once is kept.

RUN/evaluation/step-000300/      each PNG with its recipe; its name has a hash of that
RUN/evaluation/step-000300-0.6/  the same LoRA at another strength
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from trainer.checkpoint import checkpoints, find_checkpoint, step_of
from trainer.config import Run, read_run
from trainer.drawing import draw, load_trained, trained_lora
from trainer.errors import EvaluationError
from trainer.evaluate.judge import Show
from trainer.loras import weigh_trained
from trainer.recipe import Drawn, write_png

FOLDER = "evaluation"
"""In a run folder."""
MOST_STEPS = 6
"""Checkpoints that are drawn from where none are named: each takes minutes."""
FULL = 1.0


@dataclass(frozen=True, slots=True, order=True)
class Model:
    """A model that a run made: the LoRA of a checkpoint at a strength; step 0 is the base."""

    step: int
    strength: float = FULL

    def __str__(self) -> str:
        if not self.step:
            return "base"
        return f"step {self.step}" if self.strength == FULL else f"step {self.step} at {self.strength:g}"

    @property
    def folder(self) -> str:
        """What its pictures lie in."""
        return f"step-{self.step:06d}" + ("" if self.strength == FULL else f"-{self.strength:g}")


def models(run: Path, steps: Sequence[int] = (), strengths: Sequence[float] = ()) -> list[Model]:
    """The base, then the models of a run: of the steps named, or of at most MOST_STEPS evenly spread.

    Raises ConfigError where there is no run, CheckpointError where a checkpoint is missing, EvaluationError where what
    was trained has no strength.
    """
    config = read_run(run)
    folder = run / "checkpoints"
    if strengths and not config.build_method(str(run)).is_lora:
        raise EvaluationError(f"{run}: was trained by {config.method['use']}, and only a LoRA has a strength")
    find_checkpoint(folder)
    chosen = [step_of(find_checkpoint(folder, step)) for step in steps if step] or _spread(
        [step_of(path) for path in checkpoints(folder)], MOST_STEPS
    )
    each = [Model(step, strength) for step in dict.fromkeys(chosen) for strength in dict.fromkeys(strengths or (FULL,))]
    return [Model(0), *sorted(each)]


def draw_all(
    run: Path, prompts: Sequence[str], of: Sequence[Model], show: Show, seed: int = 0, batch_size: int = 8
) -> dict[Model, list[Path]]:
    """A picture of each prompt by each model, as the run draws previews: the prompt's number is added to the seed.

    Only what is missing is drawn. Raises what `load_trained` raises, and OSError where a picture cannot be written.
    """
    config, base = read_run(run), read_run(run).open_base()
    about = _about(config, base.fingerprint()[:10], base.name)
    wanted = {model: _recipes(run, about, prompts, model, seed) for model in of}
    done, total = 0, len(of) * len(prompts)
    for model, recipes in wanted.items():
        missing = {path: drawn for path, drawn in recipes.items() if not path.exists()}
        done += len(recipes) - len(missing)
        if not missing:
            continue
        show(f"drawing, {model}", done, total)
        parts, _ = load_trained(run, model.step)
        if model.strength != FULL:
            weigh_trained(parts, model.strength)
        for some in _batches(list(missing), batch_size):
            these = [missing[path] for path in some]
            pictures = draw(parts, these, config.preview.size, batch_size=batch_size)
            for path, picture, recipe in zip(some, pictures, these, strict=True):
                write_png(picture, path, recipe)
            done += len(some)
            show(f"drawing, {model}", done, total)
    return {model: list(recipes) for model, recipes in wanted.items()}


def _recipes(run: Path, about: Drawn, prompts: Sequence[str], model: Model, seed: int) -> dict[Path, Drawn]:
    """Where each picture lies, and how it is drawn."""
    loras = dict.fromkeys(trained_lora(run, model.step), model.strength)
    recipes = [
        replace(about, prompt=prompt, seed=seed + number, trained=model.step, loras=loras)
        for number, prompt in enumerate(prompts)
    ]
    return {run / FOLDER / model.folder / one.file_name: one for one in recipes}


def _batches(paths: list[Path], size: int) -> list[list[Path]]:
    return [paths[start : start + size] for start in range(0, len(paths), size)]


def _about(config: Run, base: str, name: str) -> Drawn:
    preview = config.preview
    return Drawn(
        "", 0, negative=preview.negative, steps=preview.steps, guidance=preview.guidance, sampler=preview.sampler,
        emphasis=preview.emphasis, clip_skip=config.training.clip_skip, base=base, model=name,
    )  # fmt: skip


def _spread(steps: list[int], most: int) -> list[int]:
    """At most so many of them, evenly spread, the last one among them."""
    count = min(most, len(steps))
    return [steps[len(steps) - 1 - number * len(steps) // count] for number in reversed(range(count))]
