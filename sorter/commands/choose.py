"""`sorter choose`: the pictures of a library whose answers would teach a sorter most. Changes nothing in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sorter.errors import LibraryError
from sorter.fit import choose as choosing
from sorter.fit.backbones import AUTO, find_backbone, map_places
from sorter.fit.features import Features, Track, features_of, parted
from sorter.fit.folds import SAME
from sorter.library.originals import places
from sorter.library.store.manifest import Manifest
from sorter.networks.run import Backbone
from sorter.networks.run import shapes as map_shapes
from sorter.records import Unreadable

ALIKE = 0.8
"""The cosine of two pictures' standardised features from which on one answer stands for both, if their hashes are near
too. Of 195 portraits with near hashes, 188 show the same direction and 184 the same eyes; the others are below 0.78."""
MOST = choosing.MOST
"""Pictures that are looked at, at most; of a larger library, so many of those that nobody has answered, by chance."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """A picture to ask about, by its hash, with those that are near-identical to it."""

    sha256: str
    alike: tuple[str, ...]


def choose(
    library: Path, axis: str, count: int, models: Path, track: Track, backbone: str = AUTO
) -> tuple[list[Chosen], int]:
    """Up to `count` pictures that nobody has answered on `axis`, the most telling first; and how many are open in all.

    `models`: where the axis's sorter lies or will lie; it says which backbone is looked through. Raises LibraryError.
    """
    with Manifest(library) as manifest:
        given = manifest.answers_on(axis)
        known = [(picture.sha256, places(manifest, picture.sha256)) for picture, _ in manifest.pictures({})]
    there = {sha256: path for sha256, paths in known if (path := next((one for one in paths if one.exists()), None))}
    open_ = [sha256 for sha256 in there if sha256 not in given]
    if not there:
        raise LibraryError(f"{library}: none of its {len(known)} pictures is where it was; sort their folder again")
    asked = sorted(open_[:MOST], key=lambda sha256: there[sha256])  # hashes are in no order, so the first are by chance
    hashes = [*asked, *(sha256 for sha256 in given if sha256 in there)]
    _, graph = find_backbone(backbone, models)
    run = Backbone(graph.key(), graph, map_places(graph))
    found = features_of([there[sha256] for sha256 in hashes], run, track)
    good = [(sha256, one) for sha256, one in zip(hashes, found, strict=True) if not isinstance(one, Unreadable)]
    return choose_among(good, given, count, map_shapes(run)[1][2]), len(open_)


def choose_among(found: list[tuple[str, Features]], given: Mapping[str, str], count: int, means: int) -> list[Chosen]:
    """Choose among pictures, hash and features, of which some are answered; `means`: channels of the last map."""
    if not found:
        return []
    features = parted([one for _, one in found], means)["grid"]
    hashes = np.array([one.perceptual_hash for _, one in found], np.uint64)
    known = {place: given[sha256] for place, (sha256, _) in enumerate(found) if sha256 in given}
    open_ = [place for place in range(len(found)) if place not in known]
    distinct = _distinct(hashes, choosing.normal(features[0]), open_)
    subset = [*distinct, *known]
    weights = np.array([len(distinct.get(place, [])) + 1.0 for place in subset], np.float32)
    renumbered = {number: known[place] for number, place in enumerate(subset) if place in known}
    order = [subset[number] for number in choosing.choose(features[:, subset], renumbered, count, weights)]
    return [Chosen(found[place][0], tuple(found[other][0] for other in distinct[place])) for place in order]


def _distinct(hashes: np.ndarray, features: np.ndarray, open_: list[int]) -> dict[int, list[int]]:
    """Place -> the places of the pictures that are near-identical to it; each picture is in one such group."""
    groups: dict[int, list[int]] = {}
    left = np.array(open_, np.int64)
    while len(left):
        first, rest = int(left[0]), left[1:]
        same = np.bitwise_count(np.bitwise_xor(hashes[rest], hashes[first])) <= SAME
        same[same] = features[rest[same]] @ features[first] >= ALIKE
        groups[first] = [int(place) for place in rest[same]]
        left = rest[~same]
    return groups
