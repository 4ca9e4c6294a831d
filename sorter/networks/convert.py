"""Plain layers -> a network in tf_keras -> a LiteRT file. The only module that needs tensorflow to sort."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from sorter.errors import MissingExtra, ModelError
from sorter.networks.graph import Graph, Layer
from sorter.networks.quiet import quiet_stderr

if TYPE_CHECKING:
    import tf_keras


def import_keras() -> Any:
    """tf_keras, quietly. Raises MissingExtra where it is not installed."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        with quiet_stderr():
            import tensorflow as tf
            import tf_keras

            tf.config.set_visible_devices([], "GPU")  # small models: a GPU would only cost start-up time
        tf.get_logger().setLevel("ERROR")  # advice to developers; what concerns the user is an error here
    except ModuleNotFoundError:
        raise MissingExtra("fit", "converting a sorter or making one") from None
    return tf_keras


def convert(graph: Graph, outputs: Sequence[int] = ()) -> bytes:
    """The LiteRT flatbuffer of a graph, reading (1, size, size, 3) float32, giving the maps of `outputs` in order."""
    keras = import_keras()
    import tensorflow as tf

    model = build(graph, outputs)
    step = tf.function(lambda x: model(x, training=False))
    shape = tf.TensorSpec((1, graph.size, graph.size, 3), tf.float32)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([step.get_concrete_function(shape)], model)
    with quiet_stderr():
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
