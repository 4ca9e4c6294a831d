"""What a terminal has beside lines: a bar, and a first Ctrl-C that is a wish."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Any, Self

import click

from sorter.progress import Lines, is_asked_for


def process_number() -> int:
    """Of this process, from 0, where several were started to train together; the first speaks for all."""
    return int(os.environ.get("RANK", "0"))


def is_alone() -> bool:
    """Whether this process was started by itself."""
    return "LOCAL_RANK" not in os.environ


class Stop:
    """Inside, the first interrupt or termination asks to stop after the step; a second one stops at once, unless there
    are several processes: what started them passes on the signal that the terminal has sent them already."""

    asked = False

    def __enter__(self) -> Self:
        import signal

        # A closed window hangs up, or breaks on Windows; what is told not to heed that, as by nohup, does not.
        names = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
        there = [which for name in names if (which := getattr(signal, name, None)) is not None]
        heeded = [which for which in there if signal.getsignal(which) is not signal.SIG_IGN]
        self._before = {which: signal.signal(which, self._ask) for which in heeded}
        return self

    def _ask(self, which: int, frame: object) -> None:
        import signal

        asked_before, self.asked = self.asked, True
        said = "trainer: finishing this step and saving a checkpoint"
        if is_alone():
            signal.signal(which, self._before[signal.Signals(which)])
            said += "; interrupt again to stop at once"
        elif asked_before or process_number():
            return
        with suppress(OSError):  # the terminal may be what went away
            click.echo(said, err=True)

    def __exit__(self, *_: object) -> None:
        import signal

        for which, handler in self._before.items():
            signal.signal(which, handler)


class Bar:
    """A progress bar on standard error, where that is a terminal."""

    def __enter__(self) -> Self:
        self._progress: Any = None
        self._lines = Lines() if is_asked_for() and process_number() == 0 else None
        if self._lines is None and sys.stderr.isatty() and process_number() == 0:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            self._progress = Progress(*columns, console=Console(stderr=True))
            self._progress.start()
            self._task = self._progress.add_task("loading", total=None)
            self._phase = ""
        return self

    def show(self, what: str, done: int, of: int) -> None:
        """Show `done` of `of`. The words up to the first comma name the phase; each phase has its own clock."""
        if self._lines:
            self._lines.show(what.partition(",")[0], done, of)
        if self._progress is None:
            return
        phase = what.partition(",")[0]
        if phase != self._phase:
            self._progress.reset(self._task, total=of)
            self._phase = phase
        self._progress.update(self._task, description=what, completed=done, total=of)

    def __exit__(self, *_: object) -> None:
        if self._progress is not None:
            self._progress.stop()
