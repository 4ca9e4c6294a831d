"""The commands that fill a library and change it."""

from __future__ import annotations

from pathlib import Path

import click

from sorter.cli.shared import FOLDER, common, dry_option, exact_option, json_option, load, to_library, unfitted_option
from sorter.cli.terminal import as_dict, lines_of, lines_of_rescan, progress, say, say_report


@click.command()
@click.argument("source", type=FOLDER)
@to_library
@click.option(
    "--take", is_flag=True, help="Move the originals into the library's keeping; sorter undo brings them back."
)
@click.option("--restore", is_flag=True, help="Put back pictures that were deleted from the library by hand.")
@click.option("--captions", is_flag=True, help="Take over the .txt captions that lie beside the pictures of SOURCE.")
@exact_option
@unfitted_option
@dry_option
@common
def sort(
    source: Path,
    library: Path,
    take: bool,
    restore: bool,
    captions: bool,
    exact: bool,
    unfitted: bool,
    dry_run: bool,
    scheme: Path,
    as_json: bool,
) -> int:
    """Scan, classify, plan and apply: the pictures of SOURCE, sorted into a library. SOURCE is left untouched."""
    from sorter.commands.sort import sort as run

    job = load(scheme, exact, unfitted)
    with progress() as track:
        report, steps = run(
            source, library, job, dry_run=dry_run, take=take, restore=restore, captions=captions, track=track
        )
    return say_report(as_json, report, job, library, len(steps) if dry_run else None)


@click.command()
@click.argument("videos", type=FOLDER, nargs=-1, required=True)
@click.option("--to", type=FOLDER, required=True, help="The folder for the frames.")
@click.option("--most", type=click.IntRange(1), default=3, show_default=True, help="Frames of a scene, at most.")
@click.option(
    "--gap",
    type=click.FloatRange(0),
    default=1.0,
    show_default=True,
    help="Seconds between frames of a scene, at least.",
)
@click.option(
    "--every",
    type=click.FloatRange(0, min_open=True),
    metavar="SECONDS",
    help="Take a frame of each so many seconds instead, whatever the scenes.",
)
@click.option("--format", type=click.Choice(["jpg", "png"]), default="jpg", show_default=True)
@click.option("--quality", type=click.IntRange(1, 100), default=95, show_default=True, help="Of JPEGs.")
@click.option("--keep-bars", is_flag=True, help="Do not cut black bars.")
@dry_option
@json_option
def frames(
    videos: tuple[Path, ...],
    to: Path,
    most: int,
    gap: float,
    every: float | None,
    format: str,  # noqa: A002 - the option's name
    quality: int,
    keep_bars: bool,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Take frames of VIDEOS, files or folders of them: a few of each scene, sharp, and unlike each other.

    None is of a cross-fade, black or plain. They are called after the video and the time: ep01_00-12-03-480.jpg. Run it
    again to go on where it was stopped, or with more videos; what stands is not written again.
    """
    from sorter.classify.stills import Wanted
    from sorter.commands.frames import Form
    from sorter.commands.frames import frames as take

    with progress() as track:
        report = take(videos, to, Wanted(most, gap, every), Form(format, quality, keep_bars), dry_run, track)
    return say_report(as_json, report, None, to, report.counts["to be written"] if dry_run else None)


@click.command()
@click.argument("source", type=FOLDER)
@to_library
@json_option
def scan(source: Path, library: Path, as_json: bool) -> int:
    """Record the pictures of SOURCE in a library's manifest; place nothing."""
    from sorter.classify.ask import Questions
    from sorter.commands.open import check_apart, open_library
    from sorter.commands.scan import note_passed_over
    from sorter.commands.scan import scan as run
    from sorter.pictures.scan import PassedOver, walk
    from sorter.tally import Report

    check_apart(source, library)
    report, passed = Report(), PassedOver()
    files = walk(source, library, passed)
    with progress() as track, open_library(library, f"scan {source}") as manifest:
        for _ in run(files, manifest, Questions({}), report, track):
            pass
    note_passed_over(passed, report)
    return say_report(as_json, report, None, library)


@click.command()
@click.argument("library", type=FOLDER)
@click.option("--on", metavar="ADDRESS", help="Ask on a Ray cluster: ray://HOST:10001, or local: Ray on this machine.")
@click.option(
    "--pictures",
    multiple=True,
    metavar="FOLDER=URL",
    help="With --on: the workers find what lies in FOLDER here at this URL (s3://..., gs://...) or in this folder.  "
    "[default: at the same paths as here]",
)
@exact_option
@unfitted_option
@common
def classify(
    library: Path,
    on: str | None,
    pictures: tuple[str, ...],
    exact: bool,
    unfitted: bool,
    scheme: Path,
    as_json: bool,
) -> int:
    """Ask every question that a library's pictures have not been asked yet; place nothing."""
    from sorter.classify.cluster.client import cluster
    from sorter.commands.classify import classify as run
    from sorter.commands.classify import classify_on_cluster
    from sorter.commands.open import open_library
    from sorter.commands.plan import plan as make_plan
    from sorter.library.store.manifest import Manifest
    from sorter.tally import Report

    if pictures and not on:
        raise click.UsageError("--pictures says what a cluster's workers read; give --on as well")
    elsewhere = cluster(on, _folders(pictures)) if on else None
    Manifest(library).close()
    job, report = load(scheme, exact, unfitted), Report()
    with progress() as track, open_library(library, "classify") as manifest:
        if elsewhere:
            classify_on_cluster(elsewhere, manifest, job.questions, report, track)
        else:
            run(manifest, job.questions, report, track)
        make_plan(manifest, job, report)
    return say_report(as_json, report, job, library)


@click.command()
@click.argument("library", type=FOLDER)
@common
def plan(library: Path, scheme: Path, as_json: bool) -> int:
    """Show each file that would be placed or removed; change nothing."""
    from sorter.commands.answer import read_answers
    from sorter.commands.plan import plan as run
    from sorter.library.store.manifest import Manifest
    from sorter.records import Put
    from sorter.tally import Report

    job, report = load(scheme), Report()
    with Manifest(library, dry_run=True) as manifest:
        read_answers(manifest, job, report, "plan")
        steps = run(manifest, job, report)
    rows = [("put" if isinstance(step, Put) else "drop", step.output.path) for step in steps]
    data = as_dict(report) | {"steps": [{"step": kind, "path": path} for kind, path in rows]}
    return say(as_json, data, [f"{kind:4} {path}" for kind, path in rows] or ["nothing to do"])


@click.command()
@click.argument("library", type=FOLDER)
@unfitted_option
@common
def apply(library: Path, unfitted: bool, scheme: Path, as_json: bool) -> int:
    """Carry out what `sorter plan` shows."""
    from sorter.commands.answer import read_answers
    from sorter.commands.open import open_library
    from sorter.commands.sort import settle
    from sorter.library.store.manifest import Manifest
    from sorter.tally import Report

    Manifest(library).close()
    job, report = load(scheme, unfitted=unfitted), Report()
    with progress() as track, open_library(library, "apply") as manifest:
        read_answers(manifest, job, report, "apply")
        settle(manifest, job, report, "apply", track=track)
    return say_report(as_json, report, job, library)


@click.command()
@click.argument("library", type=FOLDER)
@click.argument("run", type=int, required=False)
@dry_option
@json_option
def undo(library: Path, run: int | None, dry_run: bool, as_json: bool) -> int:
    """Bring a library back to what was in place before RUN, or before the last run."""
    from sorter.commands.undo import undo as take_back

    with progress() as track:
        report = take_back(library, run, dry_run=dry_run, track=track)
    return say_report(as_json, report, None, library)


@click.command()
@click.argument("library", type=FOLDER)
@click.option("--from", "sources", type=FOLDER, multiple=True, help="A folder that pictures came from; repeatable.")
@dry_option
@common
def rescan(library: Path, sources: tuple[Path, ...], dry_run: bool, scheme: Path, as_json: bool) -> int:
    """Rebuild a damaged or lost manifest from the files that stand in a library.

    No picture or caption is touched, and the damaged manifest is kept. Turned pictures are known again by their
    originals, so give the folders of those. Give the scheme by which the library was sorted last: what lies elsewhere
    than it says, and captions in other words, are taken for your own answers.
    """
    from sorter.commands.rescan import rescan as build_anew

    job = load(scheme)
    with progress() as track:
        found = build_anew(library, job, sources, dry_run=dry_run, track=track)
    lines = [*lines_of_rescan(found, library, dry_run), *lines_of(found.report, job, library)]
    data = {"damage": found.damage, "kept": found.kept, "planned": len(found.steps), "returning": found.returning}
    return say(as_json, as_dict(found.report) | data, lines, bool(found.report.failures))


def _folders(pictures: tuple[str, ...]) -> dict[str, str]:
    folders = {}
    for pair in pictures:
        folder, sign, url = pair.partition("=")
        if not (folder and sign and url):
            right = "write frames=s3://bucket/frames"
            raise click.BadParameter(f"{pair!r} is no folder with its URL; {right}", param_hint="--pictures")
        folders[folder] = url
    return folders
