"""Looks -> which pictures are copies of which: the same pixels, nearly so, cropped or mirrored. Pure.

Candidates come cheaply, and each is proven by aligning the two small pictures (`pictures/align.py`):
- near copies by the perceptual hashes of the picture and of its mirror image, all against all;
- crops by points that both have (`crops.py`). A run of frames alike has the same points, so that one of them stands for
  all until something has been found to be a part of it.
Groups are stars: each picture is a proven copy of the one that is kept, so that no chain of small changes joins the
frames of a scene. The best pictures choose first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sorter.classify.crops import Parts, Points, find_parts, joined
from sorter.pictures.align import SIDE, Aligned, aligned, sampled
from sorter.pictures.hashing import Hashes, distance, pairs_within

Places = NDArray[np.signedinteger[Any]]
Flags = NDArray[np.bool_]
Floats = NDArray[np.float32]

EXACT, NEAR, CROPPED, MIRRORED, BOTH = "exact", "near", "cropped", "mirrored", "cropped and mirrored"
"""How a picture is a copy of another."""
BITS = 8
"""Of 64, by which the perceptual hashes of copies of the same frame differ, at most."""
RUN_BITS = 3
"""Bits up to which one frame stands for another: of so little cropped, aligning finds the rest."""
LIKE = 0.985
"""The correlation of copies, at least."""
CHANGE, OF_CROP, MOST_CHANGE = 12.0, 90.0, 32.0
"""Grey values by which copies differ in one place beyond their edges, at most: of the same frame; more for each part of
a side that was cut away, since a crop's pixels are others; and in any case."""
SAME_FRAME = 0.97
"""The share of a side from which on nothing was cropped."""
BEYOND = 0.02
"""Parts of a side by which the inner picture may reach beyond the outer one."""
LEAST_KEPT = 0.35
"""The share of a side that a crop has kept, at least: of less, too few points are left to tell."""
PLAIN = 7.0
"""Grey values (standard deviation) of a small picture below which it shows too little to be compared."""
FEW = 16
"""Pixels a side of a first look."""
TOO_MUCH, OF_EDGES, TOO_UNLIKE = 16.0, 0.7, 0.75
"""Grey values, beyond a share of the edges there, that are too much of a difference in it, of the same frame: 2.8 in
pictures compressed to quality 10, 22 in those of which 2 % were cut away; and too low a correlation, of a crop."""
MOST_PAIRS = 1024
"""Pairs of two runs that are looked at, where one frame of each was found to be a part of the other."""
LOOKS_AT_ONCE = 2048


class Copy(NamedTuple):
    """A picture by its place, and how it is a copy."""

    place: int
    how: str


class Group(NamedTuple):
    """A picture that is kept, by its place, and its copies."""

    kept: int
    copies: tuple[Copy, ...]


@dataclass(frozen=True, eq=False)
class Looked:
    """The looks of n pictures as columns, the best picture first."""

    pixels: Sequence[bytes]
    hashes: Hashes
    mirrored: Hashes
    """The hashes of their mirror images."""
    points: Points
    smalls: Callable[[Places], NDArray[np.uint8]]
    """Places -> small pictures (k, SIDE, SIDE); fetched when they are wanted."""

    @cached_property
    def firsts(self) -> Places:
        """(n,): the best picture with the same pixels."""
        best: dict[bytes, int] = {}
        return np.array([best.setdefault(digest, place) for place, digest in enumerate(self.pixels)], np.int64)

    @cached_property
    def _overview(self) -> tuple[NDArray[np.float16], Floats]:
        count = len(self.pixels)
        few, contrast = np.empty((count, FEW, FEW), np.float16), np.empty(count, np.float32)
        for some in _parts(np.arange(count), LOOKS_AT_ONCE):
            values = self.smalls(some).astype(np.float32)
            contrast[some] = values.std(axis=(1, 2))
            few[some] = values.reshape(len(some), FEW, SIDE // FEW, FEW, SIDE // FEW).mean(axis=(2, 4))
        return few, contrast

    @property
    def few(self) -> NDArray[np.float16]:
        """(n, FEW, FEW): the small pictures, made smaller."""
        return self._overview[0]

    @property
    def is_plain(self) -> Flags:
        """(n,): which show too little to be compared: black, the end of a fade, a title in one colour."""
        return self._overview[1] < PLAIN


def find_copies(looked: Looked) -> list[Group]:
    """The groups of copies, the best kept picture first."""
    able = np.flatnonzero(~looked.is_plain & (looked.firsts == np.arange(len(looked.pixels))))
    near, runs = _by_hash(looked, able)
    heads = able[runs[able] == able]
    parts = _of_runs(find_parts(looked.points, heads), runs, able)
    candidates = _likely(looked, joined(near, parts))
    return _grouped(looked, candidates)


def _by_hash(looked: Looked, able: Places) -> tuple[Parts, Places]:
    """The pairs of the same frame, mirrored or not; and for each picture the first of its run of frames alike."""
    pairs = [pairs_within(looked.hashes[able], others[able], BITS) for others in (looked.hashes, looked.mirrored)]
    outer, inner = (able[np.concatenate([pair[side] for pair in pairs])] for side in (0, 1))
    is_mirrored = np.arange(len(outer)) >= len(pairs[0][0])
    whole = np.tile(np.array([1, 1, 0, 0], np.float32), (len(outer), 1))
    ones, others = (able[side] for side in pairs[0])
    alike = distance(looked.hashes[ones], looked.hashes[others]) <= RUN_BITS
    return Parts(outer, inner, is_mirrored, whole), _runs(len(looked.pixels), ones[alike], others[alike])


def _runs(count: int, ones: Places, others: Places) -> Places:
    """Who stands for whom: the first of all for those that are like it, then the first that is left, and so on."""
    order = np.argsort(ones, kind="stable")
    ones, others = ones[order], others[order]
    bounds = np.searchsorted(ones, np.arange(count + 1))
    runs = np.full(count, -1, np.int64)
    for one in range(count):
        if runs[one] < 0:
            runs[one] = one
            mine = others[bounds[one] : bounds[one + 1]]
            runs[mine[runs[mine] < 0]] = one
    return runs


def _of_runs(parts: Parts, runs: Places, able: Places) -> Parts:
    """What was found of the pictures that stand for a run, said of all pictures of the two runs."""
    order = able[np.argsort(runs[able], kind="stable")]
    starts, ends = (np.searchsorted(runs[order], np.arange(len(runs)), side) for side in ("left", "right"))
    alone = (ends - starts)[parts.outer] * (ends - starts)[parts.inner] == 1
    found = [np.stack([parts.outer, parts.inner, np.arange(len(alone))])[:, alone]]
    for row in np.flatnonzero(~alone).tolist():
        ones, others = (order[starts[one] : ends[one]] for one in (parts.outer[row], parts.inner[row]))
        both = np.arange(min(len(ones) * len(others), MOST_PAIRS))
        found.append(np.stack([ones[both // len(others)], others[both % len(others)], np.full(len(both), row)]))
    outer, inner, row = np.concatenate(found, axis=1)
    return Parts(outer, inner, parts.is_mirrored[row], parts.where[row])


def _likely(looked: Looked, pairs: Parts) -> Parts:
    """Those pairs whose inner picture is within the outer one, and looks like it there at first sight."""
    good = _is_within(pairs.where, 2 * BEYOND) & (pairs.where[:, :2].min(axis=1) >= LEAST_KEPT - 0.05)
    is_whole = _is_whole(pairs)
    chosen = [np.empty(0, np.int64)]
    for some in _parts(np.flatnonzero(good), LOOKS_AT_ONCE):
        outer, inner = (looked.few[pairs_of[some]].astype(np.float32) for pairs_of in (pairs.outer, pairs.inner))
        inner = _turned(inner, pairs.is_mirrored[some])
        whole = is_whole[some]
        outer[~whole] = sampled(outer[~whole], pairs.where[some][~whole], FEW)
        left, likeness = _left(inner, outer)
        down, across = np.gradient(inner, axis=(1, 2))
        beyond = np.abs(left) - OF_EDGES * np.sqrt(across**2 + down**2)
        chosen.append(some[np.where(whole, beyond.max(axis=(1, 2)) <= TOO_MUCH, likeness >= TOO_UNLIKE)])
    return pairs.at(np.concatenate(chosen))


def _is_whole(pairs: Parts) -> Flags:
    """Which are expected to have the same frame."""
    return np.asarray((pairs.where == np.array([1, 1, 0, 0])).all(axis=1))


def _is_within(where: Floats, beyond: float) -> Flags:
    scale, offset = where[:, :2], where[:, 2:]
    return np.asarray(((offset >= -beyond) & (scale + offset <= 1 + beyond)).all(axis=1))


def _grouped(looked: Looked, pairs: Parts) -> list[Group]:
    """Prove pairs and make stars of them: in each round, those are kept that no better picture may still take."""
    taken: dict[int, tuple[int, str]] = {}
    better, worse = np.minimum(pairs.outer, pairs.inner), np.maximum(pairs.outer, pairs.inner)
    left = np.arange(len(better))
    while len(left):
        is_kept = ~np.isin(better[left], worse[left])
        some, left = left[is_kept], left[~is_kept]
        words, change = _proof(looked, pairs.at(some))
        for row in np.argsort(change, kind="stable").tolist():
            if words[row]:
                taken.setdefault(int(worse[some[row]]), (int(better[some[row]]), words[row]))
        gone = np.isin(worse[left], list(taken)) | np.isin(better[left], list(taken))
        left = left[~gone]
    groups: dict[int, list[Copy]] = {}
    for place, first in enumerate(looked.firsts.tolist()):
        kept, how = taken.get(first, (first, EXACT))
        if place != kept:
            groups.setdefault(kept, []).append(Copy(place, how))
    return [Group(kept, tuple(groups[kept])) for kept in sorted(groups)]


def _proof(looked: Looked, pairs: Parts) -> tuple[list[str], Floats]:
    """How the inner picture of each pair is a copy of the outer one, empty where it is none; and by how much they
    differ where it is most."""
    words: list[str] = []
    change = [np.empty(0, np.float32)]
    for some in _parts(np.arange(len(pairs.outer)), LOOKS_AT_ONCE):
        part = pairs.at(some)
        inner, outer = _turned(looked.smalls(part.inner), part.is_mirrored), looked.smalls(part.outer)
        found = aligned(inner, outer, part.where, rounds=0)
        new = np.array(_words(found, part.is_mirrored), object)
        rest = np.flatnonzero(~_is_whole(part) | (new == ""))
        better = aligned(inner[rest], outer[rest], part.where[rest])
        new[rest], found.change[rest] = _words(better, part.is_mirrored[rest]), better.change
        words += new.tolist()
        change.append(found.change)
    return words, np.concatenate(change)


def _words(found: Aligned, is_mirrored: Flags) -> list[str]:
    kept = found.places[:, :2].min(axis=1)
    most = np.minimum(CHANGE + OF_CROP * np.maximum(1 - kept, 0), MOST_CHANGE)
    good = (found.likeness >= LIKE) & (found.change <= most) & (kept >= LEAST_KEPT)
    good &= _is_within(found.places, BEYOND)
    how = {(False, False): NEAR, (True, False): CROPPED, (False, True): MIRRORED, (True, True): BOTH}
    rows = zip(good.tolist(), (kept < SAME_FRAME).tolist(), is_mirrored.tolist(), strict=True)
    return [how[is_part, turned] if is_copy else "" for is_copy, is_part, turned in rows]


def _left(seen: Floats, other: Floats) -> tuple[Floats, Floats]:
    """What the one (n, rows, columns) does not have of the other, whatever its contrast and brightness; and the
    correlation of the two (n,)."""
    seen, other = (values - values.mean(axis=(1, 2), keepdims=True) for values in (seen, other))
    product, power, mine = ((one * two).sum(axis=(1, 2)) for one, two in ((seen, other), (other, other), (seen, seen)))
    gain = product / np.maximum(power, 1)
    return seen - gain[:, None, None] * other, product / np.sqrt(np.maximum(power * mine, 1))


def _turned(pictures: Any, is_mirrored: Flags) -> Any:
    turned = pictures.copy()
    turned[is_mirrored] = turned[is_mirrored][:, :, ::-1]
    return turned


def _parts(places: Places, size: int) -> Iterable[Places]:
    return (places[start : start + size] for start in range(0, len(places), size))
