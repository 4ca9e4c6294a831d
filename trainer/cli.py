"""The command line: reads arguments, calls the rest, prints. Nothing heavy is imported before it is needed."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sorter.errors import MissingExtra, ModelsheetError
from sorter.text import visible
from trainer.say import census, left_out, oddities, unreadable
from trainer.terminal import Bar, Stop

if TYPE_CHECKING:
    from trainer.base import Base
    from trainer.config import Run
    from trainer.dataset import Dataset
    from trainer.evaluate.likeness import Through
    from trainer.rehearsal import Captions
    from trainer.run import Session

DONE, SOME_FAILED, WRONG_INPUT = 0, 1, 2
TORCH_PACKAGES = ("torch", "diffusers", "transformers", "peft", "safetensors", "tensorboard")


class _InOrder(click.Group):
    """Lists the commands in the order in which they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


@click.group(cls=_InOrder, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="modelsheet")
def cli() -> None:
    """Train a diffusion model on a labelled dataset, and draw with it."""


def command(work: Callable[..., tuple[dict[str, Any], str]]) -> click.Command:
    """A command from a function that returns what `--json` prints, and the text that is printed otherwise."""

    @click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
    @functools.wraps(work)
    def run(as_json: bool, **options: Any) -> None:
        try:
            answer, text = work(**options)
        except (ModelsheetError, OSError) as error:
            said = str(error)
            if isinstance(error, OSError):
                said = f"{error.filename or 'a file'}: cannot be read or written: {error.strerror or error}"
            click.echo(f"trainer: {visible(said)}", err=True)
            if as_json:
                click.echo(json.dumps({"error": said}))
            sys.exit(WRONG_INPUT)
        click.echo(json.dumps(answer) if as_json else "\n".join(map(visible, text.split("\n"))))
        sys.exit(SOME_FAILED if answer.get("unreadable") or answer.get("falls_short") else DONE)

    return cli.command(name=work.__name__.removesuffix("_"))(run)


config_argument = click.argument("config", type=click.Path(path_type=Path))
run_argument = click.argument("run", type=click.Path(path_type=Path))


@command
@config_argument
def check(config: Path) -> tuple[dict[str, Any], str]:
    """Check CONFIG, the base and the dataset, and print what training would do."""
    from trainer.base import read_base
    from trainer.config import read_config
    from trainer.dataset import read_dataset

    run = read_config(config)
    base = read_base(run.base)
    side = run.training.resolution or base.size
    with Bar() as bar:
        dataset = read_dataset(run.dataset, base.factor, side, True, partial(bar.show, "reading pictures"))
    captions = _rehearse(run, base, dataset)
    pictures, training = len(dataset.examples), run.training
    passes = training.views / pictures
    answer = {
        "config": str(config),
        "method": run.method,
        "base": {"folder": str(run.base), "size": base.size, "prediction": base.prediction},
        "pictures": pictures,
        "sizes": {f"{width}x{height}": count for (width, height), count in dataset.sizes.items()},
        "unreadable": unreadable(dataset.unreadable),
        "scaled_down": dataset.scaled,
        "small": dataset.small(side),
        "cut_captions": captions and captions.cut,
        "empty_captions": captions and captions.empty,
        "steps": training.steps,
        "views": training.views,
        "passes": round(passes, 2),
        "output": str(run.output),
    }
    accumulated = f" x {training.accumulate} accumulated" if training.accumulate > 1 else ""
    arithmetic = f"{training.steps} steps x {training.batch_size} pictures{accumulated} = {training.views} views"
    lines = [
        f"base      {run.base}, {base.size}x{base.size}, {base.prediction}",
        f"method    {', '.join(f'{key} {value}' for key, value in run.method.items())}",
        f"training  {arithmetic} of {pictures} pictures = {passes:.3g} passes",
        *census(dataset),
        *oddities(answer),
    ]
    return answer, "\n".join(lines)


@command
@config_argument
def train(config: Path) -> tuple[dict[str, Any], str]:
    """Train as CONFIG says, into a new run folder."""
    _need_torch()
    from trainer.config import read_config
    from trainer.run import start

    with Bar() as bar:
        return _train(start(read_config(config), config, bar.show), bar)


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
def resume(run: Path, steps: int | None, step: int | None) -> tuple[dict[str, Any], str]:
    """Continue the run in folder RUN from its last checkpoint."""
    _need_torch()
    from trainer.run import resume as resume_run

    with Bar() as bar:
        return _train(resume_run(run, steps, bar.show, step), bar)


@command
@run_argument
@click.argument("prompt")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the first picture.")
@click.option(
    "--count",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="How many pictures; each next one has the next seed.",
)
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    default=8,
    show_default=True,
    help="How many are drawn at once; fewer need less memory.",
)
@click.option("--sampler", default="Euler a", show_default=True, help="By its known name; `trainer list` shows them.")
@click.option("--steps", type=click.IntRange(min=1), default=50, show_default=True, help="Steps of the sampler.")
@click.option(
    "--guidance",
    type=click.FloatRange(min=0),
    default=7.5,
    show_default=True,
    help="How closely to follow the prompt; 1 turns guidance off.",
)
@click.option("--negative", default="", help="Negative prompt: what the pictures should not show.")
@click.option(
    "--emphasis/--no-emphasis",
    default=True,
    show_default=True,
    help="Read (word:1.3), [word] and \\( as A1111 does, and prompts of any length; or take brackets for words.",
)
@click.option(
    "--clip-skip",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Layer of the text encoder, from its end, as A1111 counts; 2 for most models of anime.",
)
@click.option(
    "--size",
    type=(click.IntRange(min=1), click.IntRange(min=1)),
    help="Width and height in pixels.  [default: the image's, or the base's own]",
)
@click.option(
    "--lora",
    "loras",
    multiple=True,
    metavar="FILE:WEIGHT",
    help="A LoRA, anyone's, on top of what was trained, such as style.safetensors:0.8; may be given several times.",
)
@click.option("--image", type=click.Path(path_type=Path), help="A picture to draw from, instead of from nothing.")
@click.option(
    "--mask",
    type=click.Path(path_type=Path),
    help="A picture of the same size: white is redrawn, black stays as it is in the image.",
)
@click.option(
    "--strength",
    type=float,
    default=0.75,
    show_default=True,
    help="How far from the image, above 0 and at most 1; 1 is as if from nothing.",
)
@click.option("--to", type=click.Path(path_type=Path), help="Folder for the pictures.  [default: RUN/samples]")
@click.option("--step", type=click.IntRange(min=0), help="Step of the checkpoint to draw with.  [default: the last]")
@click.option("--base-only", is_flag=True, help="Draw with the base alone, without what was trained, to compare.")
def sample(
    run: Path, prompt: str, seed: int, count: int, size: tuple[int, int] | None, to: Path | None, step: int | None,
    base_only: bool, loras: tuple[str, ...], image: Path | None, mask: Path | None, strength: float,
    batch_size: int, **options: Any,
) -> tuple[dict[str, Any], str]:  # fmt: skip
    """Draw PROMPT with the model that was trained in folder RUN."""
    _need_torch()
    from trainer.loras import add_loras, check_prompt, read_lora
    from trainer.recipe import Drawn, write_png
    from trainer.run import draw, load_trained, trained_lora
    from trainer.samplers import check_steps, find_sampler
    from trainer.source import find_source, named

    options["sampler"] = find_sampler(options["sampler"])
    check_steps(options["sampler"], options["steps"])
    check_prompt(prompt)
    source = find_source(image, mask, strength)
    parts, trained = load_trained(run, 0 if base_only else step)
    added = [read_lora(text) for text in loras]
    add_loras(parts, added)
    options["loras"] = trained_lora(run, trained) | {lora.name: lora.weight for lora in added}
    options |= {"image": named(image), "mask": named(mask), "strength": strength}
    options |= {"base": parts.base.fingerprint()[:10], "model": parts.base.folder.name}
    about = Drawn(prompt, seed, trained=trained, **options)
    drawn = [replace(about, seed=seed + number) for number in range(count)]
    folder = to or run / "samples"
    for picture, about in zip(draw(parts, drawn, size, source, batch_size), drawn, strict=True):
        write_png(picture, folder / about.file_name, about)
    files = [str(folder / about.file_name) for about in drawn]
    return {"step": trained, "pictures": files}, "\n".join(files)


@command
@click.option(
    "--pictures",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder of pictures that any model drew, with their prompts: as A1111, Forge, ComfyUI or trainer sample write "
    "them into the file, in a .txt beside it, or in the names of folders.",
)
@click.option(
    "--scheme",
    type=click.Path(path_type=Path),
    default=Path("scheme.toml"),
    show_default=True,
    help="The axes, their sorters and the classes' tags.",
)
@click.option(
    "--library",
    type=click.Path(path_type=Path),
    help="The library that the model was trained on: says how well the sorters judge at the pictures' size, and which "
    "pictures are copies.",
)
@click.option(
    "--base",
    type=click.Path(path_type=Path),
    help="With --library: the base that drew the pictures, a diffusers folder; the sorters are tried on what its "
    "autoencoder leaves of the library's.",
)
@click.option(
    "--at-least",
    type=click.FloatRange(0, 1),
    help="End with exit code 1 where the mean adherence may be below this, by the lower end of its interval.",
)
@click.option("--to", type=click.Path(path_type=Path), help="The page.  [default: evaluation.html in the folder]")
def evaluate(
    pictures: Path, scheme: Path, library: Path | None, base: Path | None, at_least: float | None, to: Path | None
) -> tuple[dict[str, Any], str]:  # fmt: skip
    """Judge drawn pictures by your own sorters: is what was asked for what is seen?

    Exit codes: 0 done, 1 some pictures failed or fell short of --at-least, 2 wrong input.
    """
    from trainer.evaluate.judge import judge
    from trainer.evaluate.likeness import compare
    from trainer.evaluate.report import write_report
    from trainer.evaluate.text import as_json, lines_of

    through = _autoencoder(base, library)
    with Bar() as bar:
        made = judge(pictures, scheme, bar.show)
        like = compare(made, library, bar.show, through) if library else None
    page = to or pictures / "evaluation.html"
    write_report(made, like, made.job.scheme.name, page)
    lower = made.mean.interval[0]
    short = at_least is not None and lower < at_least
    said = [f"falls short: the mean may be as low as {lower:.3f}, below --at-least {at_least}"] if short else []
    answer = {**as_json(made, like), "at_least": at_least, "falls_short": short, "page": str(page)}
    return answer, "\n".join([*lines_of(made, like, said), f"page  {page}"])


@command
def list_() -> tuple[dict[str, Any], str]:
    """List the training methods with their options, and the samplers."""
    from trainer.methods import METHODS
    from trainer.samplers import SAMPLERS

    answer: dict[str, dict[str, Any]] = {
        name: {
            "help": (method.__doc__ or "").strip().splitlines()[0],
            "options": {key: field.get_default() for key, field in method.model_fields.items()},
        }
        for name, method in METHODS
    }
    lines = []
    for name, about in answer.items():
        lines.append(f"{name}  {about['help']}")
        lines += [f"    {key} = {json.dumps(value)}" for key, value in about["options"].items()]
    lines.append(f"samplers  {', '.join(SAMPLERS)}")
    return {"methods": answer, "samplers": list(SAMPLERS)}, "\n".join(lines)


def main() -> None:
    """The console script."""
    cli(prog_name="trainer")


def _train(session: Session, bar: Bar) -> tuple[dict[str, Any], str]:
    output, total, progress = session.config.output, session.config.training.steps, None
    with Stop() as stop:
        for progress in session.run(lambda: stop.asked):
            bar.show(f"training, loss {progress.loss:.4f}", progress.step, total)
    step = session.state.step
    finished = step == total
    notes = session.method.notes(session.parts)
    answer = {
        "run": str(output),
        "step": step,
        "steps": total,
        "finished": finished,
        "loss": progress and progress.loss,  # none where only `trained` was still to be written
        "notes": notes,
        "pictures": len(session.encoded.dataset.examples),
        "encoded": session.encoded.newly_encoded,
        "cut_captions": session.cut_captions,
        "scaled_down": session.encoded.dataset.scaled,
        "unreadable": unreadable(session.unreadable),
    }
    if finished:
        summary = f"done: {total} steps; the trained weights are in {output / 'trained'}"
    else:
        summary = f"stopped after step {step} of {total}; continue with `trainer resume {output}`"
    noted = [f"note      {note}" for note in notes]
    return answer, "\n".join([summary, *oddities(answer), *noted, *left_out(session.unreadable)])


def _rehearse(run: Run, base: Base, dataset: Dataset) -> Captions | None:
    """What training would refuse is refused; None where it cannot be tried, without torch."""
    if not _has_torch():
        return None
    _need_torch()
    from trainer.rehearsal import rehearse

    return rehearse(run, base, dataset)


def _autoencoder(base: Path | None, library: Path | None) -> Through | None:
    """What sends a library's pictures through the base's autoencoder; None where that is not asked for."""
    from trainer.errors import EvaluationError

    if base is None:
        return None
    if library is None:
        raise EvaluationError("--base is for trying the sorters on a library's pictures; give --library, too")
    _need_torch()
    from trainer.evaluate.autoencoder import autoencoder

    return autoencoder(base)


def _has_torch() -> bool:
    import importlib.util

    return all(importlib.util.find_spec(package) is not None for package in TORCH_PACKAGES)


def _need_torch() -> None:
    """Raise MissingExtra where the heavy packages are not installed; quieten them where they are."""
    import logging
    import warnings

    if not _has_torch():
        raise MissingExtra("train", "training")
    warnings.simplefilter("ignore")  # advice to developers; what concerns the user is an error here, or this:
    from trainer.errors import LoaderWarning

    warnings.simplefilter("always", LoaderWarning)
    warnings.showwarning = lambda message, *_, **__: click.echo(f"trainer: {visible(str(message))}", err=True)
    import diffusers
    import transformers

    for library in (diffusers.utils.logging, transformers.utils.logging):
        library.set_verbosity_error()
        library.disable_progress_bar()
    logging.getLogger("tensorboard").setLevel(logging.ERROR)


if __name__ == "__main__":
    main()
