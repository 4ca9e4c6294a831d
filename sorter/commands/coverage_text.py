"""What `sorter coverage` found, for people and for scripts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from sorter.commands.chosen import IN_DOUBT
from sorter.commands.coverage import Coverage
from sorter.dataset.gaps import Gap
from sorter.tally import some

MOST_GAPS = 20
"""Combinations that are named."""
MOST_TABLES = 3
"""Pairs of axes whose counts are shown, where no axes were asked for."""
MOST_ROWS, MOST_COLUMNS, WIDEST = 20, 8, 14
"""Classes in a table, and characters of a class's name there."""
MOST_TOGETHER = 10


def lines_of(found: Coverage, library: Path, all_tables: bool) -> list[str]:
    """What is missing first, then the counts. `all_tables`: of every pair of axes."""
    lines = [f"{library}: {found.numbers.pictures:,} pictures that an export would hold"]
    if left := left_out(found):
        lines.append("  not counted: " + ", ".join(left))
    there, possible = found.filled
    if len(found.axes) > 1:
        lines.append(f"  {there:,} of {possible:,} combinations of {', '.join(found.axes)} have pictures")
    lines += _listed("missing", [*absent(found), *(gap.sentence() for gap in found.gaps[:MOST_GAPS])], rest(found))
    rows = [row.sentence() for row in found.together.together()]
    more = f"and {len(rows) - MOST_TOGETHER} more; see --json" if len(rows) > MOST_TOGETHER else ""
    lines += _listed("nearly always together, so that a model learns them as one", rows[:MOST_TOGETHER], more)
    for axis in found.axes:
        lines += _axis(found, axis)
    tables = found.pairs if all_tables else found.pairs[:MOST_TABLES]
    for pair in tables:
        lines += _table(found, *pair)
    if len(tables) < len(found.pairs):
        lines.append(f"{len(found.pairs) - len(tables)} more pairs of axes: --axes A,B shows one, --to PAGE.html all")
    return lines


def left_out(found: Coverage) -> list[str]:
    """What an export leaves out, and why."""
    said = []
    for what, count in found.report.counts.items():
        axes = found.report.doubts.most_common() if what == IN_DOUBT else []
        of = f" ({', '.join(f'{axis} {doubts:,}' for axis, doubts in axes)})" if axes else ""
        said += [f"{count:,} {what.removeprefix('left out, ')}{of}"] if count else []
    return said + [f"{count:,} {why}" for why, count in found.report.unwanted.most_common()]


def absent(found: Coverage) -> list[str]:
    """A sentence for each axis that has classes without any pictures."""
    return [f"no pictures of {axis} {some(names, 8)}" for axis, names in found.absent.items() if names]


def rest(found: Coverage) -> str:
    """How many combinations are not named, and how many of those one need not look for."""
    others = found.gaps[MOST_GAPS:]
    rare = sum(gap.expected < 1 for gap in others)
    said = f", {rare:,} of which would hardly have a picture by chance" if rare else ""
    return f"and {len(others):,} more combinations{said}" if others else ""


def as_dict(found: Coverage, library: Path) -> dict[str, Any]:
    """All of it, as --json prints it."""
    there, possible = found.filled
    return {
        "library": str(library),
        "pictures": found.numbers.pictures,
        "not_counted": {"counts": dict(found.report.counts), "unwanted": dict(found.report.unwanted),
                        "doubts": dict(found.report.doubts)},
        "axes": {axis: found.numbers.classes(axis) for axis in found.axes},
        "silent": {axis: names for axis, names in found.silent.items() if names},
        "absent": {axis: names for axis, names in found.absent.items() if names},
        "repeats": {axis: found.repeats(axis) for axis in found.axes},
        "combinations": {"possible": possible, "with_pictures": there},
        "pairs": [_pair(found, *pair) for pair in found.pairs],
        "missing": [_gap(gap) for gap in found.gaps],
        "together": [row._asdict() for row in found.together.together()],
    }  # fmt: skip


def _gap(gap: Gap) -> dict[str, Any]:
    return {"classes": dict(gap.classes), "pictures": gap.pictures, "expected": round(gap.expected, 2)}


def _pair(found: Coverage, first: str, second: str) -> dict[str, Any]:
    counts: dict[str, dict[str, int]] = {}
    for (one, other), count in found.numbers.combinations(first, second).items():
        counts.setdefault(one, {})[other] = count
    return {"axes": [first, second], "counts": counts}


def _listed(title: str, rows: Sequence[str], more: str = "") -> list[str]:
    return [f"{title}:", *(f"  {row}" for row in (*rows, *([more] if more else ())))] if rows else []


def _axis(found: Coverage, axis: str) -> list[str]:
    """The classes of an axis, the largest first, and what --balance would make of them."""
    times, silent = found.repeats(axis), found.silent[axis]
    counts = found.numbers.classes(axis)
    classes = sorted((name for name in found.classes[axis] if counts[name]), key=lambda name: (-counts[name], name))
    said = [f"{name} {counts[name]:,}{' (says nothing)' if name in silent else ''}" for name in classes]
    repeated = [f"{name} x {times[name]}" for name in classes if times[name] > 1]
    lines = [f"{axis}: {some(said, MOST_ROWS)}"]
    return lines + ([f"  with export --balance {axis}: {some(repeated, MOST_ROWS)}"] if repeated else [])


def _table(found: Coverage, first: str, second: str) -> list[str]:
    """How many pictures each pair of classes has; "-" where there are none."""
    counts = found.numbers.combinations(first, second)
    rows, columns = (found.largest(axis, most) for axis, most in ((first, MOST_ROWS), (second, MOST_COLUMNS)))
    cells = [["", *(_cut(name) for name in columns)]]
    cells += [[_cut(row), *(f"{counts[row, column]:,}" if counts[row, column] else "-" for column in columns)]
              for row in rows]  # fmt: skip
    hidden = [len(found.classes[axis]) - len(names) for axis, names in ((first, rows), (second, columns))]
    parts = [f"{count} more of {axis}" for count, axis in zip(hidden, (first, second), strict=True) if count]
    title = f"{first} and {second}" + (f" ({', '.join(parts)} in --to PAGE.html)" if parts else "")
    return [f"{title}:", *(f"  {line}" for line in _aligned(cells))]


def _cut(name: str) -> str:
    return name if len(name) <= WIDEST else f"{name[: WIDEST - 3]}..."


def _aligned(cells: Sequence[Sequence[str]]) -> Iterable[str]:
    wide = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for first, *others in cells:
        yield "  ".join([first.ljust(wide[0]), *(one.rjust(size) for one, size in zip(others, wide[1:], strict=True))])
