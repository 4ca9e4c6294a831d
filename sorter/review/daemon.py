"""The view of the daemon: what it is doing, kept up to date."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from nicegui import run, ui

from sorter.commands.status_text import lines_of

if TYPE_CHECKING:
    from sorter.review.page import Window


def build(window: Window) -> None:
    """What the daemon is doing. Asked in a process of its own: the manifest is open in this one."""
    window.long()
    ui.label("The daemon").classes("text-h6")
    said = ui.label("asking").classes("lines")
    last = ui.element("img").classes("last").props('alt="the picture that was placed last"')
    last.visible = False
    ui.label("Started by: sorter watch FRAMES --to LIBRARY; at each login: the same with --install.").classes("said")
    library, scheme = str(window.desk.library), str(window.desk.scheme_path)
    command = [sys.executable, "-m", "sorter", "status", library, "--scheme", scheme, "--json"]

    async def ask() -> None:
        began = time.monotonic()
        found = await run.io_bound(
            subprocess.run, command, cwd=window.desk.folder, stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
        if found is not None:  # None: the page is closing
            data = json.loads(found.stdout or b'{"error": "sorter status has failed"}')
            said.text = data.get("error") or "\n".join(lines_of(data))
            sha256 = window.desk.picture_at((data.get("daemon") or {}).get("last_placed") or "")
            last.visible = sha256 is not None
            if sha256:
                last.props(f"src=/small/{sha256}.jpg")
        await asyncio.sleep(time.monotonic() - began)  # of a large library it takes seconds

    ui.timer(2.0, ask)
