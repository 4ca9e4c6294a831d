"""The looks of many pictures, but for their small pictures, as columns in memory: 0.9 kB a picture."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sorter.classify.copies import Looked
from sorter.classify.crops import Points
from sorter.classify.looks import Look

Smalls = Callable[[NDArray[np.signedinteger[Any]]], NDArray[np.uint8]]


class Columns:
    """Looks, all but the small pictures, one after the other."""

    def __init__(self, looks: Iterable[Look]) -> None:
        self.pixels: list[bytes] = []
        self.hashes: list[tuple[int, int]] = []
        self.edges: list[float] = []
        self.colour: list[float] = []
        self.places: list[NDArray[np.float16]] = []
        self.points: list[NDArray[np.uint64]] = []
        for one in looks:
            self.pixels.append(one.pixels)
            self.hashes.append(one.hashes)
            self.edges.append(one.edges)
            self.colour.append(one.colour)
            self.places.append(one.places)
            self.points.append(one.points)

    def looked(self, order: Sequence[int], shapes: Sequence[float], smalls: Smalls) -> Looked:
        """The columns in this order, with the shapes of the pictures and what fetches their small ones."""
        both = np.array(self.hashes, np.uint64).reshape(-1, 2)[list(order)]
        lengths = [len(self.points[place]) for place in order]
        places, points = ([column[place] for place in order] for column in (self.places, self.points))
        none = np.empty((0, 3), np.float16), np.empty(0, np.uint64)
        return Looked(
            [self.pixels[place] for place in order],
            both[:, 0],
            both[:, 1],
            Points(np.cumsum([0, *lengths]), np.concatenate([none[0], *places]),
                   np.concatenate([none[1], *points]), np.array(shapes, np.float32)),
            smalls,
        )  # fmt: skip
