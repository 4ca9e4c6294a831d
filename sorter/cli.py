"""The commands: reads arguments, calls the rest, prints. No logic. Nothing heavy is imported before a command runs."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from sorter.errors import ModelsheetError
from sorter.terminal import as_dict, echo, lines_of, lines_of_fit, lines_of_rescan, progress, say, say_report

if TYPE_CHECKING:
    from sorter.job import Job

F = TypeVar("F", bound=Callable[..., Any])
FOLDER = click.Path(path_type=Path)


def _shared(*options: Callable[[F], F]) -> Callable[[F], F]:
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
to_library = click.option("--to", "library", type=FOLDER, required=True, help="The library's folder.")
common = _shared(scheme_option, json_option)


class _InOrder(click.Group):
    """Lists the commands in the order in which they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


@click.group(cls=_InOrder, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="modelsheet")
def sorter() -> None:
    """Sort a heap of frames into class folders, turn them to one side, and caption them.

    Start with: sorter init, then sorter check, then sorter sort FRAMES --to LIBRARY.
    """


@sorter.command()
@click.argument("folder", type=FOLDER, default=Path())
@json_option
def init(folder: Path, as_json: bool) -> int:
    """Write a first scheme.toml from the sorters found under models/."""
    from sorter.starter import write_starter

    path, passed = write_starter(folder)
    for sentence in passed:
        echo(f"passed over: {sentence}", err=True)
    return say(as_json, {"scheme": str(path), "passed over": passed}, [f"{path}: written; read it, then: sorter check"])


@sorter.command()
@click.option("--on", type=FOLDER, help="Ask about pictures of this folder and about their mirror images, and compare.")
@common
def check(on: Path | None, scheme: Path, as_json: bool) -> int:
    """Say whether the scheme, the sorters and their classes agree.

    With --on, the mirror check as well: whether each sorter takes the mirror image of a picture for what it is.
    """
    from dataclasses import asdict

    from sorter.check import describe, mirror_check

    job = _job(scheme)
    axes = describe(job)
    lines = [f"{scheme}: is in order"]
    for axis in axes:
        lines += [f"  {axis['axis']}: {', '.join(axis['classes'])}", *(f"      {line}" for line in axis["notes"])]
    data: dict[str, Any] = {"scheme": str(scheme), "axes": axes}
    if on is None:
        return say(as_json, data, lines)
    with progress() as track:
        found = mirror_check(on, job, track)
    report = as_dict(found.report)
    data |= {"mirror": [asdict(row) for row in found.axes], "counts": report["counts"], "failures": report["failures"]}
    first, *failed = lines_of(found.report, None, on)
    said = [f"  {row.axis}: {row.sentence()}" for row in found.axes]
    return say(as_json, data, [*lines, first, *said, *failed], bool(found.report.failures))


@sorter.command()
@click.argument("folder", type=FOLDER)
@click.option("--to", type=FOLDER, required=True, help="The sorter's folder, such as models/pose.")
@click.option(
    "--group",
    default="scene",
    show_default=True,
    metavar="HOW",
    help='What is held out together: "scene" (runs of near-identical frames), "none", a pattern of the paths in the '
    'class folders such as "{group}/..." or "{group}_*", or a regular expression.',
)
@click.option(
    "--backbone",
    default="auto",
    metavar="WHICH",
    help="The folder or zip of an export, efficientnet-lite0, or a name of tf_keras.applications.  [default: that of "
    "an export beside the new sorter, so that both share one pass; else efficientnet-lite0]",
)
@click.option("--error", type=float, default=0.02, show_default=True, help="The share of wrong ones to accept.")
@click.option(
    "--mirror",
    multiple=True,
    metavar="A=B",
    help="Two classes that become each other in a mirror.  [default: those called left and right]",
)
@click.option("--no-mirror", is_flag=True, help="Mirroring changes what these pictures show: no mirrored copies.")
@click.option(
    "--features",
    type=click.Choice(["auto", "average", "grid"]),
    default="auto",
    show_default=True,
    help="What is read: means over the picture, or what is where.",
)
@click.option("--head", type=click.Choice(["auto", "linear", "dense"]), default="auto", show_default=True)
@click.option("--measure", type=click.Choice(["sharpness"]), help="Fit this measure instead of a network.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the split and of every other chance.")
@json_option
def fit(
    folder: Path,
    to: Path,
    measure: str | None,
    mirror: tuple[str, ...],
    no_mirror: bool,
    as_json: bool,
    **options: Any,
) -> int:
    """Make a sorter from folders of examples: one folder a class, named as the class.

    The best head is chosen on pictures that it was not fitted on; report.html beside the sorter says how good it is.
    """
    from sorter.classify.fit import Recipe
    from sorter.classify.fit import fit as fit_network
    from sorter.classify.fit_measure import fit_sharpness
    from sorter.options import read_options

    if mirror and no_mirror:
        raise click.UsageError("--mirror and --no-mirror contradict each other; give one of them")
    options |= {"mirror": _pairs(mirror) or None, "copies": not no_mirror}
    recipe = read_options(Recipe, options, "sorter fit")
    with progress() as track:
        fitted = (fit_sharpness if measure else fit_network)(folder, to, recipe, track)
    failures = [{"path": str(one.path), "reason": one.reason} for one in fitted.unreadable]
    lines = [*lines_of_fit(to, fitted), *(f"  not used: {one['path']}: {one['reason']}" for one in failures)]
    return say(as_json, {"to": str(to), "card": fitted.card, "failures": failures}, lines, bool(failures))


@sorter.command()
@click.argument("source", type=FOLDER)
@to_library
@click.option(
    "--take", is_flag=True, help="Move the originals into the library's keeping; sorter undo brings them back."
)
@click.option("--restore", is_flag=True, help="Put back pictures that were deleted from the library by hand.")
@exact_option
@dry_option
@common
def sort(
    source: Path,
    library: Path,
    take: bool,
    restore: bool,
    exact: bool,
    dry_run: bool,
    scheme: Path,
    as_json: bool,
) -> int:
    """Scan, classify, plan and apply: the pictures of SOURCE, sorted into a library. SOURCE is left untouched."""
    from sorter import pipeline

    job = _job(scheme, exact)
    with progress() as track:
        report, steps = pipeline.sort(source, library, job, dry_run=dry_run, take=take, restore=restore, track=track)
    return say_report(as_json, report, job, library, len(steps) if dry_run else None)


@sorter.command()
@click.argument("source", type=FOLDER)
@to_library
@json_option
def scan(source: Path, library: Path, as_json: bool) -> int:
    """Record the pictures of SOURCE in a library's manifest; place nothing."""
    from sorter import pipeline
    from sorter.census import Report
    from sorter.classify.predict import Questions
    from sorter.classify.scan import walk
    from sorter.intake import take_in

    pipeline.check_apart(source, library)
    report = Report()
    files = walk(source, library)
    with progress() as track, pipeline.open_library(library, f"scan {source}") as manifest:
        for _ in take_in(files, manifest, Questions({}), report, track):
            pass
    return say_report(as_json, report, None, library)


@sorter.command()
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
@common
def classify(library: Path, on: str | None, pictures: tuple[str, ...], exact: bool, scheme: Path, as_json: bool) -> int:
    """Ask every question that a library's pictures have not been asked yet; place nothing."""
    from sorter import pipeline
    from sorter.census import Report
    from sorter.classify.cluster import cluster
    from sorter.intake import ask_again, ask_cluster
    from sorter.library.manifest import Manifest

    if pictures and not on:
        raise click.UsageError("--pictures says what a cluster's workers read; give --on as well")
    elsewhere = cluster(on, _folders(pictures)) if on else None
    Manifest(library).close()
    job, report = _job(scheme, exact), Report()
    with progress() as track, pipeline.open_library(library, "classify") as manifest:
        if elsewhere:
            ask_cluster(elsewhere, manifest, job.questions, report, track)
        else:
            ask_again(manifest, job.questions, report, track)
        pipeline.make_plan(manifest, job, report)
    return say_report(as_json, report, job, library)


@sorter.command()
@click.argument("library", type=FOLDER)
@common
def plan(library: Path, scheme: Path, as_json: bool) -> int:
    """Show each file that would be placed or removed; change nothing."""
    from sorter import pipeline
    from sorter.census import Report
    from sorter.library.manifest import Manifest
    from sorter.records import Put

    job, report = _job(scheme), Report()
    with Manifest(library, rehearse=True) as manifest:
        pipeline.heed(manifest, job, report)
        steps = pipeline.arrange(manifest, job, report, "plan")
    rows = [("put" if isinstance(step, Put) else "drop", step.output.path) for step in steps]
    data = as_dict(report) | {"steps": [{"step": kind, "path": path} for kind, path in rows]}
    return say(as_json, data, [f"{kind:4} {path}" for kind, path in rows] or ["nothing to do"])


@sorter.command()
@click.argument("library", type=FOLDER)
@common
def apply(library: Path, scheme: Path, as_json: bool) -> int:
    """Carry out what `sorter plan` shows."""
    from sorter import pipeline
    from sorter.census import Report
    from sorter.library.manifest import Manifest

    Manifest(library).close()
    job, report = _job(scheme), Report()
    with progress() as track, pipeline.open_library(library, "apply") as manifest:
        pipeline.heed(manifest, job, report)
        pipeline.arrange(manifest, job, report, "apply", track=track)
    return say_report(as_json, report, job, library)


@sorter.command()
@click.argument("library", type=FOLDER)
@click.argument("run", type=int, required=False)
@dry_option
@json_option
def undo(library: Path, run: int | None, dry_run: bool, as_json: bool) -> int:
    """Bring a library back to what was in place before RUN, or before the last run."""
    from sorter import pipeline

    with progress() as track:
        report = pipeline.undo(library, run, dry_run=dry_run, track=track)
    return say_report(as_json, report, None, library)


@sorter.command()
@click.argument("library", type=FOLDER)
@click.option("--from", "sources", type=FOLDER, multiple=True, help="A folder that pictures came from; repeatable.")
@dry_option
@common
def rescan(library: Path, sources: tuple[Path, ...], dry_run: bool, scheme: Path, as_json: bool) -> int:
    """Build a damaged or lost manifest anew from the files that stand in a library.

    No picture or caption is touched, and the damaged manifest is kept. Turned pictures are known again by their
    originals, so give the folders of those. Give the scheme by which the library was sorted last: what lies elsewhere
    than it says, and captions in other words, are taken for your own answers.
    """
    from sorter.rescan import rescan as build_anew

    job = _job(scheme)
    with progress() as track:
        found = build_anew(library, job, sources, dry_run=dry_run, track=track)
    lines = [*lines_of_rescan(found, library, dry_run), *lines_of(found.report, job, library)]
    data = {"damage": found.damage, "kept": found.kept, "planned": len(found.steps), "returning": found.returning}
    return say(as_json, as_dict(found.report) | data, lines, bool(found.report.failures))


@sorter.command()
@click.argument("source", type=FOLDER)
@to_library
@click.option("--still", type=float, default=1.0, show_default=True, help="Seconds a file must not change.")
@click.option("--take", is_flag=True, help="Move the originals into the library's keeping.")
@common
def watch(source: Path, library: Path, still: float, take: bool, scheme: Path, as_json: bool) -> int:
    """Keep sorting what arrives in SOURCE, until Ctrl-C or SIGTERM."""
    import signal
    import threading

    from sorter.watch import watch as batches

    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    job, total = _job(scheme), 0
    echo(f"watching {source}; Ctrl-C ends it", err=True)
    for report in batches(source, library, job, stop=stop, still=still, take=take):
        total += report.counts["pictures placed"]
        if not as_json and report.counts["files"]:
            echo(*lines_of(report, job, library))
    return say(as_json, {"placed": total}, [f"stopped; {total} pictures placed"])


@sorter.command()
@click.argument("library", type=FOLDER)
@click.option("--to", type=FOLDER, help="The HTML file.  [default: LIBRARY-report.html beside the library]")
@common
def report(library: Path, to: Path | None, scheme: Path, as_json: bool) -> int:
    """Write one HTML page: counts, balance, doubts, turned pictures, failures."""
    from sorter.report import write_report

    to = to or library.absolute().with_name(f"{library.absolute().name}-report.html")
    found = write_report(library, to, _job(scheme))
    return say(as_json, as_dict(found) | {"to": str(to)}, [f"{to}: written; open it in a browser"])


@sorter.command()
@click.argument("library", type=FOLDER)
@click.option("--to", type=FOLDER, required=True, help="The dataset's folder.")
@click.option("--as", "use", default="imagefolder", show_default=True, help="The dataset's layout; see sorter list.")
@click.option("--crop", help="A cropper; see sorter list.  [default: the scheme's]")
@click.option("--size", type=int, help="Pixels a side, for croppers that make squares.")
@click.option("--doubtful", is_flag=True, help="Export pictures that are in doubt, too.")
@dry_option
@common
def export(
    library: Path,
    to: Path,
    use: str,
    crop: str | None,
    size: int | None,
    doubtful: bool,
    dry_run: bool,
    scheme: Path,
    as_json: bool,
) -> int:
    """Write a library's certain pictures with their captions as a dataset for a trainer."""
    from sorter.dataset.export import export as write

    job = _job(scheme)
    own = {"use": job.scheme.crop.use, **job.scheme.crop.options()}
    table = own if crop in (None, own["use"]) else {"use": crop}
    table |= {"size": size} if size else {}
    with progress() as track:
        report = write(library, to, job, use=use, crop=table, doubtful=doubtful, dry_run=dry_run, track=track)
    return say_report(as_json, report, None, to)


@sorter.command(name="list")
@json_option
def list_plugins(as_json: bool) -> int:
    """Show the plug-ins that a scheme or an option can name, with their options."""
    from sorter.check import plugins

    found = plugins()
    lines = []
    for row in found:
        options = ", ".join(f"{name} = {value!r}" for name, value in row["options"].items())
        lines += [f"{row['kind']} {row['name']}: {row['help']}", *([f"    {options}"] if options else [])]
    return say(as_json, {"plugins": found}, lines)


def _pairs(mirror: tuple[str, ...]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for pair in mirror:
        first, sign, second = pair.partition("=")
        if not sign:
            raise click.BadParameter(f"{pair!r} is not a pair; write left=right", param_hint="--mirror")
        pairs |= {first: second, second: first}
    return pairs


def _folders(pictures: tuple[str, ...]) -> dict[str, str]:
    folders = {}
    for pair in pictures:
        folder, sign, url = pair.partition("=")
        if not (folder and sign and url):
            right = "write frames=s3://bucket/frames"
            raise click.BadParameter(f"{pair!r} is no folder with its URL; {right}", param_hint="--pictures")
        folders[folder] = url
    return folders


def _job(scheme: Path, exact: bool = False) -> Job:
    from sorter.job import load_job

    return load_job(scheme, exact)


def main() -> None:
    """The console script. Exit codes: 0 done, 1 some pictures failed, 2 wrong input."""
    for stream in (sys.stdout, sys.stderr):  # a label may hold what a Windows console's encoding cannot
        getattr(stream, "reconfigure", lambda **_: None)(errors="replace")
    warnings.filterwarnings("ignore", module=r"PIL\.")  # what matters of a picture is in the census
    try:
        sys.exit(sorter.main(prog_name="sorter", standalone_mode=False))
    except ModelsheetError as found:
        if "--json" in sys.argv:
            echo(json.dumps({"error": str(found)}, ensure_ascii=False))
        echo(f"sorter: {found}", err=True)
        sys.exit(2)
    except click.ClickException as found:
        found.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        click.echo("sorter: stopped; run the same command again to go on from there", err=True)
        sys.exit(130)


if __name__ == "__main__":
    main()
