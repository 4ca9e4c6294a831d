"""A network as plain values: a flat list of known layers with their numbers."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Weights = dict[str, list[NDArray[np.float32]]]
"""Layer name -> its arrays, in the order in which Keras keeps them: kernel, bias; gamma, beta, mean, variance."""
MOST_NUMBERS = 100_000_000
"""The most weights that a sorter may have; Teachable Machine's have half a million."""


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer: what it is, which earlier layers it reads (by place), its options and its weights."""

    kind: str
    inputs: tuple[int, ...]
    options: Mapping[str, Any]
    weights: tuple[NDArray[np.float32], ...] = ()


@dataclass(frozen=True, eq=False)
class Graph:
    """Layers in an order in which each comes after those it reads; the first is the input, the last the output."""

    size: int
    """The input is (size, size, 3), values in -1..1."""
    layers: tuple[Layer, ...]

    def key(self) -> str:
        """A hash over structure and numbers, names left out: equal keys compute the same."""
        return self.keys[-1]

    @functools.cached_property
    def keys(self) -> tuple[str, ...]:
        """For each layer the key of the graph that ends with it: so a graph that begins another is known."""
        digest, keys = hashlib.sha256(f"{self.size}".encode()), []
        for layer in self.layers:
            digest.update(json.dumps([layer.kind, layer.inputs, layer.options], sort_keys=True).encode())
            for array in layer.weights:
                digest.update(str(array.shape).encode())
                digest.update(np.ascontiguousarray(array).tobytes())
            keys.append(digest.hexdigest())
        return tuple(keys)

    def upto(self, place: int) -> Graph:
        """The graph that ends with the layer at that place."""
        return Graph(self.size, self.layers[: place + 1])
