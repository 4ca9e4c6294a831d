"""The small end of a sorter: from a backbone's last map to probabilities, in numpy. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sorter.classify.graph import Layer

Array = NDArray[np.float32]

KINDS = ("GlobalAveragePooling2D", "Flatten", "Dense", "Softmax", "Activation")
"""The layer kinds that a head is made of; what comes before them is the backbone."""
WEIGHED = "DepthwiseConv2D"
"""Belongs to the head too where a Flatten follows: a weighed sum over the whole map, a few for each channel."""


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


def side_kernel(height: int, width: int, channels: int) -> Array:
    """A kernel as large as the map that gives, for each channel, its mean and its left half less its right half.

    (height, width, channels, 2). The mean alone is nearly blind to mirroring; the difference changes its sign.
    """
    kernel = np.zeros((height, width, channels, 2), np.float32)
    half = width // 2  # of an odd width, the middle column belongs to neither
    kernel[..., 0] = 1 / (height * width)
    kernel[:, :half, :, 1] = 1 / (height * half)
    kernel[:, width - half :, :, 1] = -1 / (height * half)
    return kernel


def weigh(features: Array, kernel: Array) -> Array:
    """Weighed sums over a map: (n, height, width, channels) -> (n, channels, sums)."""
    return np.asarray(np.einsum("nhwc,hwck->nck", features, kernel, optimize=True), np.float32)


def softmax(logits: Array) -> Array:
    """Rows that sum to 1, without overflow."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True), np.float32)


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "linear": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "softmax": softmax,
    "sigmoid": lambda x: np.asarray(1 / (1 + np.exp(-x)), np.float32),
    "tanh": np.tanh,
}


def _apply(layer: Layer, x: Array) -> Array:
    if layer.kind == "GlobalAveragePooling2D":
        return pool(x)
    if layer.kind == WEIGHED:
        return weigh(x, layer.weights[0])
    if layer.kind == "Flatten":
        return x.reshape(len(x), -1)
    if layer.kind == "Softmax":
        return softmax(x)
    if layer.kind == "Dense":
        kernel, *bias = layer.weights
        x = x @ kernel + bias[0] if bias else x @ kernel
    return ACTIVATIONS[layer.options.get("activation", "linear")](x)
