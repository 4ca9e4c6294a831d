"""The command that opens the page."""

from __future__ import annotations

import webbrowser
from pathlib import Path

import click

from sorter.cli.shared import FOLDER
from sorter.cli.terminal import echo


@click.command()
@click.argument("folder", type=FOLDER, default=Path("frames"))
@click.option("--to", "library", type=FOLDER, help="With a folder of frames: the library.  [default: library]")
@click.option(
    "--scheme", type=FOLDER, default=Path("scheme.toml"), show_default=True, help="The questions; made if need be."
)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Of the page.  [default: any that is free]")
@click.option("--no-browser", is_flag=True, help="Print the address only.")
def review(folder: Path, library: Path | None, scheme: Path, port: int, no_browser: bool) -> int:
    """Open a page on which FOLDER is labelled, corrected and looked at: frames, or a library.

    From a folder of frames alone it asks for your questions, shows the pictures that teach most, fits the sorters while
    you answer, and sorts. It is served to this machine only; Ctrl-C ends it.
    """
    from sorter.commands.open import check_apart
    from sorter.review.desk import Desk
    from sorter.review.serve import library_or_frames, serve

    chosen, source = library_or_frames(folder, library, scheme)
    if source is not None:
        check_apart(source, chosen)
    desk = Desk(chosen, scheme, source and source.absolute())
    serve(desk, port, echo, (lambda _: None) if no_browser else _show)
    return 0


def _show(address: str) -> None:
    webbrowser.open(address)
