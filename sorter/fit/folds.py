"""Which pictures are held out together: honest validation keeps what belongs together on one side.

Neighbouring frames of a film are nearly the same picture. A sorter that has seen one of them is not tested by the
other: on real film frames a random split said 71 % right where a split by scenes said 57 %.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sorter.errors import ExamplesError
from sorter.pictures.hashing import Hashes, distance

SCENE, NONE = "scene", "none"
"""Words for --group: runs of near-identical frames, and every picture for itself."""
FOLDS = 5
ALIKE = 10
"""Of 64 bits; frames that follow each other and differ in no more are of one scene: a shift by a fiftieth, a zoom by a
twentieth and another brightness change 0 to 14 bits of real film frames, mostly up to 10."""
SAME = 4
"""Of 64 bits; pictures that differ in no more are near-identical, wherever they are: of 475 portraits, 324 have such a
one of the same person, and 3 of another."""
MOST_TOGETHER = 0.5
"""A scene of a larger share of the pictures leaves too little to hold out."""
TILE = 4096
"""Pictures that 256 others are compared with at a time, so that what is computed stays in a processor's cache."""
NEIGHBOURS = 4
"""A frame is compared with this many before it: in between there may be a flash or a blink."""


@dataclass(frozen=True, eq=False)
class Split:
    """How the pictures were divided for validation."""

    folds: NDArray[np.int64]
    """(n,): the fold in which a picture is held out."""
    how: str
    """A clause for a person."""
    groups: int
    leaks: tuple[tuple[int, int], ...]
    """Each picture that is near-identical to one of another fold, and that one, by their places."""


def split(
    paths: Sequence[Path], labels: NDArray[np.int64], hashes: Hashes, group: str, seed: int, where: Path
) -> Split:
    """Divide pictures into folds, all classes in each as evenly as can be, no group in two of them.

    `paths`: below the class folders; `hashes`: see `perceptual_hash`; `group`: SCENE, NONE, a pattern with {group} in
    it, or a regular expression. Raises ExamplesError where it does not fit the paths.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    if group == SCENE:
        groups = scenes(paths, hashes)
    elif group == NONE:
        groups = np.arange(len(paths))
    else:
        names = [group_of(path, group, where) for path in paths]
        groups = np.unique(names, return_inverse=True)[1]
    count = len(np.unique(groups))
    if count < 2 and group != SCENE:
        raise ExamplesError(f'{where}: by --group "{group}" all pictures are of one group; at least two are needed')
    how = _say(group, count)
    if count < 2:
        groups, how = (
            np.arange(len(paths)),
            "at random, since all pictures seem to be of one scene: too good to be true",
        )
    parts = min(FOLDS, len(np.unique(groups)), int(np.bincount(labels).max()))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a class has fewer pictures than there are folds
        drawn = StratifiedGroupKFold(parts, shuffle=True, random_state=seed).split(labels, labels, groups)
        folds = np.zeros(len(paths), np.int64)
        for number, (_, held_out) in enumerate(drawn):
            folds[held_out] = number
    return Split(folds, how, count, leaks(hashes, folds))


def scenes(paths: Sequence[Path], hashes: Hashes) -> NDArray[np.int64]:
    """For each picture the number of its scene: pictures alike whose names follow each other, and near-identical ones
    wherever they lie, such as a title card in each episode.

    Frames of one scene may lie in different class folders; so the order is that of their paths below these. Where so
    many are near-identical that they would hang together in one scene, only neighbours count.
    """
    return joined(runs(paths, hashes), hashes)


def joined(groups: NDArray[np.int64], hashes: Hashes, mirrored: Hashes | None = None) -> NDArray[np.int64]:
    """Groups (n,) with those made one that have near-identical pictures; as they are, where most would become one.

    `mirrored`: the hashes of the mirror images, where a picture that is like one of these is as good as the same.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    others = hashes if mirrored is None else np.concatenate([hashes, mirrored])
    rows, columns = near_pairs(hashes, others)
    columns %= len(hashes)
    size = int(groups.max(initial=0)) + 1
    graph = coo_array((np.ones(len(rows), bool), (groups[rows], groups[columns])), shape=(size, size))
    together = connected_components(graph, directed=False)[1][groups]
    is_one = np.bincount(together).max(initial=0) > MOST_TOGETHER * len(hashes) >= np.bincount(groups).max(initial=0)
    return groups if is_one else np.unique(together, return_inverse=True)[1]


def runs(paths: Sequence[Path], hashes: Hashes) -> NDArray[np.int64]:
    """For each picture the number of its run: frames alike that follow each other."""
    names = [path.as_posix() for path in paths]
    order = sorted(range(len(names)), key=lambda place: (_natural(names[place]), names[place]))
    found = np.arange(len(paths))
    for rank, place in enumerate(order):
        for before in reversed(order[max(0, rank - NEIGHBOURS) : rank]):
            if distance(hashes[place], hashes[before]) <= ALIKE:
                found[place] = found[before]
                break
    return found


def leaks(hashes: Hashes, folds: NDArray[np.int64]) -> tuple[tuple[int, int], ...]:
    """The pictures that have a near-identical one in another fold, each with the first of these."""
    found: list[tuple[int, int]] = []
    for start in _starts(hashes):
        part = slice(start, start + 256)
        alike = distance(hashes[part, None], hashes[None, :]) <= SAME
        alike &= folds[part, None] != folds[None, :]
        found += [(start + int(row), int(alike[row].argmax())) for row in np.flatnonzero(alike.any(axis=1))]
    return tuple(found)


def near_pairs(hashes: Hashes, others: Hashes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The places of near-identical pictures, of each pair first the one in `hashes` and then the one in `others`."""
    rows, columns = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for start in _starts(hashes):
        part = hashes[start : start + 256, None]
        for other in range(0, len(others), TILE):
            found = np.flatnonzero(distance(part, others[None, other : other + TILE]) <= SAME)
            if len(found):
                row, column = np.divmod(found, min(TILE, len(others) - other))
                rows.append(row + start)
                columns.append(column + other)
    return np.concatenate(rows), np.concatenate(columns)


def _starts(hashes: Hashes) -> range:
    """Where parts of all pictures begin, each of which is compared with all of them at once."""
    return range(0, len(hashes), 256)


def _say(group: str, count: int) -> str:
    if group == SCENE:
        return f"by scene, runs of near-identical frames: {count} scenes"
    if group == NONE:
        return "at random, picture by picture"
    return f'by --group "{group}": {count} groups'


def group_of(path: Path, group: str, where: Path) -> str:
    """The name of the group that a pattern finds in a path. Raises ExamplesError where it does not fit."""
    text = path.as_posix()
    try:
        found = _pattern(group).search(text)
    except re.error as error:
        raise ExamplesError(f'{where}: --group "{group}" is not a regular expression: {error}') from None
    name = found and (found["group"] if "group" in found.re.groupindex else found[min(1, found.re.groups)])
    if name is None:  # or the group in it is optional, and was not there
        raise ExamplesError(
            f'{where}: --group "{group}" does not fit "{text}"; write it like "{{group}}/..." or "scene"'
        )
    return name


def _pattern(group: str) -> re.Pattern[str]:
    """`{group}/...` as a regular expression: {group} and * stay within a name, ... is anything."""
    if "{group}" not in group:
        return re.compile(group)
    text = re.escape(group).replace(re.escape("{group}"), "(?P<group>[^/]+?)", 1)
    return re.compile("^" + text.replace(re.escape("..."), ".*?").replace(re.escape("*"), "[^/]*") + "$")


def _natural(name: str) -> list[tuple[int, int, str]]:
    """A key by which frame 9 comes before frame 10."""
    parts = re.split(r"(\d+)", name.casefold())
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts]
