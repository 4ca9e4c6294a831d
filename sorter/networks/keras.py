"""A Keras export as plain values: a flat list of known layers with their numbers.

A `.h5` file is never handed to Keras (CVE-2025-9905: its HDF5 path runs code that the file brings). Its JSON is read
here, each layer must be of a kind in KINDS, only the options listed there are taken, and those must be plain numbers
and words. What is built later, is built from these values alone.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from sorter.errors import ModelError
from sorter.networks.graph import MOST_NUMBERS, Graph, Layer, Weights
from sorter.networks.keras3_config import as_keras2

if TYPE_CHECKING:
    import h5py

CONV = ("kernel_size", "strides", "padding", "dilation_rate", "groups", "activation", "use_bias")
KINDS: dict[str, tuple[str, ...]] = {
    "InputLayer": (),
    "ZeroPadding2D": ("padding",),
    "Conv2D": ("filters", *CONV),
    "DepthwiseConv2D": ("depth_multiplier", *CONV),
    "SeparableConv2D": ("filters", "depth_multiplier", *CONV),
    "BatchNormalization": ("epsilon", "scale", "center"),
    "Rescaling": ("scale", "offset"),
    "Normalization": ("axis",),
    "ReLU": ("max_value", "negative_slope", "threshold"),
    "Activation": ("activation",),
    "Softmax": (),
    "Dropout": (),
    "Add": (),
    "Multiply": (),
    "Concatenate": (),
    "AveragePooling2D": ("pool_size", "strides", "padding"),
    "MaxPooling2D": ("pool_size", "strides", "padding"),
    "Cropping2D": ("cropping",),
    "GlobalAveragePooling2D": ("keepdims",),
    "Flatten": (),
    "Reshape": ("target_shape",),
    "Dense": ("units", "activation", "use_bias"),
}
"""Each layer kind that may stand in a sorter, and those of its options that mean anything at prediction."""
RANKS: dict[str, tuple[list[int], ...]] = {
    "Conv2D": ([4], [4, 1]),
    "DepthwiseConv2D": ([4], [4, 1]),
    "SeparableConv2D": ([4, 4], [4, 4, 1]),
    "Normalization": ([1, 1, 0],),
    "BatchNormalization": ([1] * 4, [1] * 3, [1] * 2),
    "Dense": ([2], [2, 1]),
}
"""The dimensions of the weights of each kind that has any: a kernel with or without a bias; rows, of which the mean and
the variance are always there."""
CONTAINERS = ("Sequential", "Model", "Functional")
ACTIVATIONS = ("linear", "relu", "relu6", "softmax", "sigmoid", "tanh", "swish")
DEFAULTS = {
    "groups": 1, "dilation_rate": [1, 1], "negative_slope": 0.0, "threshold": 0.0, "activation": "linear",
    "center": True, "keepdims": False,
}  # fmt: skip
"""Left out when they say nothing, so that exports of both config generations hash alike."""
FRACTIONS = ("epsilon", "max_value", "negative_slope", "threshold")
"""TensorFlow.js writes 6 where Keras writes 6.0: made alike, so that its exports hash like the others."""
SAMPLES, SPECTROGRAM = 44032, [43, 232, 1]
"""What a sound project of Teachable Machine's reads, as TFLite and as Keras layers; a pose project reads 14739."""


def read_graph(data: bytes, where: str) -> Graph:
    """The layers of a Keras `.h5` export, of either config generation.

    `where` names the file in messages. Raises ModelError where anything is not plainly a sorter.
    """
    import h5py

    try:
        with h5py.File(io.BytesIO(data), "r") as file:
            config = _config(file, where)
            weights = _weights(file, where)
    except (OSError, KeyError, RuntimeError, UnicodeDecodeError) as found:
        raise ModelError(f"{where}: is not a whole Keras .h5 file: {found}") from None
    except (TypeError, ValueError, IndexError, AttributeError, RecursionError) as found:
        raise ModelError(f"{where}: its model_config is not laid out as Keras does: {found!r}") from None
    return graph_of(config, weights, where)


def graph_of(config: Any, weights: Weights, where: str) -> Graph:
    """The layers of a Keras config, of any generation, with the weights of each layer name.

    `where` names the file in messages. Raises ModelError where anything is not plainly a sorter.
    """
    try:
        reader = _Reader(where, dict(weights))
        reader.add(as_keras2(config), None)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, RecursionError) as found:
        raise ModelError(f"{where}: its model_config is not laid out as Keras does: {str(found)[:80]!r}") from None
    return reader.finish()


def other_project(where: str, project: str) -> ModelError:
    """What to say to a pose or sound project of Teachable Machine's."""
    judged = {"pose": "the key points of a body", "sound": "sounds"}[project]
    needed = "make an image project in Teachable Machine and export that"
    return ModelError(f"{where}: is a {project} project, which judges {judged} and not pictures; {needed}")


class _Reader:
    """Walks nested models and lists their layers flat."""

    def __init__(self, where: str, weights: Weights) -> None:
        self.where, self.weights = where, weights
        self.layers: list[Layer] = []
        self.size = 0

    def add(self, entry: dict[str, Any], source: int | None) -> int:
        """Add a layer or a whole model that reads the layer at `source`; the place of its output."""
        if entry["class_name"] not in CONTAINERS:
            return self._add_layer(entry, () if source is None else (source,))
        config = entry["config"]
        inner = config if isinstance(config, list) else config["layers"]  # the oldest exports have a bare list
        if entry["class_name"] == "Sequential":
            for layer in inner:
                source = self.add(layer, source)
            return self._place(source)
        return self._add_network(config, inner, source)

    def _add_network(self, config: dict[str, Any], inner: list[Any], source: int | None) -> int:
        places: dict[str, int] = {}
        for layer in inner:
            name = layer.get("name") or layer["config"]["name"]
            reads = [places[node[0]] for node in (layer["inbound_nodes"] or [[]])[0]]
            if layer["class_name"] in CONTAINERS:
                places[name] = self.add(layer, reads[0])
            elif reads:
                places[name] = self._add_layer(layer, tuple(reads))
            else:
                places[name] = self.add(layer, source)
        return places[config["output_layers"][0][0]]

    def _add_layer(self, entry: dict[str, Any], inputs: tuple[int, ...]) -> int:
        kind, config = entry["class_name"], entry["config"]
        if kind not in KINDS:
            allowed = "a sorter has only plain layers such as Conv2D and Dense"
            raise ModelError(f'{self.where}: has a layer of kind "{str(kind)[:40]}", which is not allowed; {allowed}')
        if kind == "InputLayer" and inputs:
            return inputs[0]  # the inner model's own entry: what comes in is already there
        if not inputs or ("batch_input_shape" in config and not self.size):
            self._set_input(config["batch_input_shape"])
        if kind == "InputLayer":
            return self._push(Layer(kind, (), {}))
        if kind == "Dropout":
            return inputs[0]
        if not inputs:
            inputs = (self._push(Layer("InputLayer", (), {})),)
        options = {key: self._plain(kind, key, config[key]) for key in KINDS[kind] if key in config}
        options = {key: value for key, value in options.items() if DEFAULTS.get(key, ...) != value}
        if kind == "BatchNormalization" and options.get("scale") is True:
            del options["scale"]
        weights = tuple(self.weights.pop(config["name"], ()))
        if [array.ndim for array in weights] not in RANKS.get(kind, ([],)):
            raise ModelError(f"{self.where}: its {kind} layer {str(config['name'])[:40]!r} has no weights of its kind")
        return self._push(Layer(kind, inputs, options, weights))

    def _push(self, layer: Layer) -> int:
        self.layers.append(layer)
        return len(self.layers) - 1

    def _set_input(self, shape: list[Any]) -> None:
        if self.size and list(shape[1:]) == [self.size, self.size, 3]:
            return
        if len(shape) == 2:
            raise other_project(self.where, "sound" if shape[1] == SAMPLES else "pose")
        if list(shape[1:]) == SPECTROGRAM:
            raise other_project(self.where, "sound")
        if len(shape) != 4 or shape[1] != shape[2] or shape[3] != 3 or not isinstance(shape[1], int):
            what = "x".join(str(part) for part in shape[1:])
            raise ModelError(f"{self.where}: reads pictures of {what}; a colour sorter reads 224x224x3")
        if not 16 <= shape[1] <= 1024:
            raise ModelError(f"{self.where}: reads pictures of {shape[1]} pixels a side; 16 to 1024 are possible")
        self.size = shape[1]

    def _plain(self, kind: str, key: str, value: Any) -> Any:
        parts = value if isinstance(value, list) else [value]
        flat = [one for part in parts for one in (part if isinstance(part, list) else [part])]
        if key == "activation":
            good = value in ACTIVATIONS
        elif key == "padding" and kind != "ZeroPadding2D":
            good = value in ("valid", "same")
        else:
            good = all(one is None or isinstance(one, int | float) for one in flat)
        if not good:
            raise ModelError(f"{self.where}: {key} = {str(value)[:60]!r} of a {kind} layer is not a plain value")
        return float(value) if key in FRACTIONS and isinstance(value, int) else value

    def _place(self, place: int | None) -> int:
        if place is None:
            raise ModelError(f"{self.where}: has a model without layers")
        return place

    def finish(self) -> Graph:
        if not self.size or len(self.layers) < 2:
            raise ModelError(f"{self.where}: does not say what size of picture it reads")
        return Graph(self.size, tuple(self.layers))


def _config(file: h5py.File, where: str) -> dict[str, Any]:
    text = file.attrs.get("model_config")
    if text is None:
        raise ModelError(f"{where}: holds weights but no model_config; export the whole model (Keras, .h5)")
    return dict(json.loads(text if isinstance(text, str) else bytes(text).decode()))


def _weights(file: h5py.File, where: str) -> Weights:
    """Layer name -> its arrays, in the order in which Keras saved them."""
    found: Weights = {}
    total = 0
    for name, data in _datasets(file["model_weights"]):
        if data.external or data.is_virtual:  # HDF5 would read any file of the person's as weights
            raise ModelError(f"{where}: keeps weights in other files; a sorter's .h5 holds all of them itself")
        total += data.size
        if total > MOST_NUMBERS:  # checked before reading: a compressed array can unfold to any size
            raise ModelError(f"{where}: holds over {MOST_NUMBERS:,} weights; a sorter has far fewer")
        found.setdefault(name.split("/")[-2], []).append(np.asarray(data[()], np.float32))
    return found


def _datasets(group: h5py.Group) -> Iterator[tuple[str, h5py.Dataset]]:
    for outer in group:
        for raw in group[outer].attrs.get("weight_names", ()):
            name = raw if isinstance(raw, str) else bytes(raw).decode()
            yield name, group[outer][name]
