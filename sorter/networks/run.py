"""The large, frozen part that sorters share: built with tf_keras, converted to LiteRT once, run from the cache.

Sorters with an equal backbone (the same hash over structure and weights) share one pass over a picture.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sorter.errors import ModelError
from sorter.files import cache_folder, write
from sorter.networks.convert import convert
from sorter.networks.graph import Graph
from sorter.networks.quiet import quiet_stderr

if TYPE_CHECKING:
    pass

Run = Callable[[NDArray[np.uint8]], tuple[NDArray[np.float32], ...]]

CONVERSION = 1
"""Counted up when the conversion changes, so that old cache entries are not used."""


@dataclass(frozen=True)
class Scaling:
    """What a network wants to be given of a value of 0..255: value / `divisor` + `offset`."""

    divisor: float = 127.5
    offset: float = -1.0


TEACHABLE_MACHINE = Scaling()
"""-1..1, as Teachable Machine's Python recipe does: x / 127.5 - 1."""


@dataclass(frozen=True, eq=False)
class Ready:
    """A checked LiteRT file that is run as it is, whole."""

    data: bytes
    size: int
    """It reads (1, size, size, 3): float32 that is scaled, or the uint8 values themselves."""
    scaling: Scaling = TEACHABLE_MACHINE

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
        scaling = self.network.scaling if isinstance(self.network, Ready) else TEACHABLE_MACHINE
        return start(scaling, model_path=str(self.compiled()))


def shapes(run: Backbone) -> list[tuple[int, ...]]:
    """The shapes (height, width, channels) of a backbone's maps, as its converted file says."""
    from ai_edge_litert.interpreter import Interpreter

    with quiet_stderr():
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

    with quiet_stderr():
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


def normalise(view: NDArray[np.uint8], scaling: Scaling = TEACHABLE_MACHINE) -> NDArray[np.float32]:
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
