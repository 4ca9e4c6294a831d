"""The nodes and functions of a saved_model.pb as plain data. Pure; runs nothing.

A graph is nodes that name what they read; a node may call a function, which is a graph of its own
(tensorflow/core/protobuf/meta_graph.proto, tensorflow/core/framework/{graph,node_def,function,tensor}.proto).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sorter.networks.bundle import Damaged, Message

SIGNATURE, TAG = "serving_default", b"serve"
FLOAT, INT32, INT64 = 1, 3, 9
"""Of DataType in tensorflow/core/framework/types.proto: those that a constant may have."""
LARGEST_CONSTANT, LONGEST_LIST = 2**20, 1000
"""Numbers in a tensor; bytes of one of whole numbers, which are margins and axes."""
MOST_NODES = 100_000
"""In the graph and all functions that are called; the vendor's has 4,570."""
OTHER_OUTPUTS = ("batch_mean", "batch_variance", "reserve_space_1", "reserve_space_2", "reserve_space_3")
"""In a function an output goes by a name: these are what FusedBatchNorm gives besides the first."""


class Refused(Exception):
    """A graph that is whole, but is not one that a sorter has."""


class Ref(NamedTuple):
    """One output of one node."""

    scope: int
    """0: the graph itself; else a call of a function."""
    node: str
    output: int = 0


class Node:
    """An operation, its inputs by name, and its attributes. Raises Damaged."""

    def __init__(self, data: bytes) -> None:
        message = Message(data)
        self.name, self.op = message.text(1), message.text(2)
        texts = [utf8(one) for one in message.parts(3)]
        self.inputs = [one for one in texts if not one.startswith("^")]  # "^a": after a, but reads nothing of it
        self._data = message.parts(5)

    @functools.cached_property
    def _attributes(self) -> dict[str, bytes]:
        return pairs(self._data)

    def attribute(self, name: str) -> Message:
        """An AttrValue: list 1, text 2, whole numbers 3, fraction 4, flags 5, shape 7, tensor 8, function 10."""
        return Message(self._attributes.get(name, b""))

    @functools.cached_property
    def tensor(self) -> Message:
        """Its TensorProto."""
        return Message(self.attribute("value").part(8))

    @functools.cached_property
    def constant(self) -> NDArray[Any]:
        """Its tensor of float32 or of whole numbers; one that is all alike takes no memory. Raises Damaged."""
        tensor, sides = self.tensor, [side or 0 for side in shape(Message(self.tensor.part(2)))]
        numbers = _floats(tensor) if tensor.number(1) == FLOAT else _whole(tensor)
        if numbers is None or math.prod(sides) > LARGEST_CONSTANT or numbers.size not in (0, 1, math.prod(sides)):
            raise Damaged(f"its constant {self.name[:40]!r} is no tensor of plain numbers, or a huge one")
        if numbers.size < 2:
            return np.broadcast_to(numbers[0] if numbers.size else numbers.dtype.type(0), sides)
        return numbers.reshape(sides)


class Function(NamedTuple):
    """The names of its arguments, its nodes, and what it answers."""

    arguments: list[str]
    nodes: dict[str, Node]
    answers: list[str]


def read_function(data: bytes, name: str) -> Function:
    """A FunctionDef. Raises Damaged."""
    message = Message(data)
    arguments, outputs = ([Message(one).text(1) for one in Message(message.part(1)).parts(side)] for side in (2, 3))
    nodes, answers = read_nodes(message.parts(3)), pairs(message.parts(4))
    if len({*arguments, *nodes}) != len(arguments) + len(nodes) or not answers.keys() >= set(outputs):
        raise Damaged(f"its function {name[:40]!r} has a name twice or not at all")
    return Function(arguments, nodes, [utf8(answers[one]) for one in outputs])


def read_nodes(parts: list[bytes]) -> dict[str, Node]:
    """Nodes by name. Raises Damaged."""
    if len(parts) > MOST_NODES:
        raise Damaged(f"it has over {MOST_NODES:,} operations")
    found = {node.name: node for node in map(Node, parts)}
    if len(found) != len(parts):
        raise Damaged("two of its operations have one name")
    return found


def read_ref(scope: int, text: str) -> Ref:
    """What a node reads: "a", "a:1", in a function "a:output:1". Raises Damaged."""
    name, *rest = text.split(":")
    number = rest[-1] if rest else "0"
    if len(rest) > 2 or not number.isdecimal() or len(number) > 6:
        raise Damaged(f"it reads {text[:40]!r}, which is no output")
    return Ref(scope, name, int(number) + (len(rest) == 2 and rest[0] in OTHER_OUTPUTS))


def read_serving(data: bytes) -> tuple[Message, Message]:
    """The one graph for serving, and its signature. Raises Damaged, Refused."""
    found = []
    for meta in map(Message, Message(data).parts(2)):
        signature = pairs(meta.parts(5)).get(SIGNATURE)
        if signature is not None and TAG in Message(meta.part(1)).parts(4):
            found.append((meta, Message(signature)))
    if len(found) != 1:
        raise Refused(f"has {len(found) or 'no'} graphs with a signature {SIGNATURE}")
    return found[0]


def read_only(signature: Message, field: int, what: str) -> Message:
    """The one TensorInfo on a side of a signature. Raises Damaged, Refused."""
    found = list(pairs(signature.parts(field)).values())
    if len(found) != 1:
        raise Refused(f"has {len(found)} {what}, and a sorter has one")
    return Message(found[0])


def _tensor(node: Node) -> Message:
    return Message(node.attribute("value").part(8))


def shape(message: Message) -> list[int | None]:
    """The sides of a TensorShapeProto, None where one is left open. Raises Damaged."""
    sides = [side for part in message.parts(2) for side in Message(part).numbers(1)[-1:] or [0]]
    if len(sides) > 8 or any(not -1 <= side < 1 << 40 for side in sides):
        raise Damaged(f"a shape in it is {str(sides)[:60]}")
    return [None if side == -1 else side for side in sides]


def pairs(parts: Iterable[bytes]) -> dict[str, bytes]:
    """A map: key 1, value 2. Raises Damaged."""
    return {one.text(1): one.part(2) for one in map(Message, parts)}


def utf8(data: bytes) -> str:
    """A text. Raises Damaged."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise Damaged("a text is not UTF-8") from None


def _floats(tensor: Message) -> NDArray[Any] | None:
    data = tensor.part(4) or b"".join(tensor.parts(5))
    return None if len(data) % 4 else np.frombuffer(data, "<f4")


def _whole(tensor: Message) -> NDArray[Any] | None:
    kind, data, sizes = tensor.number(1), tensor.part(4), {INT32: 4, INT64: 8}
    packed = 7 if kind == INT32 else 10
    if kind not in sizes or len(data) % sizes[kind] or len(data) + sum(map(len, tensor.parts(packed))) > LONGEST_LIST:
        return None
    return np.frombuffer(data, f"<i{sizes[kind]}") if data else np.array(tensor.numbers(packed), np.int64)
