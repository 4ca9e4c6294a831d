"""What shape each operator of a .tflite file gives: nothing may become larger than the file says. Pure.

LiteRT works the shapes out again and asks for that much memory, so a file whose shapes are not those is refused.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from sorter.networks.flatbuffer import MOST_NUMBERS, Network, Operator, Tensor

Shape = tuple[int, ...]
Rule = Callable[[Mapping[str, Any], Sequence[Tensor | None]], Shape]


class Unfit(ValueError):
    """Operators, tensors and shapes that do not fit each other."""


def check(network: Network) -> None:
    """Raise Unfit unless each operator reads what was written before it, and gives a shape as the file says."""
    known = {place for place, tensor in enumerate(network.tensors) if tensor.data is not None}
    if not 0 <= network.entry < len(network.tensors) or network.entry in known:
        raise Unfit("it has no input")
    known.add(network.entry)
    for operator in network.operators:
        inputs = [_read(network, place, known) for place in operator.inputs]
        if len(operator.outputs) != 1 or operator.outputs[0] in known:
            raise Unfit(f"an operator {operator.kind} writes to what is written already")
        output = _tensor(network, operator.outputs[0])
        _check_kinds(operator, inputs, output)
        _check_shape(operator, inputs, output)
        known.add(operator.outputs[0])
    if network.end not in known:
        raise Unfit("nothing writes its output")


def _tensor(network: Network, place: int) -> Tensor:
    if not 0 <= place < len(network.tensors):
        raise Unfit("an operator uses a tensor that there is not")
    return network.tensors[place]


def _read(network: Network, place: int, known: set[int]) -> Tensor | None:
    if place == -1:
        return None
    if place not in known:
        raise Unfit("an operator reads what nothing has written")
    return _tensor(network, place)


def _check_kinds(operator: Operator, inputs: Sequence[Tensor | None], output: Tensor) -> None:
    """All in float32, or all in one kind of whole numbers; only two operators go from one to the other."""
    least, most = ARITY.get(operator.kind, (1, 1))
    if not least <= len(inputs) <= most or any(one is None for one in inputs[:2]):
        raise Unfit(f"an operator {operator.kind} has {len(inputs)} inputs")
    kinds = {one.kind for one in (*inputs, output) if one is not None and one.kind not in ("INT32", "INT64")}
    whole = kinds <= {"UINT8", "INT8"}
    if operator.kind == "QUANTIZE":
        fits = output.kind in ("UINT8", "INT8")
    elif operator.kind == "DEQUANTIZE":
        fits = output.kind == "FLOAT32" and kinds > {"FLOAT32"}
    else:
        fits = len(kinds) == 1 and (kinds == {"FLOAT32"} or whole)
    if not fits:
        raise Unfit(f"an operator {operator.kind} mixes kinds of numbers")
    steps = [one.scale for one in inputs if one is not None]
    if operator.kind in ("ADD", "SUB") and whole and 2 * max(steps) >= 2**20 * output.scale:
        raise Unfit(f"an operator {operator.kind} has scales too far apart")  # LiteRT would end the process


def _check_shape(operator: Operator, inputs: Sequence[Tensor | None], output: Tensor) -> None:
    try:
        rule: Rule = RULES.get(operator.kind, _same)
        shape = rule(operator.options, inputs)
    except (IndexError, KeyError, ValueError, TypeError, AttributeError) as found:
        raise Unfit(f"an operator {operator.kind} does not fit what it reads: {str(found)[:60]}") from None
    if shape != output.shape or math.prod(shape) > MOST_NUMBERS:
        raise Unfit(f"an operator {operator.kind} gives {shape} and not {output.shape}")


def _same(options: Mapping[str, Any], inputs: Sequence[Any]) -> Shape:
    return tuple(inputs[0].shape)


def _spread(options: Mapping[str, Any], inputs: Sequence[Any]) -> Shape:
    return tuple(np.broadcast_shapes(inputs[0].shape, inputs[1].shape))


def _window(options: Mapping[str, Any], sides: Shape, kernel: Shape) -> Shape:
    """Height and width after a window of `kernel` has been moved over `sides`."""
    found = []
    for side, size, axis in zip(sides, kernel, "HW", strict=True):
        stride, dilation = options[f"Stride{axis}"], options.get(f"Dilation{axis}Factor", 1)
        reach = (size - 1) * dilation + 1
        if not (1 <= stride <= 64 and 1 <= dilation <= 64 and 1 <= reach <= 4096 and options["Padding"] in (0, 1)):
            raise ValueError("strides, dilation or padding")
        same = options["Padding"] == 0
        if not same and reach > side:
            raise ValueError("a window larger than its map")
        found.append(-(-side // stride) if same else (side - reach) // stride + 1)
    return tuple(found)


def _conv(options: Mapping[str, Any], inputs: Sequence[Any]) -> Shape:
    (one, high, wide, depth), (filters, *kernel, channels) = inputs[0].shape, inputs[1].shape
    _check_bias(inputs, filters)
    if channels != depth:
        raise ValueError("channels of its kernel")
    return (one, *_window(options, (high, wide), tuple(kernel)), filters)


def _depthwise(options: Mapping[str, Any], inputs: Sequence[Any]) -> Shape:
    (one, high, wide, depth), (single, *kernel, filters) = inputs[0].shape, inputs[1].shape
    _check_bias(inputs, filters)
    if single != 1 or filters != depth * options["DepthMultiplier"]:
        raise ValueError("channels of its kernel")
    return (one, *_window(options, (high, wide), tuple(kernel)), filters)


def _check_bias(inputs: Sequence[Any], outputs: int) -> None:
    if len(inputs) > 2 and inputs[2] is not None and inputs[2].shape != (outputs,):
        raise ValueError("its bias")


def _pool(options: Mapping[str, Any], inputs: Sequence[Any]) -> Shape:
    one, high, wide, depth = inputs[0].shape
    return (one, *_window(options, (high, wide), (options["FilterHeight"], options["FilterWidth"])), depth)


def _full(options: Mapping[str, Any], inputs: Sequence[Any]) -> Shape:
    units, width = inputs[1].shape
    _check_bias(inputs, units)
    rows, rest = divmod(math.prod(inputs[0].shape), width)
    if rest or options["WeightsFormat"] or (options["KeepNumDims"] and inputs[0].shape[-1] != width):
        raise ValueError("width of its weights")
    return (*inputs[0].shape[:-1], units) if options["KeepNumDims"] else (rows, units)


def _softmax(options: Mapping[str, Any], inputs: Sequence[Any]) -> Shape:
    if not 0.1 <= options["Beta"] <= 10:
        raise ValueError("its steepness")
    return _same(options, inputs)


def _pad(options: Mapping[str, Any], inputs: Sequence[Any]) -> Shape:
    if inputs[1].shape != (len(inputs[0].shape), 2) or not ((inputs[1].data >= 0) & (inputs[1].data <= 64)).all():
        raise ValueError("its margins")
    return tuple(side + int(sum(margins)) for side, margins in zip(inputs[0].shape, inputs[1].data, strict=True))


def _mean(options: Mapping[str, Any], inputs: Sequence[Any]) -> Shape:
    rank = len(inputs[0].shape)
    axes = {range(rank)[axis] for axis in _whole(inputs[1])}
    if options.get("KeepDims"):
        return tuple(1 if axis in axes else side for axis, side in enumerate(inputs[0].shape))
    return tuple(side for axis, side in enumerate(inputs[0].shape) if axis not in axes)


def _reshape(options: Mapping[str, Any], inputs: Sequence[Any]) -> Shape:
    wanted = _whole(inputs[1]) if len(inputs) > 1 else [int(side) for side in options["NewShapeAsNumpy"]]
    total, known = math.prod(inputs[0].shape), math.prod(side for side in wanted if side != -1)
    shape = tuple(total // known if side == -1 else side for side in wanted)
    if wanted.count(-1) > 1 or known < 1 or math.prod(shape) != total:
        raise ValueError("another number of values")
    return shape


def _join(options: Mapping[str, Any], inputs: Sequence[Any]) -> Shape:
    shape = list(inputs[0].shape)
    axis = range(len(shape))[options["Axis"]]
    if any(one.shape[:axis] + one.shape[axis + 1 :] != (*shape[:axis], *shape[axis + 1 :]) for one in inputs):
        raise ValueError("sides that differ")
    shape[axis] = sum(one.shape[axis] for one in inputs)
    return tuple(shape)


def _whole(tensor: Any) -> list[int]:
    if tensor.kind not in ("INT32", "INT64") or tensor.data is None or tensor.data.ndim > 1:
        raise ValueError("numbers that are not in the file")
    return [int(one) for one in np.atleast_1d(tensor.data)]


RULES: dict[str, Rule] = {
    "CONV_2D": _conv,
    "DEPTHWISE_CONV_2D": _depthwise,
    "AVERAGE_POOL_2D": _pool,
    "MAX_POOL_2D": _pool,
    "FULLY_CONNECTED": _full,
    "SOFTMAX": _softmax,
    "ADD": _spread,
    "SUB": _spread,
    "MUL": _spread,
    "PAD": _pad,
    "MEAN": _mean,
    "RESHAPE": _reshape,
    "CONCATENATION": _join,
}
"""Those that change the shape; every other keeps it."""
ARITY = {
    "CONV_2D": (2, 3),
    "DEPTHWISE_CONV_2D": (2, 3),
    "FULLY_CONNECTED": (2, 3),
    "ADD": (2, 2),
    "SUB": (2, 2),
    "MUL": (2, 2),
    "PAD": (2, 2),
    "MEAN": (2, 2),
    "RESHAPE": (1, 2),
    "CONCATENATION": (1, 100),
}
"""The least and the most inputs, where it is not just one."""
