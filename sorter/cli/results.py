"""The commands that show a library, or pass it on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sorter.cli.shared import FOLDER, common, dry_option, json_option, load, together
from sorter.cli.terminal import as_dict, lines_of, progress, say, say_report

if TYPE_CHECKING:
    from sorter.commands.job import Job
    from sorter.dataset.croppers import Cropper
    from sorter.dataset.overlays import Mode


@click.command()
@click.argument("library", type=FOLDER)
@common
def status(library: Path, scheme: Path, as_json: bool) -> int:
    """Say whether a daemon (sorter watch) is running on a library, how it is doing, and what is in doubt."""
    from sorter.commands import status_text
    from sorter.commands.status import status as ask
    from sorter.errors import ModelsheetError

    job, why = None, ""
    try:
        job = load(scheme, unfitted=True)
    except ModelsheetError as error:  # what is known without a scheme is told all the same
        why = str(error)
    data = status_text.as_dict(ask(library, job, why), library)
    return say(as_json, data, status_text.lines_of(data))


@click.command()
@click.argument("library", type=FOLDER)
@click.option("--to", type=FOLDER, help="The HTML file.  [default: LIBRARY-report.html beside the library]")
@common
def report(library: Path, to: Path | None, scheme: Path, as_json: bool) -> int:
    """Write one HTML page: pictures of each class, doubts, what was left out, gaps."""
    from sorter.commands.report import write_report

    to = to or library.absolute().with_name(f"{library.absolute().name}-report.html")
    found = write_report(library, to, load(scheme))
    return say(as_json, as_dict(found) | {"to": str(to)}, [f"{to}: written; open it in a browser"])


@click.command()
@click.argument("library", type=FOLDER)
@click.option("--axes", metavar="AXIS,AXIS", help="The questions to look at, such as pose,expression.  [default: all]")
@click.option("--to", type=FOLDER, help="Write an HTML page with a picture of each combination.")
@click.option("--doubtful", is_flag=True, help="Count pictures that are in doubt, too.")
@common
def coverage(library: Path, axes: str | None, to: Path | None, doubtful: bool, scheme: Path, as_json: bool) -> int:
    """Count the pictures of each combination of classes that an export would hold, and say which are missing.

    The most surprising gaps come first, such as no back views that are happy, where there are many of both.
    """
    from sorter.commands import coverage_text
    from sorter.commands.coverage import coverage as run
    from sorter.commands.coverage_page import write_page
    from sorter.library.store.manifest import Manifest

    job = load(scheme, unfitted=True)
    asked = None if axes is None else [axis.strip() for axis in axes.split(",")]
    with progress() as track, Manifest(library, dry_run=True) as manifest:
        found = run(manifest, job, asked, doubtful, track)
        if to:
            write_page(found, manifest, to)
    written = [f"{to}: written; open it in a browser"] if to else []
    lines = [*coverage_text.lines_of(found, library, axes is not None), *written]
    return say(as_json, coverage_text.as_dict(found, library) | {"to": to and str(to)}, lines)


crop_options = together(
    click.option("--crop", help="A cropper; see sorter list.  [default: the scheme's]"),
    click.option("--size", type=int, help="Pixels a side, for croppers that make squares."),
    click.option("--shot", help="With --crop subject: close, mid or full."),
    click.option("--enlarge", is_flag=True, help="Make pictures with fewer pixels than asked for larger."),
)


def _cropper(job: Job, crop: str | None, size: int | None, shot: str | None, enlarge: bool) -> Cropper:
    """The scheme's own cropper, or the one that is asked for, with these options."""
    from sorter.dataset.croppers import croppers

    own = job.scheme.crop
    options = own.options() if crop in (None, own.use) else {}
    said = {"size": size, "shot": shot, "enlarge": enlarge or None}
    options |= {name: value for name, value in said.items() if value is not None}
    return croppers.build(crop or own.use, f"--crop {crop}" if crop else "[crop]", **options)


@click.command()
@click.argument("library", type=FOLDER)
@crop_options
@click.option("--doubtful", is_flag=True, help="Pictures that are in doubt, too.")
@click.option("--to", type=FOLDER, help="The HTML file.  [default: LIBRARY-crops.html beside the library]")
@common
def crops(
    library: Path,
    crop: str | None,
    size: int | None,
    shot: str | None,
    enlarge: bool,
    doubtful: bool,
    to: Path | None,
    scheme: Path,
    as_json: bool,
) -> int:
    """Draw what a cropper takes of each picture onto it, and the head it goes by, as one HTML page.

    The least certain come first. Nothing is cropped: that is for sorter export, with the same options.
    """
    from sorter.commands.crops_page import write_page
    from sorter.commands.framing import How

    job = load(scheme, unfitted=True)
    to = to or library.absolute().with_name(f"{library.absolute().name}-crops.html")
    with progress() as track:
        report = write_page(library, to, job, How(_cropper(job, crop, size, shot, enlarge)), doubtful, track)
    lines = [*lines_of(report, None, library), f"{to}: written; open it in a browser"]
    return say(as_json, as_dict(report) | {"to": str(to)}, lines, bool(report.failures))


@click.command()
@click.argument("library", type=FOLDER)
@click.option("--to", type=FOLDER, required=True, help="The dataset's folder.")
@click.option("--as", "use", default="imagefolder", show_default=True, help="The dataset's layout; see sorter list.")
@crop_options
@click.option("--balance", metavar="AXIS", help="A folder a class of this axis, with repeats for small ones.")
@click.option(
    "--quality",
    type=int,
    metavar="TIMES",
    help="Repeat pictures up to so many times: one that is sharp at the size that is trained on, all of them, one with "
    "half of that detail along a side, half as often.",
)
@click.option("--at", help="The dataset's folder as the trainer will find it.  [default: where it is written]")
@click.option("--resolution", type=int, help="What the trainer's config says, where pictures keep their shapes.")
@click.option(
    "--overlays",
    type=click.Choice(["bars", "cut", "mask", "keep"]),
    default="bars",
    show_default=True,
    help="What lies over pictures: cut off black bars only; cut subtitles and logos, too, or mask what cannot be cut; "
    "mask them all; or keep everything.",
)
@click.option(
    "--validation",
    type=float,
    metavar="SHARE",
    help="Hold out about this share, such as 0.1, whole scenes of every class; it is not trained on.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Another number holds out others.")
@click.option(
    "--group",
    default="scene",
    show_default=True,
    help='What is held out as a whole: scene, folder, video, none, or a pattern such as "{group}_*".',
)
@click.option("--distinct", is_flag=True, help="Leave out copies of a better picture; see sorter duplicates.")
@click.option(
    "--thin", type=float, metavar="SHARE", help="Leave out copies, and all but this share of a scene's neighbours."
)
@click.option("--doubtful", is_flag=True, help="Export pictures that are in doubt, too.")
@dry_option
@common
def export(
    library: Path,
    to: Path,
    use: str,
    crop: str | None,
    size: int | None,
    shot: str | None,
    enlarge: bool,
    balance: str | None,
    quality: int | None,
    at: str | None,
    resolution: int | None,
    validation: float | None,
    seed: int,
    group: str,
    overlays: Mode,
    distinct: bool,
    thin: float | None,
    doubtful: bool,
    dry_run: bool,
    scheme: Path,
    as_json: bool,
) -> int:
    """Write a library's certain pictures with their captions as a dataset for a trainer."""
    from sorter.commands.export import export as write
    from sorter.commands.validation import Validation

    if validation is None and (group, seed) != ("scene", 0):
        raise click.UsageError("--group and --seed say how --validation holds out; give that, too")
    job = load(scheme)
    cropper = _cropper(job, crop, size, shot, enlarge)
    how: dict[str, Any] = {"use": use, "crop": cropper, "doubtful": doubtful, "balance": balance, "at": at}
    how |= {"resolution": resolution, "overlays": overlays, "quality": quality, "distinct": distinct, "thin": thin}
    how["validation"] = None if validation is None else Validation(validation, seed, group)
    with progress() as track:
        report = write(library, to, job, **how, dry_run=dry_run, track=track)
    return say_report(as_json, report, None, to)


@click.command()
@click.argument("library", type=FOLDER)
@click.option("--to", type=FOLDER, help="The HTML file.  [default: LIBRARY-overlays.html beside the library]")
@click.option("--bars", is_flag=True, help="Look for black bars only, which needs no extra part.")
@json_option
def overlays(library: Path, to: Path | None, bars: bool, as_json: bool) -> int:
    """Find black bars, burnt-in subtitles and logos, and write one HTML page with their boxes on the pictures.

    Nothing is cut: sorter export --overlays says what becomes of them.
    """
    from sorter.commands.overlays_page import write_page

    to = to or library.absolute().with_name(f"{library.absolute().name}-overlays.html")
    with progress() as track:
        report = write_page(library, to, not bars, track)
    lines = [*lines_of(report, None, library), f"{to}: written; open it in a browser"]
    return say(as_json, as_dict(report) | {"to": str(to)}, lines, bool(report.failures))


@click.command(name="list")
@json_option
def list_plugins(as_json: bool) -> int:
    """Show the plug-ins that a scheme or an option can name, with their options."""
    from sorter.commands.check import plugins

    found = plugins()
    lines = []
    for row in found:
        options = ", ".join(f"{name} = {value!r}" for name, value in row["options"].items())
        lines += [f"{row['kind']} {row['name']}: {row['help']}", *([f"    {options}"] if options else [])]
    return say(as_json, {"plugins": found}, lines)
