"""What stays at one place while everything else changes: a broadcaster's logo, a watermark. Pure.

Edges of a mark have about the same gradient in every picture; those of the scenes have one here and another there. A
scene that many of the pictures show, all the same, is no mark: nearly all must have the edge.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from sorter.records import Box

Grey = NDArray[np.uint8]
Floats = NDArray[np.float32]

FEWEST = 16
"""Pictures unlike each other, from which on something can be told."""
SIDE = 480
"""Pixels of the longer side at which pictures are compared."""
STAYS = 0.8
"""The share of the pictures that have an edge which stays."""
MOSTLY = 0.6
"""The same of an edge beside those: a part of the mark that is hard to see on bright scenes, say."""
ALIKE = 0.4
"""Of the mean gradient, which a picture's own must have in its direction, at least; and deviate by no more than it is
long."""
STEEP = 3.0
"""Grey values a pixel, the mean gradient of an edge that counts."""
BESIDE = 3
"""Pixels beside a bar that its edge reaches into."""
SMALLEST = 64
"""Pixels a side: on smaller pictures nothing is looked for."""
CELLS = 8
"""Pixels a side of the cells in which edges are counted."""
DENSE = 3
"""Edge pixels of a cell that make it a part of a mark."""
FEWEST_EDGES = 40
"""Pixels of a mark."""
AT_EDGE = 0.25
"""Of the picture's side: a mark lies in this border, at least across or at least down."""
LARGEST = 0.06
"""Of the picture's area."""
UNLIKE = 12.0
"""Grey values by which pictures differ on average, made as small as 16 x 16, that are unlike each other."""


def unlike(pictures: Sequence[Grey]) -> list[int]:
    """Which of pictures of one size are each unlike those before it: neighbours of one scene all have its edges."""
    chosen: list[int] = []
    small = [_cells(one, (one.shape[0] // 16, one.shape[1] // 16)) for one in pictures]
    for number, one in enumerate(small):
        if all(float(np.abs(one - small[other]).mean()) > UNLIKE for other in chosen):
            chosen.append(number)
    return chosen


def find_logos(pictures: Sequence[Grey], windows: Sequence[Box | None]) -> list[Box]:
    """The marks on pictures (height, width) of one size and source, in their pixels; none where too few are unlike.

    `windows`: of each picture, what is within its bars; nothing is looked for elsewhere.
    """
    chosen = unlike(pictures) if pictures and min(pictures[0].shape) >= SMALLEST else []
    if len(chosen) < FEWEST:
        return []
    gradients = [_gradient(pictures[number], windows[number]) for number in chosen]
    across, down = (np.mean([pair[way] for pair in gradients], axis=0) for way in range(2))
    mean = np.hypot(across, down)
    there = np.mean([_agree(pair, (across, down), mean) for pair in gradients], axis=0)
    there *= mean > STEEP
    height, width = there.shape
    most = LARGEST * width * height
    return [box for box in _marks(there) if _is_at_edge(box, (width, height)) and math.prod(box.size) <= most]


def _gradient(grey: Grey, window: Box | None) -> tuple[Floats, Floats]:
    """Across and down, in grey values a pixel; nought outside of a window, and along its edges."""
    values = grey.astype(np.float32)
    dx, dy = np.zeros_like(values), np.zeros_like(values)
    dx[:, 1:-1] = (values[:, 2:] - values[:, :-2]) / 2
    dy[1:-1] = (values[2:] - values[:-2]) / 2
    if window:
        inside = np.zeros(values.shape, np.bool_)
        inside[window.top + BESIDE : window.bottom - BESIDE, window.left + BESIDE : window.right - BESIDE] = True
        dx *= inside
        dy *= inside
    return dx, dy


def _agree(own: tuple[Floats, Floats], mean: tuple[Floats, Floats], length: Floats) -> NDArray[np.bool_]:
    """Where a picture's gradient is about the mean of all."""
    along = own[0] * mean[0] + own[1] * mean[1]
    off = np.hypot(own[0] - mean[0], own[1] - mean[1])
    found: NDArray[np.bool_] = (along > ALIKE * length**2) & (off < length)
    return found


def _cells(values: NDArray[np.generic], size: tuple[int, int]) -> Floats:
    """The mean of each cell (height, width) of an array; what is left over at its end is left out."""
    high, wide = values.shape[0] // size[0], values.shape[1] // size[1]
    cut = values[: high * size[0], : wide * size[1]].astype(np.float32)
    found: Floats = cut.reshape(high, size[0], wide, size[1]).mean(axis=(1, 3))
    return found


def _marks(there: NDArray[np.floating]) -> Iterator[Box]:
    """The boxes of edges that lie together, where enough of them stay. `there`: the share of pictures with an edge."""
    height, width = there.shape
    padded = np.pad(there >= MOSTLY, ((0, -height % CELLS), (0, -width % CELLS)))
    left = {(int(y), int(x)) for y, x in np.argwhere(_cells(padded, (CELLS, CELLS)) * CELLS**2 >= DENSE)}
    while left:
        group, border = [], [left.pop()]
        while border:
            y, x = border.pop()
            group.append((y, x))
            near = {(y + v, x + u) for v in range(-2, 3) for u in range(-2, 3)} & left
            left -= near
            border += near
        rows, columns = zip(*group, strict=True)
        top, start = min(rows) * CELLS, min(columns) * CELLS
        part = there[top : (max(rows) + 1) * CELLS, start : (max(columns) + 1) * CELLS]
        if (part >= STAYS).sum() >= FEWEST_EDGES:
            ys, xs = np.nonzero(part >= MOSTLY)
            yield Box(
                max(0, start + int(xs.min()) - 1), max(0, top + int(ys.min()) - 1),
                min(width, start + int(xs.max()) + 2), min(height, top + int(ys.max()) + 2),
            )  # fmt: skip


def _is_at_edge(box: Box, size: tuple[int, int]) -> bool:
    """Whether a mark lies wholly in the border of a picture, and is no mark of all of it."""
    width, height = size
    is_aside = box.right <= AT_EDGE * width or box.left >= (1 - AT_EDGE) * width
    is_above = box.bottom <= AT_EDGE * height or box.top >= (1 - AT_EDGE) * height
    return is_aside or is_above
