"""A graph -> Teachable Machine's own file: a Keras 2 `.h5` that a stranger's script loads. The reverse of graph.py.

Written with h5py, as plain values: no network is built for it. Layout: tf_keras's `hdf5_format.py`, version 2.15.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sorter.networks.graph import Graph, Layer

KERAS_VERSION = "2.15.0"
WEIGHTS = {
    "Conv2D": ("kernel", "bias"),
    "DepthwiseConv2D": ("depthwise_kernel", "bias"),
    "SeparableConv2D": ("depthwise_kernel", "pointwise_kernel", "bias"),
    "BatchNormalization": ("gamma", "beta", "moving_mean", "moving_variance"),
    "Normalization": ("mean", "variance", "count"),
    "Dense": ("kernel", "bias"),
}
"""Keras's names of the arrays of each kind of layer, in the order in which it lists them."""
NOT_TRAINED = {"moving_mean", "moving_variance", "mean", "variance", "count"}
"""Keras lists these after all others of a model."""

Named = list[tuple[str, NDArray[np.float32]]]


def write_h5(trunk: Graph, head: Sequence[Layer]) -> bytes:
    """The bytes of keras_model.h5, nested as Teachable Machine's: [[network, pooling], [dense layers]]."""
    import h5py

    pool, dense = _parted(head)
    names = [_name(layer, place) for place, layer in enumerate(trunk.layers)]
    features = _sequential("features", [_network(trunk, names), *(_entry(layer, _name(layer, 0)) for layer in pool)])
    classes = _sequential("classes", [_entry(layer, f"dense_{number}") for number, layer in enumerate(dense)])
    out = io.BytesIO()
    with h5py.File(out, "w") as file:
        file.attrs["keras_version"], file.attrs["backend"] = KERAS_VERSION, "tensorflow"
        file.attrs["model_config"] = json.dumps(_sequential("sorter", [features, classes])).encode()
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = np.array([b"features", b"classes"])
        group.attrs["keras_version"], group.attrs["backend"] = KERAS_VERSION, "tensorflow"
        order = _keras_order(trunk)
        _write_weights(group.create_group("features"), [(names[place], trunk.layers[place]) for place in order])
        _write_weights(group.create_group("classes"), [(f"dense_{number}", one) for number, one in enumerate(dense)])
    return out.getvalue()


def _parted(head: Sequence[Layer]) -> tuple[list[Layer], list[Layer]]:
    first = next(place for place, layer in enumerate(head) if layer.kind == "Dense")
    return list(head[:first]), list(head[first:])


def _name(layer: Layer, place: int) -> str:
    return f"{layer.kind.lower()}_{place}"


def _sequential(name: str, layers: list[dict[str, Any]]) -> dict[str, Any]:
    return {"class_name": "Sequential", "config": {"name": name, "layers": layers}}


def _entry(layer: Layer, name: str) -> dict[str, Any]:
    return {"class_name": layer.kind, "config": {"name": name, "dtype": "float32", **layer.options}}


def _network(trunk: Graph, names: list[str]) -> dict[str, Any]:
    layers = []
    for place, layer in enumerate(trunk.layers):
        entry = _entry(layer, names[place])
        if layer.kind == "InputLayer":
            entry["config"]["batch_input_shape"] = [None, trunk.size, trunk.size, 3]
        nodes = [[[names[source], 0, 0, {}] for source in layer.inputs]] if layer.inputs else []
        layers.append({**entry, "name": names[place], "inbound_nodes": nodes})
    ends = {"input_layers": [[names[0], 0, 0]], "output_layers": [[names[-1], 0, 0]]}
    return {"class_name": "Functional", "config": {"name": "backbone", "layers": layers, **ends}}


def _keras_order(trunk: Graph) -> list[int]:
    """The places of the layers as a loaded network lists them: by their longest way to the output, and those of equal
    length as a walk back from the output meets them (tf_keras, `functional.py`, `_map_graph_network`)."""
    depth = [0] * len(trunk.layers)
    for place in reversed(range(len(trunk.layers))):
        for source in trunk.layers[place].inputs:
            depth[source] = max(depth[source], depth[place] + 1)
    met: dict[int, int] = {}
    waiting = [len(trunk.layers) - 1]
    while waiting:
        place = waiting.pop()
        if place not in met:
            met[place] = len(met)
            waiting += reversed(trunk.layers[place].inputs)
    return sorted(met, key=lambda place: (-depth[place], met[place]))


def _write_weights(group: Any, layers: list[tuple[str, Layer]]) -> None:
    trained: Named = []
    others: Named = []
    for name, layer in layers:
        for kind, array in zip(_kinds(layer), layer.weights, strict=True):
            (others if kind in NOT_TRAINED else trained).append((f"{name}/{kind}:0", array))
    group.attrs["weight_names"] = np.array([name.encode() for name, _ in (*trained, *others)])
    for name, array in (*trained, *others):
        group.create_dataset(name, data=np.asarray(array, np.float32))


def _kinds(layer: Layer) -> list[str]:
    """The names of a layer's arrays."""
    left_out = set()
    if layer.options.get("use_bias") is False or (layer.kind == "Dense" and len(layer.weights) == 1):
        left_out.add("bias")
    if layer.options.get("scale") is False:
        left_out.add("gamma")
    if layer.options.get("center") is False:
        left_out.add("beta")
    return [kind for kind in WEIGHTS.get(layer.kind, ()) if kind not in left_out]
