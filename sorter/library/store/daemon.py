"""The file beside the manifest in which a daemon says how it is doing, for `sorter status`. Touches that file only."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Annotated, Self

from pydantic import Field, TypeAdapter, ValidationError

from sorter.errors import ModelsheetError
from sorter.files import clear_away, read_file, write
from sorter.library.store.manifest import FOLDER
from sorter.tally import Report
from sorter.text import visible

FILE = "watch.json"
EVERY = 1.0
"""Seconds at least between two writes: each waits for the disk."""
SPAN = 300.0
"""Seconds over which the rate is measured."""
SLOT = 10.0
"""Seconds whose batches are counted together, so that a busy daemon's file stays small."""
MOST_FAILURES = 5
"""Failures that are kept with their reasons."""
MOST_BYTES = 1 << 20
"""A larger file is none that we wrote."""

Moment = Annotated[float, Field(ge=0, le=253402300799)]
"""Seconds since 1970, up to the year 9999."""
Count = Annotated[int, Field(ge=0)]


@dataclass(frozen=True)
class DaemonState:
    """What a daemon has done until it wrote this."""

    process: int
    started: Moment
    folder: str
    """The one that is watched."""
    written: Moment
    ended: Moment | None = None
    """When it ended; None while it runs, and for ever of one that was killed."""
    reason: str = ""
    """Why it ended, if it was not asked to."""
    placed: Count = 0
    """Pictures."""
    last_placed: str = ""
    """The picture that was placed last, as its path below the library; empty before the first."""
    last_placed_at: Moment | None = None
    failures: Count = 0
    last_failures: tuple[tuple[str, str], ...] = ()
    """File and reason of the last few."""
    recent: tuple[tuple[Moment, Count], ...] = ()
    """When a slot of time began, and the pictures placed in it."""

    def rate(self, now: float) -> float:
        """Pictures placed a minute, over the last SPAN or since the start, and over a second at least."""
        since = max(now - SPAN, self.started)
        return 60 * sum(placed for begun, placed in self.recent if begun > since - SLOT) / max(1.0, now - since)


STATE = TypeAdapter(DaemonState)


class DaemonFile:
    """Keeps a daemon's state up to date in its file. A context manager, for who holds the library's lock.

    On a full disk the state that was written last stays; the daemon goes on.
    """

    def __init__(self, root: Path, folder: Path, clock: Callable[[], float] = time.time) -> None:
        """`folder`: the one that is watched."""
        self.path, self.clock = root / FOLDER / FILE, clock
        now = clock()
        self.state = DaemonState(os.getpid(), now, visible(str(folder)), now)
        self.slots: deque[tuple[float, int]] = deque(maxlen=int(SPAN / SLOT) + 1)
        self.place: os.stat_result | None = None
        """What tells the file's folder from another one in its place."""
        self.is_behind = False
        """Whether something happened that is not written yet."""

    def __enter__(self) -> Self:
        clear_away(self.path.parent, [FILE])
        self.place = self.path.parent.stat()
        self._write()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        reason = ""
        if error is not None and not isinstance(error, GeneratorExit | KeyboardInterrupt):
            reason = str(error) if isinstance(error, ModelsheetError) else type(error).__name__
        self.state = replace(self.state, ended=self.clock(), reason=reason)
        self._write()

    def add(self, report: Report) -> None:
        """Take in what became of a batch."""
        placed, failed = report.counts["pictures placed"], report.failures
        if not placed and not failed:
            return
        now, before = self.clock(), self.state
        if placed:
            self._count(now, placed)
        kept = [*before.last_failures, *((visible(str(one.path)), one.reason) for one in failed)][-MOST_FAILURES:]
        self.state = replace(
            before,
            placed=before.placed + placed,
            last_placed=report.last_placed or before.last_placed,
            last_placed_at=now if placed else before.last_placed_at,
            failures=before.failures + len(failed),
            last_failures=tuple(kept),
            recent=tuple(self.slots),
        )
        self.is_behind = True
        self.catch_up()

    def catch_up(self) -> None:
        """Write what is not written yet, if the last write is long enough ago."""
        if self.is_behind and not 0 <= self.clock() - self.state.written < EVERY:  # clocks are set back, too
            self._write()

    def _count(self, now: float, placed: int) -> None:
        if self.slots and 0 <= now - self.slots[-1][0] < SLOT:
            begun, before = self.slots.pop()
            self.slots.append((begun, before + placed))
        else:
            self.slots.append((now, placed))

    def _write(self) -> None:
        self.is_behind, self.state = False, replace(self.state, written=self.clock())
        with suppress(OSError):
            if self.place and os.path.samestat(self.place, self.path.parent.stat()):  # else it was taken away
                write(self.path, STATE.dump_json(self.state, indent=1))


def last_state(root: Path) -> DaemonState | None:
    """What the last daemon of a library wrote; None where none did. Raises ValueError where it makes no sense."""
    try:
        return STATE.validate_json(read_file(root / FOLDER / FILE, MOST_BYTES))
    except FileNotFoundError:
        return None
    except OSError as found:
        raise ValueError(f"cannot be read: {found.strerror}") from None
    except ValidationError:
        raise ValueError("is not what a daemon writes") from None
