"""`sorter export`: a library -> a folder that a trainer reads. The same plan and journal as for the library itself."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from sorter.commands.answer import read_answers
from sorter.commands.job import Job
from sorter.commands.open import open_library
from sorter.commands.overlays import Standing, find_overlays, source_of
from sorter.commands.plan import verdicts
from sorter.commands.provenance import PROVENANCE, provenance
from sorter.dataset.crop import Cropper, framed
from sorter.dataset.layouts import Item, Layout, layouts
from sorter.dataset.overlays import Mode, Overlays, clear
from sorter.dataset.repeats import repeats
from sorter.errors import DamagedManifest, DatasetError, OptionsError, PictureError, nearest
from sorter.files import found_at, read_file
from sorter.library.apply import Done, apply
from sorter.library.names import folder_names
from sorter.library.plan import steps_between
from sorter.library.store.contents import Placed
from sorter.library.store.manifest import FILE, FOLDER, Manifest
from sorter.pictures.images import read_picture
from sorter.records import Content, Drop, Output, Picture, Put, Render, Shard, Step, Text, Unreadable, Verdict
from sorter.tally import Report, Track, silent


class Chosen(NamedTuple):
    """A picture of the library that belongs into the dataset."""

    picture: Picture
    """As it stands, by its file's hash."""
    placed: Placed
    verdict: Verdict
    path: Path

    @property
    def is_turned(self) -> bool:
        """Whether it stands as the mirror image of what it came from."""
        return isinstance(self.placed.output.content, Render) and self.placed.output.content.mirror


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
    dry_run: bool = False,
    track: Track[Any] = silent,
) -> Report:
    """Write the pictures of a library that are beyond doubt (or all, if `doubtful`) as a dataset to `to`.

    `crop`: without it, the scheme's own. `balance`: the axis whose classes are folders, repeated so that each is seen
    about as often. `at`: where the trainer will find the dataset; without it, where it is written. `resolution`: what
    the trainer's config says, of layouts that have one. `overlays`: what becomes of black bars, subtitles and logos, as
    sorter.dataset.overlays.Mode has it. Run again, it writes only what has changed.
    Raises OptionsError, MissingExtra, and DatasetError where `to` is not ours to write to, or the library holds nothing
    to export.
    """
    options = {} if resolution is None else {"resolution": resolution}
    place = to.absolute().as_posix() if at is None else at.rstrip("/") or "."
    layout = layouts.build(use, f"--as {use}", at=place, **options)
    if balance is not None and balance not in job.scheme.axes:
        raise OptionsError(f'--balance: "{balance}" is not an axis{nearest(balance, job.scheme.axes)}')
    cropper = crop or job.cropper
    if overlays == "mask" and not layout.has_masks:
        raise OptionsError(f'--overlays mask: what is masked stays in the pictures, and --as {use} has no masks; '
                           "use --overlays cut, or a layout of a trainer that masks its loss")  # fmt: skip
    with _plainly(to):
        _check_target(library, to)
    with Manifest(library, dry_run=True) as held:  # what a person moved since the last sort is heeded, not recorded
        report = Report()
        read_answers(held, job, report, "export")
        report.run = None
        pictures = [one for one in held.placed() if isinstance(one.output.content, Render)]
        files = {_current_hash(held.root, one): one for one in pictures}
        report.counts["copies"] = len(pictures) - len(files)  # of originals that differ in what cannot be seen
        known = list(_choose(held, files, job, doubtful, report))
        found = _overlays(held, known, overlays, track, keep=not dry_run)
        chosen = [_item(one, found.get(one.picture.sha256), cropper, overlays, layout, job, report) for one in known]
        paths = {sha256: held.root / one.output.path for sha256, one in files.items()}
    if not chosen:
        raise DatasetError(f"{library}: holds no picture to export; sort some first, or add --doubtful")
    chosen = _in_groups(chosen, job, balance)
    report.counts["enlarged, being smaller than asked for"] = sum(item.is_enlarged for item in chosen)
    with _plainly(to), open_library(to, f"export {library}", dry_run) as manifest:
        report.counts["exported"] = len(chosen)
        if not dry_run:
            items = _write(manifest, chosen, paths, layout, report, track)
            about = provenance(job, cropper, use, items, manifest)
            report.counts["written"] += _put(manifest, about, report)
    return report


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


def _in_groups(items: list[Item], job: Job, balance: str | None) -> list[Item]:
    """The items with their folders and repeats: by the classes of an axis, or all in one."""
    if balance is None:
        name = next(iter(folder_names([job.scheme.trigger or job.scheme.name]).values()))
        return [replace(item, group=name) for item in items]
    classes = [item.classes[balance] or "" for item in items]
    names, times = folder_names(sorted(set(classes))), repeats(classes)
    return [replace(item, group=names[label], repeats=times[label]) for item, label in zip(items, classes, strict=True)]


def _distinct(root: Path, outputs: Iterable[Output]) -> list[Output]:
    """The outputs in a list. Raises DatasetError where two of them would be one file."""
    listed = list(outputs)
    paths = Counter(output.path.casefold() for output in listed)
    if double := [output.path for output in listed if paths[output.path.casefold()] > 1]:
        raise DatasetError(f"{root / double[0]}: its layout gives this file twice; use another --as")
    return listed


def _choose(library: Manifest, files: dict[str, Placed], job: Job, doubtful: bool, report: Report) -> Iterator[Chosen]:
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
        yield Chosen(picture, one, verdict, library.root / one.output.path)


def _overlays(
    library: Manifest, chosen: list[Chosen], mode: Mode, track: Track[Any], keep: bool
) -> dict[str, Overlays]:
    """What lies over the pictures, so far as the mode wants to know it."""
    if mode == "keep":
        return {}
    files = {
        one.picture.sha256: Standing(one.path, source_of(one.verdict.picture.path), one.is_turned) for one in chosen
    }
    return find_overlays(library, files, mode != "bars", track, keep)[0]


def _item(
    chosen: Chosen, found: Overlays | None, cropper: Cropper, mode: Mode, layout: Layout, job: Job, report: Report
) -> Item:
    picture, one, verdict, _ = chosen
    cleared = clear(found or Overlays(), (picture.width, picture.height), mode, layout.has_masks)
    report.counts.update(cleared.done)
    turn = chosen.is_turned != verdict.mirror  # corrected since the last sort
    rendered, mask = framed(picture, verdict, cropper, cleared, turn)
    path = PurePosixPath(one.output.path)
    suffix = path.suffix if rendered == Render(rendered.sha256) else ".png"
    sure = verdict.sure()
    classes = {axis: sure.get(axis) for axis in job.scheme.axes}
    rendered = rendered._replace(opaque=True)
    author = job.layout.captioner.author(verdict)
    return Item(path.stem, suffix, rendered, job.layout.caption(verdict), classes, verdict, mask, author=author)


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
