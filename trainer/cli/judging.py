"""The command that judges what was drawn."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trainer.cli.shared import batch_size_option, command, need_torch, number_option, path_option, seed_option
from trainer.terminal import Bar

if TYPE_CHECKING:
    from trainer.evaluate.scores import Share


def _numbers(kind: type[int | float]) -> Any:
    """What reads "100,300"."""

    def read(context: click.Context, option: click.Parameter, text: str | None) -> tuple[float, ...]:
        try:
            return tuple(kind(part) for part in (text or "").split(",") if part.strip())
        except ValueError:
            example = "100,300" if kind is int else "0.6,0.8,1"
            raise click.BadParameter(f'"{text}" is no list of numbers such as {example}') from None

    return read


@command
@click.argument("run", type=click.Path(path_type=Path), required=False)
@path_option(
    "--pictures",
    "Instead of a run, a folder of pictures that any model drew, with their prompts: as A1111, Forge, ComfyUI or "
    "trainer sample write them into the file, in a .txt beside it, or in the names of folders.",
)
@click.option(
    "--scheme",
    type=click.Path(path_type=Path),
    default=Path("scheme.toml"),
    show_default=True,
    help="The axes, their sorters and the classes' tags.",
)
@path_option(
    "--library",
    "The library that the model was trained on: says how well the sorters judge at the pictures' size, and refits "
    "those that are weak there; of --pictures, which ones are copies, too.  [default: of a run, its dataset]",
)
@path_option(
    "--base",
    "With --pictures and --library: the base that drew the pictures, a .safetensors or a diffusers folder; the "
    "sorters are tried on what its autoencoder leaves of the library's. Of a run, its own base is taken.",
)
@number_option(
    "--count",
    48,
    "Of a run: pictures of each checkpoint and of the base, each of another prompt; more make intervals narrower.",
)
@click.option(
    "--steps",
    callback=_numbers(int),
    metavar="100,300",
    help="Of a run: the checkpoints to draw from.  [default: at most six, evenly spread]",
)
@click.option(
    "--strength",
    "strengths",
    callback=_numbers(float),
    metavar="0.6,0.8,1",
    help="Of a run that trained a LoRA: draw each checkpoint at each of these strengths.  [default: 1]",
)
@seed_option("Of a run: of its first picture.")
@batch_size_option("Of a run: how many pictures are drawn")
@click.option(
    "--at-least",
    type=click.FloatRange(0, 1),
    help="End with exit code 1 where the mean adherence (of a run, of its best checkpoint) may be below this, by the "
    "lower end of its interval.",
)
@path_option("--to", "The page.  [default: evaluation.html in the folder]")
def evaluate(
    run: Path | None, pictures: Path | None, scheme: Path, library: Path | None, base: Path | None,
    at_least: float | None, to: Path | None, **wish: Any,
) -> tuple[dict[str, Any], str]:  # fmt: skip
    """Judge drawn pictures by your own sorters: is what was asked for what is seen?

    Draws the same prompts, made of the scheme's classes, with each checkpoint in folder RUN and with its base, and says
    which one is best. What was drawn is kept in RUN/evaluation.

    Exit codes: 0 done, 1 some pictures failed or fell short of --at-least, 2 wrong input.
    """
    from trainer.errors import EvaluationError

    if (run is None) == (pictures is None):
        raise EvaluationError("give either the folder of a run, or --pictures with a folder of pictures")
    if run is not None:
        if base is not None:
            raise EvaluationError("--base is for --pictures; a run is judged with the base that it was trained on")
        return _run(run, scheme, library, at_least, to or run / "evaluation.html", wish)
    assert pictures is not None
    return _pictures(pictures, scheme, library, base, at_least, to or pictures / "evaluation.html")


def _run(
    run: Path, scheme: Path, library: Path | None, at_least: float | None, page: Path, wish: dict[str, Any]
) -> tuple[dict[str, Any], str]:  # fmt: skip
    need_torch()
    from trainer.evaluate.run_report import write_run_report
    from trainer.evaluate.run_text import as_json, lines_of
    from trainer.evaluate.runs import Wish, evaluate_run

    with Bar() as bar:
        found = evaluate_run(run, scheme, library, Wish(**wish), bar.show)
    write_run_report(found, page)
    short, said = _short(found.best.made.mean, at_least, f"the mean of {found.best.model}")
    answer = {**as_json(found), "at_least": at_least, "falls_short": short, "page": str(page)}
    return answer, "\n".join([*lines_of(found, said), f"page  {page}"])


def _pictures(
    pictures: Path, scheme: Path, library: Path | None, base: Path | None, at_least: float | None, page: Path
) -> tuple[dict[str, Any], str]:  # fmt: skip
    from trainer.errors import EvaluationError
    from trainer.evaluate.pictures import evaluate_pictures
    from trainer.evaluate.report import write_report
    from trainer.evaluate.text import as_json, lines_of

    if base is not None:
        if library is None:
            raise EvaluationError("--base is for trying the sorters on a library's pictures; give --library, too")
        need_torch()
    with Bar() as bar:
        made, like = evaluate_pictures(pictures, scheme, library, base, bar.show)
    write_report(made, like, made.job.scheme.name, page)
    short, said = _short(made.mean, at_least, "the mean")
    answer = {**as_json(made, like), "at_least": at_least, "falls_short": short, "page": str(page)}
    return answer, "\n".join([*lines_of(made, like, said), f"page  {page}"])


def _short(mean: Share, at_least: float | None, what: str) -> tuple[bool, list[str]]:
    """Whether a mean falls short, and the sentence that says so."""
    lower = mean.interval[0]
    if at_least is None or lower >= at_least:
        return False, []
    return True, [f"falls short: {what} may be as low as {lower:.3f}, below --at-least {at_least}"]
