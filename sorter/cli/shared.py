"""What several commands share: options, and the loading of a scheme."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from sorter.commands.job import Job

F = TypeVar("F", bound=Callable[..., Any])
FOLDER = click.Path(path_type=Path)


def together(*options: Callable[[F], F]) -> Callable[[F], F]:
    """Several options as one."""

    def add(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return add


scheme_option = click.option(
    "--scheme", type=FOLDER, default=Path("scheme.toml"), show_default=True, help="The axes, classes and captions."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
dry_option = click.option("--dry-run", is_flag=True, help="Say what would be done; change nothing.")
exact_option = click.option(
    "--exact",
    is_flag=True,
    help="Scale pictures from their full size, as Teachable Machine does to the last bit; takes several times as long, "
    "and hardly ever changes an answer. What is answered already is not asked again.",
)
unfitted_option = click.option(
    "--unfitted", is_flag=True, help="Leave out the questions whose sorters are still to be fitted; they stay in doubt."
)
to_library = click.option("--to", "library", type=FOLDER, required=True, help="The library's folder.")
common = together(scheme_option, json_option)


def load(scheme: Path, exact: bool = False, unfitted: bool = False) -> Job:
    """The job of a scheme.toml. Raises ModelsheetError where it, or one of its sorters, is not in order."""
    from sorter.commands.job import load_job

    return load_job(scheme, exact, unfitted)
