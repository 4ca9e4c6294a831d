"""`sorter status`: whether a daemon is at work on a library, how it is doing, and what the library holds.

Holds no lock and writes nothing, so that it can be asked while a daemon works. It opens the manifest's file, so a
process that has it open already, as that of the page has, must ask by the command.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from sorter.commands.job import Job
from sorter.commands.plan import verdicts
from sorter.library.names import UNSURE
from sorter.library.store.daemon import FILE, DaemonState, last_state
from sorter.library.store.lock import Holder, holder
from sorter.library.store.manifest import FOLDER, Manifest
from sorter.records import Render


@dataclass
class Status:
    """What is known of a library and of the daemon that works on it, or did."""

    held_by: Holder | None = None
    """Who works on the library now."""
    daemon: DaemonState | None = None
    """What the daemon that works on it wrote, or the last one that did."""
    now: float = 0.0
    """Seconds since 1970."""
    pictures: int = 0
    doubts: Counter[str] | None = None
    """Axis -> pictures whose class on it is in doubt; None where no scheme says."""
    in_doubt: int = 0
    """Pictures that are in doubt on one axis or more; without a scheme, those that stand in an _unsure folder."""
    unusable: Counter[str] = field(default_factory=Counter)
    """Why files could not be used -> how many."""
    notes: list[str] = field(default_factory=list)
    """What could not be told, and why."""

    @property
    def state(self) -> str:
        """Of the daemon: running, stopped, failed (it said why), killed (it could not say), or never."""
        if self.held_by and self.held_by.command.startswith("watch "):
            return "running"
        if self.daemon is None:
            return "never"
        if self.daemon.ended is None:
            return "killed"
        return "failed" if self.daemon.reason else "stopped"


def status(library: Path, job: Job | None, why: str = "") -> Status:
    """What is known of a library. Raises LibraryError where it is none.

    `why`: in place of a job, what kept the scheme from being read.
    """
    library = library.absolute()
    with Manifest(library, dry_run=True) as manifest:
        found = Status(now=time.time(), pictures=manifest.counts()["pictures"])
        found.unusable = Counter(one.reason for one in manifest.unreadable())
        if job:
            found.doubts = Counter()
            for verdict in verdicts(manifest, job):
                if verdict.unsure and not verdict.unwanted:
                    found.in_doubt += 1
                    found.doubts.update(verdict.unsure)
        else:
            found.notes.append(f"{why}; so the doubts are counted by the {UNSURE} folders alone")
            found.in_doubt = sum(
                isinstance(one.content, Render) and UNSURE in one.path.split("/") for one in manifest.outputs()
            )
    _ask_daemon(library, found)
    return found


def _ask_daemon(library: Path, found: Status) -> None:
    try:
        found.daemon = last_state(library)
    except ValueError as error:
        found.notes.append(f"{library / FOLDER / FILE}: {error}; how the daemon is doing is not known")
    try:
        found.held_by = holder(library)
    except OSError as error:
        found.notes.append(f"{library}: whether a daemon is at work cannot be told: {error.strerror}")
    if found.state == "running" and found.daemon and found.held_by and found.daemon.process != found.held_by.process:
        found.daemon = None  # of an earlier daemon: the one at work has not been able to write its own
