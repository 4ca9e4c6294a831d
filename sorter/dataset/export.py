"""A library -> a folder that a trainer reads. The same plan and journal as for the library itself."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from sorter.census import Report, Track, silent
from sorter.dataset.crop import Cropper, croppers
from sorter.errors import DatasetError
from sorter.library.apply import Done, apply
from sorter.library.contents import Placed
from sorter.library.corrections import read_corrections
from sorter.library.manifest import FOLDER, Manifest
from sorter.library.plan import plan, stem
from sorter.options import Options
from sorter.pipeline import Job, open_library, verdicts
from sorter.records import Drop, Output, Render, Text, Unreadable, Verdict
from sorter.registry import Registry


@dataclass(frozen=True, slots=True)
class Item:
    """A picture of the library with all that a dataset says of it."""

    file: str
    """Below the dataset's folder."""
    caption: str
    classes: dict[str, str | None]
    """Axis -> class; None where it is in doubt."""


class Layout(Options):
    """What every dataset layout is: called with the items in it, it gives the text files beside the pictures."""

    def __call__(self, items: Iterable[Item]) -> Iterator[Output]:
        """The text files."""
        raise NotImplementedError


layouts: Registry[Layout] = Registry("dataset layout", "modelsheet.layouts")


@layouts.add("imagefolder")
class ImageFolder(Layout):
    """Hugging Face's imagefolder: pictures beside a metadata.jsonl with file_name, text, and one column an axis."""

    def __call__(self, items: Iterable[Item]) -> Iterator[Output]:
        rows = ({"file_name": item.file, "text": item.caption, **item.classes} for item in items)
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
        if lines:
            yield Output("metadata.jsonl", Text("".join(lines)))


def export(
    library: Path,
    to: Path,
    job: Job,
    *,
    use: str = "imagefolder",
    crop: dict[str, Any] | None = None,
    doubtful: bool = False,
    dry_run: bool = False,
    track: Track[Any] = silent,
) -> Report:
    """Write the pictures of a library that are beyond doubt (or all, if `doubtful`) as a dataset to `to`.

    `crop`: a cropper's `use` and options; without it, the scheme's own. Run again, it writes only what has changed.
    Raises DatasetError where `to` is not ours to write to, or the library holds nothing to export.
    """
    layout = layouts.build(use, "--as")
    table = crop or {"use": job.scheme.crop.use, **job.scheme.crop.options()}
    cropper = croppers.build(table["use"], "[crop]", **{key: value for key, value in table.items() if key != "use"})
    _check_target(library, to)
    with Manifest(library) as held:
        read_corrections(held, job.layout)
        report = Report()
        chosen = dict(_choose(held, job, cropper, doubtful, report))
        files = {one.output.content.sha256: held.root / path for path, one in _placed_by_hash(held).items()}
    if not chosen:
        raise DatasetError(f"{library}: holds no picture to export; sort some first, or add --doubtful")
    with open_library(to, f"export {library}", dry_run) as manifest:
        report.counts["exported"] = len(chosen)
        if not dry_run:
            _write(manifest, chosen, files, layout, report, track)
    return report


def _write(
    manifest: Manifest,
    chosen: dict[Output, Item],
    files: dict[str, Path],
    layout: Layout,
    report: Report,
    track: Track[Any],
) -> None:
    """Pictures first, then the table of those that could be written, and last what is no longer wanted."""
    run = report.run = manifest.begin("export")
    standing = [placed.output for placed in manifest.placed()]
    steps = plan(chosen, standing)
    failed: set[str] = set()

    def carry_out(some: Iterable[Any], what: str) -> None:
        for outcome in track(apply(some, manifest, run, lambda sha256: [files[sha256]]), what, None):
            if isinstance(outcome, Done):
                report.counts["written"] += not isinstance(outcome.step, Drop)
                report.counts["removed"] += isinstance(outcome.step, Drop)
            else:
                report.failures.append(outcome)
                failed.add(outcome.path.stem)

    carry_out([step for step in steps if not isinstance(step, Drop)], "writing pictures")
    items = [item for output, item in chosen.items() if stem(output) not in failed]
    tables = list(layout(items))
    names = {output.path for output in tables}
    carry_out(plan(tables, [output for output in standing if output.path in names]), "writing captions")
    carry_out([step for step in steps if isinstance(step, Drop) and step.output.path not in names], "clearing up")
    report.counts["exported"] = len(items)


def _choose(
    library: Manifest, job: Job, cropper: Cropper, doubtful: bool, report: Report
) -> Iterator[tuple[Output, Item]]:
    placed = {one.output.content.sha256: one for one in _originals(library)}
    for verdict in verdicts(library, job):
        one = placed.get(verdict.picture.sha256)
        if verdict.unwanted or one is None:
            continue
        if verdict.doubts and not doubtful:
            report.counts["left out, in doubt"] += 1
            report.doubts.update(verdict.unsure)
            continue
        yield _item(library, job, cropper, verdict, one)


def _item(library: Manifest, job: Job, cropper: Cropper, verdict: Verdict, one: Placed) -> tuple[Output, Item]:
    sha256 = _current_hash(library.root / one.output.path, one)
    rendered = cropper(sha256, verdict.picture.width, verdict.picture.height)
    if isinstance(one.output.content, Render) and one.output.content.mirror != verdict.mirror:
        rendered = replace(rendered, mirror=True)  # corrected since the last sort: turned here already
    path = PurePosixPath(one.output.path)
    file = path.name if rendered == Render(sha256) else f"{path.stem}.png"
    caption = verdict.caption or job.layout.caption(verdict)
    sure = verdict.sure()
    return Output(file, rendered), Item(file, caption, {axis: sure.get(axis) for axis in job.scheme.axes})


def _originals(library: Manifest) -> Iterator[Any]:
    return (one for one in library.placed() if isinstance(one.output.content, Render))


def _placed_by_hash(library: Manifest) -> dict[str, Any]:
    """Path -> the placed picture, its content's hash being that of the file as it stands."""
    found = {}
    for one in _originals(library):
        sha256 = _current_hash(library.root / one.output.path, one)
        found[one.output.path] = replace(one, output=replace(one.output, content=Render(sha256)))
    return found


def _current_hash(path: Path, one: Placed) -> str:
    """The hash of a library file as it stands; one that a person has edited is exported as edited."""
    try:
        stat = path.stat()
        if (stat.st_size, stat.st_mtime_ns) == (one.size, one.modified):
            return one.sha256
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return one.sha256


def _check_target(library: Path, to: Path) -> None:
    inner, outer = to.resolve(), library.resolve()
    if inner == outer or outer in inner.parents or inner in outer.parents:
        raise DatasetError(f"{to}: lies in the library {library}, or around it; choose a folder beside it")
    if to.is_file():
        raise DatasetError(f"{to}: is a file; give a folder for the dataset")
    if to.is_dir() and any(to.iterdir()) and not (to / FOLDER).exists():
        raise DatasetError(f"{to}: holds files that are not from an export; choose an empty folder")


__all__ = ["ImageFolder", "Item", "Layout", "Unreadable", "export", "layouts"]
