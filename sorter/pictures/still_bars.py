"""Bars around one picture of which there is no film: black, white or of any one colour. Pure.

A dark top is no bar: it must be of one colour to the edge, end in a straight edge where the picture begins, and be as
thick as the one across from it. What one picture does not show, others of its source may: see `margins`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sorter.records import Box

Grey = NDArray[np.uint8]

FLAT = 12
"""Grey values by which pixels of a bar differ at most: a JPEG's noise."""
STRAY = 0.02
"""The share of a row's pixels that may differ by more in a bar."""
LIT = 20
"""Grey values by which the picture beside a bar differs at least."""
STRAIGHT = 0.5
"""The share of a bar's edge along which the picture begins right there."""
LEAST = 4
"""Pixels: a thinner bar is left."""
UNEQUAL = 0.03
"""Of the picture's side, by which opposite bars differ at most."""
NARROWEST = 0.3
"""Of the picture's side, that is within the bars at least: a tall video in a broad frame has 0.316."""
SMALLEST = 64
"""Pixels a side: in a smaller picture nothing is looked for."""
WRITTEN = 0.35
"""The share of a bar that a subtitle in it may cover."""
SOFT = 1
"""Pixels beside a bar that are cut with it: scaling and compression smear the edge."""
BLOCK = 8
"""Pixels: the side of a JPEG's block, over which an edge rings."""


class Margins(NamedTuple):
    """How many pixels along each edge are of one colour, which is the same on opposite edges."""

    left: int
    top: int
    right: int
    bottom: int

    def cover(self, window: Box, size: tuple[int, int]) -> bool:
        """Whether a picture of this size may have the bars that leave this window."""
        bars = (window.left, window.top, size[0] - window.right, size[1] - window.bottom)
        return all(mine >= bar - SOFT - 1 for mine, bar in zip(self, bars, strict=True))


NONE = Margins(0, 0, 0, 0)


def margins(grey: Grey) -> Margins:
    """Of grey values (height, width)."""
    if min(grey.shape) < SMALLEST:
        return NONE
    (top, bottom), (left, right) = _margins(grey), _margins(grey.T)
    return Margins(left, top, right, bottom)


def window(grey: Grey, flat: Margins) -> Box | None:
    """The part of a picture within its bars, from its grey values (height, width) and their `margins`.

    None where there are no bars, or one picture alone does not tell.
    """
    height, width = grey.shape
    if min(grey.shape) < SMALLEST or flat.top >= height or flat.left >= width:
        return None
    across = slice(flat.left, max(flat.left + 1, width - flat.right))
    down = slice(flat.top, max(flat.top + 1, height - flat.bottom))
    top, bottom = _bars(grey[:, across], flat.top, flat.bottom)
    left, right = _bars(grey[down].T, flat.left, flat.right)
    if not (top or left):
        return None
    return Box(left, top, width - right, height - bottom)


def _margins(rows: Grey) -> tuple[int, int]:
    """How many of the first and of the last rows are of one colour, the same for both."""
    first, last = _colour(rows), _colour(rows[::-1])
    if abs(first - last) > FLAT:
        return 0, 0
    return _margin(rows, first), _margin(rows[::-1], last)


def _colour(rows: Grey) -> float:
    return float(np.median(rows[:2]))


def _margin(rows: Grey, colour: float) -> int:
    """How many rows are of this colour before the first that is not."""
    known, step = 0, 32
    while known < len(rows):  # most pictures end in their first rows
        is_other = _stray(rows[known : known + step], colour) > STRAY
        if is_other.any():
            return known + int(is_other.argmax())
        known += step
    return len(rows)


def _stray(rows: Grey, colour: float, least: int = FLAT) -> NDArray[np.float64]:
    """The share of each row's pixels that differ from a colour."""
    share: NDArray[np.float64] = (np.abs(rows.astype(np.int16) - round(colour)) > least).mean(axis=1)
    return share


def _bars(rows: Grey, first: int, last: int) -> tuple[int, int]:
    """How many rows to cut at either end, where so many are of one colour; (0, 0) where these are no bars."""
    length = len(rows)
    if max(first, last) < LEAST:
        return 0, 0
    colour = _colour(rows)
    if min(first, last) < LEAST or abs(first - last) > UNEQUAL * length:  # perhaps a subtitle stands in one of them
        if first > last:
            last = first if _is_written_on(rows[::-1][:first], colour) else 0
        else:
            first = last if _is_written_on(rows[:last], colour) else 0
    if min(first, last) < LEAST or length - first - last < NARROWEST * length:
        return 0, 0
    before, after = _edge(rows, first, colour), _edge(rows[::-1], last, colour)
    if before is None or after is None or abs(before - after) > UNEQUAL * length:
        return 0, 0
    return before + SOFT, after + SOFT


def _is_written_on(bar: Grey, colour: float) -> bool:
    """Whether rows from the edge inwards are a bar with a subtitle in it: free of it at both ends."""
    if len(bar) < 4 * LEAST or (_stray(bar, colour) > 0).mean() > 0.9:
        return False
    ends = np.concatenate((bar[: LEAST // 2], bar[-LEAST - 2 : -2]))
    return bool((_stray(ends, colour) <= STRAY).all() and _stray(bar, colour).mean() <= WRITTEN)


def _edge(rows: Grey, about: int, colour: float) -> int | None:
    """Where the picture begins, which is at about this row; None where it does not begin along a straight edge."""
    start = max(LEAST, about - BLOCK)
    beside = np.abs(rows[start : about + 2 * BLOCK].astype(np.int16) - round(colour))
    inside = beside[about - start + 2 :]
    if len(inside) < LEAST or (inside[:LEAST].max(axis=0) > LIT).mean() < STRAIGHT:
        return None
    mean = beside.mean(axis=1)
    return start + int((mean > mean[about - start + 2 :].mean() / 2).argmax())
