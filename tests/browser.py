"""A Chromium, and `sorter review` as a process of its own: for tests and benchmarks of the page."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
INSTALLERS = (
    ["apt-get", "install", "-y", "-qq", "chromium"],
    [sys.executable, "-m", "playwright", "install", "chromium"],
)


def find_chromium() -> str | None:
    """A Chromium on this machine, fetched if need be; "" for the one that Playwright brought."""

    def there() -> str | None:
        return next((path for name in NAMES if (path := shutil.which(name))), None)

    if found := there():
        return found
    for command in INSTALLERS:
        if command[0] == "apt-get" and (not shutil.which("apt-get") or os.geteuid() != 0):
            continue
        try:
            done = subprocess.run(command, capture_output=True, timeout=240).returncode == 0
        except (OSError, subprocess.TimeoutExpired):
            continue
        if done:
            return there() or ""
    return None


class Served:
    """A running `sorter review`."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.errors = (folder / "review.err").open("w+", encoding="utf-8")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "sorter", "review", *arguments, "--no-browser"], cwd=folder, encoding="utf-8",
            stdout=subprocess.PIPE, stderr=self.errors, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().strip()
        self.port = urlsplit(self.address).port

    def stop(self) -> None:
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.errors.seek(0)
        said = self.errors.read()
        self.errors.close()
        assert "Traceback" not in said, said
