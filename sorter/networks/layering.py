"""Layers as Keras would have described them, put together one by one from what is read off a graph. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sorter.networks.bundle import Bundle, Damaged, Message
from sorter.networks.graphdef import Node, Ref, shape
from sorter.networks.keras import MOST_NUMBERS, Graph, Weights, graph_of
from sorter.networks.program import Program

MOST_LAYERS = 2000
LARGEST_MAP = 2**26
"""Numbers; the vendor's largest map has 1.2 million."""
Array = NDArray[Any]


@dataclass(frozen=True)
class Map:
    """What a layer gives."""

    layer: int
    shape: tuple[int, ...]
    """Without the number of pictures: (height, width, channels) or (numbers,)."""
    alone: bool = False
    """Only one operation reads it, which may become a part of its layer."""


Value = Map | Array | Ref
"""Ref: a variable that has not been read."""


@dataclass(frozen=True, eq=False)
class Step:
    """An operation, and what it reads; of which kind that is, has been checked."""

    ref: Ref
    node: Node
    reads: Sequence[Any]


class Layers:
    """The layers so far and their weights."""

    def __init__(self, program: Program, bundle: Bundle, where: str) -> None:
        """Raises ModelError where it does not read square colour pictures."""
        self.program, self._bundle, self._where = program, bundle, where
        entry = _described("InputLayer", 0, {"batch_input_shape": program.picture})
        probe = {"class_name": "Sequential", "config": [entry, _described("Flatten", 1, {})]}
        size = graph_of(probe, {}, where).size  # the reader of Keras's descriptions says what is wrong with it
        self.entry = Map(0, (size, size, 3))
        self._described = [entry]
        self._weights: Weights = {}
        self._keys = program.restored()
        self._arrays: dict[str, Array] = {}
        self._numbers = 0

    def add(self, kind: str, reads: Sequence[Map], gives: Sequence[int], *weights: Array, **options: Any) -> Map:
        """A layer that gives a map of that shape. Raises ValueError: too large or empty; Damaged: too many."""
        if min(gives) < 1 or math.prod(gives) > LARGEST_MAP:
            raise ValueError(f"it would give {'x'.join(map(str, gives))} numbers")
        if len(self._described) >= MOST_LAYERS:
            raise Damaged(f"it has over {MOST_LAYERS:,} layers")
        layer = _described(kind, len(self._described), options)
        layer["inbound_nodes"] = [[[self._name(one), 0, 0, {}] for one in reads]]
        self._described.append(layer)
        found = Map(len(self._described) - 1, tuple(gives))
        for array in weights:
            self.weigh(found, array)
        return found

    def weigh(self, layer: Map, array: Array) -> None:
        """Give a layer more weights."""
        self._numbers += array.size
        if self._numbers > MOST_NUMBERS:  # a variable may be read any number of times
            raise Damaged(f"its layers have over {MOST_NUMBERS:,} weights")
        self._weights.setdefault(self._name(layer), []).append(np.asarray(array, np.float32))

    def open(self, layer: Map, *kinds: str) -> dict[str, Any] | None:
        """The options of a layer of those kinds that the operation which reads it may still complete."""
        known = self._described[layer.layer]
        options: dict[str, Any] = known["config"]
        return options if layer.alone and known["class_name"] in kinds and "activation" not in options else None

    def variable(self, ref: Ref) -> Array:
        """Its numbers in the checkpoint. Raises Damaged."""
        if ref not in self._keys:
            raise Damaged(f"nothing restores its variable {ref.node[:40]!r}")
        key = self._keys[ref]
        if key not in self._arrays:
            self._arrays[key] = self._bundle.array(key)
        if shape(Message(self.program.node(ref).attribute("shape").part(7))) != list(self._arrays[key].shape):
            raise Damaged(f"its variable {ref.node[:40]!r} has another shape in the checkpoint")
        return self._arrays[key]

    def finish(self, answer: Map) -> Graph:
        """All of them. Raises ModelError where they are not allowed."""
        config = {"layers": self._described, "output_layers": [[self._name(answer), 0, 0]]}
        return graph_of({"class_name": "Functional", "config": config}, self._weights, self._where)

    def _name(self, layer: Map) -> str:
        return str(self._described[layer.layer]["config"]["name"])


def _described(kind: str, number: int, options: dict[str, Any]) -> dict[str, Any]:
    return {"class_name": kind, "config": {"name": f"{kind}_{number}", **options}, "inbound_nodes": []}
