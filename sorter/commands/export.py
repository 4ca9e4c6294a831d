"""A library -> a folder that a trainer reads. The same plan and journal as for the library itself."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from sorter.commands.job import Job
from sorter.commands.sort import open_library, verdicts
from sorter.dataset.crop import Cropper, croppers
from sorter.errors import DamagedManifest, DatasetError, PictureError
from sorter.files import found_at, read_file
from sorter.library.apply import Done, apply
from sorter.library.corrections import read_corrections
from sorter.library.plan import plan, stem
from sorter.library.store.contents import Placed
from sorter.library.store.manifest import FILE, FOLDER, Manifest
from sorter.pictures.images import read_picture
from sorter.plugins import Options, Registry
from sorter.records import Drop, Output, Render, Text, Unreadable, Verdict
from sorter.tally import Report, Track, silent

METADATA = "metadata.jsonl"
OWN_COLUMNS = {"file_name", "text", "image"}
"""The columns of an imagefolder that are not axes; `image` is made by those who read it."""


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

    def read_back(self, folder: Path, items: Iterable[Item]) -> None:
        """Read what stands in the dataset's folder as a trainer will. Raises DatasetError where it is not `items`."""


layouts: Registry[Layout] = Registry("dataset layout", "modelsheet.layouts")


@layouts.add("imagefolder")
class ImageFolder(Layout):
    """Hugging Face's imagefolder: pictures beside a metadata.jsonl with file_name, text, and one column an axis."""

    def __call__(self, items: Iterable[Item]) -> Iterator[Output]:
        lines = [json.dumps(self._row(item), ensure_ascii=False) + "\n" for item in items]
        if lines:
            yield Output(METADATA, Text("".join(lines)))

    def read_back(self, folder: Path, items: Iterable[Item]) -> None:
        """Every line is the row of its picture, and every picture is there."""
        wanted = {item.file: self._row(item) for item in items}
        try:
            text = (folder / METADATA).read_bytes().decode() if wanted else ""
            found = {row["file_name"]: row for row in map(json.loads, text.split("\n")[:-1])}
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise _misread(folder, f"it cannot be read: {error}") from None
        if other := [name for name in wanted | found if wanted.get(name) != found.get(name)]:
            raise _misread(folder, f"{len(other)} of its rows are not what was exported, {other[0]} first")
        if gone := [name for name in wanted if not (folder / name).is_file()]:
            raise _misread(folder, f"it names {len(gone)} pictures that are not there, {gone[0]} first")

    @staticmethod
    def _row(item: Item) -> dict[str, str | None]:
        if taken := OWN_COLUMNS & item.classes.keys():
            name = min(taken)
            raise DatasetError(
                f'axes.{name}: an imagefolder has a column "{name}" of its own; give the axis another name'
            )
        return {"file_name": item.file, "text": item.caption, **item.classes}


def _misread(folder: Path, why: str) -> DatasetError:
    return DatasetError(f"{folder / METADATA}: was written and read back, and {why}; export it anew")


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
    with _plainly(to):
        _check_target(library, to)
    with Manifest(library, rehearse=True) as held:  # what a person moved since the last sort is heeded, not recorded
        read_corrections(held, job.layout)
        report = Report()
        pictures = [one for one in held.placed() if isinstance(one.output.content, Render)]
        files = {_current_hash(held.root, one): one for one in pictures}
        report.counts["copies"] = len(pictures) - len(files)  # of originals that differ in what cannot be seen
        chosen = dict(_choose(held, files, job, cropper, doubtful, report))
        paths = {sha256: held.root / one.output.path for sha256, one in files.items()}
    if not chosen:
        raise DatasetError(f"{library}: holds no picture to export; sort some first, or add --doubtful")
    with _plainly(to), open_library(to, f"export {library}", dry_run) as manifest:
        report.counts["exported"] = len(chosen)
        if not dry_run:
            _write(manifest, chosen, paths, layout, report, track)
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
    with manifest.change():
        run = report.run = manifest.journal.begin("export")
        for gone in [one for one in manifest.placed() if not (manifest.root / one.output.path).exists()]:
            manifest.forget_placed(gone.output.path)  # a dataset is made from a library: what is gone is written again
    standing = list(manifest.outputs())
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
    items = sorted((item for output, item in chosen.items() if stem(output) not in failed), key=lambda item: item.file)
    tables = list(layout(items))
    names = {output.path for output in tables}
    carry_out(plan(tables, [output for output in standing if output.path in names]), "writing captions")
    carry_out([step for step in steps if isinstance(step, Drop) and step.output.path not in names], "clearing up")
    layout.read_back(manifest.root, items)
    report.counts["exported"] = len(items)


def _choose(
    library: Manifest, files: dict[str, Placed], job: Job, cropper: Cropper, doubtful: bool, report: Report
) -> Iterator[tuple[Output, Item]]:
    """The outputs of the dataset. `files`: hash of a library file as it stands -> what we know of it."""
    standing = {_pictured(one): (sha256, one) for sha256, one in files.items()}
    for verdict in verdicts(library, job):
        if verdict.unwanted or verdict.picture.sha256 not in standing:
            continue
        if verdict.doubts and not doubtful:
            report.counts["left out, in doubt"] += 1
            report.doubts.update(verdict.unsure)
            continue
        sha256, one = standing[verdict.picture.sha256]
        picture = verdict.picture
        if sha256 != one.sha256:
            path = library.root / one.output.path
            try:
                picture, _ = read_picture(path, read_file(path))  # edited, perhaps to another size
            except PictureError as found:
                report.failures.append(Unreadable(path, str(found)))
                continue
        yield _item(cropper(sha256, picture.width, picture.height), one, job, verdict)


def _item(rendered: Render, one: Placed, job: Job, verdict: Verdict) -> tuple[Output, Item]:
    if isinstance(one.output.content, Render) and one.output.content.mirror != verdict.mirror:
        rendered = rendered._replace(mirror=True)  # corrected since the last sort: turned here already
    path = PurePosixPath(one.output.path)
    file = path.name if rendered == Render(rendered.sha256) else f"{path.stem}.png"
    caption = job.layout.caption(verdict)
    sure = verdict.sure()
    return Output(file, rendered), Item(file, caption, {axis: sure.get(axis) for axis in job.scheme.axes})


def _pictured(one: Placed) -> str:
    """The hash of the original that a library file shows."""
    return one.output.content.sha256 if isinstance(one.output.content, Render) else ""


def _current_hash(root: Path, one: Placed) -> str:
    """The hash of a library file as it stands; one that a person has edited is exported as edited."""
    path = root / one.output.path
    try:
        if (found := found_at(path)) and (found.size, found.modified) == (one.size, one.modified):
            return one.sha256
        return hashlib.sha256(read_file(path)).hexdigest()
    except OSError:
        return one.sha256


@contextmanager
def _plainly(to: Path) -> Iterator[None]:
    """Whether a folder whose manifest is damaged is a dataset or a library, nobody can say here."""
    try:
        yield
    except DamagedManifest:
        raise DatasetError(f"{to}: its manifest is damaged or gone, so it was left; choose an empty folder") from None


def _check_target(library: Path, to: Path) -> None:
    inner, outer = to.resolve(), library.resolve()
    if inner == outer or outer in inner.parents or inner in outer.parents:
        raise DatasetError(f"{to}: lies in the library {library}, or around it; choose a folder beside it")
    if to.is_file():
        raise DatasetError(f"{to}: is a file; give a folder for the dataset")
    if to.is_dir() and any(to.iterdir()) and not (to / FOLDER).exists():
        raise DatasetError(f"{to}: holds files that are not from an export; choose an empty folder")
    if (to / FOLDER / FILE).exists():
        with Manifest(to, rehearse=True) as manifest:
            if manifest.counts()["pictures"]:
                raise DatasetError(f"{to}: is a library, which an export would clear; choose an empty folder")
