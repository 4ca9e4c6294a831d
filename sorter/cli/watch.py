"""The daemon's command."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sorter.cli.shared import FOLDER, common, load, to_library, unfitted_option
from sorter.cli.terminal import echo, lines_of, say

if TYPE_CHECKING:
    from sorter.commands.job import Job


@click.command()
@click.argument("source", type=FOLDER)
@to_library
@click.option("--still", type=float, default=1.0, show_default=True, help="Seconds a file must not change.")
@click.option("--take", is_flag=True, help="Move the originals into the library's keeping.")
@unfitted_option
@click.option(
    "--install",
    is_flag=True,
    help="Have the system start it at each login with these options; says how to end that.",
)
@common
def watch(
    source: Path,
    library: Path,
    still: float,
    take: bool,
    unfitted: bool,
    install: bool,
    scheme: Path,
    as_json: bool,
) -> int:
    """Keep sorting what arrives in SOURCE, until Ctrl-C or SIGTERM.

    What you answer on the page of `sorter review` meanwhile, it carries out.
    """
    import signal
    import threading

    from sorter.commands.watch import watch as batches

    if install:
        return _install(source, library, still, take, unfitted, scheme, as_json)
    stop = threading.Event()
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"):  # the last two: the console was closed
        if number := getattr(signal, name, None):
            signal.signal(number, lambda *_: stop.set())
    job, total = load(scheme, unfitted=unfitted), 0
    told = Told(scheme, say_aside, unfitted)
    say_aside(f"watching {source}; Ctrl-C ends it")
    for report in batches(source, library, job, stop=stop, still=still, take=take, changed=told.changed, say=say_aside):
        total += report.counts["pictures placed"]
        if not as_json and (report.counts["files"] or report.counts["pictures placed"]):
            with suppress(OSError):  # the console was closed
                echo(*lines_of(report, job, library))
    return say(as_json, {"placed": total}, [f"stopped; {total} pictures placed"])


def _install(source: Path, library: Path, still: float, take: bool, unfitted: bool, scheme: Path, as_json: bool) -> int:
    from sorter.commands.install import daemon, install

    load(scheme, unfitted=unfitted)
    done = install(daemon(source, library, scheme, still=still, take=take, unfitted=unfitted))
    told = {"start": done.start, "status": f"sorter status {library}", "log": done.log, "remove": done.remove}
    lines = [f"{done.path}: written; the daemon starts at each of your logins"]
    lines += [f"{what}: {command}" for what, command in told.items() if command]
    return say(as_json, {"written": str(done.path)} | told, lines)


class Told:
    """A scheme that may be edited while it is in use."""

    def __init__(self, path: Path, say_so: Callable[[str], None], unfitted: bool = False) -> None:
        self.path, self.say_so, self.unfitted = path, say_so, unfitted
        self.seen = self.used = self._stamp()

    def changed(self) -> Job | None:
        """The job by the scheme, if that has been edited and is in order; a broken one is told of once."""
        from sorter.errors import ModelsheetError

        now, before = self._stamp(), self.seen
        self.seen = now
        if now == self.used or now != before or now is None:  # an editor may still be writing it
            return None
        self.used = now
        try:
            job = load(self.path, unfitted=self.unfitted)
        except ModelsheetError as found:
            self.say_so(f"{found}; the scheme as it was stays in force")
            return None
        self.say_so(f"{self.path}: was edited, and is in force")
        return job

    def _stamp(self) -> tuple[int, int] | None:
        try:
            status = self.path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size


def say_aside(sentence: str) -> None:
    """Tell a person something while a daemon runs. A console that was closed hears nothing, and that is no error."""
    with suppress(OSError):
        echo(sentence, err=True)
