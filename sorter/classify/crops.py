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

Places = NDArray[np.signedinteger[Any]]
Floats = NDArray[np.float32]
Halves = NDArray[np.float16]

KEY = 22
"""Bits of a hash that are looked up at once; two such keys are looked up. By chance, two points of a hundred thousand
pictures have one in common."""
DIFFER = 14
"""Bits of 64 by which the hashes of a point differ in two copies, at most; in two different ones, 32 on average."""
CERTAIN = 5
"""Bits up to which one match is enough."""
MOST_SHARED = 1024
"""Points that share a key, above which it tells too little: a lamp that is in every frame."""
AGREE, AGREE_SIZE = 0.03, 0.3
"""Parts of the longer side, and natural logarithms of the scale, by which two matches that agree differ at most."""
STILL = 0.008
"""Parts of the longer side by which a point has not moved."""
MOST_MATCHES = 12
"""Matches of two pictures that are asked what they agree on: those whose hashes are nearest."""
TRANSFORMS_AT_ONCE = 1 << 14
PAIRS_AT_ONCE = 1 << 20


class Points(NamedTuple):
    """The points of n pictures."""

    starts: Places
    """(n + 1,): where those of each picture begin in the two that follow."""
    places: Halves
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
    """Points of two pictures that match, by their places among all points; and by how many bits they differ."""

    first: Places
    second: Places
    bits: NDArray[np.uint8]


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
    owner = np.repeat(among.astype(np.int32), lengths)
    order = np.arange(len(owner)) + np.repeat(points.starts[among] - np.cumsum(lengths) + lengths, lengths)
    hashes, places = points.hashes[order], points.places[order]
    found = Parts(*(np.empty(0, np.int64),) * 2, np.empty(0, bool), np.empty((0, 4), np.float32))
    for is_mirrored in (False, True):
        other_hashes = hashes ^ mirrored_signs() if is_mirrored else hashes
        other_places = _turned(places) if is_mirrored else places
        matches = _matches(hashes, other_hashes, places, other_places, owner)
        for pairs, scale, offset in _agreeing(places, other_places, owner, points.shapes, matches):
            found = joined(found, _as_parts(*pairs, is_mirrored, scale, offset, points.shapes))
    return found


def _matches(hashes: Hashes, others: Hashes, places: Halves, other_places: Halves, owner: Places) -> Matches:
    """The points whose hash and other hash match, of two pictures, each pair once.

    Points that stand where they stood say nothing of a crop; a scene whose camera does not move is full of them.
    """
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
            good[good] = (np.abs(places[first[good], :2] - other_places[second[good], :2]) > STILL).any(axis=1)
            found.append(np.stack([first[good], second[good], bits[good]]))
    every = np.concatenate(found, axis=1) if found else np.empty((3, 0), np.int32)
    _, once = np.unique(every[0].astype(np.int64) * len(hashes) + every[1], return_index=True)
    first, second, bits = every[:, once]
    return Matches(first, second, bits.astype(np.uint8))


def _joined(keys: NDArray[np.uint32], others: NDArray[np.uint32]) -> Iterator[tuple[Places, Places]]:
    """Places of equal keys, some at a time."""
    order, other_order = (np.argsort(values).astype(np.int32) for values in (keys, others))
    ranked, sought = others[other_order], keys[order]
    start = np.searchsorted(ranked, sought, "left").astype(np.int32)
    counts = np.searchsorted(ranked, sought, "right").astype(np.int32) - start
    counts[counts > MOST_SHARED] = 0
    shared = np.flatnonzero(counts)
    order, start, counts = order[shared], start[shared], counts[shared]
    before = np.cumsum(counts, dtype=np.int64) - counts
    for some in np.split(np.arange(len(counts)), np.flatnonzero(np.diff(before // PAIRS_AT_ONCE)) + 1):
        times = counts[some]
        within = np.arange(times.sum()) - np.repeat(np.cumsum(times) - times, times)
        yield np.repeat(order[some], times), other_order[np.repeat(start[some], times) + within]


def _agreeing(
    places: Halves, other_places: Halves, owner: Places, shapes: Floats, matches: Matches
) -> Iterator[tuple[tuple[Places, Places], Floats, Floats]]:
    """The pairs of pictures whose matches agree, some at a time: the one and the other, scale and offset."""
    one, other = owner[matches.first].astype(np.int64), owner[matches.second].astype(np.int64)
    pair = one * len(shapes) + other
    rows = np.lexsort((matches.bits, pair))
    bounds = np.flatnonzero(np.diff(pair[rows], prepend=-1, append=-1))
    firsts, counts = bounds[:-1], np.diff(bounds)
    enough = np.flatnonzero((counts > 1) | (matches.bits[rows[firsts]] <= CERTAIN))
    for start in range(0, len(enough), TRANSFORMS_AT_ONCE):
        some = enough[start : start + TRANSFORMS_AT_ONCE]
        slots = firsts[some, None] + np.minimum(np.arange(MOST_MATCHES), counts[some, None] - 1)
        is_there = np.arange(MOST_MATCHES) < counts[some, None]
        chosen = rows[slots]
        ones = _even(places[matches.first[chosen]], shapes[one[chosen]])
        others = _even(other_places[matches.second[chosen]], shapes[other[chosen]])
        good, scale, offset = _transforms(ones, others, matches.bits[chosen[:, 0]], is_there)
        first = chosen[good, 0]
        yield (one[first], other[first]), scale[good], offset[good]


def _transforms(
    ones: Floats, others: Floats, bits: NDArray[np.uint8], is_there: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], Floats, Floats]:
    """Of n pairs with m matches (n, m, 3), those that are there: whether enough of them agree, and on which scale (n,)
    and offset (n, 2). `bits`: of the best match of each pair (n,)."""
    scale = ones[:, :, 2] / others[:, :, 2]
    offset = ones[:, :, :2] - scale[:, :, None] * others[:, :, :2]
    moved = scale[:, :, None, None] * others[:, None, :, :2] + offset[:, :, None] - ones[:, None, :, :2]
    reach = np.abs(scale[:, :, None, None] * (others[:, None, :, :2] - others[:, :, None, :2])).max(axis=3)
    agree = (np.abs(moved).max(axis=3) <= AGREE + 0.1 * reach) & is_there[:, None, :] & is_there[:, :, None]
    agree &= np.abs(np.log(scale[:, :, None] / scale[:, None, :])) <= AGREE_SIZE
    votes = agree.sum(axis=2)
    best = votes.argmax(axis=1)  # the first, so the one whose hashes are nearest, where there are several
    row = np.arange(len(best))
    share = agree[row, best].astype(np.float32)
    share /= np.maximum(share.sum(axis=1, keepdims=True), 1)
    mean, other_mean = ((share[:, :, None] * values[:, :, :2]).sum(axis=1) for values in (ones, others))
    centred, other_centred = ones[:, :, :2] - mean[:, None], others[:, :, :2] - other_mean[:, None]
    spread = (share[:, :, None] * other_centred**2).sum(axis=(1, 2))
    by_place = (share[:, :, None] * other_centred * centred).sum(axis=(1, 2)) / np.maximum(spread, AGREE**2)
    by_size = np.exp((share * np.log(scale)).sum(axis=1))
    # Places that are apart tell the scale better than the sizes of the points do.
    found = np.where(spread > AGREE**2, by_place, by_size)
    good = ((votes[row, best] > 1) | (bits <= CERTAIN)) & (found > 0)
    return good, found, mean - found[:, None] * other_mean


def _as_parts(one: Places, other: Places, is_mirrored: bool, scale: Floats, offset: Floats, shapes: Floats) -> Parts:
    """Where the other picture lies in the one, or the one in the other if that is the larger."""
    sides, other_sides = _sides(shapes[one]), _sides(shapes[other])
    size, place = scale[:, None] * other_sides / sides, offset / sides
    is_outer = size.prod(axis=1) <= 1
    back = -place / size
    if is_mirrored:
        back[:, 0] = 1 - (1 - place[:, 0]) / size[:, 0]
    where = np.where(is_outer[:, None], np.hstack([size, place]), np.hstack([1 / size, back]))
    outer, inner = np.where(is_outer, one, other), np.where(is_outer, other, one)
    return Parts(outer, inner, np.full(len(outer), is_mirrored), where.astype(np.float32))


def _even(places: Halves, shapes: Floats) -> Floats:
    """Places (..., 3) in parts of the longer side, across and down alike. `shapes`: (...,)."""
    even = places.astype(np.float32)
    even[..., :2] *= _sides(shapes)
    return even


def _sides(shapes: Floats) -> Floats:
    """(..., 2): width and height in parts of the longer side."""
    return np.stack([np.minimum(1, shapes), np.minimum(1, 1 / shapes)], axis=-1)


def _turned(places: Halves) -> Halves:
    turned = places.copy()
    turned[:, 0] = 1 - turned[:, 0]
    return turned
