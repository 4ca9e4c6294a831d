"""The operations of a SavedModel's graph -> the layers that Keras would have written them from. Pure; runs nothing.

Where a SavedModel has no description of its layers, they are read off: a short list of operations, each of which is
one layer or a part of one. The result goes through the reader of Keras descriptions, so that it hashes like an .h5.
"""

from __future__ import annotations

import math
import re
import struct
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sorter.classify.formats.bundle import Bundle, Damaged
from sorter.classify.formats.graphdef import Node, Program, Ref, Refused, constant, shape
from sorter.classify.graph import MOST_NUMBERS, Graph, Weights, graph_of

MOST_LAYERS = 2000
LARGEST_MAP = 2**26
"""Numbers; the vendor's largest map has 1.2 million."""
WITH_BIAS = ("Conv2D", "DepthwiseConv2D", "Dense")
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
Rule = Callable[["_Layers", Node, Sequence[Any]], Value]


def read_layers(data: bytes, bundle: Bundle, where: str) -> Graph:
    """The layers of a saved_model.pb with the weights of its checkpoint.

    Raises Damaged; Refused: an operation that is not allowed; ModelError: not pictures, or layers that are not allowed.
    """
    program = Program(data)
    entry = _described("InputLayer", 0, {"batch_input_shape": program.picture})
    probe = {"class_name": "Sequential", "config": [entry, _described("Flatten", 1, {})]}
    size = graph_of(probe, {}, where).size  # says what is wrong where it does not read square colour pictures
    layers = _Layers(program, bundle, Map(0, (size, size, 3)))
    layers.described.append(entry)
    reads = program.order(OPERATIONS)
    uses = Counter(one for read in reads.values() for one in read)
    values: dict[Ref, Value] = {}
    for ref, read in reads.items():
        given = [values[one] for one in read]
        marked = [
            replace(value, alone=uses[one] == 1) if isinstance(value, Map) else value
            for one, value in zip(read, given, strict=True)
        ]
        values[ref] = _apply(layers, ref, marked)
    answer = values[program.end]
    if not isinstance(answer, Map) or len(answer.shape) != 1:
        raise Refused("does not answer with one row of numbers a picture")
    output = layers.described[answer.layer]["config"]["name"]
    config = {"layers": layers.described, "output_layers": [[output, 0, 0]]}
    return graph_of({"class_name": "Functional", "config": config}, layers.weights, where)


def _apply(layers: _Layers, ref: Ref, values: Sequence[Value]) -> Value:
    node = layers.program.node(ref)
    reads, rule = OPERATIONS[node.op]
    kinds = "".join("m" if isinstance(one, Map) else "v" if isinstance(one, Ref) else one.dtype.kind for one in values)
    if not re.fullmatch(reads, kinds):
        raise Refused(f'has an operation "{node.op}" that reads something else than a layer does')
    if node.op == "Placeholder" and ref != layers.program.entry:
        raise Refused("reads something besides the picture")
    try:
        return ref if node.op == "VarHandleOp" else rule(layers, node, values)
    except Damaged:
        raise
    except ValueError as found:
        raise Refused(f'has an operation "{node.op}" that does not fit what it reads: {str(found)[:60]}') from None


class _Layers:
    """The layers so far, as Keras describes them, and their weights."""

    def __init__(self, program: Program, bundle: Bundle, entry: Map) -> None:
        self.program, self.bundle, self.entry = program, bundle, entry
        self.described: list[dict[str, Any]] = []
        self.weights: Weights = {}
        self._keys = program.restored()
        self._read: dict[str, Array] = {}
        self._numbers = 0

    def add(self, kind: str, reads: Sequence[Map], gives: Sequence[int], *weights: Array, **options: Any) -> Map:
        """A layer that gives a map of that shape."""
        if math.prod(gives) > LARGEST_MAP or min(gives) < 1:
            raise ValueError(f"it would give {'x'.join(map(str, gives))} numbers")
        if len(self.described) >= MOST_LAYERS:
            raise Damaged(f"it has over {MOST_LAYERS:,} layers")
        layer = _described(kind, len(self.described), options)
        layer["inbound_nodes"] = [[[self.name(one), 0, 0, {}] for one in reads]]
        self.described.append(layer)
        found = Map(len(self.described) - 1, tuple(gives))
        for array in weights:
            self.weigh(found, array)
        return found

    def weigh(self, layer: Map, array: Array) -> None:
        """Give a layer weights."""
        self._numbers += array.size
        if self._numbers > MOST_NUMBERS:  # a variable may be read any number of times
            raise Damaged(f"its layers have over {MOST_NUMBERS:,} weights")
        self.weights.setdefault(self.name(layer), []).append(np.asarray(array, np.float32))

    def name(self, layer: Map) -> str:
        return str(self.described[layer.layer]["config"]["name"])

    def open(self, layer: Map, kinds: Sequence[str]) -> dict[str, Any] | None:
        """The options of a layer of those kinds that may still be completed by the operation that reads it."""
        known = self.described[layer.layer]
        options: dict[str, Any] = known["config"]
        return options if layer.alone and known["class_name"] in kinds and "activation" not in options else None

    def variable(self, ref: Ref) -> Array:
        """Its numbers in the checkpoint."""
        if ref not in self._keys:
            raise Damaged(f"nothing restores its variable {ref.node[:40]!r}")
        key = self._keys[ref]
        if key not in self._read:
            self._read[key] = self.bundle.array(key)
        claimed = shape(layers_shape := self.program.node(ref).attribute("shape")) if False else []
        return self._read[key]
