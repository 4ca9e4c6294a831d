"""`sorter export`: a library -> a folder that a trainer reads. The same plan and journal as for the library itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from sorter.commands.chosen import chosen
from sorter.commands.duplicates import best_of
from sorter.commands.framing import How, InFrame, in_frame
from sorter.commands.grouping import by_quality, check_quality, in_groups
from sorter.commands.job import Job
from sorter.commands.looked import look_at_items
from sorter.commands.open import open_library
from sorter.commands.provenance import PROVENANCE, provenance
from sorter.commands.validation import Validation, hold_out
from sorter.dataset.croppers import Cropper
from sorter.dataset.layouts import Item, Layout, layouts
from sorter.dataset.layouts.base import RESOLUTION, SMALLEST, Sized
from sorter.dataset.overlays import Mode
from sorter.errors import DamagedManifest, DatasetError, OptionsError, nearest
from sorter.library.apply import Done, apply
from sorter.library.plan import steps_between
from sorter.library.store.manifest import FILE, FOLDER, Manifest
from sorter.records import Content, Drop, Output, Put, Render, Shard, Step, Text, Unreadable
from sorter.tally import Report, Track, silent


def export(
    library: Path,
    to: Path,
    job: Job,
    *,
    use: str = "imagefolder",
    crop: Cropper | None = None,
    doubtful: bool = False,
    balance: str | None = None,
    at: str | None = None,
    resolution: int | None = None,
    overlays: Mode = "bars",
    distinct: bool = False,
    thin: float | None = None,
    validation: Validation | None = None,
    quality: int | None = None,
    dry_run: bool = False,
    track: Track[Any] = silent,
) -> Report:
    """Write the pictures of a library that are beyond doubt (or all, if `doubtful`) as a dataset to `to`.

    `crop`: without it, the scheme's own. `balance`: the axis whose classes are folders, repeated so that each is seen
    about as often. `at`: where the trainer will find the dataset; without it, where it is written. `resolution`: what
    the trainer's config says, of layouts that have one. `overlays`: what becomes of bars, subtitles and logos.
    `distinct`: leave out copies of a better picture; `thin`: and all but this share of a scene's neighbours.
    `validation`: what is held out. `quality`: how often the best pictures are repeated. Run again, it writes only what
    has changed. Raises OptionsError, MissingExtra, and DatasetError where `to` is not ours to write to, or there is
    nothing to export, or nothing that can be held out.
    """
    cropper = crop or job.cropper
    cropper.check(job.scheme.ask, "the cropper")
    layout = _layout(use, to, at, resolution, cropper)
    _check_options(job, use, layout, balance, overlays, validation, quality)
    with _plainly(to):
        _check_target(library, to)
    with Manifest(library, dry_run=True) as held:  # what a person moved since the last sort is heeded, not recorded
        report = Report()
        pictures = list(chosen(held, job, doubtful, report, "export"))
        if distinct or thin is not None:
            pictures = best_of(held, pictures, job, thin, report, track)
        how = How(cropper, overlays, layout.has_masks)
        items = [_item(one, job) for one in in_frame(held, pictures, how, report, track, keep=not dry_run)]
        paths = {one.sha256: held.root / one.placed.output.path for one in pictures}
    if not items:
        raise DatasetError(f"{library}: holds no picture to export; sort some first, or add --doubtful")
    report.counts["enlarged, being smaller than asked for"] = sum(item.is_enlarged for item in items)
    if validation is not None or quality is not None:
        looked = look_at_items(items, paths, report, track)
        if quality is not None:
            looked = by_quality(looked, quality, resolution or cropper.resolution() or RESOLUTION, report)
        items = looked.items if validation is None else hold_out(looked, validation, to, library, report)
    items = in_groups(items, job, balance)
    with _plainly(to), open_library(to, f"export {library}", dry_run) as manifest:
        report.counts["exported"] = len(items)
        if not dry_run:
            items = _write(manifest, items, paths, layout, report, track)
            about = provenance(job, cropper, use, items, manifest, validation and validation._asdict())
            report.counts["written"] += _put(manifest, about, report)
    return report


def _layout(use: str, to: Path, at: str | None, resolution: int | None, cropper: Cropper) -> Layout:
    options = {} if resolution is None else {"resolution": resolution}
    place = to.absolute().as_posix() if at is None else at.rstrip("/") or "."
    layout = layouts.build(use, f"--as {use}", at=place, **options)
    if isinstance(layout, Sized) and resolution is None and (side := cropper.resolution()):
        return layout.model_copy(update={"resolution": max(SMALLEST, side)})
    return layout


def _check_options(
    job: Job,
    use: str,
    layout: Layout,
    balance: str | None,
    overlays: Mode,
    validation: Validation | None,
    quality: int | None,
) -> None:
    """Raise OptionsError where they cannot be meant, or the layout cannot do it."""
    if balance is not None and balance not in job.scheme.axes:
        raise OptionsError(f'--balance: "{balance}" is not an axis{nearest(balance, job.scheme.axes)}')
    if validation is not None:
        validation.check(use, layout)
    if quality is not None:
        check_quality(quality)
    if overlays == "mask" and not layout.has_masks:
        raise OptionsError(f"--overlays mask: what is masked stays in the pictures, and --as {use} has no masks; "
                           "use --overlays cut, or --as with a trainer that masks its loss")  # fmt: skip


def _write(
    manifest: Manifest,
    items: list[Item],
    files: dict[str, Path],
    layout: Layout,
    report: Report,
    track: Track[Any],
) -> list[Item]:
    """Pictures first, then the texts of those that could be written, and last what is no longer wanted; the items that
    the dataset holds in the end."""
    with manifest.change():
        run = report.run = manifest.journal.begin("export")
        for gone in [one for one in manifest.placed() if not (manifest.root / one.output.path).exists()]:
            manifest.forget_placed(gone.output.path)  # a dataset is made from a library: what is gone is written again

    def carry_out(steps: Iterable[Step], what: str) -> list[Unreadable]:
        failed = []
        for outcome in track(apply(steps, manifest, run, lambda sha256: [files[sha256]]), what, None):
            if isinstance(outcome, Done):
                report.counts["written"] += not isinstance(outcome.step, Drop)
                report.counts["removed"] += isinstance(outcome.step, Drop)
            else:
                failed.append(outcome)
        report.failures += failed
        return failed

    standing = list(manifest.outputs())
    while True:
        wanted = _distinct(manifest.root, layout(items))
        large = [one for one in wanted if not isinstance(one.content, Text)]
        steps = steps_between(large, manifest.outputs())
        failed = carry_out([step for step in steps if isinstance(step, Put)], "writing pictures")
        if not failed:
            break
        lost = _contents(manifest.root, large, failed)
        items = [item for item in items if item.render not in lost and item.mask not in lost]
    texts = [one for one in wanted if isinstance(one.content, Text)]
    names = {one.path for one in texts}
    carry_out(steps_between(texts, [one for one in standing if one.path in names]), "writing captions")
    steps = steps_between(wanted, [one for one in manifest.outputs() if one.path != PROVENANCE])
    carry_out([step for step in steps if isinstance(step, Drop)], "clearing up")
    layout.read_back(manifest.root, items)
    report.counts["exported"] = len(items)
    return items


def _contents(root: Path, outputs: list[Output], failed: list[Unreadable]) -> set[Content]:
    """What was to be in the files, and in the members of shards, that could not be written."""
    known: dict[Path, Content] = {}
    for path, content in outputs:
        known[root / path] = content
        if isinstance(content, Shard):
            known |= {root / path / name: inner for name, inner in content.members}
    lost = {known[one.path] for one in failed}
    if shard := next((one.path for one in failed if isinstance(known[one.path], Shard)), None):
        raise DatasetError(f"{shard}: {failed[0].reason}; move it away and export again")
    return lost


def _put(manifest: Manifest, output: Output, report: Report) -> int:
    """Write one text, if it is not there yet; how many were written."""
    assert report.run is not None
    steps = steps_between([output], [one for one in manifest.outputs() if one.path == output.path])
    outcomes = list(apply(steps, manifest, report.run, lambda sha256: []))
    report.failures += [one for one in outcomes if isinstance(one, Unreadable)]
    return sum(isinstance(one, Done) for one in outcomes)


def _distinct(root: Path, outputs: Iterable[Output]) -> list[Output]:
    """The outputs in a list. Raises DatasetError where two of them would be one file."""
    listed = list(outputs)
    paths = Counter(output.path.casefold() for output in listed)
    if double := [output.path for output in listed if paths[output.path.casefold()] > 1]:
        raise DatasetError(f"{root / double[0]}: its layout gives this file twice; use another --as")
    return listed


def _item(one: InFrame, job: Job) -> Item:
    rendered, verdict = one.made.rendered, one.verdict._replace(shot=one.made.shot)
    path = PurePosixPath(one.placed.output.path)
    suffix = path.suffix if rendered == Render(rendered.sha256) else ".png"
    sure = verdict.sure()
    classes = {axis: sure.get(axis) for axis in job.scheme.axes}
    rendered = rendered._replace(opaque=True)
    author = job.layout.captioner.author(verdict)
    return Item(
        path.stem, suffix, rendered, job.layout.caption(verdict), classes, verdict, one.made.mask, author=author
    )


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
