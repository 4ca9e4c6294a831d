"""Is the sorter that was written the one that was fitted? Its files are read by those who will read them.

Every time: keras_model.h5 and the folder as `sorter sort` reads them, model_unquant.tflite by LiteRT. Once for each
backbone on this machine: keras_model.h5 by Keras, as a stranger's script does it. That takes five seconds, and whether
Keras can read a file depends on its layers and on the versions: the heads' layers are ours, and few, and each is read
by Keras in the tests.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import io
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sorter.classify.askers import load_asked
from sorter.errors import ModelError
from sorter.files import cache_folder, write
from sorter.networks.convert import import_keras
from sorter.networks.graph import Graph, Layer
from sorter.networks.head import Head
from sorter.networks.keras import read_graph
from sorter.networks.parts import split
from sorter.networks.run import TEACHABLE_MACHINE, normalise, start

Array = NDArray[np.float32]

CLOSE = 1e-3
"""Of a probability. LiteRT and TensorFlow multiply in other orders: up to 2e-5 was seen on three backbones."""
VIEWS = 2
H5, TFLITE = "keras_model.h5", "model_unquant.tflite"


def check_files(
    to: Path, files: dict[str, bytes], backbone: str, trunk: Graph, run: Callable[[Any], Any], head: Sequence[Layer]
) -> None:
    """Load the model files from memory, before they replace anything, and compare weights and answers.

    backbone: the key of the whole network, of which `trunk` is the part that is used. run: one view (size, size, 3)
    uint8 -> the map (height, width, channels) that `head` reads. Raises ModelError, MissingExtra.
    """
    views = _views(trunk.size)
    maps = [np.asarray(run(view))[None] for view in views]
    wanted = np.concatenate([Head(tuple(head))(one) for one in maps])
    weights = _counted(array for layer in (*trunk.layers, *head) for array in layer.weights)
    _check_keras_file(to / H5, files[H5], trunk.key(), weights, maps, wanted)
    _compare(to / TFLITE, wanted, _by_litert(files[TFLITE], views))
    proof = cache_folder() / "read-by-keras" / f"{backbone[:32]}-{_versions()}"
    if not proof.exists():
        found, read = _by_keras(files[H5], views)
        _compare(to / H5, wanted, found, read == weights)
        write(proof, b"")


def check_folder(to: Path, classes: tuple[str, ...], card: dict[str, Any]) -> None:
    """Read the sorter's folder as `sorter sort` will. Raises ModelError."""
    found = load_asked(to)
    if found.labels != classes:
        raise _wrong(to / "labels.txt", f"it is read as {', '.join(found.labels)}")
    if found.card != card:
        raise _wrong(to / "card.toml", "it is read otherwise")


def _check_keras_file(
    path: Path, data: bytes, trunk: str, weights: Counter[str], maps: Sequence[Array], wanted: Array
) -> None:
    """Read it as `sorter sort` will: the same network by its key, and the same answers of the head."""
    graph = read_graph(data, str(path))
    network, head = split(graph, str(path))
    read = _counted(array for layer in graph.layers for array in layer.weights)
    _compare(path, wanted, np.concatenate([head(one) for one in maps]), network.key == trunk and read == weights)


def _compare(path: Path, wanted: Array, found: Array, same_weights: bool = True) -> None:
    """Raise ModelError where a file is not what was fitted."""
    if not same_weights:
        raise _wrong(path, "its weights are not those that were fitted")
    if found.shape != wanted.shape:
        raise _wrong(path, f"it has {found.shape[-1]} classes")
    if not np.allclose(found, wanted, rtol=0, atol=CLOSE):
        raise _wrong(path, f"it answers otherwise, by {np.abs(found - wanted).max():.2g}")


def _by_litert(data: bytes, views: Sequence[NDArray[np.uint8]]) -> Array:
    """Its weights are LiteRT's own, folded, so only the answers can be compared."""
    engine = start(TEACHABLE_MACHINE, model_content=data)
    return np.stack([engine(view)[0] for view in views])


def _by_keras(data: bytes, views: Sequence[NDArray[np.uint8]]) -> tuple[Array, Counter[str]]:
    import h5py

    keras = import_keras()
    with h5py.File(io.BytesIO(data), "r") as file:
        model = keras.models.load_model(file, compile=False)
    answers = model(np.stack([normalise(view) for view in views]), training=False)
    return np.asarray(answers, np.float32), _counted(model.get_weights())


def _versions() -> str:
    """Of what writes and reads."""
    try:
        return "-".join(importlib.metadata.version(one) for one in ("modelsheet", "tf_keras", "tensorflow"))
    except importlib.metadata.PackageNotFoundError:  # built by other means: where it is missing, Keras's import says so
        return "unknown"


def _counted(arrays: Iterable[Any]) -> Counter[str]:
    """Each array by its shape and its bytes: Keras lists them in an order of its own."""
    floats = (np.ascontiguousarray(array, np.float32) for array in arrays)
    return Counter(f"{array.shape} {hashlib.sha256(array.tobytes()).hexdigest()}" for array in floats)


def _views(size: int) -> list[NDArray[np.uint8]]:
    """Noise of two grains: no class is certain of it, so that the answers show small differences."""
    chance = np.random.default_rng(0)
    cells = [chance.integers(0, 256, (-(-size // grain),) * 2 + (3,), np.uint8) for grain in (4, 32)[:VIEWS]]
    return [np.kron(cell, np.ones((-(-size // len(cell)),) * 2 + (1,), np.uint8))[:size, :size] for cell in cells]


def _wrong(path: Path, why: str) -> ModelError:
    return ModelError(
        f"{path}: was written and read back, and is not the sorter that was fitted: {why};"
        " this is a fault of Modelsheet or of the installed tensorflow: please report it"
    )
