"""The graph in a saved_model.pb as plain data: which operation reads which, through its functions. Pure; runs nothing.

A graph is nodes that name what they read; a node may call a function, which is a graph of its own
(tensorflow/core/protobuf/meta_graph.proto, tensorflow/core/framework/{graph,node_def,function,tensor}.proto).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sorter.classify.formats.bundle import Damaged, Message

SIGNATURE, TAG = "serving_default", b"serve"
CALLS = ("PartitionedCall", "StatefulPartitionedCall")
OTHER_OUTPUTS = ("batch_mean", "batch_variance", "reserve_space_1", "reserve_space_2", "reserve_space_3")
"""In a function an output goes by a name: these are what FusedBatchNorm gives besides the first."""
NUMBERS = {1: "<f4", 3: "<i4", 9: "<i8"}
"""Of DataType in tensorflow/core/framework/types.proto: those that a constant may have."""

LARGEST_GRAPH = 32 * 2**20
"""Bytes; the vendor's have 1 to 3 MB, and the weights lie elsewhere."""
MOST_NODES = 100_000
"""In the graph and all functions that are called; the vendor's has 4,570."""
MOST_CALLS, DEEPEST_CALL = 500, 16
MOST_STEPS, MOST_READ, MOST_PASSED = 20_000, 300, 200
"""Operations that lead to an answer, what one of them reads, and how often that is only passed on on the way."""
LARGEST_CONSTANT = 2**20
"""Numbers."""


class Refused(Exception):
    """A graph that is whole, but is not one that a sorter has."""


class Ref(NamedTuple):
    """One output of one node."""

    scope: int
    """0: the graph itself; else a call of a function."""
    node: str
    output: int = 0


class Node:
    """An operation, its inputs by name, and its attributes."""

    def __init__(self, data: bytes) -> None:
        message = Message(data)
        self.name, self.op = message.text(1), message.text(2)
        texts = [_text(one) for one in message.parts(3)]
        self.inputs = [one for one in texts if not one.startswith("^")]  # "^a": after a, but reads nothing of it
        self._attributes = message.parts(5)

    def attribute(self, name: str) -> Message:
        """An AttrValue: text 2, whole numbers 3, fraction 4, flags 5, shape 7, tensor 8, function 10, list 1."""
        return Message(_pairs(self._attributes).get(name, b""))


class Function(NamedTuple):
    """The names of its arguments, its nodes, and what it answers."""

    arguments: list[str]
    nodes: dict[str, Node]
    answers: list[str]


@dataclass(frozen=True, eq=False)
class Scope:
    """The graph, or one call of a function: nodes by name, and what the arguments stand for."""

    function: Function
    arguments: dict[str, Ref]
    depth: int


class Program:
    """What leads from the one input of the serving signature to its one output."""

    def __init__(self, data: bytes) -> None:
        """Raises Damaged, or Refused: no such signature, or with several inputs or outputs."""
        if len(data) > LARGEST_GRAPH:
            raise Damaged(f"its graph has over {LARGEST_GRAPH // 2**20} MB")
        meta, signature = _serving(data)
        graph = Message(meta.part(2))
        self._nodes = 0
        self._library: dict[str, bytes] = {}
        for one in Message(graph.part(2)).parts(1):
            name = Message(Message(one).part(1)).text(1)
            if self._library.setdefault(name, one) is not one:
                raise Damaged(f"it has two functions {name[:40]!r}")
        self._functions: dict[str, Function] = {}
        self._calls: dict[tuple[int, str], int] = {}
        self._scopes = [Scope(Function([], self._read(graph.parts(1)), []), {}, 0)]
        entry, end = (_only(signature, field, what) for field, what in ((1, "inputs"), (2, "outputs")))
        self.entry, self.end = (self.follow(_ref(0, one.text(1))) for one in (entry, end))
        self.picture = shape(Message(entry.part(3)))
        """What the signature says of its input: the first side is the number of pictures."""
        self._restore = Message(meta.part(3)).text(3)

    def node(self, ref: Ref) -> Node:
        """Raises Damaged where there is none."""
        found = self._scopes[ref.scope].function.nodes.get(ref.node)
        if found is None:
            raise Damaged(f"it reads {ref.node[:40]!r}, which is not in it")
        return found

    def inputs(self, ref: Ref) -> list[Ref]:
        """What an operation reads, each followed to where it comes from."""
        texts = self.node(ref).inputs
        if len(texts) > MOST_READ:
            raise Damaged(f"an operation reads over {MOST_READ} others")
        return [self.follow(_ref(ref.scope, text)) for text in texts]

    def follow(self, ref: Ref) -> Ref:
        """The operation that makes it, through Identity and in and out of functions."""
        for _ in range(MOST_PASSED):
            scope = self._scopes[ref.scope]
            if ref.node in scope.arguments:
                ref = scope.arguments[ref.node]
                continue
            node = self.node(ref)
            if node.op == "Identity":
                texts, place, inside = node.inputs, ref.output, ref.scope
            elif node.op in CALLS:
                inside = self._call(ref.scope, node)
                texts, place = self._scopes[inside].function.answers, ref.output
            else:
                return ref
            if place >= len(texts):
                raise Damaged(f"it reads what {ref.node[:40]!r} does not give")
            ref = _ref(inside, texts[place])
        raise Damaged(f"it passes on {ref.node[:40]!r} in a circle, or over {MOST_PASSED} times")

    def order(self, allowed: Collection[str]) -> dict[Ref, list[Ref]]:
        """All that leads to the answer, each after what it reads, with what it reads.

        Raises Damaged: in a circle; Refused: an operation that is not allowed.
        """
        reads: dict[Ref, list[Ref]] = {}
        done: dict[Ref, list[Ref]] = {}
        waiting = [self.end]
        while waiting:
            ref = waiting[-1]
            if ref in reads:
                done[waiting.pop()] = reads[ref]
                continue
            if len(reads) >= MOST_STEPS:
                raise Damaged(f"over {MOST_STEPS:,} operations lead to its answer")
            if self.node(ref).op not in allowed or ref.output:
                raise Refused(f'has an operation "{self.node(ref).op[:40]}" that is not allowed')
            reads[ref] = self.inputs(ref)
            if any(one in reads and one not in done for one in reads[ref]):
                raise Damaged(f"its operation {ref.node[:40]!r} reads itself")
            waiting += [one for one in reversed(reads[ref]) if one not in done]
        return done

    def restored(self) -> dict[Ref, str]:
        """Variables, and what each is called in the checkpoint: as the graph itself gives them their values.

        A newer SavedModel does so in a function of its own, an older one in the graph.
        """
        found: dict[Ref, str] = {}
        names: dict[Ref, list[bytes]] = {}
        for scope, node in self._assigning():
            variable, value, *_ = self.inputs(Ref(scope, node.name))
            if self.node(value).op == "RestoreV2":
                source = value._replace(output=0)
                if source not in names:
                    names[source] = _tensor(self.node(self.inputs(source)[1])).parts(8)
                if value.output >= len(names[source]):
                    raise Damaged("it restores a variable from nowhere")
                key = _text(names[source][value.output])
                if found.setdefault(variable, key) != key:
                    raise Damaged(f"it restores the variable {variable.node[:40]!r} from two places")
        return found

    def _assigning(self) -> Iterator[tuple[int, Node]]:
        scopes = [0]
        if self._restore in self._scopes[0].function.nodes:
            node = self._scopes[0].function.nodes[self._restore]
            scopes += [self._call(0, node)] if node.op in CALLS else []
        for scope in scopes:
            for node in self._scopes[scope].function.nodes.values():
                if node.op == "AssignVariableOp":
                    yield scope, node

    def _call(self, scope: int, node: Node) -> int:
        """The scope of a call."""
        if (scope, node.name) not in self._calls:
            function = self._function(Message(node.attribute("f").part(10)).text(1))
            depth = self._scopes[scope].depth + 1
            if depth > DEEPEST_CALL or len(self._scopes) > MOST_CALLS:
                raise Damaged(f"its functions call each other over {DEEPEST_CALL} deep or {MOST_CALLS} times")
            if len(node.inputs) != len(function.arguments):
                raise Damaged(f"its call {node.name[:40]!r} has not the arguments of its function")
            given = [_ref(scope, text) for text in node.inputs]
            self._scopes.append(Scope(function, dict(zip(function.arguments, given, strict=True)), depth))
            self._calls[scope, node.name] = len(self._scopes) - 1
        return self._calls[scope, node.name]

    def _function(self, name: str) -> Function:
        if name not in self._library:
            raise Damaged(f"it calls a function {name[:40]!r} that is not in it")
        if name not in self._functions:
            message = Message(self._library[name])
            arguments, outputs = ([Message(one).text(1) for one in Message(message.part(1)).parts(n)] for n in (2, 3))
            nodes, answers = self._read(message.parts(3)), _pairs(message.parts(4))
            if len({*arguments, *nodes}) != len(arguments) + len(nodes) or not answers.keys() >= set(outputs):
                raise Damaged(f"its function {name[:40]!r} has a name twice or not at all")
            self._functions[name] = Function(arguments, nodes, [_text(answers[one]) for one in outputs])
        return self._functions[name]

    def _read(self, parts: list[bytes]) -> dict[str, Node]:
        self._nodes += len(parts)
        if self._nodes > MOST_NODES:
            raise Damaged(f"it has over {MOST_NODES:,} operations")
        found = {node.name: node for node in map(Node, parts)}
        if len(found) != len(parts):
            raise Damaged("two of its operations have one name")
        return found


def shape(message: Message) -> list[int | None]:
    """The sides of a TensorShapeProto, None where one is left open. Raises Damaged."""
    sides = [side for part in message.parts(2) for side in Message(part).numbers(1)[-1:] or [0]]
    if len(sides) > 8 or any(not -1 <= side < 1 << 40 for side in sides):
        raise Damaged(f"a shape in it is {str(sides)[:60]}")
    return [None if side == -1 else side for side in sides]


def constant(node: Node) -> NDArray[Any]:
    """A tensor of float32 or of whole numbers; one that is all alike takes no memory. Raises Damaged."""
    tensor = _tensor(node)
    kind, sides = tensor.number(1), [side or 0 for side in shape(Message(tensor.part(2)))]
    if kind not in NUMBERS or math.prod(sides) > LARGEST_CONSTANT:
        raise Damaged(f"its constant {node.name[:40]!r} is not plain numbers, or over {LARGEST_CONSTANT:,} of them")
    data = tensor.part(4) or b"".join(tensor.parts(5)) if kind == 1 else tensor.part(4)
    if len(data) % np.dtype(NUMBERS[kind]).itemsize:
        raise Damaged(f"its constant {node.name[:40]!r} is cut off")
    numbers = np.frombuffer(data, NUMBERS[kind])
    if kind != 1 and not data:
        numbers = np.array(tensor.numbers(7 if kind == 3 else 10), np.int64)
    if numbers.size < 2:
        return np.broadcast_to(numbers[0] if numbers.size else numbers.dtype.type(0), sides)
    if numbers.size != math.prod(sides):
        raise Damaged(f"its constant {node.name[:40]!r} has not the numbers of its shape")
    return numbers.reshape(sides)


def _serving(data: bytes) -> tuple[Message, Message]:
    """The one graph for serving, and its signature."""
    found = []
    for meta in map(Message, Message(data).parts(2)):
        signature = _pairs(meta.parts(5)).get(SIGNATURE)
        if signature is not None and TAG in Message(meta.part(1)).parts(4):
            found.append((meta, Message(signature)))
    if len(found) != 1:
        raise Refused(f"has {len(found) or 'no'} graphs with a signature {SIGNATURE}")
    return found[0]


def _only(signature: Message, field: int, what: str) -> Message:
    """The one TensorInfo on a side of a signature."""
    found = list(_pairs(signature.parts(field)).values())
    if len(found) != 1:
        raise Refused(f"has {len(found)} {what}, and a sorter has one")
    return Message(found[0])


def _tensor(node: Node) -> Message:
    return Message(node.attribute("value").part(8))


def _ref(scope: int, text: str) -> Ref:
    """"a", "a:1"; in a function "a:output:1"."""
    name, *rest = text.split(":")
    number = rest[-1] if rest else "0"
    if len(rest) > 2 or not number.isdecimal() or len(number) > 6:
        raise Damaged(f"it reads {text[:40]!r}, which is no output")
    return Ref(scope, name, int(number) + (len(rest) == 2 and rest[0] in OTHER_OUTPUTS))


def _pairs(parts: Iterable[bytes]) -> dict[str, bytes]:
    """A map: key 1, value 2."""
    return {one.text(1): one.part(2) for one in map(Message, parts)}


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise Damaged("a text is not UTF-8") from None
