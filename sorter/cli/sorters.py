"""The commands about a scheme and its sorters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from sorter.cli.shared import FOLDER, common, json_option, load
from sorter.cli.terminal import as_dict, echo, lines_of, lines_of_fit, progress, say


@click.command()
@click.argument("folder", type=FOLDER, default=Path())
@json_option
def init(folder: Path, as_json: bool) -> int:
    """Write a first scheme.toml from the sorters found under models/."""
    from sorter.commands.init import write_starter

    path, passed = write_starter(folder)
    for sentence in passed:
        echo(f"passed over: {sentence}", err=True)
    return say(as_json, {"scheme": str(path), "passed over": passed}, [f"{path}: written; read it, then: sorter check"])


@click.command()
@click.option("--on", type=FOLDER, help="Ask about pictures of this folder and about their mirror images, and compare.")
@common
def check(on: Path | None, scheme: Path, as_json: bool) -> int:
    """Say whether the scheme, the sorters and their classes agree.

    With --on, the mirror check as well: whether each sorter takes the mirror image of a picture for what it is.
    """
    from dataclasses import asdict

    from sorter.commands.check import describe, describe_askers, mirror_check

    job = load(scheme)
    axes, askers = describe(job), describe_askers(job)
    twice = job.layout.captioner.tags.twice(job.scheme, job.classes)
    lines = [f"{scheme}: is in order", *(f"  {sentence}" for sentence in twice)]
    for axis in axes:
        lines += [f"  {axis['axis']}: {', '.join(axis['classes'])}", *(f"      {line}" for line in axis["notes"])]
    for one in askers:
        lines += [f"  {one['asker']}: {one['use']}", *(f"      {line}" for line in one["notes"])]
    data: dict[str, Any] = {"scheme": str(scheme), "axes": axes, "askers": askers, "notes": twice}
    if on is None:
        return say(as_json, data, lines)
    with progress() as track:
        found = mirror_check(on, job, track)
    report = as_dict(found.report)
    data |= {"mirror": [asdict(row) for row in found.axes], "counts": report["counts"], "failures": report["failures"]}
    first, *failed = lines_of(found.report, None, on)
    said = [f"  {row.axis}: {row.sentence()}" for row in found.axes]
    return say(as_json, data, [*lines, first, *said, *failed], bool(found.report.failures))


@click.command()
@click.argument("folder", type=FOLDER, required=False)
@click.option("--to", type=FOLDER, required=True, help="The sorter's folder, such as models/pose.")
@click.option("--answers", type=FOLDER, metavar="LIBRARY", help="Learn from your own answers in a library, too.")
@click.option("--axis", help="With --answers: the question that they are about.  [default: the name of --to]")
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
@click.option(
    "--boxes",
    type=FOLDER,
    help="Learn where heads are: a COCO .json, a folder of VOC .xml or YOLO .txt files, or a library on whose page you "
    "drew boxes.",
)
@click.option("--box-class", metavar="NAME", help="With --boxes: the class of the boxes that are heads.")
@click.option("--measure", type=click.Choice(["sharpness"]), help="Fit this measure instead of a network.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the split and of every other chance.")
@json_option
def fit(
    folder: Path | None,
    to: Path,
    answers: Path | None,
    axis: str | None,
    boxes: Path | None,
    box_class: str | None,
    measure: str | None,
    mirror: tuple[str, ...],
    no_mirror: bool,
    as_json: bool,
    **options: Any,
) -> int:
    """Make a sorter from folders of examples: one folder a class, named as the class; or from a library's answers.

    The best head is chosen on pictures that it was not fitted on; report.html beside the sorter says how good it is.
    With --boxes, make a locator from boxes that you drew around heads, on the pictures of the folder.
    """
    if boxes is not None or box_class is not None:
        return _fit_boxes(folder, boxes, to, box_class, axis, as_json)
    from sorter.commands.fit import fit_answers
    from sorter.fit.fit import Recipe
    from sorter.fit.fit import fit as fit_network
    from sorter.fit.sharpness import fit_sharpness
    from sorter.plugins import read_options

    if mirror and no_mirror:
        raise click.UsageError("--mirror and --no-mirror contradict each other; give one of them")
    if folder is None and answers is None:
        raise click.UsageError("give the folder of examples, or a library with --answers, or both")
    options |= {"mirror": _pairs(mirror) or None, "copies": not no_mirror}
    recipe = read_options(Recipe, options, "sorter fit")
    with progress() as track:
        if answers is not None and not measure:
            fitted = fit_answers(answers, axis or to.name, folder, to, recipe, track)
        elif folder is None:
            raise click.UsageError("--measure is fitted on a folder of examples; give that")
        else:
            fitted = (fit_sharpness if measure else fit_network)(folder, to, recipe, track)
    failures = [{"path": str(one.path), "reason": one.reason} for one in fitted.unreadable]
    lines = [*lines_of_fit(to, fitted), *(f"  not used: {one['path']}: {one['reason']}" for one in failures)]
    data = {"to": str(to), "card": fitted.card, "said": fitted.said, "held_out": fitted.held_out, "failures": failures}
    return say(as_json, data, lines, bool(failures))


def _fit_boxes(
    folder: Path | None, boxes: Path | None, to: Path, kind: str | None, axis: str | None, as_json: bool
) -> int:
    from sorter.commands.fit_boxes import fit_boxes, fit_drawn
    from sorter.library.store.manifest import FILE as MANIFEST
    from sorter.library.store.manifest import FOLDER as OURS

    of_library = boxes is not None and folder is None and (boxes / OURS / MANIFEST).exists()
    if boxes is None or (folder is None and not of_library):
        raise click.UsageError("give the folder of pictures, and the boxes drawn on them with --boxes")
    with progress() as track:
        if folder is None:
            fitted = fit_drawn(boxes, axis or to.name, to, track)
        else:
            fitted = fit_boxes(folder, boxes, to, kind, track)
    failures = [{"path": str(one.path), "reason": one.reason} for one in fitted.failures]
    lines = [f"{to}: written", *(f"  {line}" for line in fitted.said), f"  look at {to / 'report.html'}"]
    lines += [f"  not used: {one['path']}: {one['reason']}" for one in failures]
    data = {"to": str(to), "card": fitted.card, "said": fitted.said, "failures": failures}
    return say(as_json, data, lines, bool(failures))


@click.command()
@click.argument("library", type=FOLDER)
@click.option("--axis", required=True, help="The question to be answered, such as pose.")
@click.option("--count", type=click.IntRange(1, 1000), default=40, show_default=True, help="How many pictures.")
@click.option("--models", type=FOLDER, help="Where its sorter will lie.  [default: models/AXIS]")
@json_option
def choose(library: Path, axis: str, count: int, models: Path | None, as_json: bool) -> int:
    """Name the pictures of LIBRARY whose answers would teach a sorter most."""
    from sorter.commands.choose import choose as run
    from sorter.library.originals import places
    from sorter.library.store.manifest import Manifest

    with progress() as track:
        chosen, left = run(library, axis, count, models or Path("models") / axis, track)
    with Manifest(library) as manifest:
        names = [str(next(iter(places(manifest, one.sha256)), "")) for one in chosen]
    data = {"axis": axis, "open": left, "chosen": [{"sha256": one.sha256, "alike": one.alike} for one in chosen]}
    more = [f" and {len(one.alike)} near-identical" if one.alike else "" for one in chosen]
    return say(as_json, data, [f"{name}{also}" for name, also in zip(names, more, strict=True)] or ["none is open"])


def _pairs(mirror: tuple[str, ...]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for pair in mirror:
        first, sign, second = pair.partition("=")
        if not sign:
            raise click.BadParameter(f"{pair!r} is not a pair; write left=right", param_hint="--mirror")
        pairs |= {first: second, second: first}
    return pairs
