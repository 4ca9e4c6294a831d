"""Whether the weights of a network fit its layers and each other: before anything is built, and memory asked for. Pure.

A description may claim a layer of any size; what it really has is as large as the file.
"""

from __future__ import annotations

from collections.abc import Sequence

from sorter.errors import ModelError
from sorter.networks.graph import Graph, Layer

KEEPING = (
    "ZeroPadding2D",
    "Cropping2D",
    "Rescaling",
    "Normalization",
    "BatchNormalization",
    "ReLU",
    "Activation",
    "Add",
    "AveragePooling2D",
    "MaxPooling2D",
    "GlobalAveragePooling2D",
)
"""The layer kinds that give as many channels as they read."""


def check(graph: Graph, where: str) -> None:
    """Raise ModelError where a layer's weights are not of its size, or not of the size of what it reads."""
    channels: list[int | None] = []
    for layer in graph.layers:
        reads = [channels[place] for place in layer.inputs]
        claims = _claims(layer, reads[0] if reads else None)
        if any(claimed not in (None, real) for real, claimed in claims):
            shapes = ", ".join("x".join(map(str, array.shape)) for array in layer.weights)
            found = f"has a {layer.kind} layer whose weights ({shapes}) do not fit it or what it reads"
            raise ModelError(f"{where}: {found}; export again")
        channels.append(_channels(layer, reads))


def _claims(layer: Layer, reads: int | None) -> list[tuple[object, object]]:
    """Sizes of the weights, each with the size that the layer claims; None where only running it would tell.

    `reads`: channels of what it reads.
    """
    get = layer.options.get
    shapes = [array.shape for array in layer.weights]
    if layer.kind == "BatchNormalization":
        return [(shape[0], reads) for shape in shapes]
    if layer.kind == "Dense":
        (deep, wide), *bias = shapes
        return [(deep, reads), (wide, get("units")), *((one, (wide,)) for one in bias)]
    if layer.kind == "Conv2D":
        (*sides, deep, wide), *bias = shapes
        sizes = [(deep * get("groups", 1), reads), (wide, get("filters", 0)), (sides, get("kernel_size", 0))]
        return [*sizes, *((one, (wide,)) for one in bias)]
    if layer.kind == "DepthwiseConv2D":
        (*sides, deep, times), *bias = shapes
        sizes = [(deep, reads), (times, get("depth_multiplier", 1)), (sides, get("kernel_size", 0))]
        return [*sizes, *((one, (deep * times,)) for one in bias)]
    if layer.kind == "SeparableConv2D":
        (*sides, deep, times), (*one, inner, wide), *bias = shapes
        sizes = [(deep, reads), (times, get("depth_multiplier", 1)), (sides, get("kernel_size", 0))]
        then = [(one, [1, 1]), (inner, deep * times), (wide, get("filters", 0))]
        return [*sizes, *then, *((row, (wide,)) for row in bias)]
    return []


def _channels(layer: Layer, reads: Sequence[int | None]) -> int | None:
    """How many channels it gives, None where only running it would tell."""
    if layer.kind == "InputLayer":
        return 3
    if layer.kind == "Concatenate":
        known = [one for one in reads if one is not None]
        return sum(known) if len(known) == len(reads) else None
    if layer.kind in ("Conv2D", "Dense"):
        return int(layer.weights[0].shape[-1])
    if layer.kind == "SeparableConv2D":
        return int(layer.weights[1].shape[-1])
    if layer.kind == "DepthwiseConv2D":
        return int(layer.weights[0].shape[2] * layer.weights[0].shape[3])
    return reads[0] if layer.kind in KEEPING else None
