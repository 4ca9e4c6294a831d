"""The large, frozen part that sorters share: built with tf_keras, converted to LiteRT once, run from the cache.

Sorters with an equal backbone (the same hash over structure and weights) share one pass over a picture.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sorter.errors import MissingExtra, ModelError
from sorter.files import cache_folder, write
from sorter.networks.keras import Graph, Layer

if TYPE_CHECKING:
    import tf_keras

Run = Callable[[NDArray[np.uint8]], tuple[NDArray[np.float32], ...]]

CONVERSION = 1
"""Counted up when the conversion changes, so that old cache entries are not used."""


@dataclass(frozen=True)
class Scaling:
    """What a network wants to be given of a value of 0..255: value / `divisor` + `offset`."""

    divisor: float = 127.5
    offset: float = -1.0


VENDORS = Scaling()
"""-1..1, as the vendor's Python recipe does: x / 127.5 - 1."""


@dataclass(frozen=True, eq=False)
class Ready:
    """A checked LiteRT file that is run as it is, whole."""

    data: bytes
    size: int
    """It reads (1, size, size, 3): float32 that is scaled, or the uint8 values themselves."""
    scaling: Scaling = VENDORS

    def key(self) -> str:
        """A hash over the file and the scaling, told from a graph's by its first letters."""
        digest = hashlib.sha256(f"{self.scaling}".encode())
        digest.update(self.data)
        return f"tflite-{digest.hexdigest()}"


@dataclass(frozen=True, eq=False)
class Backbone:
    """A network from pictures to a last map, or to the answer where it is run whole. Equal keys compute the same."""

    key: str
    network: Graph | Ready
    outputs: tuple[int, ...] = ()
    """The places of the layers whose maps are wanted; none: the last layer's."""

    @property
    def graph(self) -> Graph:
        """Its layers. Raises ModelError where it is run whole and they are not known."""
        if isinstance(self.network, Ready):
            raise ModelError("a .tflite file is run whole and cannot be built upon; take the Keras (.h5) export")
        return self.network

    @property
    def size(self) -> int:
        """Pixels a side of the pictures it reads."""
        return self.network.size

    def compiled(self) -> Path:
        """The LiteRT file, converted on the first use of this backbone on this machine.

        Raises MissingExtra where it would have to be converted and tensorflow is not installed.
        """
        if not self.is_compiled():
            network = self.network
            data = network.data if isinstance(network, Ready) else convert(network, self.outputs)
            write(self._cached(), data)
        return self._cached()

    def is_compiled(self) -> bool:
        """Whether this machine has converted it before."""
        return self._cached().exists()

    def adopt(self, converted: bytes) -> None:
        """Keep the LiteRT file that another machine converted, so that both give the same answers."""
        if not self.is_compiled() or self._cached().read_bytes() != converted:
            write(self._cached(), converted)

    def _cached(self) -> Path:
        name = "-".join([self.key[:32], *map(str, self.outputs), str(CONVERSION)])
        return cache_folder() / "backbones" / f"{name}.tflite"

    def runner(self) -> Run:
        """A function from one view (size, size, 3) to its maps (height, width, channels), one thread at a time.

        Of a ready file, to its answer (classes).
        """
        scaling = self.network.scaling if isinstance(self.network, Ready) else VENDORS
        return start(scaling, model_path=str(self.compiled()))


def shapes(run: Backbone) -> list[tuple[int, ...]]:
    """The shapes (height, width, channels) of a backbone's maps, as its converted file says."""
    from ai_edge_litert.interpreter import Interpreter

    with _quiet_stderr():
        engine = Interpreter(model_path=str(run.compiled()), num_threads=1)
    return [tuple(int(side) for side in end["shape"][1:]) for end in engine.get_output_details()]


def share(backbones: Iterable[Backbone]) -> dict[str, tuple[Backbone, int]]:
    """Key -> the network that is run for it, and which of that network's maps is its own.

    A network that is the beginning of another one needs no run of its own.
    """
    known = {one.key: one for one in backbones}
    keys = {key: one.graph.keys if isinstance(one.network, Graph) else (key,) for key, one in known.items()}
    longest_first = sorted(known, key=lambda key: -len(keys[key]))
    whole = {key: next(other for other in longest_first if key in keys[other]) for key in known}
    found: dict[str, tuple[Backbone, int]] = {}
    for network in set(whole.values()):
        ends = {key: len(keys[key]) - 1 for key in known if whole[key] == network}
        outputs = tuple(sorted(ends.values())) if len(ends) > 1 else ()
        run = Backbone(network, known[network].network, outputs)
        found |= {key: (run, outputs.index(end) if outputs else 0) for key, end in ends.items()}
    return found


def start(scaling: Scaling, **source: Any) -> Run:
    """A runner of a LiteRT file, given as `model_path` or `model_content`.

    Raises ValueError or RuntimeError where LiteRT does not take it.
    """
    from ai_edge_litert.interpreter import Interpreter

    with _quiet_stderr():
        engine = Interpreter(**source, num_threads=1)
        engine.allocate_tensors()
    entry, ends = engine.get_input_details()[0], engine.get_output_details()

    def read(end: Any) -> NDArray[np.float32]:
        found = np.asarray(engine.get_tensor(end["index"])[0], np.float32)
        scale, zero = end["quantization"] if end["dtype"] == np.uint8 else (1.0, 0)
        return found if end["dtype"] == np.float32 else (found - zero) * np.float32(scale)

    def run(view: NDArray[np.uint8]) -> tuple[NDArray[np.float32], ...]:
        engine.set_tensor(entry["index"], (view if entry["dtype"] == np.uint8 else normalise(view, scaling))[None])
        engine.invoke()
        return tuple(read(end) for end in ends)

    return run


def normalise(view: NDArray[np.uint8], scaling: Scaling = VENDORS) -> NDArray[np.float32]:
    """0..255 -> what a network wants, -1..1 unless it says otherwise."""
    return np.asarray(view.astype(np.float32) / scaling.divisor + scaling.offset, np.float32)


class Runners:
    """The runners of each thread: an interpreter serves one thread at a time."""

    def __init__(self) -> None:
        self._local = threading.local()

    def __call__(self, backbone: Backbone, view: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The one map of one view, by this thread's own interpreter."""
        return self.maps(backbone, view)[0]

    def maps(self, backbone: Backbone, view: NDArray[np.uint8]) -> tuple[NDArray[np.float32], ...]:
        """All maps of one view, in the order of the backbone's outputs."""
        mine: dict[tuple[str, tuple[int, ...]], Run]
        mine = self._local.__dict__.setdefault("runners", {})
        which = backbone.key, backbone.outputs
        if which not in mine:
            mine[which] = backbone.runner()
        return mine[which](view)


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


def convert(graph: Graph, outputs: Sequence[int] = ()) -> bytes:
    """The LiteRT flatbuffer of a graph, reading (1, size, size, 3) float32, giving the maps of `outputs` in order."""
    keras = import_keras()
    import tensorflow as tf

    model = build(graph, outputs)
    step = tf.function(lambda x: model(x, training=False))
    shape = tf.TensorSpec((1, graph.size, graph.size, 3), tf.float32)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([step.get_concrete_function(shape)], model)
    with _quiet_stderr():
        data = bytes(converter.convert())
    keras.backend.clear_session()
    return _in_order(data) if len(outputs) > 1 else data


def build(graph: Graph, outputs: Sequence[int] = ()) -> tf_keras.Model:
    """The same network in tf_keras, made of its own layer classes with plain options only.

    `outputs`: the places of the layers to answer with; none: the last. Raises ModelError where layers do not fit each
    other, or weights the layers.
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
    wanted = [tensors[place] for place in outputs] or tensors[-1:]
    return keras.Model(tensors[0], wanted if len(wanted) > 1 else wanted[0], name="backbone")


def _in_order(data: bytes) -> bytes:
    """The converter may list the outputs in another order than the network; its signature tells them apart."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(data, 0)
    named = {one.name.decode(): int(one.tensorIndex) for one in model.signatureDefs[0].outputs}
    model.subgraphs[0].outputs = [named[f"output_{number}"] for number in range(len(named))]
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


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
