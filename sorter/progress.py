"""Progress as lines, for a program that starts a command and shows how far it is: {"progress": [what, done, total]}.

Asked for by MODELSHEET_PROGRESS=lines in the environment; written to standard error.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any

VARIABLE = "MODELSHEET_PROGRESS"
EVERY = 0.1
"""Seconds between two lines."""


def is_asked_for() -> bool:
    """Whether progress is to be written as lines."""
    return os.environ.get(VARIABLE) == "lines"


class Lines:
    """Writes lines of progress, not too many."""

    def __init__(self) -> None:
        self._next = 0.0
        self._what = ""

    def show(self, what: str, done: int, total: int | None) -> None:
        """Say how much is done, if a while has passed, if the work is another one, or if it is the last."""
        now = time.monotonic()
        if what == self._what and now < self._next and done != total:
            return
        self._what, self._next = what, now + EVERY
        print(json.dumps({"progress": [what, done, total]}), file=sys.stderr, flush=True)  # noqa: T201

    def track(self, items: Iterable[Any], what: str, total: int | None) -> Iterator[Any]:
        """The items, while progress is shown."""
        self.show(what, 0, total)
        done = 0
        for done, item in enumerate(items, 1):
            yield item
            self.show(what, done, total)
        self.show(what, done, total or done)
