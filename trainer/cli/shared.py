"""What the commands share: the group, what makes a command of a function, and the packages that are needed to train."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from sorter.errors import MissingExtra, ModelsheetError
from sorter.text import visible
from trainer.out_of_memory import is_out_of_memory
from trainer.terminal import process_number

TOGETHER = ("train", "resume")
"""The commands that several processes do together; of the others, the first does all."""
DONE, SOME_FAILED, WRONG_INPUT = 0, 1, 2
Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]
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
        number = process_number()
        if number and work.__name__ not in TOGETHER:
            return
        try:
            answer, text = work(**options)
        except (ModelsheetError, OSError, MemoryError, RuntimeError) as error:
            said = _sentence(error)
            if said is None:
                raise
            click.echo(f"trainer: {f'process {number}: ' * bool(number)}{visible(said)}", err=True)
            if as_json:
                click.echo(json.dumps({"error": said}))
            sys.exit(WRONG_INPUT)
        if number == 0:
            click.echo(json.dumps(answer) if as_json else "\n".join(map(visible, text.split("\n"))))
        failed = answer.get("unreadable") or answer.get("falls_short")
        sys.exit(SOME_FAILED if failed and number == 0 else DONE)

    return cli.command(name=work.__name__.removesuffix("_"))(run)


def _sentence(error: Exception) -> str | None:
    """What is said of an error that a user can cause; None where it is a fault of ours."""
    if isinstance(error, ModelsheetError):
        return str(error)
    if is_out_of_memory(error):
        return "out of memory; close what else uses it, or ask for smaller pictures, and fewer at once: --batch-size 1"
    if isinstance(error, OSError):
        return f"{error.filename or 'a file'}: cannot be read or written: {error.strerror or error}"
    return None


config_argument = click.argument("config", type=click.Path(path_type=Path))
run_argument = click.argument("run", type=click.Path(path_type=Path))


def number_option(name: str, default: int, about: str, least: int = 1) -> Decorator:
    """An option that is a whole number, its default shown in the help."""
    return click.option(name, type=click.IntRange(min=least), default=default, show_default=True, help=about)


def seed_option(about: str) -> Decorator:
    """--seed, of what is drawn."""
    return number_option("--seed", 0, about, least=0)


def batch_size_option(about: str) -> Decorator:
    """--batch-size, of what is drawn."""
    return number_option("--batch-size", 8, f"{about} at once; fewer need less memory.")


def path_option(name: str, about: str) -> Decorator:
    """An option that is a file or a folder."""
    return click.option(name, type=click.Path(path_type=Path), help=about)


def has_torch() -> bool:
    """Whether the heavy packages are installed."""
    import importlib.util

    return all(importlib.util.find_spec(package) is not None for package in TORCH_PACKAGES)


def need_torch() -> None:
    """Raise MissingExtra where the heavy packages are not installed; quieten them where they are."""
    import logging
    import warnings

    if not has_torch():
        raise MissingExtra("train", "training")
    warnings.simplefilter("ignore")  # advice to developers; what concerns the user is an error here, or this:
    from trainer.errors import LoaderWarning

    if process_number() == 0:
        warnings.simplefilter("always", LoaderWarning)
        warnings.showwarning = lambda message, *_, **__: click.echo(f"trainer: {visible(str(message))}", err=True)
    import diffusers
    import transformers

    for library in (diffusers.utils.logging, transformers.utils.logging):
        library.set_verbosity_error()
        library.disable_progress_bar()
    for name in ("tensorboard", "bitsandbytes"):  # peft asks for the latter where it is installed
        logging.getLogger(name).setLevel(logging.ERROR)
