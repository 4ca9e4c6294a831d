"""A folder of pictures that any model drew, judged; where there is a library, beside what is known of its pictures."""

from __future__ import annotations

from pathlib import Path

from sorter.commands.job import load_job
from trainer.base import Base, read_base
from trainer.evaluate.judge import Judgement, Show, judge
from trainer.evaluate.known import Lens, of_library
from trainer.evaluate.likeness import Likeness, compare, looks_of
from trainer.evaluate.trial import try_out


def evaluate_pictures(
    folder: Path, scheme: Path, library: Path | None, base: Path | None, show: Show
) -> tuple[Judgement, Likeness | None]:
    """Judge the pictures below `folder` by the sorters of a scheme.toml, refitted at their size where these are weak.

    base: of the library's pictures, what its autoencoder leaves is looked at. Raises EvaluationError, and what loading
    a scheme, a library or a base raises.
    """
    job = load_job(scheme)
    made = judge(folder, job, show)
    if library is None:
        return made, None
    known, lens = of_library(library, job), lens_of(base, made.usual_size)
    trial = try_out(job, known, tuple(made.axes), lens, show)
    if trial.before:
        made = judge(folder, trial.job, show)
    real = looks_of(known, lens.size, show)
    return made, compare([one.path for one in made.readable], real, trial, show)


def lens_of(base: Base | Path | None, size: tuple[int, int]) -> Lens:
    """Pictures at this width and height, through the autoencoder of a base if there is one. Raises BaseModelError."""
    if base is None:
        return Lens(size)
    from trainer.evaluate.autoencoder import autoencoder

    base = read_base(base) if isinstance(base, Path) else base
    return Lens(size, autoencoder(base), base.hash_of("vae"))
