"""A converted backbone and a head -> one LiteRT file that answers a picture, as Teachable Machine's
`model_unquant.tflite`.

The head's operators are added to the backbone's own flatbuffer, so that nothing is converted a second time.
Operators: tensorflow/lite/schema/schema.fbs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sorter.networks.graph import Layer


def write_tflite(backbone: bytes, output: int, head: Sequence[Layer]) -> bytes:
    """The bytes of the file: (1, size, size, 3) float32 in -1..1 -> (1, classes) probabilities.

    `output`: which of the backbone's outputs the head reads; what only serves the others is left out.
    """
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(backbone, 0)
    net = model.subgraphs[0]
    add = _Adder(schema, model, net)
    place = net.outputs[output]
    for layer in head:
        place = add(layer, place)
    net.outputs = [place]
    net.operators = _needed(net, place)
    _forget_unused(model, net)
    model.signatureDefs = None
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


class _Adder:
    """Adds a layer's operators, tensors and weights; gives the place of its output."""

    def __init__(self, schema: Any, model: Any, net: Any) -> None:
        self.schema, self.model, self.net = schema, model, net

    def __call__(self, layer: Layer, place: int) -> int:
        codes, options = self.schema.BuiltinOperator, self.schema.BuiltinOptions
        shape = [int(side) for side in self.net.tensors[place].shape]
        if layer.kind == "GlobalAveragePooling2D":
            mean = self.schema.ReducerOptionsT()
            axes = self._constant("axes", np.array([1, 2], np.int32))
            return self._operator(codes.MEAN, [place, axes], [1, shape[-1]], options.ReducerOptions, mean)
        if layer.kind == "Flatten":
            flat = [1, int(np.prod(shape[1:]))]
            reshape = self.schema.ReshapeOptionsT()
            reshape.newShape = flat
            wanted = self._constant("shape", np.array(flat, np.int32))
            return self._operator(codes.RESHAPE, [place, wanted], flat, options.ReshapeOptions, reshape)
        kernel, bias = layer.weights
        dense = self.schema.FullyConnectedOptionsT()
        if layer.options["activation"] == "relu":
            dense.fusedActivationFunction = self.schema.ActivationFunctionType.RELU
        inputs = [place, self._constant("kernel", np.ascontiguousarray(kernel.T)), self._constant("bias", bias)]
        shape = [1, kernel.shape[1]]
        place = self._operator(codes.FULLY_CONNECTED, inputs, shape, options.FullyConnectedOptions, dense)
        if layer.options["activation"] != "softmax":
            return place
        softmax = self.schema.SoftmaxOptionsT()
        softmax.beta = 1.0
        return self._operator(codes.SOFTMAX, [place], shape, options.SoftmaxOptions, softmax)

    def _operator(self, code: int, inputs: list[int], shape: list[int], kind: int, options: Any) -> int:
        one = self.schema.OperatorT()
        one.opcodeIndex, one.inputs = self._code(code), inputs
        one.builtinOptionsType, one.builtinOptions = kind, options
        one.outputs = [self._tensor(f"head_{len(self.net.tensors)}", shape, self.schema.TensorType.FLOAT32, 0)]
        self.net.operators.append(one)
        return int(one.outputs[0])

    def _code(self, code: int) -> int:
        for place, known in enumerate(self.model.operatorCodes):
            if known.builtinCode == code:
                return place
        made = self.schema.OperatorCodeT()
        made.builtinCode = code
        made.deprecatedBuiltinCode = min(code, 127)
        made.version = 1
        self.model.operatorCodes.append(made)
        return len(self.model.operatorCodes) - 1

    def _constant(self, name: str, values: NDArray[Any]) -> int:
        buffer = self.schema.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        kind = self.schema.TensorType.INT32 if values.dtype == np.int32 else self.schema.TensorType.FLOAT32
        return self._tensor(
            f"head_{name}_{len(self.net.tensors)}", list(values.shape), kind, len(self.model.buffers) - 1
        )

    def _tensor(self, name: str, shape: list[int], kind: int, buffer: int) -> int:
        made = self.schema.TensorT()
        made.name, made.shape, made.type, made.buffer = name.encode(), shape, kind, buffer
        self.net.tensors.append(made)
        return len(self.net.tensors) - 1


def _needed(net: Any, output: int) -> list[Any]:
    """The operators that the output rests on, in their order."""
    wanted, kept = {output}, []
    for one in reversed(net.operators):
        if wanted & {int(place) for place in one.outputs}:
            wanted |= {int(place) for place in one.inputs}
            kept.append(one)
    return kept[::-1]


def _forget_unused(model: Any, net: Any) -> None:
    """Empty the buffers that no operator reads any more."""
    read = {int(place) for one in net.operators for place in one.inputs if place >= 0}
    kept = {int(net.tensors[place].buffer) for place in read}
    for entry in model.metadata or []:
        kept.add(int(entry.buffer))
    for place, buffer in enumerate(model.buffers):
        if place not in kept:
            buffer.data = None
