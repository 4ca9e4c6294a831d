"""Commands that the page starts: each runs in a process of its own, as if it had been typed, so that what it says and
does is what it says and does in a terminal, and long work does not slow the page down."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sorter import progress

MOST_LINES = 200
"""Lines of a command's output that are kept."""


@dataclass(eq=False)
class Work:
    """A command that runs, or has run."""

    title: str
    arguments: Sequence[str]
    """After `python -m`: "sorter", "sort", "frames"..."""
    folder: Path
    then: Callable[[Work], None] = lambda work: None
    """Called in a thread of its own when it has ended."""
    doing: str = "waiting"
    done: int = 0
    total: int | None = None
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=MOST_LINES))
    code: int | None = None
    """The exit code; None while it runs."""
    answer: dict[str, Any] = field(default_factory=dict)
    """What it printed, where that is JSON."""
    is_over: bool = False
    """Whether it has ended, and what was to be done then is done."""
    _process: subprocess.Popen[str] | None = None

    def start(self) -> Work:
        """Begin, in the background."""
        self.doing = "starting"
        environment = os.environ | {progress.VARIABLE: "lines", "PYTHONUTF8": "1", "PYTHONUNBUFFERED": "1"}
        options: dict[str, Any] = (
            {"creationflags": 0x200} if os.name == "nt" else {}
        )  # a group of its own: for Ctrl-Break
        self._process = subprocess.Popen(
            [sys.executable, "-m", *self.arguments], cwd=self.folder, env=environment, encoding="utf-8",
            errors="replace", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options,
        )  # fmt: skip
        threading.Thread(target=self._follow, daemon=True).start()
        return self

    @property
    def command(self) -> str:
        """As it would be typed."""
        return " ".join(f'"{one}"' if " " in one else one for one in self.arguments)

    @property
    def share(self) -> float | None:
        """How much of the present step is done, 0..1; None where nobody knows."""
        return self.done / self.total if self.total else None

    def stop(self) -> None:
        """Ask it to end, as Ctrl-C does."""
        if self._process and self.code is None:
            self._process.send_signal(getattr(signal, "CTRL_BREAK_EVENT", signal.SIGINT))

    def wait(self, timeout: float | None = None) -> int:
        """Until it has ended; the exit code."""
        until = None if timeout is None else time.monotonic() + timeout
        while self.code is None:
            if until is not None and time.monotonic() > until:
                raise TimeoutError(self.title)
            time.sleep(0.02)
        return self.code

    def error(self) -> str:
        """What went wrong, in a sentence; empty where nothing did."""
        if not self.code:
            return ""
        said = [line for line in self.lines if line.startswith(("sorter: ", "trainer: "))]
        return said[-1].partition(": ")[2] if said else (self.lines[-1] if self.lines else f"it ended with {self.code}")

    def _follow(self) -> None:
        assert self._process is not None
        assert self._process.stderr is not None
        assert self._process.stdout is not None
        out: list[str] = []
        reading = threading.Thread(target=lambda: out.extend(self._process.stdout or ()), daemon=True)  # type: ignore[union-attr]
        reading.start()
        for line in self._process.stderr:
            self._hear(line.rstrip("\n"))
        reading.join()
        code = self._process.wait()
        text = "".join(out)
        try:
            found = json.loads(text)
            self.answer = found if isinstance(found, dict) else {}
        except ValueError:
            self.lines.extend(text.splitlines())
        self.code = code
        try:
            self.then(self)
        finally:
            self.is_over = True

    def _hear(self, line: str) -> None:
        if line.startswith('{"progress"'):
            try:
                self.doing, self.done, self.total = json.loads(line)["progress"]
            except (ValueError, KeyError, TypeError):
                return
        elif line.strip():
            self.lines.append(line)
