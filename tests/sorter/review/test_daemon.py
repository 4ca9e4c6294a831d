"""How the daemon is doing, as the page shows it."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sorter.commands.job import Job
from sorter.commands.sort import sort

pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGTERM to catch"),
]


def test_the_page_shows_a_daemon_at_work(
    project: Path, frames: Path, library: Path, job: Job, page: Any, serve: Any
) -> None:
    sort(frames, library, job)
    served = serve(library, "--scheme", project / "scheme.toml", folder=project)
    page.goto(served.address)
    page.get_by_role("button", name="Daemon").click()
    page.get_by_text("no daemon has ever run").wait_for()
    page.get_by_text("in doubt: 1 mood").wait_for()
    watch = [sys.executable, "-m", "sorter", "watch", str(frames), "--to", str(library)]
    with subprocess.Popen([*watch, "--scheme", str(project / "scheme.toml"), "--json"]) as process:
        page.get_by_text("a daemon is running").wait_for()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    page.get_by_text("the last one was stopped at").wait_for()
