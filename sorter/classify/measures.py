"""Measures: the class on an axis without a trained network, such as sharpness. A plug point. Works on pixels."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sorter.errors import ModelError
from sorter.plugins import Options, Registry

EDGES = 0.01
"""The share of the steepest places that counts as edges; flat areas, of which cartoons are full, do not vote."""
STRIDE = 4
"""Every fourth row and column is looked at."""
LONGEST = 2048
"""Pixels: a larger picture is measured in its middle part of this size."""

CRISP = 1.3
"""Pixels: the width of edges in a film frame of 1280x720 that was not enlarged (1.25 to 1.40 in 22 of them)."""
LINES = 720
"""Lines of the pictures that the widths here are said of."""
SEEN = 1.4, 0.7
"""The standard deviation of a blur from which on a picture is called blurry: pixels at LINES lines, and at least."""
SOFTEST = 3.0
"""Pixels at LINES lines: a source with wider edges is blurry itself."""
STEEP = 8
"""How fast the probability falls with the width: 0.96 at 2/3 of the limit, and 0.04 at 3/2 of it."""
WIDEST = 30.0
"""Pixels; of wider edges, or of pictures without any, the answer is the same."""


class Scale(Options):
    """What every measure is: its fields are its options, in a card's [measure]; called with a picture, it answers."""

    classes: tuple[str, ...]
    """The names of its classes, in the order of what it answers."""

    def __call__(self, grey: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Grey values (height, width) at the picture's own size -> probabilities (classes,)."""
        raise NotImplementedError


measures: Registry[Scale] = Registry("measure", "modelsheet.measures")


@measures.add("sharpness")
class Sharpness(Scale):
    """How likely a picture is sharp, by what a known blur does to its steepest edges.

    Blurring an edge of width s by r lowers its gradient by sqrt(s^2 + r^2) / s (Zhuo and Sim 2011, "Defocus map
    estimation from a single image", equation 4): much for a sharp edge, little for a blurred one. The known blur is
    (1, 4, 6, 4, 1) / 16, so that r is 1 pixel. Measured along both directions, since a camera that moves blurs only
    one.

    Without weights, a picture is judged by its edges' width, and compared with those of its source: see `among`. The
    weights, which `sorter fit --measure sharpness` finds, turn the two logarithms into a probability.
    """

    classes: tuple[str, str] = ("blurry", "sharp")
    """The names of the blurry and of the sharp class, in this order."""
    worse: float | None = None
    """Weight of the logarithm of the ratio in the more blurred direction."""
    better: float = 0.0
    """Weight of the same in the less blurred direction."""
    bias: Annotated[float, Field(allow_inf_nan=False)] = 0.0

    @property
    def is_relative(self) -> bool:
        """Whether its answers are to be compared with those about the same source."""
        return self.worse is None

    def __call__(self, grey: NDArray[np.uint8]) -> NDArray[np.float32]:
        worse, better = edge_ratios(grey)
        if self.worse is None:
            sharp = _sharp(_width(worse), _limit(min(grey.shape), CRISP))
        else:
            logit = self.worse * worse + self.better * better + self.bias
            sharp = 1 / (1 + math.exp(-max(-60.0, min(60.0, logit))))
        return np.array([1 - sharp, sharp], np.float32)

    def edge_width(self, name: str, score: float, side: int) -> float:
        """The width of a picture's edges in pixels (standard deviation), by the answer that was given about it.

        `side`: the shorter side of the picture in pixels.
        """
        sharp = score if name == self.classes[1] else 1 - score
        return min(WIDEST, _limit(side, CRISP) * math.pow(1 / max(sharp, 1e-12) - 1, 1 / STEEP))

    def among(self, name: str, score: float, side: int, reference: float) -> tuple[str, float]:
        """The answer again, name and score, where sharp pictures of the same source have edges of `reference` pixels.

        An old film that was enlarged has wide edges everywhere: blurry is what is wider by a blur that can be seen.
        """
        sharp = _sharp(self.edge_width(name, score, side), _limit(side, min(reference, SOFTEST * side / LINES)))
        return (self.classes[1], sharp) if sharp >= 0.5 else (self.classes[0], 1 - sharp)


def _limit(side: int, reference: float) -> float:
    """The width from which edges count as blurred: those of the reference, and a blur that can be seen."""
    at_lines, least = SEEN
    return math.hypot(reference, max(least, at_lines * side / LINES))


def _width(ratio: float) -> float:
    """The width of edges whose gradient a blur of 1 pixel lowers by exp(ratio)."""
    return min(WIDEST, 1 / math.sqrt(max(math.exp(2 * ratio) - 1, WIDEST**-2)))


def _sharp(width: float, limit: float) -> float:
    """The probability that edges of this width are sharp: one half at the limit."""
    return 1 / (1 + (width / limit) ** STEEP)


@dataclass(frozen=True, eq=False)
class Measure:
    """A measure as one who is asked: the same labels, scores and source as a trained sorter has."""

    use: Scale
    sha256: str
    card: Mapping[str, Any] = field(default_factory=dict)
    """What card.toml says; empty for the built-in weights."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes, in the order of the scores."""
        return self.use.classes

    def __call__(self, grey: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Grey values (height, width) at the picture's own size -> probabilities (classes,)."""
        return self.use(grey)


def measure(name: str, where: str) -> Measure:
    """The measure of that name with its built-in options. Raises OptionsError."""
    return read_measure({"use": name}, where)


def read_measure(table: Mapping[str, Any], where: str, card: Mapping[str, Any] | None = None) -> Measure:
    """The measure that the [measure] table of a card describes. Raises ModelError or OptionsError."""
    options = dict(table) if isinstance(table, Mapping) else {}
    name = options.pop("use", None)
    if not isinstance(name, str):
        raise ModelError(f'{where}: [measure] has no use = "sharpness"; fit the measure again')
    use = measures.build(name, where, **options)
    said = use.model_dump_json() if isinstance(use, Sharpness) else f"{name} {use.model_dump_json()}"
    return Measure(use, hashlib.sha256(said.encode()).hexdigest(), card or {})


def edge_ratios(grey: NDArray[np.uint8]) -> tuple[float, float]:
    """Natural logarithms of how much steeper the edges are than after the known blur, 0 (blurred) to about 1.

    Of the two directions, first the more blurred one. A picture without edges, or below 16 pixels, gives (0, 0).
    """
    grey = _middle(grey)
    if min(grey.shape) < 16:
        return 0.0, 0.0
    across, down = _ratio(grey[::STRIDE]), _ratio(grey[:, ::STRIDE].T)
    return min(across, down), max(across, down)


def _ratio(lines: NDArray[np.uint8]) -> float:
    """The logarithm for edges along the rows of `lines`."""
    values = np.ascontiguousarray(lines).astype(np.int16)
    blurred = values[:, :-4] + 4 * values[:, 1:-3] + 6 * values[:, 2:-2] + 4 * values[:, 3:-1] + values[:, 4:]
    # Over two pixels, as central differences: between neighbours the rounding to whole grey values would show.
    before = np.abs(values[:, 4:-2] - values[:, 2:-4])
    after = np.abs(blurred[:, 2:] - blurred[:, :-2])
    rank = int(after.size * (1 - EDGES))
    steep = after >= max(4 * 16, int(np.partition(after, rank, axis=None)[rank]))
    if not steep.any():
        return 0.0
    return float(np.log(16 * np.mean(np.maximum(before[steep], 1)) / np.mean(after[steep])))


def _middle(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = grey.shape
    top, left = max(0, height - LONGEST) // 2, max(0, width - LONGEST) // 2
    return grey[top : top + LONGEST, left : left + LONGEST]
