"""The small end of a sorter: from a backbone's map to probabilities, in numpy. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from sorter.networks.graph import Layer

Array = NDArray[np.float32]

KINDS = ("GlobalAveragePooling2D", "Flatten", "Dense", "Softmax", "Activation")
"""The layer kinds that a head is made of; what comes before them is the backbone."""
CELLS = 4
"""A side of the grid that a map is summed up in."""


@dataclass(frozen=True, eq=False)
class Head:
    """The layers after the backbone, applied one after the other."""

    layers: tuple[Layer, ...]

    def __call__(self, features: Array) -> Array:
        """Features (n, height, width, channels) -> probabilities (n, classes)."""
        for layer in self.layers:
            features = _apply(layer, features)
        return features

    @property
    def outputs(self) -> int:
        """How many classes the head tells apart; 0 where no Dense layer says so."""
        dense = [layer for layer in self.layers if layer.kind == "Dense"]
        return int(dense[-1].weights[0].shape[1]) if dense else 0


def pool(features: Array) -> Array:
    """Global average pooling: (n, height, width, channels) -> (n, channels)."""
    return np.asarray(features.mean(axis=(1, 2)), np.float32)


@lru_cache(maxsize=16)
def grid(height: int, width: int) -> Array:
    """The weights (16, height * width) that sum a map up in 4 x 4 cells: what is where, but for small shifts.

    The cells are equal, overlap where a side is no multiple of 4, and a mirrored map has mirrored cells.
    """
    down, across = _cells(height), _cells(width)
    return np.asarray(np.einsum("ah,bw->abhw", down, across).reshape(CELLS**2, height * width), np.float32)


def _cells(length: int) -> Array:
    """(4, length): each row the mean over one cell."""
    size = -(-length // CELLS)
    cells = np.zeros((CELLS, length), np.float32)
    for number in range(CELLS):
        start = (2 * number * (length - size) + CELLS - 1) // (2 * (CELLS - 1))  # rounded, so that it is symmetric
        cells[number, start : start + size] = 1 / size
    return cells


def softmax(logits: Array) -> Array:
    """Rows that sum to 1, without overflow."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True), np.float32)


def mean_of_views(plain: Array, mirrored: Array, swap: Sequence[int] | NDArray[np.int64]) -> Array:
    """One answer from the scores (..., classes) of a picture and those of its mirror image: their mean.

    `swap[i]` is the place of the class that class i becomes in a mirror: the mirrored picture gets the mirrored answer.
    """
    return np.asarray((plain + mirrored[..., list(swap)]) / 2, np.float32)


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "linear": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "softmax": softmax,
    "sigmoid": lambda x: np.asarray(1 / (1 + np.exp(-x)), np.float32),
    "tanh": np.tanh,
    "swish": lambda x: np.asarray(x / (1 + np.exp(-x)), np.float32),
}


def _apply(layer: Layer, x: Array) -> Array:
    if layer.kind == "GlobalAveragePooling2D":
        return pool(x)
    if layer.kind == "Flatten":
        return x.reshape(len(x), -1)
    if layer.kind == "Softmax":
        return softmax(x)
    if layer.kind == "Dense":
        kernel, *bias = layer.weights
        x = x @ kernel + bias[0] if bias else x @ kernel
    return ACTIVATIONS[layer.options.get("activation", "linear")](x)
