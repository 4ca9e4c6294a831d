"""Which network a sorter is built upon: that of an export the user has, the offline default, or one by name."""

from __future__ import annotations

import contextlib
import json
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from sorter.errors import ModelError, ModelsheetError, OptionsError, nearest
from sorter.networks.convert import import_keras
from sorter.networks.efficientnet import efficientnet_lite0
from sorter.networks.graph import Graph, Layer
from sorter.networks.keras import read_graph
from sorter.networks.load import load_sorter, read_card

AUTO, OFFLINE = "auto", "efficientnet-lite0"
"""Words for --backbone: an export's that lies beside the new sorter, else the offline one; and the offline one."""
SIZE = 224


def find_backbone(which: str, to: Path) -> tuple[str, Graph]:
    """The name and the network that `which` means for a sorter that will be written to `to`.

    `which`: AUTO, OFFLINE, the folder or zip of an export, or a name of tf_keras.applications. Raises ModelError,
    OptionsError or MissingExtra.
    """
    if which == AUTO:
        return _beside(to) or (OFFLINE, efficientnet_lite0())
    if which.lower() == OFFLINE:
        return OFFLINE, efficientnet_lite0()
    if Path(which).exists() or "/" in which or "\\" in which:
        return _of_export(Path(which))
    return which, application(which)


def map_places(graph: Graph) -> tuple[int, int]:
    """The places of the two maps that heads read: what the last convolution reads, and the last.

    That convolution spreads what it reads over many more channels, to be averaged; before it, a map is small and still
    exact enough to say what is where. Convolutions in parallel branches are passed over.
    """
    convolutions = [layer for layer in graph.layers if layer.kind in ("Conv2D", "SeparableConv2D")]
    if not convolutions:
        raise ModelError("the backbone has no convolution; take that of an image project")
    read = (layer.inputs[0] for layer in reversed(convolutions))
    return next(place for place in read if _is_whole(graph, place)), len(graph.layers) - 1


def _is_whole(graph: Graph, place: int) -> bool:
    """Whether the layer at that place rests on every layer before it: in parallel branches, none does."""
    needed = {place}
    for one in range(place, -1, -1):
        needed |= set(graph.layers[one].inputs) if one in needed else set()
    return len(needed) == place + 1


def application(name: str) -> Graph:
    """A network of tf_keras.applications with the weights of ImageNet, reading -1..1 like all others.

    Raises OptionsError (no such name), ModelError (no network to fetch it by, or layers that are not allowed).
    """
    keras = import_keras()
    known = [one for one in dir(keras.applications) if one[0].isupper()]
    if name not in known:
        words = nearest(name, known) if len(nearest(name, known)) < 60 else ""
        raise OptionsError(
            f'--backbone "{name}" is neither a folder with an export, nor "{OFFLINE}", nor a name of '
            f"tf_keras.applications such as MobileNetV2{words}"
        )
    make = getattr(keras.applications, name)
    try:
        with contextlib.redirect_stdout(sys.stderr):  # where Keras tells of its download
            model = make(include_top=False, weights="imagenet", input_shape=(SIZE, SIZE, 3))
    except (OSError, ValueError) as found:  # Keras says of a failed download only Exception or these
        raise ModelError(f"--backbone {name}: its weights could not be fetched: {_line(found)}") from None
    except Exception as found:
        if type(found) is not Exception:
            raise
        raise ModelError(f"--backbone {name}: its weights could not be fetched: {_line(found)}") from None
    return from_keras(model, name)


def from_keras(model: Any, name: str) -> Graph:
    """The graph of a network of tf_keras.applications, with its own scaling of pictures put before it."""
    prepare = sys.modules[getattr(import_keras().applications, name).__module__].preprocess_input
    # The scaling is affine; so it is known from what it makes of black and of the three pure colours.
    corners = np.concatenate([np.zeros((1, 3)), np.eye(3)])[:, None, None, :] * 255
    made = np.asarray(prepare(corners.astype(np.float32).copy()), np.float32).reshape(4, 3)
    slope = (made[1:] - made[0]) / 2  # our values run over 2, from -1 to 1
    kernel, bias = slope.reshape(1, 1, 3, 3), made[0] + slope.sum(axis=0)
    try:
        graph = read_graph(_saved(model), name)
    except (ModelError, TypeError, ValueError) as found:  # Keras raises the latter two on layers of the network's own
        others = "MobileNetV2, ResNet50 and EfficientNetB0 are among those that can"
        raise ModelError(
            f"--backbone {name}: cannot be exported in Teachable Machine's format ({_line(found)}); {others}"
        ) from None
    options = {"filters": 3, "kernel_size": [1, 1], "strides": [1, 1], "padding": "valid"}
    scale = Layer("Conv2D", (0,), options, (kernel, bias))
    moved = [
        Layer(one.kind, tuple(place + 1 for place in one.inputs), one.options, one.weights) for one in graph.layers[1:]
    ]
    return Graph(graph.size, (graph.layers[0], scale, *moved))


def _saved(model: Any) -> bytes:
    """A network of tf_keras as .h5. Some layers' names have a "/", which an .h5 takes for a folder."""
    plain = type(model).from_config(json.loads(json.dumps(model.get_config()).replace("/", "_")))
    plain.set_weights(model.get_weights())
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that .h5 is an old format
        path = Path(folder, "model.h5")
        plain.save(path, save_format="h5", include_optimizer=False)
        return path.read_bytes()


def _beside(to: Path) -> tuple[str, Graph] | None:
    """The network of the first export beside `to` that was not made here: an axis on it shares that export's pass."""
    folder = to.absolute().parent
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path == to.absolute() or not (path.is_dir() or path.suffix.lower() == ".zip"):
            continue
        try:
            if not read_card(path):
                return _of_export(path)
        except ModelsheetError:
            continue  # whatever lies there, it is not asked for here
    return None


def _of_export(path: Path) -> tuple[str, Graph]:
    return f"that of {path.name}", load_sorter(path).backbone.graph


def _line(found: BaseException) -> str:
    return " ".join(str(found).split())[:200]
