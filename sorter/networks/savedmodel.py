"""A SavedModel with labels.txt: Export Model, Tensorflow, Savedmodel.

Its functions are never loaded, let alone run: the layers come from Keras's description of them, which has lain in
three places over the years, and the weights from the checkpoint.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from sorter.errors import ModelError
from sorter.networks.bundle import Bundle, Damaged, Message
from sorter.networks.export_files import LARGEST_TEXT, Files
from sorter.networks.graph import MOST_NUMBERS, Graph, Weights
from sorter.networks.keras import CONTAINERS, graph_of
from sorter.networks.parts import Parts, find_labels, from_graph

MODEL = "saved_model.pb"
OBJECTS = "_CHECKPOINTABLE_OBJECT_GRAPH"
VARIABLES = {
    "Conv2D": ("kernel", "bias"),
    "DepthwiseConv2D": ("depthwise_kernel", "bias"),
    "BatchNormalization": ("gamma", "beta", "moving_mean", "moving_variance"),
    "Dense": ("kernel", "bias"),
}
"""The layer kinds that have weights, and what Keras calls those, in the order in which it keeps them."""


def find(files: Files) -> str | None:
    """saved_model.pb, right here or in the one folder that has it (model.savedmodel, beside labels.txt)."""
    below = [name for name in files.names if name.count("/") == 1 and name.lower().endswith(f"/{MODEL}")]
    return files.find(MODEL) or (below[0] if len(below) == 1 else None)


def load(files: Files, name: str) -> Parts:
    """Read it. Raises ModelError: damaged, not allowed, or labels that do not fit."""
    if "/" in name:
        folder, name = name.split("/")
        files = files.inside(folder)
    where, labels, reads = f"{files.where}{name}", find_labels(files), _Reads(files)
    try:
        graph = _graph(reads, name, where)
    except Damaged as found:
        raise ModelError(f"{where}: is not a whole SavedModel: {found}; export again") from None
    return from_graph(graph, labels, list(reads.done.values()), where)


class _Reads:
    """Reads files by name and keeps them: a file of weights is asked for a hundred times."""

    def __init__(self, files: Files) -> None:
        self.files = files
        self.done: dict[str, bytes] = {}

    def __call__(self, name: str) -> bytes:
        if name not in self.done:
            found = self.files.find(name)
            if found is None:
                raise ModelError(
                    f"{self.files.where.rstrip('/')}: has no {name} file; export again; {self.files.held()}"
                )
            self.done[name] = self.files.read(found)
        return self.done[name]

    def shard(self, number: int, count: int) -> bytes:
        return self(f"variables/variables.data-{number:05}-of-{count:05}")


def _graph(reads: _Reads, name: str, where: str) -> Graph:
    """Raises Damaged, ModelError."""
    try:
        config = _config(reads, name)
        if config is None:
            instead = "export it from Teachable Machine as Keras (.h5) instead"
            raise ModelError(f"{where}: has no description of its layers, as SavedModels of 2020 have none; {instead}")
        bundle = Bundle(reads("variables/variables.index"), reads.shard)
        if bundle.numbers() > MOST_NUMBERS:
            raise Damaged(f"it claims over {MOST_NUMBERS:,} weights, and a sorter has far fewer")
        weights = _weights(config, bundle)
    except (Damaged, ModelError):
        raise
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, RecursionError) as found:
        raise ModelError(f"{where}: is not laid out as Keras does: {str(found)[:80]!r}; export again") from None
    return graph_of(config, weights, where)


def _config(reads: _Reads, name: str) -> Any:
    """Keras's description of the layers; None where there is none."""
    model, text = reads(name), ""
    if reads.files.find("assets/saved_model.json"):  # TensorFlow 1.15, exports of 2019 and 2020
        text = reads("assets/saved_model.json").decode()
    elif reads.files.find("keras_metadata.pb"):  # from TensorFlow 2.5
        nodes = [Message(node) for node in Message(reads("keras_metadata.pb")).parts(1)]
        text = next((node.text(5) for node in nodes if node.number(2) == 0), "")
    else:  # in between: in the first object of the first graph
        objects = Message(Message(Message(model).part(2)).part(7)).parts(1)
        text = Message(Message(objects[0]).part(4)).text(3) if objects else ""
        if not text:
            return None
    if len(text) > LARGEST_TEXT:
        raise Damaged(f"its description has over {LARGEST_TEXT // 2**20} MB")
    found = json.loads(text, object_hook=_plain)
    return found.get("model_config", found)


def _plain(value: dict[str, Any]) -> Any:
    """Keras writes (1, 2) as {"class_name": "__tuple__", "items": [1, 2]} here."""
    return value["items"] if value.get("class_name") in ("__tuple__", "TensorShape") else value


def _weights(config: Any, bundle: Bundle) -> Weights:
    """Layer name -> its arrays: walks the description and the checkpoint's tree of objects together."""
    tree = [Message(node) for node in Message(bundle.string(OBJECTS)).parts(1)]
    found: Weights = {}
    for layer, node in _layers(config, 0, tree):
        own = _children(tree, node)
        keys = [_key(tree[own[name]]) for name in VARIABLES[layer["class_name"]] if name in own]
        found.setdefault(layer["config"]["name"], []).extend(bundle.array(key) for key in keys)
    return found


def _layers(model: Any, node: int, tree: list[Message]) -> Iterator[tuple[Any, int]]:
    """Each layer with weights in a described model, and its place among the checkpoint's objects."""
    inner = model["config"] if isinstance(model["config"], list) else model["config"]["layers"]
    children = _children(tree, node)
    for place, layer in enumerate(layer for layer in inner if _has_weights(layer)):
        child = children.get(f"layer_with_weights-{place}")
        if child is None:
            return  # a layer of an unknown kind stands before it, and will be refused by its name
        if layer["class_name"] in CONTAINERS:
            yield from _layers(layer, child, tree)
        else:
            yield layer, child


def _has_weights(layer: Any) -> bool:
    if layer["class_name"] not in CONTAINERS:
        return layer["class_name"] in VARIABLES
    inner = layer["config"] if isinstance(layer["config"], list) else layer["config"]["layers"]
    return any(_has_weights(one) for one in inner)


def _children(tree: list[Message], node: int) -> dict[str, int]:
    """The names of an object's parts -> their places in the tree."""
    parts = [Message(part) for part in tree[node].parts(1)]
    return {part.text(2): part.number(1) for part in parts}


def _key(node: Message) -> str:
    """What a variable is called in the checkpoint."""
    return Message(node.part(2)).text(3)
