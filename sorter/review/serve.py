"""`sorter review`: a server on this machine alone, for one browser."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sorter.errors import LibraryError, MissingExtra
from sorter.review.desk import Desk
from sorter.review.guard import Guard

LOOK = 1.0
"""Seconds between two looks whether somebody else has changed the library."""
REST = 9
"""How many times as long as a look took is waited until the next: while a daemon sorts into a large library, the page
has the rest of the time."""


def serve(desk: Desk, port: int, say: Callable[[str], None], show: Callable[[str], None]) -> None:
    """Serve the page until it is told to stop (Ctrl-C). `say`: told the address; `show`: opens it in a browser.

    port: 0 for any that is free. Raises LibraryError where the port is taken, MissingExtra without NiceGUI.
    """
    if not find_spec("nicegui"):
        raise MissingExtra("review", "the page")
    taken = _listen(port)
    port = taken.getsockname()[1]
    threading.Thread(target=desk.open, daemon=True).start()  # a large library is read while NiceGUI is
    import uvicorn

    guard = Guard(_application(desk), port)
    address = f"http://127.0.0.1:{port}/?token={guard.ticket}"
    config = uvicorn.Config(guard, log_level="error", access_log=False, lifespan="on", server_header=False)
    server = uvicorn.Server(config)
    with _looking(desk):
        say(address)
        show(address)
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(server.serve(sockets=[taken]))
    desk.close()


def _application(desk: Desk) -> Any:
    from fastapi import FastAPI
    from nicegui import ui

    from sorter.review.api import add_routes
    from sorter.review.page import Page

    app = FastAPI(openapi_url=None)
    page = Page(desk)
    add_routes(app, desk, page.acted)
    ui.page("/")(page.build)
    ui.run_with(app, title="Modelsheet", favicon=ICON, dark=None, show_welcome_message=False,
                reconnect_timeout=30, tailwind=False)  # fmt: skip
    return app


ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><rect width="16" height="16" rx="3" fill="#3b7dd8"/>'
    '<path d="M3 12V4l5 5 5-5v8" fill="none" stroke="#fff" stroke-width="2"/></svg>'
)


def _listen(port: int) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        made.bind(("127.0.0.1", port))
    except OSError as error:
        made.close()
        raise LibraryError(f"port {port}: cannot be used: {error.strerror}; choose another with --port") from None
    made.listen(128)
    return made


@contextlib.contextmanager
def _looking(desk: Desk) -> Iterator[None]:
    """Look now and then whether a command, the daemon or another page has changed the library."""
    stop = threading.Event()

    def look() -> None:
        wait = LOOK
        while not stop.wait(wait):
            began = time.monotonic()
            with contextlib.suppress(Exception):  # told of when somebody asks for something
                desk.look()
            wait = max(LOOK, REST * (time.monotonic() - began))

    threading.Thread(target=look, daemon=True).start()
    try:
        yield
    finally:
        stop.set()


def library_or_frames(path: Path, library: Path | None, scheme: Path) -> tuple[Path, Path | None]:
    """The library, and the frames if that is what `path` holds. Raises LibraryError where it is no folder."""
    from sorter.library.store.manifest import FILE, FOLDER

    if not path.is_dir():
        what = "is a file" if path.exists() else "there is no such folder"
        raise LibraryError(f"{path}: {what}; give a folder of frames, or a library")
    if (path / FOLDER / FILE).exists():
        return path, None
    return library or scheme.absolute().parent / "library", path
