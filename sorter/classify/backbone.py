"""The large, frozen part that sorters share: built with tf_keras, converted to LiteRT once, run from the cache.

Sorters with an equal backbone (the same hash over structure and weights) share one pass over a picture.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sorter.classify.graph import Graph, Layer
from sorter.errors import MissingExtra, ModelError

if TYPE_CHECKING:
    import tf_keras

CONVERSION = 1
"""Counted up when the conversion changes, so that old cache entries are not used."""


@dataclass(frozen=True, eq=False)
class Backbone:
    """A network from pictures to a last map. Equal keys compute the same."""

    key: str
    graph: Graph

    @property
    def size(self) -> int:
        """Pixels a side of the pictures it reads."""
        return self.graph.size

    def compiled(self) -> Path:
        """The LiteRT file, converted on the first use of this backbone on this machine.

        Raises MissingExtra where it would have to be converted and tensorflow is not installed.
        """
        if not self.is_compiled():
            write_whole(self._cached(), convert(self.graph))
        return self._cached()

    def is_compiled(self) -> bool:
        """Whether this machine has converted it before."""
        return self._cached().exists()

    def _cached(self) -> Path:
        return cache_folder() / "backbones" / f"{self.key[:32]}-{CONVERSION}.tflite"

    def runner(self) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
        """A function from one view (size, size, 3) to its map (height, width, channels); one thread at a time."""
        from ai_edge_litert.interpreter import Interpreter

        with _quiet_stderr():
            engine = Interpreter(model_path=str(self.compiled()), num_threads=1)
            engine.allocate_tensors()
        entry, end = engine.get_input_details()[0]["index"], engine.get_output_details()[0]["index"]

        def run(view: NDArray[np.uint8]) -> NDArray[np.float32]:
            engine.set_tensor(entry, normalise(view)[None])
            engine.invoke()
            return np.asarray(engine.get_tensor(end)[0], np.float32)

        return run


class Runners:
    """The runners of each thread: an interpreter serves one thread at a time."""

    def __init__(self) -> None:
        self._local = threading.local()

    def __call__(self, backbone: Backbone, view: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The map of one view, by this thread's own interpreter."""
        mine: dict[str, Callable[[NDArray[np.uint8]], NDArray[np.float32]]]
        mine = self._local.__dict__.setdefault("runners", {})
        if backbone.key not in mine:
            mine[backbone.key] = backbone.runner()
        return mine[backbone.key](view)


def normalise(view: NDArray[np.uint8]) -> NDArray[np.float32]:
    """0..255 -> -1..1, as the vendor's Python recipe does: x / 127.5 - 1."""
    return np.asarray(view.astype(np.float32) / 127.5 - 1, np.float32)


def cache_folder() -> Path:
    """Where converted models and features are kept between runs; MODELSHEET_CACHE moves it."""
    import platformdirs

    return Path(os.environ.get("MODELSHEET_CACHE") or platformdirs.user_cache_dir("modelsheet", appauthor=False))


def write_whole(path: Path, data: bytes) -> None:
    """Write all of a file or nothing of it, whoever else writes the same one at the same time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}.part")
    part.write_bytes(data)
    os.replace(part, path)


def import_keras() -> Any:
    """tf_keras, quietly. Raises MissingExtra where it is not installed."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        with _quiet_stderr():
            import tensorflow as tf
            import tf_keras
            tf.config.set_visible_devices([], "GPU")  # small models: a GPU would only cost start-up time
        tf.get_logger().setLevel("ERROR")  # advice to developers; what concerns the user is an error here
    except ModuleNotFoundError:
        raise MissingExtra("fit", "converting or fitting a sorter") from None
    return tf_keras


def convert(graph: Graph) -> bytes:
    """The LiteRT flatbuffer of a graph, reading (1, size, size, 3) float32."""
    keras = import_keras()
    import tensorflow as tf

    model = build(graph)
    step = tf.function(lambda x: model(x, training=False))
    shape = tf.TensorSpec((1, graph.size, graph.size, 3), tf.float32)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([step.get_concrete_function(shape)], model)
    with _quiet_stderr():
        data = bytes(converter.convert())
    keras.backend.clear_session()
    return data


def build(graph: Graph, name: str = "backbone") -> tf_keras.Model:
    """The same network in tf_keras, made of its own layer classes with plain options only.

    Raises ModelError where layers do not fit each other, or weights the layers.
    """
    keras = import_keras()
    tensors: list[Any] = []
    pairs: list[tuple[Any, Layer]] = []
    for layer in graph.layers:
        if layer.kind == "InputLayer":
            tensors.append(keras.Input((graph.size, graph.size, 3)))
            continue
        read = [tensors[place] for place in layer.inputs]
        try:
            made = make_layer(layer)
            tensors.append(made(read if len(read) > 1 else read[0]))
        except (TypeError, ValueError, OverflowError):
            raise ModelError(f"a {layer.kind} layer of the export cannot be built with {dict(layer.options)}") from None
        pairs.append((made, layer))
    give_weights(pairs)
    return keras.Model(tensors[0], tensors[-1], name=name)


def make_layer(layer: Layer) -> Any:
    """The tf_keras layer of that kind with those options, without its weights."""
    return getattr(import_keras().layers, layer.kind)(**layer.options)


def give_weights(pairs: Iterable[tuple[Any, Layer]]) -> None:
    """Set the weights of layers that have been built. Raises ModelError where they do not fit."""
    for made, layer in pairs:
        try:
            made.set_weights(list(layer.weights))
        except ValueError:
            shapes = ", ".join(str(array.shape) for array in layer.weights)
            raise ModelError(f"a {layer.kind} layer of the export has weights that do not fit it: {shapes}") from None


@contextmanager
def _quiet_stderr() -> Iterator[None]:
    """tensorflow and LiteRT log from C++, past Python's sys.stderr; a person should not see it."""
    with _ONE_AT_A_TIME:
        kept = os.dup(2)
        try:
            with open(os.devnull, "wb") as nowhere:
                os.dup2(nowhere.fileno(), 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)


_ONE_AT_A_TIME = threading.RLock()
"""The process has one standard error: two threads that redirect it in turn would lose it."""
