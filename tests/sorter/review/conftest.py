"""A real browser, and `sorter review` as a process of its own."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser import Served, find_chromium


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
def page(chromium: Any, serve: Any) -> Iterator[Any]:
    """A window, closed before any server; what its console complains of is a failure."""
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
