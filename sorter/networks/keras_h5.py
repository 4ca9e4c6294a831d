"""keras_model.h5 with labels.txt: Export Model, Tensorflow, Keras."""

from __future__ import annotations

from sorter.networks.export_files import Files
from sorter.networks.keras import read_graph
from sorter.networks.parts import Parts, find_labels, from_graph


def find(files: Files) -> str | None:
    """The model's file, if there is one: Teachable Machine's own spelling where keras_model.h5 and keras_Model.h5
    stand."""
    found = files.ending(".h5")
    return "keras_model.h5" if "keras_model.h5" in found else next(iter(found), None)


def load(files: Files, name: str) -> Parts:
    """Read it. Raises ModelError: damaged, not allowed, or labels that do not fit the outputs."""
    labels, data, where = find_labels(files), files.read(name), f"{files.where}{name}"
    return from_graph(read_graph(data, where), labels, [data], where)
