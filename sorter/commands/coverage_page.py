"""What `sorter coverage` found, as one HTML page: what is missing, and heat maps with a picture in each cell."""

from __future__ import annotations

import math
from itertools import product
from pathlib import Path

from sorter.commands.coverage import Coverage
from sorter.commands.coverage_text import absent, left_out
from sorter.commands.gallery import Gallery, Request
from sorter.dataset.gaps import Gap
from sorter.errors import LibraryError
from sorter.files import write
from sorter.library.store.manifest import Manifest
from sorter.page import Cell, HeatMap, Section, Shown, page
from sorter.records import Verdict

MOST_PICTURES = 300
"""In the heat maps of a page."""
MOST_CLASSES = 40
"""Of an axis in a heat map; of more, those with the most pictures."""
MOST_GAPS = 500
SIDE = 72
"""Pixels of a picture in a heat map."""

Pair = tuple[tuple[str, str], tuple[str, str]]
"""A class of each of two axes."""


def write_page(found: Coverage, manifest: Manifest, to: Path) -> None:
    """Write the page. Raises LibraryError where `to` cannot be written. At most MOST_PICTURES pictures are opened."""
    shown = _pictures(found, Gallery(manifest, to.parent))
    heat = [_heat_map(found, *pair, shown) for pair in found.pairs]
    maps = [Section("How many of each", [*_legend(found)], parts=heat)] if heat else []
    sections = [_in_short(found), *_missing(found.gaps), *maps, *_together(found), *_axes(found)]
    scheme = found.numbers.job.scheme
    try:
        write(to, page(f"{scheme.name}: coverage of {manifest.root.name}", sections, contents=True).encode())
    except OSError as error:
        raise LibraryError(f"{to}: cannot be written: {error.strerror}") from None


def _in_short(found: Coverage) -> Section:
    there, possible = found.filled
    rows = [("pictures that an export would hold", found.numbers.pictures)]
    if len(found.axes) > 1:
        rows += [(f"combinations of {', '.join(found.axes)}", possible), ("of those, with pictures", there)]
    texts = [f"Not counted, as an export leaves them out: {', '.join(left)}."] if (left := left_out(found)) else []
    return Section("In short", [*texts, *(f"There are {sentence}." for sentence in absent(found))], rows=rows)


def _missing(gaps: list[Gap]) -> list[Section]:
    """The gaps as sentences, the most surprising first; those that chance explains are folded."""
    if not gaps:
        return []
    telling, others = ([gap for gap in gaps if (gap.expected >= 1) is sure] for sure in (True, False))
    parts = []
    for title, some, folded in (("", telling, False), ("Combinations of rare classes", others, True)):
        more = f"and {len(some) - MOST_GAPS:,} more" if len(some) > MOST_GAPS else ""
        rows = [[gap.sentence()] for gap in some[:MOST_GAPS]]
        parts += [Section(f"{title} ({len(some):,})", rows=rows, more=more, folded=folded)] if rows else []
    text = "The first are the least likely to be missing by chance: look for those pictures first."
    first, *rest = parts
    whole = Section(f"Missing ({len(gaps):,})", [text], rows=first.rows, more=first.more, parts=rest)
    return [whole if telling else Section(f"Missing ({len(gaps):,})", parts=parts)]


def _legend(found: Coverage) -> list[str]:
    silent = [f"{axis} {name}" for axis, names in found.silent.items() for name in names]
    said = f" Classes that say nothing in captions are not missed: {', '.join(silent)}." if silent else ""
    return [f"The darker, the more pictures; outlined in red: none. The pairs with the largest gaps come first.{said}"]


def _heat_map(found: Coverage, first: str, second: str, shown: dict[Pair, Shown | None]) -> Section:
    counts = found.numbers.combinations(first, second)
    rows, columns = (found.largest(axis, MOST_CLASSES) for axis in (first, second))
    most = max(counts.values(), default=0) or 1
    cells = [
        (row, [_cell(counts[row, column], most, shown.get(((first, row), (second, column))), f"{row}, {column}")
               for column in columns])
        for row in rows
    ]  # fmt: skip
    none = sum(not count for count in counts.values())
    hidden = len(rows) < len(found.classes[first]) or len(columns) < len(found.classes[second])
    texts = [f"Shown are the {MOST_CLASSES} largest classes of each."] if hidden else []
    title = f"{first} and {second}: {none:,} of {len(counts):,} missing" if none else f"{first} and {second}"
    return Section(title, texts, heat=HeatMap(columns, cells))


def _cell(count: int, most: int, picture: Shown | None, names: str) -> Cell:
    return Cell(count, math.sqrt(count / most), picture, f"{names}: {count:,}")


def _pictures(found: Coverage, gallery: Gallery) -> dict[Pair, Shown | None]:
    """A picture for each cell of the heat maps, as far as there may be so many."""
    by_pair: dict[Pair, Verdict] = {}
    for kind, verdict in found.examples.items():
        for one, other in product(kind, kind):
            if one[0] != other[0]:
                by_pair.setdefault((one, other), verdict)
    wanted: dict[Pair, Verdict] = {}
    for first, second in found.pairs:
        rows, columns = (found.largest(axis, MOST_CLASSES) for axis in (first, second))
        pairs = [((first, row), (second, column)) for row, column in product(rows, columns)]
        there = {pair: by_pair[pair] for pair in pairs if pair in by_pair}
        if len(wanted) + len(there) <= MOST_PICTURES:
            wanted |= there
    places = gallery.standing(wanted.values())
    return dict(zip(wanted, gallery.show(Request(one, width=SIDE) for one in places), strict=True))


def _together(found: Coverage) -> list[Section]:
    rows = [[row.sentence()] for row in found.together.together()]
    text = "A model learns these as one: prune what belongs to the class, find other pictures for the rest."
    return [Section(f"Nearly always together ({len(rows):,})", [text], rows=rows)] if rows else []


def _axes(found: Coverage) -> list[Section]:
    parts = []
    for axis in found.axes:
        counts, times = found.numbers.classes(axis), found.repeats(axis)
        repeated = [f"{name} {count} times" for name, count in times.items() if count > 1]
        texts = [f"With export --balance {axis}: {', '.join(repeated)}."] if repeated else []
        parts.append(Section(axis, texts, bars=[(name, counts[name]) for name in found.classes[axis]]))
    return [Section("Classes", parts=parts)]
