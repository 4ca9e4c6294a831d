"""What an export needs to know of its pictures' pixels: which are alike, and how much detail each has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from sorter.dataset.layouts import Item
from sorter.errors import DatasetError
from sorter.tally import Report, Track, silent

if TYPE_CHECKING:
    from sorter.pictures.hashing import Hashes


class Looked(NamedTuple):
    """Items that could be looked at, and what was seen of each, in their order."""

    items: list[Item]
    hashes: Hashes
    """(n,): perceptual hashes of the pictures as they stand in the library."""
    mirrored: Hashes
    """The same of their mirror images."""
    edges: list[float]
    """The width of their edges in pixels."""


def look_at_items(
    items: Sequence[Item], files: Mapping[str, Path], report: Report, track: Track[Any] = silent
) -> Looked:
    """Look at each picture, once on this machine. `files`: hash of a picture as it stands -> where.

    Those that cannot be read are left out, and named in the report. Raises MissingExtra, DatasetError if none can be.
    """
    import numpy as np

    from sorter.classify.looks import LookCache
    from sorter.commands.duplicates import look_in

    cache = LookCache()
    try:
        hashes = list(dict.fromkeys(item.render.sha256 for item in items))
        known = look_in(hashes, lambda sha256: [files[sha256]], cache, report, track)
        seen = {one.sha256: (*one.hashes, one.edges) for one in cache.each(known)}
    finally:
        cache.close()
    kept = [item for item in items if item.render.sha256 in seen]
    if not kept:
        first = report.failures[-1]
        raise DatasetError(f"{first.path}: {first.reason}; so it is with all pictures of the library")
    plain, mirrored, edges = zip(*(seen[item.render.sha256] for item in kept), strict=True)
    return Looked(kept, np.array(plain, np.uint64), np.array(mirrored, np.uint64), list(edges))
