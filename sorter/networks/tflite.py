"""A .tflite file with labels.txt: Export Model, Tensorflow Lite. It is run whole, by LiteRT.

model_unquant.tflite reads float32 in -1..1; model.tflite ("Quantized") reads the uint8 values themselves. The files
for Edge TPUs cannot be run here.
"""

from __future__ import annotations

import numpy as np

from sorter.errors import ModelError
from sorter.networks import check_shapes
from sorter.networks.export_files import Files
from sorter.networks.flatbuffer import Network, is_edge_tpu, read_network
from sorter.networks.head import Head
from sorter.networks.keras import SAMPLES, other_project
from sorter.networks.parts import Labels, Parts, digest, find_labels
from sorter.networks.run import TEACHABLE_MACHINE, Backbone, Ready, Scaling, start


def find(files: Files) -> str | None:
    """The .tflite file that says most: of float32, else of uint8, else whatever is called so."""
    found = files.ending(".tflite")
    return found[0] if len(found) == 1 else min(found, key=lambda name: _rank(files, name), default=None)


def load(files: Files, name: str) -> Parts:
    """Read it. Raises ModelError: damaged, made for an Edge TPU, not allowed, or labels that do not fit."""
    return load_with(files, name, find_labels(files), TEACHABLE_MACHINE)


def load_with(files: Files, name: str, labels: Labels, scaling: Scaling) -> Parts:
    """The same, with labels and a scaling that stand elsewhere."""
    data, where = files.read(name), f"{files.where}{name}"
    if is_edge_tpu(data):
        instead = "take model.tflite or model_unquant.tflite of the same export"
        raise ModelError(
            f"{where}: is made for an Edge TPU, and only that accelerator of Google's can run it; {instead}"
        )
    network = read_network(data, where)
    size, outputs = _sides(network, where)
    labels.check(outputs, name)
    ready = Ready(data, size, scaling)
    try:
        check_shapes.check(network)
        start(scaling, model_content=data)(np.zeros((size, size, 3), np.uint8))
    except (check_shapes.Unfit, ValueError, RuntimeError) as found:
        reason = " ".join(str(found).split())[:100]
        raise ModelError(f"{where}: cannot be run by LiteRT: {reason}; export again") from None
    return Parts(labels.names, digest(data, labels.data), Backbone(ready.key(), ready), Head(()))


def _rank(files: Files, name: str) -> int:
    try:
        data = files.read(name)
        if is_edge_tpu(data):
            return 3
        network = read_network(data, name)
        return ["FLOAT32", "UINT8"].index(network.tensors[network.entry].kind)
    except (ModelError, ValueError, IndexError):
        return 2


def _sides(network: Network, where: str) -> tuple[int, int]:
    """Pixels a side of the pictures it reads, and how many classes it tells apart. Raises ModelError."""
    places = range(len(network.tensors))
    if network.entry not in places or network.end not in places:
        raise ModelError(f"{where}: has no input or no output; export again")
    entry, end = network.tensors[network.entry], network.tensors[network.end]
    if entry.shape[1:] == (SAMPLES,):
        raise other_project(where, "sound")
    one, size, *rest = entry.shape if len(entry.shape) == 4 else (0, 0)
    if (one, *rest) != (1, size, 3) or not 16 <= size <= 1024 or entry.kind not in ("FLOAT32", "UINT8"):
        what = f"{entry.kind.lower()} of {'x'.join(map(str, entry.shape))}"
        raise ModelError(f"{where}: reads {what}; a colour sorter reads float32 or uint8 of 1x224x224x3")
    if len(end.shape) != 2 or end.shape[0] != 1 or end.kind not in ("FLOAT32", "UINT8"):
        what = f"{end.kind.lower()} of {'x'.join(map(str, end.shape))}"
        raise ModelError(f"{where}: answers with {what}; a sorter answers with one score a class")
    return size, end.shape[1]
