"""The commands: read arguments, call the rest, print. No logic. Nothing heavy is imported before a command runs."""

from __future__ import annotations

import json
import sys
import warnings

import click

from sorter.cli.captions import captions, prune
from sorter.cli.doctor import doctor
from sorter.cli.duplicates import duplicates
from sorter.cli.library import apply, classify, frames, plan, rescan, scan, sort, undo
from sorter.cli.results import coverage, crops, export, list_plugins, overlays, report, status
from sorter.cli.review import review
from sorter.cli.sorters import check, choose, fit, init
from sorter.cli.terminal import echo
from sorter.cli.watch import watch
from sorter.errors import ModelsheetError


class _InOrder(click.Group):
    """Lists the commands in the order in which they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


@click.group(cls=_InOrder, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="modelsheet")
def sorter() -> None:
    """Sort a heap of frames into class folders, turn them to one side, and caption them.

    Start with sorter review FRAMES, which opens a page; or step by step with sorter init, sorter check, and sorter
    sort FRAMES --to LIBRARY.
    """


for command in (
    *(frames, init, check, fit, choose),
    *(sort, scan, classify, plan, apply, undo, rescan, watch),
    *(review, status, captions, prune, duplicates, report, coverage, overlays, crops, export, doctor, list_plugins),
):
    sorter.add_command(command)


def main() -> None:
    """The console script. Exit codes: 0 done, 1 some pictures failed, 2 wrong input."""
    for stream in (sys.stdout, sys.stderr):  # a label may hold what a Windows console's encoding cannot
        getattr(stream, "reconfigure", lambda **_: None)(errors="replace")
    warnings.filterwarnings("ignore", module=r"PIL\.")  # what matters of a picture is in the census
    try:
        sys.exit(sorter.main(prog_name="sorter", standalone_mode=False))
    except ModelsheetError as found:
        if "--json" in sys.argv:
            echo(json.dumps({"error": str(found)}))
        echo(f"sorter: {found}", err=True)
        sys.exit(2)
    except click.ClickException as found:
        found.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        click.echo("sorter: stopped; run the same command again to go on from there", err=True)
        sys.exit(130)
