"""Black bars around a film's picture: letterbox, pillarbox, both. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sorter.records import Box

LIT = 32
"""Grey values above it are not black: bars have 16, and noise (ITU-R BT.601, section 2.5.3)."""
PICTURE = 0.5
"""The share of a row's pixels that are lit, in one frame at least, where the row belongs to the picture."""
BLACK = 0.02
"""The share of a row's pixels that may be lit in a bar, beside noise."""
MOST_FRAMES = 0.7
"""The share of the frames in which a bar is black where it touches the picture; elsewhere a subtitle may stand."""
LEAST = 4
"""Pixels: a thinner bar is left."""
UNEQUAL = 0.05
"""Of the frame's side: bars that differ by more are the shadow or the ground of a picture."""
SOFT = 2
"""Pixels beside a bar that are cut with it: compression smears the edge."""


@dataclass(frozen=True, eq=False)
class Profile:
    """How much of each row and of each column of one frame is lit, 0..1."""

    rows: NDArray[np.float32]
    columns: NDArray[np.float32]


def profile(grey: NDArray[np.uint8]) -> Profile | None:
    """Of a frame's grey values (height, width); None for a frame that is all but black, which says nothing."""
    if (grey[::8, ::8] > LIT).mean() < BLACK:
        return None
    rows, columns = grey[:, ::8] > LIT, grey[::8] > LIT
    return Profile(rows.mean(axis=1, dtype=np.float32), columns.mean(axis=0, dtype=np.float32))


def find_bars(profiles: list[Profile]) -> Box | None:
    """The part of the frame that is picture, by frames from all over a video; None where there are no bars.

    A bar ends where a row begins that is lit for the most part in some frame, and is black up to there in most
    frames: a figure on a black ground has no such edge, and what is written into a bar does not keep it.
    """
    if not profiles:
        return None
    top, bottom = _ends(np.stack([one.rows for one in profiles]))
    left, right = _ends(np.stack([one.columns for one in profiles]))
    height, width = len(profiles[0].rows), len(profiles[0].columns)
    if (left, top, right, bottom) == (0, 0, width, height):
        return None
    return Box(left, top, right, bottom)


def _ends(lit: NDArray[np.float32]) -> tuple[int, int]:
    """The first row of the picture and the one after its last, by what is lit: (frames, rows)."""
    length = lit.shape[1]
    is_picture = (lit > PICTURE * lit.max()).any(axis=0)  # bars across make columns less lit, too
    first, last = int(is_picture.argmax()), length - int(is_picture[::-1].argmax())
    before, after = _end(lit, first), _end(lit[:, ::-1], length - last)
    if abs(before - after) > UNEQUAL * length:
        return 0, length
    return before, length - after


def _end(lit: NDArray[np.float32], bar: int) -> int:
    """How many rows to cut, where the first `bar` of them are perhaps a bar."""
    if bar < LEAST:
        return 0
    beside = lit[:, max(0, bar - max(LEAST, lit.shape[1] // 50)) : bar - SOFT]
    if ((beside < BLACK).all(axis=1)).mean() < MOST_FRAMES:
        return 0
    return bar + SOFT
