"""What a person answers on the page while a daemon runs: another process writes it into the manifest."""

from __future__ import annotations

import time
from collections.abc import Callable

from sorter.library.store.manifest import Manifest

QUIET = 1.0
"""Seconds without another answer before those that came are carried out: the page reads the library again then."""
SHARE = 5
"""Carrying answers out takes at most one part in so many of the time."""


class PageAnswers:
    """Notices the answers that others have written into an open manifest. Reads only."""

    def __init__(self, manifest: Manifest, clock: Callable[[], float] = time.monotonic) -> None:
        self.manifest, self.clock = manifest, clock
        self.version, self.last = manifest.version(), manifest.journal.last_answer()
        self.changed: float | None = None
        """When a change was noticed that has not been looked into yet."""
        self.not_before = 0.0

    def new(self) -> set[str]:
        """The pictures, by hash, that were answered since the last time, once no more answers come."""
        version, now = self.manifest.version(), self.clock()
        if version != self.version:
            self.version, self.changed = version, now
        if self.changed is None or now < max(self.changed + QUIET, self.not_before):
            return set()
        self.changed, since = None, self.last
        self.last = self.manifest.journal.last_answer()
        return self.manifest.journal.answered(since, self.last)

    def took(self, seconds: float) -> None:
        """Say how long it took to carry answers out."""
        self.not_before = self.clock() + SHARE * seconds
