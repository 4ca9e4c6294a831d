"""docs/cli.md is the commands' own --help: `python -m tests.docs` says whether it is fresh, `--write` makes it so."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from sorter.cli import sorter
from trainer.cli import cli as trainer

FILE = Path(__file__).resolve().parent.parent / "docs" / "cli.md"


def text() -> str:
    """The whole file."""
    parts = ["# Commands\n\nMade from the commands' own `--help`: `python -m tests.docs --write`.\n"]
    return "\n".join([*parts, section(sorter, "sorter"), section(trainer, "trainer")])


def section(group: click.Group, name: str) -> str:
    """A group and each of its commands."""
    # The group's own settings, as a run would have them: click keeps the first --help that it makes.
    context = click.Context(
        group, info_name=name, **{**group.context_settings, "max_content_width": 100, "terminal_width": 100}
    )
    blocks = [f"## {name}\n\n```\n{group.get_help(context)}\n```\n"]
    for command in group.commands.values():
        inner = click.Context(command, info_name=command.name, parent=context, terminal_width=100)
        blocks.append(f"### {name} {command.name}\n\n```\n{command.get_help(inner)}\n```\n")
    return "\n".join(blocks)


def main() -> None:
    """Compare, or write."""
    if "--write" in sys.argv:
        FILE.write_text(text(), encoding="utf-8")
    elif not FILE.exists() or FILE.read_text(encoding="utf-8") != text():
        sys.exit(f"{FILE}: is not what --help says; write it again: python -m tests.docs --write")


if __name__ == "__main__":
    main()
