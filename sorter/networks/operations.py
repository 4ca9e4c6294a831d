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
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sorter.networks.bundle import Bundle, Damaged, Message
from sorter.networks.graphdef import Node, Ref, Refused
from sorter.networks.keras import Graph
from sorter.networks.layering import Layers, Map, Step, Value
from sorter.networks.program import Program

Rule = Callable[[Layers, Step], Value]
WITH_BIAS = ("Conv2D", "DepthwiseConv2D", "Dense")


def read_layers(data: bytes, bundle: Bundle, where: str) -> Graph:
    """The layers of a saved_model.pb with the weights of its checkpoint.

    Raises Damaged; Refused: an operation that is not allowed; ModelError: not pictures, or layers that are not allowed.
    """
    program = Program(data)
    layers = Layers(program, bundle, where)
    reads = program.order(OPERATIONS)
    uses = Counter(one for read in reads.values() for one in read)
    values: dict[Ref, Value] = {}
    for ref, read in reads.items():
        given = [_marked(values[one], uses[one] == 1) for one in read]
        values[ref] = _apply(layers, Step(ref, program.node(ref), given))
    answer = values[program.end]
    if not isinstance(answer, Map) or len(answer.shape) != 1:
        raise Refused("does not answer with one row of numbers a picture")
    return layers.finish(answer)


def _marked(value: Value, alone: bool) -> Value:
    return replace(value, alone=alone) if isinstance(value, Map) else value


def _apply(layers: Layers, step: Step) -> Value:
    reads, rule = OPERATIONS[step.node.op]
    if not re.fullmatch(reads, "".join(map(_kind, step.reads))):
        raise Refused(f"has an operation {step.node.op!r} that reads something else than a layer does")
    try:
        return rule(layers, step)
    except Damaged:
        raise
    except ValueError as found:
        raise Refused(f"has an operation {step.node.op!r} that does not fit what it reads: {str(found)[:60]}") from None


def _kind(value: Value) -> str:
    """As OPERATIONS has it."""
    if isinstance(value, Map):
        return "m" if len(value.shape) == 3 else "r"
    return "v" if isinstance(value, Ref) else value.dtype.kind


def _enter(layers: Layers, step: Step) -> Map:
    if step.ref != layers.program.entry:
        raise ValueError("it is no picture")
    return layers.entry


def _kernel(kernel: NDArray[Any], rank: int) -> tuple[int, ...]:
    if kernel.ndim != rank:
        raise ValueError("the shape of its kernel")
    return kernel.shape


def _convolve(layers: Layers, step: Step) -> Map:
    x, kernel = step.reads
    *sides, deep, filters = _kernel(kernel, 4)
    groups = x.shape[-1] // deep if deep else 0
    if not groups or x.shape[-1] % deep or filters % groups:
        raise ValueError("channels of its kernel")
    size, options = _window(step.node, x, sides)
    options |= {"kernel_size": sides, "filters": filters, "groups": groups, "use_bias": False}
    return layers.add("Conv2D", [x], (*size, filters), kernel, **options)


def _deepen(layers: Layers, step: Step) -> Map:
    x, kernel = step.reads
    *sides, deep, times = _kernel(kernel, 4)
    if deep != x.shape[-1]:
        raise ValueError("channels of its kernel")
    size, options = _window(step.node, x, sides)
    options |= {"kernel_size": sides, "depth_multiplier": times, "use_bias": False}
    return layers.add("DepthwiseConv2D", [x], (*size, deep * times), kernel, **options)


def _pool(layers: Layers, step: Step) -> Map:
    (x,) = step.reads
    sides = _sides(step.node, "ksize")
    size, options = _window(step.node, x, sides)
    del options["dilation_rate"]
    kind = {"MaxPool": "MaxPooling2D", "AvgPool": "AveragePooling2D"}[step.node.op]
    return layers.add(kind, [x], (*size, x.shape[-1]), pool_size=sides, **options)


def _window(node: Node, x: Map, window: Sequence[int]) -> tuple[tuple[int, ...], dict[str, Any]]:
    """Height and width after a window has been moved over a map, and the options that say how."""
    high, wide, _ = x.shape
    padding, found = node.attribute("padding").text(2).lower(), []
    strides, dilation = _sides(node, "strides"), _sides(node, "dilations")
    if padding not in ("same", "valid") or not _channels_last(node):
        raise ValueError("its padding or its order of sides")
    for side, size, stride, apart in zip((high, wide), window, strides, dilation, strict=True):
        reach = (size - 1) * apart + 1
        if not (1 <= stride <= 64 and 1 <= apart <= 64 and 1 <= reach <= 4096) or (padding == "valid" and reach > side):
            raise ValueError("its window, strides or dilation")
        found.append(-(-side // stride) if padding == "same" else (side - reach) // stride + 1)
    return tuple(found), {"strides": strides, "padding": padding, "dilation_rate": dilation}


def _sides(node: Node, name: str) -> list[int]:
    """Of (1, height, width, 1); a step where nothing is said."""
    sides = Message(node.attribute(name).part(1)).numbers(3) or [1] * 4
    if len(sides) != 4 or sides[0] != 1 or sides[3] != 1:
        raise ValueError(f"its {name}")
    return sides[1:3]


def _channels_last(node: Node) -> bool:
    return node.attribute("data_format").text(2) in ("", "NHWC")


def _normalise(layers: Layers, step: Step) -> Map:
    x, *rows = step.reads
    fraction = step.node.attribute("epsilon").part(4)
    if step.node.attribute("is_training").numbers(5) != [0]:  # left out, it is true
        raise ValueError("it is one for training")
    if len(fraction) != 4 or any(row.shape != x.shape[-1:] for row in rows) or not _channels_last(step.node):
        raise ValueError("its epsilon, its order of sides or the length of its rows")
    epsilon = float(str(np.float32(struct.unpack("<f", fraction)[0])))  # 0.001, and not 0.0010000000474974513
    if not 0 < epsilon < 1:
        raise ValueError("its epsilon")
    return layers.add("BatchNormalization", [x], x.shape, *rows, epsilon=epsilon)


def _pad(layers: Layers, step: Step) -> Map:
    x, margins = step.reads
    if margins.shape != (4, 2) or margins[[0, 3]].any() or not ((margins >= 0) & (margins <= 64)).all():
        raise ValueError("its margins")
    high, wide, depth = x.shape
    (up, down), (left, right) = found = margins[1:3].tolist()
    return layers.add("ZeroPadding2D", [x], (high + up + down, wide + left + right, depth), padding=found)


def _add(layers: Layers, step: Step) -> Map:
    one, other = step.reads
    if isinstance(one, Map) and isinstance(other, Map):
        if one.shape != other.shape:
            raise ValueError("maps of two sizes")
        return layers.add("Add", [one, other], one.shape)
    x, row = (one, other) if isinstance(one, Map) else (other, one)
    options = layers.open(x, *WITH_BIAS)
    if options is None or options["use_bias"] or row.shape != x.shape[-1:]:
        raise ValueError("a bias of no layer")
    options["use_bias"] = True
    layers.weigh(x, row)
    return Map(x.layer, x.shape)


def _mean(layers: Layers, step: Step) -> Map:
    x, axes = step.reads
    _, _, depth = x.shape
    if axes.shape != (2,) or sorted(axes.tolist()) != [1, 2]:
        raise ValueError("its axes")
    keeps = step.node.attribute("keep_dims").number(5) == 1
    return layers.add("GlobalAveragePooling2D", [x], (1, 1, depth) if keeps else (depth,), keepdims=keeps)


def _multiply(layers: Layers, step: Step) -> Map:
    x, kernel = step.reads
    deep, units = _kernel(kernel, 2)
    turned = [step.node.attribute(f"transpose_{side}").number(5) for side in "ab"]
    if x.shape != (deep,) or any(turned):
        raise ValueError("sides of its kernel")
    return layers.add("Dense", [x], (units,), kernel, units=units, use_bias=False)


def _activate(layers: Layers, step: Step) -> Map:
    """A part of the Dense layer before it; else a layer."""
    (x,) = step.reads
    options, word = layers.open(x, "Dense"), step.node.op.lower()
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


def _join(layers: Layers, step: Step) -> Map:
    *maps, axis = step.reads
    heads = {one.shape[:-1] for one in maps}
    if axis.size != 1 or int(axis.reshape(-1)[0]) not in (-1, len(maps[0].shape)) or len(heads) != 1:
        raise ValueError("its axis, or maps of several sizes")
    return layers.add("Concatenate", maps, (*heads.pop(), sum(one.shape[-1] for one in maps)))


def _reshape(layers: Layers, step: Step) -> Map:
    x, wanted = step.reads
    if wanted.shape not in ((2,), (4,)):
        raise ValueError("its shape")
    pictures, *sides = wanted.tolist()
    if pictures != -1 or min(sides) < 1 or math.prod(sides) != math.prod(x.shape):
        raise ValueError("another number of values")
    if len(sides) == 1:
        return layers.add("Flatten", [x], sides)
    return layers.add("Reshape", [x], sides, target_shape=sides)


OPERATIONS: dict[str, tuple[str, Rule]] = {
    "Placeholder": ("", _enter),
    "Const": ("", lambda layers, step: step.node.constant),
    "VarHandleOp": ("", lambda layers, step: step.ref),
    "ReadVariableOp": ("v", lambda layers, step: layers.variable(step.reads[0])),
    "Conv2D": ("mf", _convolve),
    "DepthwiseConv2dNative": ("mf", _deepen),
    "FusedBatchNorm": ("mffff", _normalise),
    "FusedBatchNormV2": ("mffff", _normalise),
    "FusedBatchNormV3": ("mffff", _normalise),
    "BiasAdd": ("[mr]f", _add),
    "Add": ("mm|rr|[mr]f|f[mr]", _add),
    "AddV2": ("mm|rr|[mr]f|f[mr]", _add),
    "Pad": ("mi", _pad),
    "Relu": ("[mr]", _activate),
    "Relu6": ("[mr]", _activate),
    "Sigmoid": ("[mr]", _activate),
    "Softmax": ("[mr]", _activate),
    "MaxPool": ("m", _pool),
    "AvgPool": ("m", _pool),
    "Mean": ("mi", _mean),
    "ConcatV2": ("(m+|r+)i", _join),
    "Reshape": ("[mr]i", _reshape),
    "MatMul": ("rf", _multiply),
}
"""What may lead to an answer, and what each reads: m: a map, r: a row, f, i: numbers, v: a variable."""
