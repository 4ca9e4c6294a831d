"""The asker for the colours that a picture is full of, by their everyday names.

So that `sorter coverage` can say that most happy pictures are blue: a model learns that with the expression.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sorter.classify.askers import Asker, askers

if TYPE_CHECKING:
    from sorter.classify.view import View

SIDE = 48
"""Pixels of the square that is looked at."""
HUES = ((18, "red"), (45, "orange"), (70, "yellow"), (165, "green"), (200, "teal"), (260, "blue"), (295, "purple"),
        (340, "pink"), (361, "red"))  # fmt: skip
"""Degrees up to which a hue has a name."""
NAMES = ("black", "grey", "white", *dict.fromkeys(name for _, name in HUES))


@askers.add("colours")
class Colours(Asker):
    """The colours that fill much of a picture: black, grey, white, red, orange, yellow, green, teal, blue, ..."""

    share: Annotated[float, Field(gt=0, le=1)] = 0.3
    """Of the picture's middle square, from which on a colour is named."""

    def ask(self, view: View) -> list[str]:
        """Their names, the most frequent first."""
        found = np.bincount(named(view.square(SIDE)).ravel(), minlength=len(NAMES)) / SIDE**2
        return [NAMES[place] for place in np.argsort(-found, kind="stable") if found[place] >= self.share]


def named(pixels: NDArray[np.uint8]) -> NDArray[np.int64]:
    """For each pixel (..., 3), RGB, the place of its colour in NAMES.

    By hue, saturation and value (Smith 1978, "Color Gamut Transform Pairs"); what has little of a colour, or of light,
    is black, grey or white.
    """
    values = pixels.astype(np.float32) / 255
    most, least = values.max(axis=-1), values.min(axis=-1)
    spread = most - least
    red, green, blue = (values[..., channel] for channel in range(3))
    with np.errstate(invalid="ignore", divide="ignore"):
        sector = np.select(
            [most == red, most == green], [(green - blue) / spread % 6, (blue - red) / spread + 2],
            (red - green) / spread + 4,
        )  # fmt: skip
        saturation = spread / most
    places = np.array([NAMES.index(name) for _, name in HUES])
    hue = np.nan_to_num(60 * sector)
    coloured = places[np.searchsorted([limit for limit, _ in HUES], hue, side="right")]
    grey = np.select([most < 0.2, most > 0.85], [NAMES.index("black"), NAMES.index("white")], NAMES.index("grey"))
    found: NDArray[np.int64] = np.where((most < 0.2) | (np.nan_to_num(saturation) < 0.2), grey, coloured)
    return found
