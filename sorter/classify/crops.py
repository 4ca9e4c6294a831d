"""Points of pictures -> pairs of which one may be a part of the other, and which part. Pure.

Points of two pictures match if the first or the second 22 of their hash's bits are the same, and few of the others
differ. Each match says by how much the one picture would be scaled and moved; matches that say the same make a pair.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sorter.pictures.hashing import Hashes, distance
from sorter.pictures.keypoints import mirrored_signs

Places = NDArray[np.int64]
Floats = NDArray[np.float32]

KEY = 22
"""Bits of a hash that are looked up at once; two such keys are looked up. By chance, two points of a hundred thousand
pictures have one in common."""
DIFFER = 14
"""Bits of 64 by which the hashes of a point differ in two copies, at most; in two different ones, 32 on average."""
CERTAIN = 5
"""Bits up to which one match is enough."""
MOST_SHARED = 4096
"""Points that share a key, above which it tells too little: a lamp that is in every frame."""
AGREE, AGREE_SIZE = 0.03, 0.3
"""Parts of the longer side, and natural logarithms of the scale, by which two matches that agree differ at most."""
STILL = 0.04
"""Parts of the longer side, and of the scale, up to which nothing was cut away as far as one match can tell."""
PAIRS_AT_ONCE = 1 << 22


class Points(NamedTuple):
    """The points of n pictures."""

    starts: Places
    """(n + 1,): where those of each picture begin in the two that follow."""
    places: NDArray[np.float16]
    hashes: Hashes
    shapes: Floats
    """(n,): width by height of the picture."""


class Parts(NamedTuple):
    """Pairs of pictures of which the inner one may be a part of the outer one."""

    outer: Places
    inner: Places
    is_mirrored: NDArray[np.bool_]
    where: Floats
    """(k, 4): scale and offset across and down, as `align.Aligned.places` has them; of the inner one mirrored back."""

    def at(self, rows: NDArray[Any]) -> Parts:
        """Some of them."""
        return Parts(self.outer[rows], self.inner[rows], self.is_mirrored[rows], self.where[rows])


class Matches(NamedTuple):
    """Points of two pictures that match, by their places; and by how many bits they differ."""

    first: Places
    second: Places
    bits: NDArray[np.uint8]
    is_mirrored: bool
    """Whether the second picture was mirrored for it."""


def joined(one: Parts, other: Parts) -> Parts:
    """Both, one after the other."""
    return Parts(
        np.concatenate([one.outer, other.outer]),
        np.concatenate([one.inner, other.inner]),
        np.concatenate([one.is_mirrored, other.is_mirrored]),
        np.concatenate([one.where, other.where]),
    )


def find_parts(points: Points, among: Places) -> Parts:
    """The pairs of these pictures, by their places, that points say to be parts of each other."""
    lengths = points.starts[among + 1] - points.starts[among]
    owner = np.repeat(among, lengths)
    order = np.concatenate([np.arange(points.starts[one], points.starts[one + 1]) for one in among] or [owner])
    hashes = points.hashes[order]
    rows: list[tuple[float, ...]] = []
    for is_mirrored in (False, True):
        others = hashes ^ mirrored_signs() if is_mirrored else hashes
        matches = Matches(*_matches(hashes, others, owner), is_mirrored)
        rows += _agreeing(points, owner, order, matches)
    found = np.array(rows).reshape(-1, 7)
    return Parts(found[:, 0].astype(np.int64), found[:, 1].astype(np.int64), found[:, 2] > 0,
                 found[:, 3:].astype(np.float32))  # fmt: skip


def _matches(hashes: Hashes, others: Hashes, owner: Places) -> tuple[Places, Places, NDArray[np.uint8]]:
    """Places of points whose hash and other hash match, of two pictures, each pair once; and how many bits differ."""
    found = []
    for shift in (0, KEY):
        keys, other_keys = (
            ((values >> np.uint64(shift)) & np.uint64((1 << KEY) - 1)).astype(np.uint32) for values in (hashes, others)
        )
        for first, second in _joined(keys, other_keys):
            good = owner[first] < owner[second]  # or the pair comes the other way around, too
            first, second = first[good], second[good]
            bits = distance(hashes[first], others[second])
            good = bits <= DIFFER
            found.append(np.stack([first[good], second[good], bits[good]]))
    every = np.concatenate(found, axis=1) if found else np.empty((3, 0), np.int64)
    _, once = np.unique(every[0] * len(hashes) + every[1], return_index=True)
    first, second, bits = every[:, once]
    return first, second, bits.astype(np.uint8)


def _joined(keys: NDArray[np.uint32], others: NDArray[np.uint32]) -> Iterator[tuple[Places, Places]]:
    """Places of equal keys, some at a time."""
    order, other_order = np.argsort(keys, kind="stable"), np.argsort(others, kind="stable")
    ranked = others[other_order]
    start, end = np.searchsorted(ranked, keys[order], "left"), np.searchsorted(ranked, keys[order], "right")
    counts = np.where(end - start <= MOST_SHARED, end - start, 0)
    part = (np.cumsum(counts) - counts) // PAIRS_AT_ONCE
    for some in np.split(np.flatnonzero(counts), np.flatnonzero(np.diff(part[counts > 0])) + 1):
        times = counts[some]
        within = np.arange(times.sum()) - np.repeat(np.cumsum(times) - times, times)
        yield np.repeat(order[some], times), other_order[np.repeat(start[some], times) + within]


def _agreeing(points: Points, owner: Places, order: Places, matches: Matches) -> Iterator[tuple[float, ...]]:
    """A row of Parts for each two pictures whose matches agree that one is a part of the other."""
    one, other = owner[matches.first], owner[matches.second]
    ones = _even(points.places[order[matches.first]], points.shapes[one])
    others = _even(_turned(points.places[order[matches.second]], matches.is_mirrored), points.shapes[other])
    good = np.flatnonzero(_may_be_part(ones, others))
    pair = one[good] * len(points.shapes) + other[good]
    ranked = good[np.argsort(pair, kind="stable")]
    bounds = np.flatnonzero(np.diff(np.sort(pair), prepend=-1, append=-1))
    for start, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        some = ranked[start:end]
        if end - start < 2 and matches.bits[some[0]] > CERTAIN:
            continue
        found = _transform(ones[some], others[some], matches.bits[some])
        if found is not None:
            yield _as_part(int(one[some[0]]), int(other[some[0]]), matches.is_mirrored, *found, points.shapes)


def _may_be_part(ones: Floats, others: Floats) -> NDArray[np.bool_]:
    """Which matches by themselves say that something was cut away: where all stands still, that is none of them."""
    scale = ones[:, 2] / others[:, 2]
    offset = ones[:, :2] - scale[:, None] * others[:, :2]
    good: NDArray[np.bool_] = (np.abs(np.log(scale)) > STILL) | (np.abs(offset) > STILL).any(axis=1)
    return good


def _transform(ones: Floats, others: Floats, bits: NDArray[np.uint8]) -> tuple[float, Floats] | None:
    """Scale and offset (2,) that most of these matches of points (n, 3) agree on, if enough of them do."""
    scale = ones[:, 2] / others[:, 2]
    apart = np.abs(np.log(scale[:, None] / scale[None, :]))
    offset = ones[:, :2] - scale[:, None] * others[:, :2]
    there = scale[:, None, None] * others[None, :, :2] + offset[:, None]
    reach = np.abs(scale[:, None, None] * (others[None, :, :2] - others[:, None, :2])).max(axis=2)
    agree = (np.abs(there - ones[None, :, :2]).max(axis=2) <= AGREE + 0.1 * reach) & (apart <= AGREE_SIZE)
    votes = agree.sum(axis=1)
    best = int(votes.argmax())
    if votes[best] < 2:
        best = int(bits.argmin())
        return (float(scale[best]), offset[best]) if bits[best] <= CERTAIN else None
    xy, to = others[agree[best], :2], ones[agree[best], :2]
    centred, to_centred = xy - xy.mean(axis=0), to - to.mean(axis=0)
    spread, size = float((centred**2).sum()), float(np.exp(np.log(scale[agree[best]]).mean()))
    if spread > AGREE**2:  # the places tell the scale better than the sizes of points do
        size = float((centred * to_centred).sum()) / spread
    return (size, to.mean(axis=0) - size * xy.mean(axis=0)) if size > 0 else None


def _as_part(
    one: int, other: int, is_mirrored: bool, scale: float, offset: Floats, shapes: Floats
) -> tuple[float, ...]:
    """The row that says where the other picture lies in the one, or the one in the other if that is the larger."""
    wide, high = _sides(shapes[one])
    other_wide, other_high = _sides(shapes[other])
    across, down = scale * other_wide / wide, scale * other_high / high
    right, below = float(offset[0]) / wide, float(offset[1]) / high
    if across * down <= 1:
        return one, other, is_mirrored, across, down, right, below
    back = 1 - (1 - right) / across if is_mirrored else -right / across
    return other, one, is_mirrored, 1 / across, 1 / down, back, -below / down


def _even(places: NDArray[Any], shapes: Floats) -> Floats:
    """Places (n, 3) in parts of the longer side, across and down alike. `shapes`: (n,)."""
    sides = np.stack([np.minimum(1, shapes), np.minimum(1, 1 / shapes), np.ones_like(shapes)], axis=1)
    return np.asarray(places.astype(np.float32) * sides)


def _sides(shape: float) -> tuple[float, float]:
    """Width and height in parts of the longer side."""
    return min(1.0, float(shape)), min(1.0, 1 / float(shape))


def _turned(places: NDArray[np.float16], is_mirrored: bool) -> Floats:
    turned = places.astype(np.float32)
    if is_mirrored:
        turned[:, 0] = 1 - turned[:, 0]
    return turned
