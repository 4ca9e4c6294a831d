"""A .tflite file as plain values, each checked before LiteRT sees the file.

LiteRT itself verifies that no offset leads out of the file; what it does not verify is what the numbers mean. So here:
only operators of image classifiers, with options of their kind, tensors that come from somewhere, buffers as large as
their tensors, and scales that its kernels can divide by.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sorter.errors import ModelError

EDGE_TPU = "edgetpu-custom-op"
DATA = {"FLOAT32": "<f4", "INT32": "<i4", "INT64": "<i8", "UINT8": "u1", "INT8": "i1"}
"""The kinds of numbers that a tensor may hold."""
WINDOW = ("Padding", "StrideW", "StrideH")
OPERATORS: dict[str, tuple[str, tuple[str, ...]]] = {
    "CONV_2D": ("Conv2DOptions", (*WINDOW, "DilationWFactor", "DilationHFactor")),
    "DEPTHWISE_CONV_2D": ("DepthwiseConv2DOptions", (*WINDOW, "DilationWFactor", "DilationHFactor", "DepthMultiplier")),
    "AVERAGE_POOL_2D": ("Pool2DOptions", (*WINDOW, "FilterWidth", "FilterHeight")),
    "MAX_POOL_2D": ("Pool2DOptions", (*WINDOW, "FilterWidth", "FilterHeight")),
    "FULLY_CONNECTED": ("FullyConnectedOptions", ("KeepNumDims", "WeightsFormat")),
    "SOFTMAX": ("SoftmaxOptions", ("Beta",)),
    "ADD": ("AddOptions", ()),
    "SUB": ("SubOptions", ()),
    "MUL": ("MulOptions", ()),
    "MEAN": ("ReducerOptions", ("KeepDims",)),
    "CONCATENATION": ("ConcatenationOptions", ("Axis",)),
    "RESHAPE": ("ReshapeOptions", ("NewShapeAsNumpy",)),
    "PAD": ("PadOptions", ()),
    "QUANTIZE": ("QuantizeOptions", ()),
    "DEQUANTIZE": ("DequantizeOptions", ()),
    "HARD_SWISH": ("HardSwishOptions", ()),
    "RELU": ("", ()),
    "RELU6": ("", ()),
    "LOGISTIC": ("", ()),
}
"""Each operator that may stand in a sorter, the table of its options, and those that its shape depends on."""
NEEDED = (
    "CONV_2D",
    "DEPTHWISE_CONV_2D",
    "AVERAGE_POOL_2D",
    "MAX_POOL_2D",
    "FULLY_CONNECTED",
    "SOFTMAX",
    "CONCATENATION",
)
"""Where the options may not be left out: LiteRT would take strides of 0."""
MOST_PARTS = 4000
"""The most tensors, operators or buffers; Teachable Machine's have 182."""
MOST_NUMBERS = 2**26
"""The most numbers in a tensor: 256 MB."""


@dataclass(frozen=True, eq=False)
class Tensor:
    """A value of the network. Without data, an operator writes it."""

    kind: str
    shape: tuple[int, ...]
    scale: float
    """What one step of a whole number stands for, the largest of them if each channel has its own; 0 of others."""
    data: NDArray[Any] | None


@dataclass(frozen=True, eq=False)
class Operator:
    """One step: the tensors that it reads and writes, by place; -1 for a bias that is left out."""

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Network:
    """What a .tflite file computes: from the tensor `entry` to the tensor `end`."""

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    entry: int
    end: int


def read_network(data: bytes, where: str) -> Network:
    """The network in a .tflite file. Raises ModelError where it is damaged or holds anything but plain operators."""
    try:
        return _Reader(data, where).network()
    except (struct.error, IndexError, TypeError, ValueError, AttributeError, OverflowError, MemoryError) as found:
        raise ModelError(f"{where}: is not a whole .tflite file: {str(found)[:80]}; export again") from None


def is_edge_tpu(data: bytes) -> bool:
    """Whether a file was compiled for Google's accelerator: the whole of its network is one operator of that name."""
    return EDGE_TPU.encode() in data


class _Reader:
    def __init__(self, data: bytes, where: str) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self.schema, self.data, self.where = schema, data, where
        if data[4:8] != b"TFL3":
            raise self.wrong("does not begin as one (TFL3)")
        self.model = schema.Model.GetRootAs(data, 0)

    def wrong(self, what: str) -> ModelError:
        return ModelError(f"{self.where}: {what}; a sorter is an image classifier as Teachable Machine exports it")

    def network(self) -> Network:
        if self.model.SubgraphsLength() != 1:
            raise self.wrong(f"has {self.model.SubgraphsLength()} networks in one file")
        graph = self.model.Subgraphs(0)
        counts = (graph.TensorsLength(), graph.OperatorsLength(), self.model.BuffersLength(),
                  self.model.OperatorCodesLength())  # fmt: skip
        if max(counts) > MOST_PARTS or graph.InputsLength() != 1 or graph.OutputsLength() != 1:
            raise self.wrong(f"has over {MOST_PARTS} parts, or not just one input and one output")
        operators = tuple(self.operator(graph.Operators(place)) for place in range(counts[1]))
        tensors = tuple(self.tensor(graph.Tensors(place)) for place in range(counts[0]))
        return Network(tensors, operators, int(graph.Inputs(0)), int(graph.Outputs(0)))

    def operator(self, operator: Any) -> Operator:
        if not 0 <= operator.OpcodeIndex() < self.model.OperatorCodesLength():
            raise self.wrong("has an operator of no kind")
        code = self.model.OperatorCodes(operator.OpcodeIndex())
        if code.CustomCode() is not None or operator.CustomOptionsLength() or operator.MutatingVariableInputsLength():
            raise self.wrong(
                f"has an operator of its own, {bytes(code.CustomCode() or b'')[:40]!r}, which cannot be run"
            )
        number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        kinds = {value: name for name, value in vars(self.schema.BuiltinOperator).items() if not name.startswith("_")}
        kind = kinds.get(number, str(number))
        if kind not in OPERATORS:
            raise self.wrong(f"has an operator {kind}, which is not allowed")
        inputs, outputs = _places(operator.InputsAsNumpy()), _places(operator.OutputsAsNumpy())
        return Operator(kind, inputs, outputs, self.options(operator, kind))

    def options(self, operator: Any, kind: str) -> dict[str, Any]:
        table, fields = OPERATORS[kind]
        found = operator.BuiltinOptionsType()
        if not found and kind not in NEEDED:
            return {}
        union = operator.BuiltinOptions()
        if union is None or found != getattr(self.schema.BuiltinOptions, table, None):
            raise self.wrong(f"has an operator {kind} with the options of another")
        options = getattr(self.schema, table)()
        options.Init(union.Bytes, union.Pos)
        activation = options.FusedActivationFunction() if hasattr(options, "FusedActivationFunction") else 0
        if activation not in (0, 1, 2, 3):  # none, relu, relu_n1_to_1, relu6
            raise self.wrong(f"has an operator {kind} with an activation that is not allowed")
        return {field: getattr(options, field)() for field in fields}

    def tensor(self, tensor: Any) -> Tensor:
        kinds = {value: name for name, value in vars(self.schema.TensorType).items() if not name.startswith("_")}
        kind, shape = kinds.get(tensor.Type(), str(tensor.Type())), _places(tensor.ShapeAsNumpy())
        if kind not in DATA or tensor.IsVariable() or tensor.Sparsity() is not None:
            raise self.wrong(f"has a tensor of {kind}, sparse or variable, which is not allowed")
        if len(shape) > 5 or any(side < 1 for side in shape) or math.prod(shape) > MOST_NUMBERS:
            raise self.wrong(f"has a tensor of the shape {str(shape)[:60]}")
        scale = self.scale(tensor, kind, shape)
        if not 0 <= tensor.Buffer() < self.model.BuffersLength():
            raise self.wrong("has a tensor that lies in no buffer")
        buffer = self.model.Buffers(tensor.Buffer())
        if buffer.Offset() or buffer.Size():
            raise self.wrong("keeps numbers outside of its buffers")
        if not buffer.DataLength():
            return Tensor(kind, shape, scale, None)
        numbers = np.frombuffer(buffer.DataAsNumpy().tobytes(), DATA[kind])
        return Tensor(kind, shape, scale, numbers.reshape(shape))

    def scale(self, tensor: Any, kind: str, shape: tuple[int, ...]) -> float:
        """How whole numbers stand for others: one scale, or one a channel; LiteRT's kernels divide by them."""
        known = tensor.Quantization()
        if known is None or not known.ScaleLength():
            if kind in ("UINT8", "INT8"):
                raise self.wrong("has whole numbers without a scale")
            return 0.0
        scales, zeros, side = known.ScaleAsNumpy(), known.ZeroPointAsNumpy(), known.QuantizedDimension()
        sizes = (1, shape[side]) if 0 <= side < len(shape) else (1,)
        low, high = {"UINT8": (0, 255), "INT8": (-128, 127)}.get(kind, (0, 0))
        sound = len(scales) in sizes and len(np.atleast_1d(zeros)) == len(scales) and not known.DetailsType()
        if (
            not sound
            or not all(1e-20 < scale < 1e10 for scale in scales)
            or not ((low <= zeros) & (zeros <= high)).all()
        ):
            raise self.wrong("has whole numbers with scales that cannot be")
        return float(max(scales))


def _places(array: NDArray[Any] | int) -> tuple[int, ...]:
    """A vector of the file; a missing one is 0 in its reader."""
    return () if isinstance(array, int) else tuple(int(one) for one in array)
