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
        claimed = shape(Message(self.program.node(ref).attribute("shape").part(7)))
        if claimed != list(self._read[key].shape):
            raise Damaged(f"its variable {ref.node[:40]!r} has another shape in the checkpoint")
        return self._read[key]


def _described(kind: str, number: int, options: dict[str, Any]) -> dict[str, Any]:
    return {"class_name": kind, "config": {"name": f"{kind}_{number}", **options}, "inbound_nodes": []}


def _convolve(layers: _Layers, node: Node, values: Sequence[Any]) -> Map:
    x, kernel = values
    *sides, deep, filters = kernel.shape
    groups = x.shape[-1] // deep if deep else 0
    if not groups or x.shape[-1] % deep or filters % groups:
        raise ValueError("channels of its kernel")
    size, options = _window(node, x, sides)
    options |= {"kernel_size": sides, "filters": filters, "groups": groups, "use_bias": False}
    return layers.add("Conv2D", [x], (*size, filters), kernel, **options)


def _deepen(layers: _Layers, node: Node, values: Sequence[Any]) -> Map:
    x, kernel = values
    *sides, deep, times = kernel.shape
    if deep != x.shape[-1]:
        raise ValueError("channels of its kernel")
    size, options = _window(node, x, sides)
    options |= {"kernel_size": sides, "depth_multiplier": times, "use_bias": False}
    return layers.add("DepthwiseConv2D", [x], (*size, deep * times), kernel, **options)


def _pool(layers: _Layers, node: Node, values: Sequence[Any]) -> Map:
    (x,) = values
    sides = _sides(node, "ksize")
    size, options = _window(node, x, sides)
    del options["dilation_rate"]
    kind = {"MaxPool": "MaxPooling2D", "AvgPool": "AveragePooling2D"}[node.op]
    return layers.add(kind, [x], (*size, x.shape[-1]), pool_size=sides, **options)


def _window(node: Node, x: Map, window: Sequence[int]) -> tuple[tuple[int, ...], dict[str, Any]]:
    """Height and width after a window has been moved over a map, and the options that say how."""
    padding, found = node.attribute("padding").text(2).lower(), []
    strides, dilation = _sides(node, "strides"), _sides(node, "dilations")
    if node.attribute("data_format").text(2) not in ("", "NHWC") or padding not in ("same", "valid"):
        raise ValueError("its padding or its order of sides")
    for side, size, stride, apart in zip(x.shape[:-1], window, strides, dilation, strict=True):
        reach = (size - 1) * apart + 1
        if not (1 <= stride <= 64 and 1 <= apart <= 64 and 1 <= reach <= 4096) or (padding == "valid" and reach > side):
            raise ValueError("its window, strides or dilation")
        found.append(-(-side // stride) if padding == "same" else (side - reach) // stride + 1)
    return tuple(found), {"strides": strides, "padding": padding, "dilation_rate": dilation}


def _sides(node: Node, name: str) -> list[int]:
    """Of (1, height, width, 1); a step where nothing is said."""
    first, *sides, last = Message(node.attribute(name).part(1)).numbers(3) or [1] * 4
    if (first, last) != (1, 1):
        raise ValueError(f"its {name}")
    return sides


def _normalise(layers: _Layers, node: Node, values: Sequence[Any]) -> Map:
    x, *rows = values
    fraction = node.attribute("epsilon").part(4)
    if node.attribute("is_training").numbers(5) != [0] or node.attribute("data_format").text(2) not in ("", "NHWC"):
        raise ValueError("it is one for training")
    if len(fraction) != 4 or any(row.shape != x.shape[-1:] for row in rows):
        raise ValueError("its epsilon or the length of its rows")
    epsilon = float(str(np.float32(struct.unpack("<f", fraction)[0])))  # 0.001, and not 0.0010000000474974513
    if not 0 < epsilon < 1:
        raise ValueError("its epsilon")
    return layers.add("BatchNormalization", [x], x.shape, *rows, epsilon=epsilon)


def _pad(layers: _Layers, node: Node, values: Sequence[Any]) -> Map:
    x, margins = values
    if margins.shape != (4, 2) or margins[[0, 3]].any() or not ((margins >= 0) & (margins <= 64)).all():
        raise ValueError("its margins")
    high, wide, depth = x.shape
    (up, down), (left, right) = found = margins[1:3].tolist()
    return layers.add("ZeroPadding2D", [x], (high + up + down, wide + left + right, depth), padding=found)


def _add(layers: _Layers, node: Node, values: Sequence[Any]) -> Map:
    one, other = values
    if isinstance(one, Map) and isinstance(other, Map):
        if one.shape != other.shape:
            raise ValueError("maps of two sizes")
        return layers.add("Add", [one, other], one.shape)
    x, row = (one, other) if isinstance(one, Map) else (other, one)
    options = layers.open(x, WITH_BIAS)
    if options is None or options["use_bias"] or row.shape != x.shape[-1:]:
        raise ValueError("a bias of no layer")
    options["use_bias"] = True
    layers.weigh(x, row)
    return Map(x.layer, x.shape)


def _mean(layers: _Layers, node: Node, values: Sequence[Any]) -> Map:
    x, axes = values
    _, _, depth = x.shape
    if sorted(axes.reshape(-1).tolist()) != [1, 2]:
        raise ValueError("its axes")
    keeps = node.attribute("keep_dims").number(5) == 1
    return layers.add("GlobalAveragePooling2D", [x], (1, 1, depth) if keeps else (depth,), keepdims=keeps)


def _multiply(layers: _Layers, node: Node, values: Sequence[Any]) -> Map:
    x, kernel = values
    deep, units = kernel.shape
    if x.shape != (deep,) or node.attribute("transpose_a").number(5) or node.attribute("transpose_b").number(5):
        raise ValueError("sides of its kernel")
    return layers.add("Dense", [x], (units,), kernel, units=units, use_bias=False)


def _activate(layers: _Layers, node: Node, values: Sequence[Any]) -> Map:
    """A part of the Dense layer before it; else a layer."""
    (x,) = values
    options, word = layers.open(x, ["Dense"]), node.op.lower()
    if options is not None:
        options["activation"] = word
        return Map(x.layer, x.shape)
    own: dict[str, tuple[str, dict[str, Any]]] = {
        "relu": ("ReLU", {"max_value": None}),
        "relu6": ("ReLU", {"max_value": 6.0}),
        "softmax": ("Softmax", {}),
        "sigmoid": ("Activation", {"activation": word}),
    }
    kind, options = own[word]
    return layers.add(kind, [x], x.shape, **options)


def _join(layers: _Layers, node: Node, values: Sequence[Any]) -> Map:
    *maps, axis = values
    heads = {one.shape[:-1] for one in maps}
    if axis.size != 1 or int(axis.reshape(-1)[0]) not in (-1, len(maps[0].shape)) or len(heads) != 1:
        raise ValueError("its axis, or maps of several sizes")
    return layers.add("Concatenate", maps, (*heads.pop(), sum(one.shape[-1] for one in maps)))


def _reshape(layers: _Layers, node: Node, values: Sequence[Any]) -> Map:
    x, wanted = values
    if wanted.ndim != 1:
        raise ValueError("its shape")
    pictures, *sides = wanted.tolist()
    if pictures != -1 or not sides or min(sides) < 1 or math.prod(sides) != math.prod(x.shape) or len(sides) > 3:
        raise ValueError("another number of values")
    if len(sides) == 1:
        return layers.add("Flatten", [x], sides)
    return layers.add("Reshape", [x], sides, target_shape=sides)


OPERATIONS: dict[str, tuple[str, Rule]] = {
    "Placeholder": ("", lambda layers, node, values: layers.entry),
    "Const": ("", lambda layers, node, values: constant(node)),
    "VarHandleOp": ("", lambda layers, node, values: layers.handle(node)),
    "ReadVariableOp": ("v", lambda layers, node, values: layers.variable(values[0])),
    "Conv2D": ("mf", _convolve),
    "DepthwiseConv2dNative": ("mf", _deepen),
    "FusedBatchNorm": ("mffff", _normalise),
    "FusedBatchNormV2": ("mffff", _normalise),
    "FusedBatchNormV3": ("mffff", _normalise),
    "BiasAdd": ("mf", _add),
    "Add": ("mm|mf|fm", _add),
    "AddV2": ("mm|mf|fm", _add),
    "Pad": ("mi", _pad),
    "Relu": ("m", _activate),
    "Relu6": ("m", _activate),
    "Sigmoid": ("m", _activate),
    "Softmax": ("m", _activate),
    "MaxPool": ("m", _pool),
    "AvgPool": ("m", _pool),
    "Mean": ("mi", _mean),
    "ConcatV2": ("m{1,100}i", _join),
    "Reshape": ("mi", _reshape),
    "MatMul": ("mf", _multiply),
}
"""What may stand between a picture and its answer: what each reads (m: a map, f and i: numbers, v: a variable)."""
