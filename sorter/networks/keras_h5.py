"""A Keras model with labels.txt: Teachable Machine's keras_model.h5 (Export Model, Tensorflow, Keras), or Keras 3's.

What a file is, its bytes say, not its ending.
"""

from __future__ import annotations

from dataclasses import replace

from sorter.errors import ModelError
from sorter.networks import keras3
from sorter.networks.export_files import Files
from sorter.networks.graph import Graph, Layer
from sorter.networks.keras import read_graph
from sorter.networks.parts import Parts, find_labels, from_graph

HDF5, ZIP = b"\x89HDF\r\n\x1a\n", b"PK\x03\x04"
"""How the files begin (HDF5 File Format Specification 3.0, II.A; APPNOTE.TXT 4.3.7)."""


def find(files: Files) -> str | None:
    """The model's file, if there is one: Teachable Machine's own spelling where keras_model.h5 and keras_Model.h5
    stand. Raises ModelError where there are several of which none is called so."""
    found = files.ending(".h5") + files.ending(".keras")
    for name in ("keras_model.h5", *(one for one in found if one.lower() == "keras_model.h5")):
        if name in found:
            return name
    if len(found) > 1:
        listed = ", ".join(found)
        raise ModelError(f"{files.where}: holds several models, {listed}; keep one, or call it keras_model.h5")
    return next(iter(found), None)


def load(files: Files, name: str) -> Parts:
    """Read it. Raises ModelError: damaged, not allowed, or labels that do not fit the outputs."""
    labels, data, where = find_labels(files), files.read(name), f"{files.where}{name}"
    return from_graph(_graph(data, where), labels, [data], where)


def _graph(data: bytes, where: str) -> Graph:
    if data.startswith(ZIP):
        return _of_whole_numbers(keras3.read_graph(data, where))
    if not data.startswith(HDF5):
        raise ModelError(f"{where}: is not a whole Keras file, whatever it is called; export or download it again")
    return _of_whole_numbers(read_graph(data, where))


def _of_whole_numbers(graph: Graph) -> Graph:
    """A network that begins by scaling reads values of 0..255: of those in -1..1, which it is given, they are made."""
    if len(graph.layers) < 2 or graph.layers[1].kind not in ("Rescaling", "Normalization"):
        return graph
    first = Layer("Rescaling", (0,), {"scale": 127.5, "offset": 127.5})
    later = [replace(layer, inputs=tuple(place + (place > 0) for place in layer.inputs)) for layer in graph.layers[2:]]
    second = replace(graph.layers[1], inputs=(1,))
    return Graph(graph.size, (graph.layers[0], first, second, *later))
