"""A library -> a folder that a trainer reads. The same plan and journal as for the library itself."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from sorter.commands.answer import read_answers
from sorter.commands.job import Job
from sorter.commands.open import open_library
from sorter.commands.plan import verdicts
from sorter.dataset.crop import Cropper
from sorter.dataset.layouts import Item, Layout, layouts
from sorter.errors import DamagedManifest, DatasetError, PictureError
from sorter.files import found_at, read_file
from sorter.library.apply import Done, apply
from sorter.library.plan import steps_between
from sorter.library.store.contents import Placed
from sorter.library.store.manifest import FILE, FOLDER, Manifest
from sorter.pictures.images import read_picture
from sorter.records import Drop, Output, Render, Step, Text, Unreadable, Verdict
from sorter.tally import Report, Track, silent


def export(
    library: Path,
    to: Path,
    job: Job,
    *,
    use: str = "imagefolder",
    crop: Cropper | None = None,
    doubtful: bool = False,
    dry_run: bool = False,
    track: Track[Any] = silent,
) -> Report:
    """Write the pictures of a library that are beyond doubt (or all, if `doubtful`) as a dataset to `to`.

    `crop`: without it, the scheme's own. Run again, it writes only what has changed.
    Raises DatasetError where `to` is not ours to write to, or the library holds nothing to export.
    """
    layout = layouts.build(use, "--as")
    cropper = crop or job.cropper
    with _plainly(to):
        _check_target(library, to)
    with Manifest(library, dry_run=True) as held:  # what a person moved since the last sort is heeded, not recorded
        report = Report()
        read_answers(held, job, report, "export")
        report.run = None
        pictures = [one for one in held.placed() if isinstance(one.output.content, Render)]
        files = {_current_hash(held.root, one): one for one in pictures}
        report.counts["copies"] = len(pictures) - len(files)  # of originals that differ in what cannot be seen
        chosen = list(_choose(held, files, job, cropper, doubtful, report))
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
    items: list[Item],
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
    wanted = _distinct(manifest.root, layout(items))
    standing = list(manifest.outputs())

    def carry_out(steps: Iterable[Step], what: str) -> None:
        for outcome in track(apply(steps, manifest, run, lambda sha256: [files[sha256]]), what, None):
            if isinstance(outcome, Done):
                report.counts["written"] += not isinstance(outcome.step, Drop)
                report.counts["removed"] += isinstance(outcome.step, Drop)
            else:
                report.failures.append(outcome)

    steps = steps_between([one for one in wanted if isinstance(one.content, Render)], standing)
    carry_out([step for step in steps if not isinstance(step, Drop)], "writing pictures")
    there = dict(manifest.outputs())
    failed = {
        one.content.sha256 for one in wanted if isinstance(one.content, Render) and there.get(one.path) != one.content
    }
    if failed:
        items = [item for item in items if item.render.sha256 not in failed]
        wanted = _distinct(manifest.root, layout(items))
    texts = [one for one in wanted if isinstance(one.content, Text)]
    names = {one.path for one in texts}
    carry_out(steps_between(texts, [one for one in standing if one.path in names]), "writing captions")
    carry_out([step for step in steps if isinstance(step, Drop) and step.output.path not in names], "clearing up")
    layout.read_back(manifest.root, items)
    report.counts["exported"] = len(items)


def _distinct(root: Path, outputs: Iterable[Output]) -> list[Output]:
    """The outputs in a list. Raises DatasetError where two of them would be one file."""
    listed = list(outputs)
    paths = Counter(output.path.casefold() for output in listed)
    if double := [output.path for output in listed if paths[output.path.casefold()] > 1]:
        raise DatasetError(f"{root / double[0]}: its layout gives this file twice; use another --as")
    return listed


def _choose(
    library: Manifest, files: dict[str, Placed], job: Job, cropper: Cropper, doubtful: bool, report: Report
) -> Iterator[Item]:
    """The pictures of the dataset. `files`: hash of a library file as it stands -> what we know of it."""
    standing = {_pictured(one): (sha256, one) for sha256, one in files.items()}
    for verdict in verdicts(library, job):
        if verdict.unwanted or verdict.picture.sha256 not in standing:
            continue
        if verdict.picture.sha256 in report.corrections.astray:
            report.counts["left out, in no class folder or in several"] += 1
            continue
        if verdict.doubts and not doubtful:
            report.counts["left out, in doubt"] += 1
            report.doubts.update(verdict.unsure)
            continue
        sha256, one = standing[verdict.picture.sha256]
        picture = verdict.picture._replace(sha256=sha256)
        if sha256 != one.sha256:
            path = library.root / one.output.path
            try:
                picture, _ = read_picture(path, read_file(path))  # edited, perhaps to another size
            except PictureError as error:
                report.failures.append(Unreadable(path, str(error)))
                continue
            verdict = verdict._replace(answers=())  # what was found is not where it was
        yield _item(cropper(picture, verdict), one, job, verdict)


def _item(rendered: Render, one: Placed, job: Job, verdict: Verdict) -> Item:
    if isinstance(one.output.content, Render) and one.output.content.mirror != verdict.mirror:
        rendered = rendered._replace(mirror=True)  # corrected since the last sort: turned here already
    path = PurePosixPath(one.output.path)
    suffix = path.suffix if rendered == Render(rendered.sha256) else ".png"
    sure = verdict.sure()
    classes = {axis: sure.get(axis) for axis in job.scheme.axes}
    rendered = rendered._replace(opaque=True)
    author = job.layout.captioner.author(verdict)
    return Item(path.stem, suffix, rendered, job.layout.caption(verdict), classes, verdict, author)


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
        with Manifest(to, dry_run=True) as manifest:
            if manifest.counts()["pictures"]:
                raise DatasetError(f"{to}: is a library, which an export would clear; choose an empty folder")
