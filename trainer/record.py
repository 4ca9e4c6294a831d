"""The log of a run: losses.csv and TensorBoard."""

from __future__ import annotations

import csv
import sys
from io import StringIO
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from sorter.files import write
from trainer.loop import Progress

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

COLUMNS = ("step", "loss", "learning_rate")


class Record:
    """The log, opened to go on after a step; what an earlier attempt logged of later steps is removed first."""

    def __init__(self, folder: Path, step: int) -> None:
        path = folder / "losses.csv"
        _cut(path, step)
        self._file = path.open("a", encoding="utf-8", newline="", buffering=1)  # a line at a time reaches the disk
        self._losses = csv.writer(self._file, lineterminator="\n")
        self._board = _board(folder / "tensorboard", step)

    def add(self, progress: Progress) -> None:
        """Write one step down."""
        self._losses.writerow([progress.step, f"{progress.loss:.6g}", f"{progress.learning_rate:.6g}"])
        self._board.add_scalar("loss", progress.loss, progress.step)
        self._board.add_scalar("learning_rate", progress.learning_rate, progress.step)

    def add_picture(self, number: int, picture: Image.Image, step: int) -> None:
        """Show one preview."""
        self._board.add_image(f"preview/{number:02d}", np.asarray(picture), step, dataformats="HWC")

    def close(self) -> None:
        """Close both files."""
        self._file.close()
        self._board.close()


def _board(folder: Path, step: int) -> SummaryWriter:
    # By this name TensorBoard asks whether to do without TensorFlow, which it would otherwise load: 3 s for a file.
    sys.modules.setdefault("tensorboard.compat.notf", ModuleType("tensorboard.compat.notf"))
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder), purge_step=step + 1 if step else None)


def read_losses(folder: Path) -> list[tuple[int, float, float]]:
    """Step, loss and learning rate of every step in a run folder's log."""
    path = folder / "losses.csv"
    if not path.is_file():
        return []
    rows = csv.reader(path.read_text(encoding="utf-8", errors="replace").splitlines()[1:])
    # A machine that stops may leave half a line.
    return [found for row in rows if (found := _loss(row)) is not None]


def _loss(row: list[str]) -> tuple[int, float, float] | None:
    try:
        step, loss, rate = row
        return int(step), float(loss), float(rate)
    except ValueError:
        return None


def _cut(path: Path, step: int) -> None:
    kept = [row for row in read_losses(path.parent) if row[0] <= step]
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows((number, f"{loss:.6g}", f"{rate:.6g}") for number, loss, rate in kept)
    write(path, out.getvalue().encode())
