"""What Keras 3 writes of a network, said as Keras 2 wrote it, so that one reader does for both. Pure."""

from __future__ import annotations

from typing import Any


def as_keras2(entry: Any) -> Any:
    """A layer's or a model's config in the older form; one that is in it already stays as it is.

    Raises KeyError, TypeError or IndexError where it is laid out as neither.
    """
    if not isinstance(entry, dict) or not isinstance(entry.get("config"), dict):
        return entry
    config = dict(entry["config"])
    if "batch_shape" in config:
        config["batch_input_shape"] = config.pop("batch_shape")
    if isinstance(config.get("layers"), list):
        config["layers"] = [as_keras2(layer) for layer in config["layers"]]
    for ends in ("input_layers", "output_layers"):
        found = config.get(ends)
        if isinstance(found, list) and found and isinstance(found[0], str):  # of one: ["dense", 0, 0]
            config[ends] = [found]
    entry = {**entry, "config": config}
    if nodes := entry.get("inbound_nodes"):
        entry["inbound_nodes"] = [_node(node) for node in nodes]
    return entry


def _node(node: Any) -> Any:
    """What a layer reads: [[name, 0, 0], ...]."""
    if not isinstance(node, dict):
        return node
    given = [one for arg in node["args"] for one in (arg if isinstance(arg, list) else [arg])]
    return [list(one["config"]["keras_history"]) for one in given]
