"""Is the sorter that was written the one that was fitted? Its files are read by those who will read them.

keras_model.h5 by Keras, as a stranger's script does it; model_unquant.tflite by LiteRT; the folder by ourselves.
"""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sorter.classify.askers import load_asked
from sorter.errors import ModelError
from sorter.networks.convert import import_keras
from sorter.networks.graph import Graph, Layer
from sorter.networks.head import Head
from sorter.networks.run import TEACHABLE_MACHINE, normalise, start

Array = NDArray[np.float32]

CLOSE = 1e-3
"""Of a probability. LiteRT and TensorFlow multiply in other orders: up to 2e-5 was seen on three backbones."""
VIEWS = 2


def check_files(
    to: Path, files: dict[str, bytes], trunk: Graph, run: Callable[[Any], Any], head: Sequence[Layer]
) -> None:
    """Load the model files from memory, before they replace anything, and compare weights and answers.

    run: one view (size, size, 3) uint8 -> the map (height, width, channels) that `head` reads. Raises ModelError.
    """
    views = _views(trunk.size)
    wanted = np.concatenate([Head(tuple(head))(np.asarray(run(view))[None]) for view in views])
    for name, read in (("model_unquant.tflite", _tflite), ("keras_model.h5", _keras)):
        found, weights = read(files[name], views)
        if weights is not None and weights != _counted(
            array for layer in (*trunk.layers, *head) for array in layer.weights
        ):
            raise _wrong(to, name, "its weights are not those that were fitted")
        if found.shape != wanted.shape or not np.allclose(found, wanted, rtol=0, atol=CLOSE):
            raise _wrong(to, name, f"it answers otherwise, by {np.abs(found - wanted).max():.2g}"
                         if found.shape == wanted.shape else f"it has {found.shape[-1]} classes")  # fmt: skip


def check_folder(to: Path, classes: tuple[str, ...], card: dict[str, Any]) -> None:
    """Read the sorter's folder as `sorter sort` will. Raises ModelError."""
    found = load_asked(to)
    if found.labels != classes:
        raise _wrong(to, "labels.txt", f"it is read as {', '.join(found.labels)}")
    if found.card != card:
        raise _wrong(to, "card.toml", "it is read otherwise")


def _tflite(data: bytes, views: Sequence[NDArray[np.uint8]]) -> tuple[Array, None]:
    """Its weights are LiteRT's own, folded, so only the answers can be compared."""
    engine = start(TEACHABLE_MACHINE, model_content=data)
    return np.stack([engine(view)[0] for view in views]), None


def _keras(data: bytes, views: Sequence[NDArray[np.uint8]]) -> tuple[Array, Counter[str]]:
    import h5py

    keras = import_keras()
    with h5py.File(io.BytesIO(data), "r") as file:
        model = keras.models.load_model(file, compile=False)
    answers = model.predict_on_batch(np.stack([normalise(view) for view in views]))
    return np.asarray(answers, np.float32), _counted(model.get_weights())


def _counted(arrays: Iterable[Any]) -> Counter[str]:
    """Each array by its shape and its bytes: Keras lists them in an order of its own."""
    floats = (np.ascontiguousarray(array, np.float32) for array in arrays)
    return Counter(f"{array.shape} {hashlib.sha256(array.tobytes()).hexdigest()}" for array in floats)


def _views(size: int) -> list[NDArray[np.uint8]]:
    """Noise of two grains: no class is certain of it, so that the answers show small differences."""
    chance = np.random.default_rng(0)
    cells = [chance.integers(0, 256, (-(-size // grain),) * 2 + (3,), np.uint8) for grain in (4, 32)[:VIEWS]]
    return [np.kron(cell, np.ones((-(-size // len(cell)),) * 2 + (1,), np.uint8))[:size, :size] for cell in cells]


def _wrong(to: Path, name: str, why: str) -> ModelError:
    return ModelError(
        f"{to / name}: was written and read back, and is not the sorter that was fitted: {why};"
        " this is a fault of Modelsheet or of the installed tensorflow: please report it"
    )
