"""A real browser, and `sorter review` as a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

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


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    path = find_chromium()
    if path is None:
        pytest.skip("there is no Chromium here, and it could not be fetched")
    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path or None, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Any) -> Iterator[Any]:
    """A window; what its console complains of is a failure."""
    context = chromium.new_context(viewport={"width": 1300, "height": 850})
    window = context.new_page()
    window.set_default_timeout(20_000)
    complaints: list[str] = []
    window.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    window.on("pageerror", lambda error: complaints.append(str(error)))
    window.complaints = complaints
    yield window
    context.close()
    assert complaints == []


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


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    running: list[Served] = []

    def start(*arguments: object, folder: Path | None = None) -> Served:
        running.append(Served(folder or tmp_path, *map(str, arguments)))
        return running[-1]

    yield start
    for one in running:
        one.stop()


@pytest.fixture
def ask() -> Callable[..., tuple[int, Any]]:
    """A request with headers of one's own: status and body."""

    def send(url: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        data = None if body is None else json.dumps(body).encode()
        if data is not None:
            named.setdefault("content-type", "application/json")
        request = urllib.request.Request(url, data, named)
        opener = urllib.request.build_opener(_Stay)
        try:
            with opener.open(request, timeout=10) as answer:
                return answer.status, (dict(answer.headers), answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, (dict(error.headers), error.read())

    return send


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None
