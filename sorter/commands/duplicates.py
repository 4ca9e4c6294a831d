"""`sorter duplicates`: which pictures of a library are copies of a better one, and which neighbours say too little.

`find` changes nothing; `leave_out` answers for the person that another picture is wanted instead. A picture that a
person put into the library, or has captioned, is never left out.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sorter.classify.columns import Columns
from sorter.classify.copies import EXACT, find_copies
from sorter.classify.looks import Look, LookCache, look_at
from sorter.commands.answer import Door
from sorter.commands.chosen import Chosen
from sorter.commands.job import Job
from sorter.commands.plan import verdicts
from sorter.errors import OptionsError, PictureError
from sorter.files import read_if
from sorter.fit.folds import runs
from sorter.library.originals import places
from sorter.library.store.manifest import Manifest
from sorter.records import DUPLICATE, LIBRARY, WANTED, Picture, Unreadable, Verdict
from sorter.tally import Report, Track, silent
from sorter.threads import in_step

NEIGHBOUR = "neighbour"
"""How a picture is left out that is no copy, but of a scene that is thinned."""
KEEP_EVERY = 200
"""Pictures; so many at most are looked at again after a run was cut off."""
BETTER = 1.25
"""By how much more detail a picture is better than another."""
GREY = 2.0
"""See `Look.colour`: up to this, a picture has no colour."""
SHARPEST = 0.6
"""Pixels: the width of edges below which a picture does not show more."""


class Duplicate(NamedTuple):
    """A picture, by its hash, of which a better one is kept."""

    sha256: str
    how: str
    """One of `copies`' words, or NEIGHBOUR."""
    why: str
    """Why the other one is kept, such as: smaller."""
    stays: str
    """Why it is not left out all the same; empty where it may be."""


class Group(NamedTuple):
    """A picture that is kept, by its hash, and those that could go."""

    kept: str
    others: tuple[Duplicate, ...]


@dataclass(frozen=True)
class Found:
    """What there is of duplicates."""

    groups: tuple[Group, ...]
    pictures: dict[str, Picture]
    """Hash -> picture, of those in the groups."""
    files: int
    """Files that have the same bytes as another; in a library these are one picture from the start."""

    @property
    def to_go(self) -> tuple[str, ...]:
        """The hashes of the pictures that can be left out."""
        return tuple(one.sha256 for group in self.groups for one in group.others if not one.stays)

    def counts(self) -> Counter[str]:
        """How -> how many."""
        return Counter(one.how for group in self.groups for one in group.others)


def find(
    manifest: Manifest,
    job: Job,
    report: Report,
    thin: float | None = None,
    only: set[str] | None = None,
    track: Track[Any] = silent,
) -> Found:
    """The groups of copies among the wanted pictures, or those of these hashes, the largest group first.

    `thin`: the share, between 0 and 1, of each scene's neighbours that is to be left beside. Raises OptionsError and
    MissingExtra; pictures that are nowhere any more, or cannot be read, are counted and named in the report.
    """
    if thin is not None and not 0 < thin < 1:
        raise OptionsError(f"--thin: {thin:g} is no share; give a number between 0 and 1, such as 0.5")
    wanted = {one.picture.sha256: one for one in verdicts(manifest, job, only) if not one.unwanted}
    cache = LookCache()
    try:
        looked = look(manifest, list(wanted), cache, report, track)
        library = _Library(manifest, wanted, cache, looked)
        groups = library.copies()
        if thin is not None:
            gone = {one.sha256 for group in groups for one in group.others if not one.stays}
            groups += library.thinned(thin, gone, job)
    finally:
        cache.close()
    groups.sort(key=lambda group: (-len(group.others), wanted[group.kept].picture.path))
    named = {sha256 for group in groups for sha256 in (group.kept, *(one.sha256 for one in group.others))}
    counts = manifest.counts()
    return Found(
        tuple(groups), {sha256: wanted[sha256].picture for sha256 in named}, counts["files"] - counts["pictures"]
    )


def leave_out(manifest: Manifest, hashes: Iterable[str], report: Report, command: str) -> None:
    """Answer that other pictures are wanted instead of these; the files follow with a plan."""
    with manifest.change():
        door = Door(manifest, command, report)
        for sha256 in hashes:
            report.counts["left out as duplicates"] += door.answer(sha256, LIBRARY, DUPLICATE)


def best_of(
    manifest: Manifest,
    pictures: Sequence[Chosen],
    job: Job,
    thin: float | None,
    report: Report,
    track: Track[Any] = silent,
) -> list[Chosen]:
    """Those of these pictures that are no copies of a better one among them, and no neighbours too many; into `report`,
    how many are left out. See `find`."""
    seen = Report()
    found = find(manifest, job, seen, thin, {one.verdict.picture.sha256 for one in pictures}, track)
    report.counts["exported without a look for copies"] += len(seen.failures)
    gone = set(found.to_go)
    for group in found.groups:
        for one in group.others:
            kind = "neighbours of a scene" if one.how == NEIGHBOUR else "copies of a better picture"
            report.counts[f"left out, {kind}"] += one.sha256 in gone
    return [one for one in pictures if one.verdict.picture.sha256 not in gone]


def look(
    manifest: Manifest, hashes: Sequence[str], cache: LookCache, report: Report, track: Track[Any] = silent
) -> list[str]:
    """Look at those of these pictures that were not looked at yet; the hashes of those that are known then."""

    def where(sha256: str) -> list[Path]:
        found = places(manifest, sha256)
        if any(path.exists() for path in found):
            return found
        standing = manifest.placed_with([sha256[:10]]).get(sha256[:10], ())
        return [*found, *(manifest.root / one.output.path for one in standing if one.sha256 == sha256)]

    return look_in(hashes, where, cache, report, track)


def look_in(
    hashes: Sequence[str],
    where: Callable[[str], list[Path]],
    cache: LookCache,
    report: Report,
    track: Track[Any] = silent,
) -> list[str]:
    """The same of pictures that lie at one of the places that `where` names."""
    known = cache.known(hashes)
    waiting = [(sha256, where(sha256)) for sha256 in hashes if sha256 not in known]
    fresh: list[Look] = []
    for found in track(in_step(_look, waiting), "comparing pictures", len(waiting)):
        if isinstance(found, Unreadable):
            report.failures.append(found)
            continue
        fresh.append(found)
        known.add(found.sha256)
        if len(fresh) >= KEEP_EVERY:
            cache.put(fresh)
            fresh = []
    cache.put(fresh)
    return [sha256 for sha256 in hashes if sha256 in known]


def _look(item: tuple[str, list[Path]]) -> Look | Unreadable:
    sha256, paths = item
    for path in paths:
        data = read_if(path, sha256)
        if data is None:
            continue
        try:
            return look_at(data, sha256)
        except PictureError as error:
            return Unreadable(path, str(error))
    return Unreadable(paths[0], "is gone or has changed, so nobody can say what is a copy of it; sort its folder again")


class _Library:
    """The wanted pictures of a library that were looked at, the best first."""

    def __init__(self, manifest: Manifest, wanted: dict[str, Verdict], cache: LookCache, hashes: Sequence[str]) -> None:
        self.wanted, self.cache = wanted, cache
        self.asked, self.bytes = manifest.answered(LIBRARY, WANTED), manifest.sizes()
        columns = Columns(cache.each(hashes))
        self.detail = {
            sha256: detail(wanted[sha256].picture, edges)
            for sha256, edges in zip(hashes, columns.edges, strict=True)
        }  # fmt: skip
        self.is_grey = {sha256: colour <= GREY for sha256, colour in zip(hashes, columns.colour, strict=True)}
        order = sorted(range(len(hashes)), key=lambda place: self._rank(hashes[place]))
        self.hashes = [hashes[place] for place in order]
        shapes = [picture.width / picture.height for picture in (wanted[one].picture for one in self.hashes)]
        self.looked = columns.looked(order, shapes, self._smalls)

    def _rank(self, sha256: str) -> tuple[Any, ...]:
        """The smaller, the better."""
        picture = self.wanted[sha256].picture
        detail = round(math.log(self.detail[sha256], BETTER))
        size = picture.width * picture.height
        better = -detail, -size, -self.bytes.get(sha256, 0)
        return (sha256 not in self.asked, self.is_grey[sha256], *better, picture.path)

    def _smalls(self, chosen: NDArray[np.int64]) -> NDArray[np.uint8]:
        return self.cache.smalls([self.hashes[place] for place in chosen.tolist()])

    def copies(self) -> list[Group]:
        """The groups of copies."""
        groups = []
        for kept, others in find_copies(self.looked):
            best = self.hashes[kept]
            found = (Duplicate(self.hashes[place], how, self._why(best, self.hashes[place], how),
                               self._stays(self.hashes[place])) for place, how in others)  # fmt: skip
            groups.append(Group(best, tuple(found)))
        return [group for group in groups if not self._is_settled(group)]

    def _is_settled(self, group: Group) -> bool:
        """Whether a person keeps them all."""
        return self.asked.issuperset((group.kept, *(one.sha256 for one in group.others)))

    def thinned(self, share: float, gone: set[str], job: Job) -> list[Group]:
        """Of each run of neighbours in one class folder, the ones that could go so that `share` of them is left."""
        left = [place for place, sha256 in enumerate(self.hashes) if sha256 not in gone]
        paths = [Path(self.wanted[self.hashes[place]].picture.path) for place in left]
        scenes: dict[tuple[int, str], list[int]] = defaultdict(list)
        for number, place in zip(runs(paths, self.looked.hashes[left]).tolist(), left, strict=True):
            scenes[number, job.layout.folder(self.wanted[self.hashes[place]])].append(place)
        groups = []
        for some in scenes.values():
            some.sort(key=lambda place: self.wanted[self.hashes[place]].picture.path)
            for part in np.array_split(some, max(1, round(share * len(some)))):
                best, *others = sorted(part.tolist())
                if others:
                    found = (Duplicate(self.hashes[place], NEIGHBOUR, "like its neighbour",
                                       self._stays(self.hashes[place])) for place in others)  # fmt: skip
                    groups.append(Group(self.hashes[best], tuple(found)))
        return groups

    def _why(self, kept: str, other: str, how: str) -> str:
        """Why the one is kept and not the other."""
        if kept in self.asked and other not in self.asked:
            return "you keep the other"
        if self.is_grey[other] and not self.is_grey[kept]:
            return "without colour"
        one, two = self.wanted[kept].picture, self.wanted[other].picture
        if self.detail[other] * BETTER**0.5 < self.detail[kept]:
            return "smaller" if two.width * two.height < one.width * one.height else "less sharp"
        if two.width * two.height < one.width * one.height:
            return "smaller"
        if self.bytes.get(other, 0) < self.bytes.get(kept, 0):
            return "a smaller file"
        return "the same" if how == EXACT else "as good"

    def _stays(self, sha256: str) -> str:
        if sha256 in self.asked:
            return "you put it there"
        return "it has a caption of your own" if self.wanted[sha256].caption is not None else ""


def detail(picture: Picture, edges: float) -> float:
    """How many pixels it would have if its edges were as sharp as can be."""
    return max(1.0, picture.width * picture.height * (SHARPEST / max(edges, SHARPEST)) ** 2)
