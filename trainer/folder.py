"""The run folder between runs: whether one may begin in it, and what happens to what came after a step gone back to."""

from __future__ import annotations

import os
import re
import warnings
from itertools import count
from pathlib import Path

from sorter.files import is_ours, patiently, read_file, remove_folder, write
from trainer.base import Base
from trainer.checkpoint import checkpoints, step_of
from trainer.config import Run, read_config
from trainer.errors import ConfigError, LoaderWarning, RunError
from trainer.record import LOGS

PREVIEWS = re.compile(r"step-(\d{6,})")
"""What the previews of a step lie in."""
DRAWN = ("previews", "evaluation")
"""The folders of these."""


def check_output(config: Run) -> None:
    """Raise RunError where a run cannot begin in `config.output`, or what it makes cannot be kept."""
    output, cache = config.output, config.latents
    if (output / "run.json").exists():
        raise RunError(f"{output}: there is a run in it already; continue with `trainer resume {output}`")
    # A start that was cut off may have left encoded pictures, where they are kept in the run folder.
    there = [path for path in output.iterdir() if not is_ours(path.name)] if output.is_dir() else []
    if (output.exists() and not output.is_dir()) or any(path not in (cache, *cache.parents) for path in there):
        raise RunError(f"{output}: is not an empty folder; set output to a new one")
    for key, folder in (("output", output), ("cache", cache)):
        last = next(path for path in (folder, *folder.parents) if path.exists())
        if not last.is_dir() or not os.access(last, os.W_OK | os.X_OK):
            what = "cannot be written to" if last.is_dir() else "is a file"
            raise RunError(f'{folder}: cannot be made: {last} {what}; set "{key}" to another folder')


def check_drawable(config: Run, base: Base) -> None:
    """Raise ConfigError where previews have a size that the base cannot draw."""
    size = config.preview.size
    if size and any(length % base.multiple for length in size):
        raise ConfigError(f"[preview] size {size[0]}x{size[1]}: both must be multiples of {base.multiple}")


def forget_after(folder: Path, step: int) -> None:
    """Remove the previews of steps that will be done again, in the same way."""
    for path in _previews_after(folder, step):
        remove_folder(path)


def set_aside(config: Run, step: int, all_of_it: bool) -> None:
    """Move what came after `step` into a run folder of its own, `aside-1` in the run's: nothing of it is lost.

    config: with which it came. all_of_it: checkpoints, previews and losses too, and not only `trained`.
    """
    folder = config.output
    later = [path for path in checkpoints(folder / "checkpoints") if step_of(path) > step] if all_of_it else []
    trained = [folder / "trained"] if (folder / "trained").exists() else []
    if not later and not trained:
        return
    aside = next(place for number in count(1) if not (place := folder / f"aside-{number}").exists())
    write(aside / "run.json", config.model_copy(update={"output": aside}).to_json().encode())
    for name in LOGS:
        if all_of_it and (folder / name).exists():
            write(aside / name, read_file(folder / name))
    for path in (*later, *(_previews_after(folder, step) if all_of_it else []), *trained):
        _move(path, aside / path.relative_to(folder))


def say_differences(folder: Path, config: Run) -> None:
    """RUN/train.toml is a copy; who has edited it is told that the run goes by what it was started with."""
    path = folder / "train.toml"
    try:
        edited = read_config(path, with_files=False) if path.exists() else None
    except ConfigError as error:
        warnings.warn(f"{error}; the run goes on as it was started", LoaderWarning, stacklevel=2)
        return
    if edited is None:
        return
    if differ := config.differences(edited):
        said = f"{path}: {', '.join(differ)} differ from what the run was started with, and are not used"
        warnings.warn(said, LoaderWarning, stacklevel=2)


def _previews_after(folder: Path, step: int) -> list[Path]:
    found = ((path, PREVIEWS.match(path.name)) for place in DRAWN for path in (folder / place).glob("step-*"))
    return [path for path, match in found if match and int(match[1]) > step]


def _move(path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    patiently(lambda: path.rename(target))
