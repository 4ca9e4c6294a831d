"""What an export of any format comes to: a backbone, a head, labels, and the hash of what they were read from."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from sorter.errors import ModelError
from sorter.networks import check_layers
from sorter.networks import head as heads
from sorter.networks.export_files import Files
from sorter.networks.graph import Graph
from sorter.networks.head import Head
from sorter.networks.labels import format_labels, parse_labels
from sorter.networks.run import Backbone
from sorter.text import clean


@dataclass(frozen=True, eq=False)
class Parts:
    """What makes a sorter."""

    labels: tuple[str, ...]
    sha256: str
    """Of the files that were read, together."""
    backbone: Backbone
    head: Head


@dataclass(frozen=True)
class Labels:
    """Class names in the order of the outputs, and where they were found."""

    names: tuple[str, ...]
    where: str
    data: bytes
    """What counts for the hash."""

    def check(self, outputs: int, model: str) -> None:
        """Raise ModelError unless there is one label an output; `model` names the model's file."""
        if outputs and len(self.names) != outputs:
            counts = f"{len(self.names)} labels for {outputs} outputs of {model}"
            raise ModelError(f"{self.where}: {counts}; take both files from one export")


def find_labels(files: Files) -> Labels:
    """The labels.txt beside the model, or in the folder above. Raises ModelError: none, or not to be read."""
    place: Files | None = files
    while place is not None:
        found = place.ending("labels.txt")
        if found:
            name = "labels.txt" if "labels.txt" in found else found[0]
            where = f"{place.where}{name}"
            return Labels(parse_labels(place.text(name), where), where, place.read(name))
        place = place.above
    right = "take it from the same export as the model"
    raise ModelError(f"{files.where.rstrip('/')}: has no labels.txt file; {right}; {files.held()}")


def named_labels(names: object, where: str, data: bytes) -> Labels:
    """Labels from a list in JSON. Raises ModelError where it is not a list of words."""
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ModelError(f"{where}: its labels are not a list of names; export again")
    return Labels(parse_labels(format_labels(tuple(clean(name) for name in names)), where), where, data)


def from_graph(graph: Graph, labels: Labels, read: Sequence[bytes], where: str) -> Parts:
    """The parts of a sorter of known layers; `read` is what was read of the model. Raises ModelError."""
    check_layers.check(graph, where)
    backbone, head = split(graph, where)
    labels.check(head.outputs, where.rsplit("/", 1)[-1])
    return Parts(labels.names, digest(*read, labels.data), backbone, head)


def split(graph: Graph, where: str) -> tuple[Backbone, Head]:
    """Cut a classifier where its last map ends: what is before can be shared. Raises ModelError."""
    cut = len(graph.layers)
    while cut > 1 and graph.layers[cut - 1].kind in heads.KINDS and graph.layers[cut - 1].inputs == (cut - 2,):
        cut -= 1
    if not any(layer.kind == "Dense" for layer in graph.layers[cut:]):
        raise ModelError(f"{where}: does not end in a Dense layer with one output a class, so it is not a sorter")
    trunk = Graph(graph.size, graph.layers[:cut])
    return Backbone(trunk.key(), trunk), Head(graph.layers[cut:])


def digest(*parts: bytes) -> str:
    """The hash of the files of an export."""
    return hashlib.sha256(b"\0".join(parts)).hexdigest()
