"""A library whose manifest is damaged or gone -> a new one, from the files that stand there.

Each picture that stands is written down where the sorters alone would have put it; that it lies elsewhere is then read
as any other move by hand. So the rest is what a sort does anyway. Writes the manifest only; no picture, no caption.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sorter.classify.source import References
from sorter.commands.answer import Door
from sorter.commands.job import Job
from sorter.commands.open import check_apart
from sorter.commands.plan import plan, references
from sorter.commands.scan import scan
from sorter.errors import LibraryError
from sorter.files import Found, found_at, read_file
from sorter.library.apply import recover
from sorter.library.captions_by_hand import Captions, read_caption
from sorter.library.corrections import UNKNOWN, read_corrections
from sorter.library.decide import mirrored
from sorter.library.names import LONGEST_STEM, digits_in, digits_of, file_stem
from sorter.library.originals import BEFORE_ALL, Taken, note_taken, taken
from sorter.library.repair.recognise import Recogniser, Shown, originals_in_keeping
from sorter.library.repair.rescue import Rescued, clear_away, damage, put_in_place, rescue
from sorter.library.store.contents import Placed
from sorter.library.store.lock import locked
from sorter.library.store.manifest import FOLDER, Manifest
from sorter.library.store.standing import Standing, standing
from sorter.pictures.scan import walk
from sorter.records import HUMAN, LIBRARY, Output, Picture, Render, Step, Text, Unreadable, Verdict
from sorter.scheme import Scheme
from sorter.tally import Report, Track, silent
from sorter.threads import in_step


@dataclass(frozen=True)
class Rescan:
    """What a rescan found."""

    report: Report
    damage: str
    """What was wrong with the manifest; empty if it was in order."""
    steps: tuple[Step, ...]
    """What the next sort will do."""
    returning: int
    """Pictures among them that are known, but stand nowhere in the library now."""
    kept: Path | None = None
    """Where the damaged manifest lies now."""


def rescan(
    library: Path, job: Job, sources: Collection[Path] = (), *, dry_run: bool = False, track: Track[Any] = silent
) -> Rescan:
    """Rebuild the manifest of a library if it is damaged or gone; else, learn the files of ours that it misses.

    `sources`: folders that hold originals, by which turned pictures are known again. Run again after it was cut off, it
    does the same. Raises LibraryError where this is no library, or the scheme is not the one that it was sorted by.
    """
    for source in sources:
        check_apart(source, library)
    files = [file for source in sources for file in walk(source, library)]
    there = standing(library)
    if not there and not (library / FOLDER).is_dir():
        raise LibraryError(f'{library}: is not a library; "sorter sort SOURCE --to {library}" makes one')
    with nullcontext() if dry_run else locked(library, "rescan"):
        wrong = damage(library)
        rescued = rescue(library) if wrong else Rescued()
        if wrong and ((library / "metadata.jsonl").exists() or "export" in rescued.commands):
            raise LibraryError(f"{library}: is an exported dataset, which holds no answers; export it again elsewhere")
        if not dry_run:
            clear_away(library)
        with Manifest(library, dry_run=dry_run, rebuild=bool(wrong)) as manifest:
            manifest.refuse_dataset()
            if not dry_run:
                recover(manifest)
            found = _Again(manifest, job, rescued, track).build(files, there.values())
            if wrong:
                _refuse_other_scheme(library, found.report, sum(bool(one.pictures) for one in there.values()))
        if wrong and not dry_run:
            _keep_originals(library, rescued)
            return replace(found, damage=wrong, kept=put_in_place(library))
        return replace(found, damage=wrong)


def _keep_originals(library: Path, rescued: Rescued) -> None:
    """Note that the originals in keeping were taken before all runs of the new manifest, whose numbers begin again."""
    known = [replace(one, run=BEFORE_ALL) for one in taken(library)]
    paths = {one.path for one in known}
    old = [(str(path), sha256) for path, sha256 in rescued.taken if str(path) not in paths]
    try:
        note_taken(
            library, [*known, *(Taken(path, sha256, f"{sha256[:2]}/{sha256}", BEFORE_ALL) for path, sha256 in old)]
        )
    except OSError as error:
        raise LibraryError(f"{library}: cannot be written: {error.strerror}; make room") from None


@dataclass
class _Again:
    """A manifest that learns what stands."""

    manifest: Manifest
    job: Job
    rescued: Rescued
    track: Track[Any]
    report: Report = field(default_factory=Report)
    unjournalled: Report = field(default_factory=lambda: Report(run=0))
    """For answers that are found again: they belong to no run that could be undone."""
    edited: list[str] = field(default_factory=list)
    """Stems of pictures whose pixels a person changed."""
    among: References = field(default_factory=lambda: References({}))
    captions: dict[str, str] = field(default_factory=dict)
    """Stem -> what the captioner said of a picture before it was moved by hand."""

    def build(self, files: list[Found | Unreadable], there: Collection[Standing]) -> Rescan:
        """Originals first, then the pictures that stand, then their captions."""
        manifest, report = self.manifest, self.report
        pictures = [one for one in there if one.pictures and not self._knows(one.pictures, Render)]
        captions = [one for one in there if one.captions and not self._knows(one.captions, Text)]
        self._remember()
        if pictures:
            for _ in scan([*files, *self._sources(files)], manifest, self.job.questions, report, self.track):
                pass
            self.among = references(manifest, self.job)
            self._look(pictures)
        door = Door(manifest, "rescan", self.unjournalled)
        moved = read_corrections(manifest, [self.job.layout.folders], door, captions=False).moved
        with manifest.change():
            written = sum(self._caption(one) for one in captions)
            for stem in self.edited:
                if row := self._placed(stem, Render):
                    manifest.set_placed(replace(row, sha256=UNKNOWN, size=0, modified=0))
        found = read_corrections(manifest, [self.job.layout.folders], door)
        report.corrections = replace(found, moved=moved, captions=written, changed=tuple(self.edited))
        steps = plan(manifest, self.job, report)
        planned = {step.output.content.sha256 for step in steps if isinstance(step.output.content, Render)}
        stands = {row.output.content.sha256 for row in manifest.placed() if isinstance(row.output.content, Render)}
        return Rescan(report, "", steps, len(planned - stands))

    def _knows(self, paths: list[Path], kind: type[Render | Text]) -> bool:
        """Whether one of these files is what the manifest has under their name."""
        row = self._placed(paths[0].stem, kind)
        return row is not None and any(_holds(path, row) for path in paths)

    def _placed(self, stem: str, kind: type[Render | Text]) -> Placed | None:
        rows = self.manifest.placed_with([digits_in(stem)]).get(digits_in(stem), [])
        return next((row for row in rows if isinstance(row.output.content, kind)), None)

    def _remember(self) -> None:
        """Record what could be read of the damaged manifest, as far as the sorters still have such a class."""
        classes = self.job.questions.labels()
        with self.manifest.change():
            for sha256, label in self.rescued.answers:
                if label.name in classes.get(label.axis, (label.name,)):
                    self.manifest.add_labels(sha256, [label])
                    self.report.counts["answers rescued"] += 1

    def _sources(self, files: list[Found | Unreadable]) -> Iterator[Found]:
        """The files that the damaged manifest knew, where they are still there and not among `files`."""
        given, library = {file.path for file in files}, self.manifest.root.absolute()
        for path in self.rescued.sources:
            if path not in given and library not in path.parents:
                with suppress(OSError):
                    yield found_at(path)

    # --- pictures

    def _look(self, missing: list[Standing]) -> None:
        """Record each picture that stands, or that it is left alone."""
        root, questions = self.manifest.root, self.job.questions
        recognise = Recogniser(root, questions, self.rescued.written, originals_in_keeping(root))

        def look(task: tuple[Standing, str | None, list[Path]]) -> list[Shown | Unreadable]:
            one, known, copies = task
            return [recognise(path, known, copies) for path in one.pictures]

        looked = in_step(look, map(self._task, missing))
        with self.manifest.change():
            for one, found in zip(missing, self.track(looked, "looking at what stands", len(missing)), strict=True):
                if before := self._placed(one.stem, Render):  # left alone until now
                    self.manifest.forget_placed(before.output.path)
                if shown := [each for each in found if isinstance(each, Shown)]:
                    self._record(one, shown)
                else:
                    self.report.failures += [each for each in found if isinstance(each, Unreadable)]
                    output = Output(self._below(one.pictures[0]), Render(digits_of(one.stem)))
                    self.manifest.set_placed(Placed(output, UNKNOWN, 0, 0))

    def _task(self, one: Standing) -> tuple[Standing, str | None, list[Path]]:
        known = self.manifest.hash_of(digits_in(one.stem))
        return one, known, self.manifest.copies(known) if known else []

    def _record(self, one: Standing, shown: list[Shown]) -> None:
        """Record a picture where the sorters would have put it as it stands; of copies by hand, one."""
        sha256 = shown[0].content.sha256
        if seen := shown[0].seen:
            self.manifest.add_picture(seen.picture, seen.labels)
        self.manifest.forget_label(sha256, LIBRARY, HUMAN)  # it does stand here
        verdict = self._verdict(sha256)
        self._name(verdict.picture, one.stem)
        rows = [(each, as_it_stands(verdict, each.content.mirror, self.job.scheme)) for each in shown]
        places = [f"{self.job.layout.folder(stands)}/{each.file.path.name}" for each, stands in rows]
        moved = [place != self._below(each.file.path) for place, each in zip(places, shown, strict=True)]
        chosen = min(range(len(shown)), key=lambda number: (moved[number], shown[number].edited))
        each, stands = rows[chosen]
        output = Output(places[chosen], each.content)
        self.manifest.set_placed(Placed(output, each.sha256, each.file.size, each.file.modified))
        self.report.counts["known again"] += 1
        self.report.counts["copies left alone"] += len(shown) - 1
        self.edited += [one.stem] if each.edited else []
        if moved[chosen]:
            self.captions[one.stem] = self._text(stands)

    def _verdict(self, sha256: str) -> Verdict:
        known = self.manifest.picture(sha256, self.job.questions.sources())
        assert known is not None
        picture, labels = known
        return self.job.decide(picture, self.among(picture, labels))

    def _name(self, picture: Picture, stem: str) -> None:
        """Have a picture's files keep the name that they have: that of the copy which was found first then."""
        name = stem.removesuffix(f"-{digits_of(stem)}")
        # Of a name that was cut, the cut may have left an end that would be cleaned off now.
        copies = map(str, self.manifest.copies(picture.sha256))
        names = [picture.path, *copies, name + "x" * (len(name) >= LONGEST_STEM)]
        suitable = (path for path in names if file_stem(picture._replace(path=path)) == stem)
        self.manifest.rename(picture.sha256, next(suitable, names[-1]))

    def _below(self, path: Path) -> str:
        return path.relative_to(self.manifest.root).as_posix()

    # --- captions

    def _caption(self, one: Standing) -> int:
        """Record a caption, as ours or as a person's own: 1 if it is that."""
        sha256 = self.manifest.hash_of(digits_in(one.stem))
        if sha256 is None:
            return 0
        picture = self._placed(one.stem, Render)
        beside = picture and (self.manifest.root / picture.output.path).with_suffix(".txt")
        path = beside if beside in one.captions else one.captions[0]
        try:
            data, file = read_file(path), found_at(path)
        except OSError as found:
            self.report.failures.append(Unreadable(path, f"cannot be read: {found.strerror}"))
            return 0
        ours = Text(self._text(self._verdict(sha256)))
        digest = hashlib.sha256(data).hexdigest()
        for content in (ours, Text(self.captions.get(one.stem, ours.text)), self.rescued.written.get(digest)):
            if isinstance(content, Text) and read_caption(content.text.encode()) == read_caption(data):
                self.manifest.set_placed(Placed(Output(self._below(path), content), digest, file.size, file.modified))
                return 0
        unlike_ours = Placed(Output(self._below(path), ours), UNKNOWN, 0, 0)
        self.manifest.set_placed(unlike_ours)
        return Captions(self.manifest, Door(self.manifest, "rescan", self.unjournalled)).record(sha256, unlike_ours)

    def _text(self, verdict: Verdict) -> str:
        return self.job.layout.caption(verdict) + "\n"


def as_it_stands(verdict: Verdict, mirror: bool, scheme: Scheme) -> Verdict:
    """A verdict, said of the picture turned or not."""
    if verdict.mirror == mirror:
        return verdict
    labels = tuple(mirrored(label, scheme.axes[label.axis]) for label in verdict.labels)
    return verdict._replace(labels=labels, mirror=mirror)


def _holds(path: Path, row: Placed) -> bool:
    try:
        file = found_at(path)
        as_we_left_it = (file.size, file.modified) == (row.size, row.modified)
        return as_we_left_it or hashlib.sha256(read_file(path)).hexdigest() == row.sha256
    except OSError:
        return False


def _refuse_other_scheme(library: Path, report: Report, pictures: int) -> None:
    """Raise LibraryError where nothing was understood, before a manifest is made of that."""
    known, misplaced = report.counts["known again"], len(report.corrections.misplaced)
    if pictures and not known:
        raise LibraryError(
            f"{library}: none of its {pictures} pictures can be known again; give the originals' folders with --from"
        )
    if known and misplaced == known:
        raise LibraryError(
            f"{library}: no picture lies in a class folder of this scheme; give the one it was sorted by with --scheme"
        )
