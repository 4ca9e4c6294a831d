"""The log of a run: losses.csv, validation.csv and TensorBoard."""

from __future__ import annotations

import csv
import os
import sys
import time
from collections.abc import Sequence
from io import BytesIO, FileIO, StringIO
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from PIL import Image

from sorter.files import write
from trainer.loop import Progress

LOSSES, VALIDATION = "losses.csv", "validation.csv"
LOGS = {LOSSES: ("step", "loss", "learning_rate"), VALIDATION: ("step", "loss")}
"""The files of a log, and their columns."""


class Record:
    """The log, opened to go on after a step; what an earlier attempt logged of later steps is removed first.

    A line reaches the disk before the next step begins. What cannot be written raises OSError.
    """

    def __init__(self, folder: Path, step: int) -> None:
        _cut(folder / LOSSES, step)
        if (folder / VALIDATION).exists():
            _cut(folder / VALIDATION, step)
        self._folder = folder
        self._losses = open(folder / LOSSES, "ab", buffering=0)  # noqa: SIM115
        try:
            self._board = _Board(folder / "tensorboard", step)
        except BaseException:
            self._losses.close()
            raise

    def add(self, progress: Progress) -> None:
        """Write one step down."""
        loss, rate = progress.loss, progress.learning_rate
        _append(self._losses, f"{progress.step},{loss:.6g},{rate:.6g}\n".encode())
        self._board.add_number("loss", loss, progress.step)
        self._board.add_number("learning_rate", rate, progress.step)

    def add_validation(self, step: int, loss: float) -> None:
        """Write down the loss on what is held out."""
        path = self._folder / VALIDATION
        if not path.exists():
            _cut(path, step)
        with open(path, "ab", buffering=0) as file:
            _append(file, f"{step},{loss:.6g}\n".encode())
        self._board.add_number("validation_loss", loss, step)

    def add_picture(self, number: int, picture: Image.Image, step: int) -> None:
        """Show one preview."""
        self._board.add_picture(f"preview/{number:02d}", picture, step)

    def close(self) -> None:
        """Close both files."""
        self._losses.close()
        self._board.close()


class _Board:
    """A file that TensorBoard reads: what torch's SummaryWriter writes, without its thread, in which a full disk
    ends in a traceback and what is not yet written is lost."""

    def __init__(self, folder: Path, step: int) -> None:
        # By this name TensorBoard asks whether to do without TensorFlow, which it would otherwise load: 3 s for a file.
        sys.modules.setdefault("tensorboard.compat.notf", ModuleType("tensorboard.compat.notf"))
        from tensorboard.compat.proto.event_pb2 import SessionLog

        self._file = _new_file(folder)
        self._write(file_version="brain.Event:2")
        if step:  # what an earlier file says of later steps is not shown
            self._write(step=step + 1, session_log=SessionLog(status=SessionLog.START))

    def add_number(self, tag: str, value: float, step: int) -> None:
        from torch.utils.tensorboard import summary

        untyped: Any = summary
        self._write(step=step, summary=untyped.scalar(tag, value))

    def add_picture(self, tag: str, picture: Image.Image, step: int) -> None:
        from torch.utils.tensorboard import summary

        untyped: Any = summary
        self._write(step=step, summary=untyped.image(tag, np.asarray(picture), dataformats="HWC"))

    def close(self) -> None:
        self._file.close()

    def _write(self, **event: Any) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.summary.writer.record_writer import RecordWriter

        framed = BytesIO()
        RecordWriter(framed).write(Event(wall_time=time.time(), **event).SerializeToString())
        _append(self._file, framed.getvalue())


def _new_file(folder: Path) -> FileIO:
    """TensorBoard reads files with "tfevents" in their names, in the order of these."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in count():
        try:
            name = f"events.out.tfevents.{int(time.time()):010d}.modelsheet.{os.getpid()}.{number}"
            return open(folder / name, "xb", buffering=0)
        except FileExistsError:
            continue
    raise AssertionError


def _append(file: FileIO, data: bytes) -> None:
    left = memoryview(data)
    try:
        while left:
            left = left[file.write(left) :]
    except OSError as error:
        error.filename = str(file.name)
        raise


def read_losses(folder: Path) -> list[tuple[int, float, float]]:
    """Step, loss and learning rate of every step in a run folder's log."""
    return [(step, loss, rate) for step, loss, rate in _rows(folder / LOSSES)]


def read_validation(folder: Path) -> list[tuple[int, float]]:
    """Step and loss on what is held out, as often as it was taken."""
    return [(step, loss) for step, loss in _rows(folder / VALIDATION)]


def best_step(folder: Path, among: Sequence[int]) -> int | None:
    """The step of these with the lowest loss on what is held out, the first of equals; none where none was taken."""
    known = [(loss, step) for step, loss in read_validation(folder) if step in among]
    return min(known)[1] if known else None


def _rows(path: Path) -> list[tuple[Any, ...]]:
    if not path.is_file():
        return []
    rows = csv.reader(path.read_text(encoding="utf-8", errors="replace").splitlines()[1:])
    # A machine that stops may leave half a line.
    return [found for row in rows if (found := _numbers(row, len(LOGS[path.name]))) is not None]


def _numbers(row: list[str], columns: int) -> tuple[Any, ...] | None:
    try:
        numbers = (int(row[0]), *map(float, row[1:]))
    except (ValueError, IndexError):
        return None
    return numbers if len(numbers) == columns else None


def _cut(path: Path, step: int) -> None:
    kept = [row for row in _rows(path) if row[0] <= step]
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(LOGS[path.name])
    writer.writerows((number, *(f"{value:.6g}" for value in values)) for number, *values in kept)
    write(path, out.getvalue().encode())
