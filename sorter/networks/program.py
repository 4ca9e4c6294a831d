"""What leads from a picture to its answer in a saved_model.pb, through its functions. Pure; runs nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from sorter.networks.bundle import Damaged, Message
from sorter.networks.graphdef import (
    MOST_NODES,
    Function,
    Node,
    Ref,
    Refused,
    read_function,
    read_nodes,
    read_only,
    read_ref,
    read_serving,
    shape,
    utf8,
)

CALLS = ("PartitionedCall", "StatefulPartitionedCall")
LARGEST_GRAPH = 32 * 2**20
"""Bytes; the vendor's have 1 to 3 MB, and the weights lie elsewhere."""
MOST_CALLS, DEEPEST_CALL, MOST_ARGUMENTS = 2000, 16, 5000
MOST_STEPS, MOST_READ, MOST_PASSED = 20_000, 300, 200
"""Operations that lead to an answer, what one of them reads, and how often that is only passed on on the way."""


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
        meta, signature = read_serving(data)
        graph = Message(meta.part(2))
        self._nodes = 0
        self._library: dict[str, bytes] = {}
        for one in Message(graph.part(2)).parts(1):
            name = Message(Message(one).part(1)).text(1)
            if self._library.setdefault(name, one) is not one:
                raise Damaged(f"it has two functions {name[:40]!r}")
        self._functions: dict[str, Function] = {}
        self._calls: dict[tuple[int, str], int] = {}
        self._scopes = [Scope(self._count(Function([], read_nodes(graph.parts(1)), [])), {}, 0)]
        entry, end = (read_only(signature, field, what) for field, what in ((1, "inputs"), (2, "outputs")))
        self.entry, self.end = (self.follow(read_ref(0, one.text(1))) for one in (entry, end))
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
        return [self.follow(read_ref(ref.scope, text)) for text in texts]

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
            ref = read_ref(inside, texts[place])
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
                raise Refused(f"has an operation {self.node(ref).op[:40]!r} that is not allowed")
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
            variable, value = self._two(Ref(scope, node.name))
            if self.node(value).op == "RestoreV2":
                source = value._replace(output=0)
                if source not in names:
                    names[source] = self.node(self._two(source)[1]).tensor.parts(8)
                if value.output >= len(names[source]):
                    raise Damaged("it restores a variable from nowhere")
                key = utf8(names[source][value.output])
                if found.setdefault(variable, key) != key:
                    raise Damaged(f"it restores the variable {variable.node[:40]!r} from two places")
        return found

    def _two(self, ref: Ref) -> list[Ref]:
        found = self.inputs(ref)[:2]
        if len(found) < 2:
            raise Damaged(f"its operation {ref.node[:40]!r} reads too little")
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
            if len(node.inputs) != len(function.arguments) or len(node.inputs) > MOST_ARGUMENTS:
                raise Damaged(
                    f"its call {node.name[:40]!r} has not the arguments of its function, or over {MOST_ARGUMENTS:,}"
                )
            given = [read_ref(scope, text) for text in node.inputs]
            self._scopes.append(Scope(function, dict(zip(function.arguments, given, strict=True)), depth))
            self._calls[scope, node.name] = len(self._scopes) - 1
        return self._calls[scope, node.name]

    def _function(self, name: str) -> Function:
        if name not in self._library:
            raise Damaged(f"it calls a function {name[:40]!r} that is not in it")
        if name not in self._functions:
            self._functions[name] = read_function(self._library[name], name)
            self._count(self._functions[name])
        return self._functions[name]

    def _count(self, function: Function) -> Function:
        self._nodes += len(function.nodes)
        if self._nodes > MOST_NODES:
            raise Damaged(f"it has over {MOST_NODES:,} operations")
        return function
