"""The command that finds copies in a library."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from sorter.cli.shared import FOLDER, common, dry_option, load, unfitted_option
from sorter.cli.terminal import as_dict, lines_of, progress, say

if TYPE_CHECKING:
    from sorter.commands.duplicates import Found

MOST_GROUPS, MOST_COPIES = 20, 5
"""Groups that are named on a terminal, and copies of each."""


@click.command()
@click.argument("library", type=FOLDER)
@click.option(
    "--thin",
    type=float,
    metavar="SHARE",
    help="Also thin each scene's neighbours in a class folder to this share of them, such as 0.3.",
)
@click.option("--drop", is_flag=True, help="Leave all but the best of each group out of the library.")
@click.option("--to", type=FOLDER, help="The HTML file.  [default: LIBRARY-duplicates.html beside the library]")
@unfitted_option
@dry_option
@common
def duplicates(
    library: Path, thin: float | None, drop: bool, to: Path | None, unfitted: bool, dry_run: bool, scheme: Path,
    as_json: bool,
) -> int:  # fmt: skip
    """Find pictures that are copies of a better one: the same pixels, resized, compressed, cropped or mirrored.

    Writes an HTML page that shows the groups. Without --drop nothing is changed; with it, the copies leave the
    library's folders, and sorter undo brings them back. What you have captioned, or put into the library yourself,
    stays. The originals are never touched.
    """
    from sorter.commands.answer import read_answers
    from sorter.commands.duplicates import find, leave_out
    from sorter.commands.duplicates_page import write_page
    from sorter.commands.open import open_library
    from sorter.commands.sort import settle
    from sorter.library.store.manifest import Manifest
    from sorter.tally import Report

    Manifest(library).close()
    job, report = load(scheme, unfitted=unfitted), Report()
    to = to or library.absolute().with_name(f"{library.absolute().name}-duplicates.html")
    changes = drop and not dry_run
    with progress() as track, open_library(library, "duplicates", dry_run=not changes) as manifest:
        read_answers(manifest, job, report, "duplicates")
        found = find(manifest, job, report, thin, track=track)
        write_page(manifest, found, to)
        if changes:
            leave_out(manifest, found.to_go, report, "duplicates")
            settle(manifest, job, report, "duplicates", track=track)
    lines = _lines(found, changes)
    lines += lines_of(report, job, library) if changes else [f"  {one.path}: {one.reason}" for one in report.failures]
    return say(as_json, as_dict(report) | _data(found, to, changes), [*lines, f"{to}: written; open it in a browser"],
               bool(report.failures))  # fmt: skip


def _lines(found: Found, changed: bool) -> list[str]:
    lines = []
    for group in found.groups[:MOST_GROUPS]:
        lines.append(f"{_name(found, group.kept)} is kept of {len(group.others) + 1}")
        for one in group.others[:MOST_COPIES]:
            stays = f"; stays, since {one.stays}" if one.stays else ""
            lines.append(f"  {one.how}: {_name(found, one.sha256)}, {one.why}{stays}")
        if (more := len(group.others) - MOST_COPIES) > 0:
            lines.append(f"  and {more} more")
    if (more := len(found.groups) - MOST_GROUPS) > 0:
        lines.append(f"and {more} more groups")
    counts = ", ".join(f"{count} {how}" for how, count in found.counts().most_common())
    lines.append(f"{len(found.groups)} groups: {counts}" if counts else "no picture is a copy of another")
    if found.to_go and not changed:
        lines.append(f"{len(found.to_go)} pictures could be left out: add --drop")
    return lines


def _data(found: Found, to: Path, changed: bool) -> dict[str, object]:
    groups = [
        {
            "kept": group.kept,
            "name": _name(found, group.kept),
            "others": [one._asdict() | {"name": _name(found, one.sha256)} for one in group.others],
        }
        for group in found.groups
    ]
    return {"groups": groups, "to_go": len(found.to_go), "dropped": changed, "to": str(to)}


def _name(found: Found, sha256: str) -> str:
    picture = found.pictures[sha256]
    return f"{picture.path.replace(chr(92), '/').rpartition('/')[2]} ({picture.width} x {picture.height})"
