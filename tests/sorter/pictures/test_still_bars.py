"""Bars around single pictures are found where they are, and only there."""

from __future__ import annotations

import numpy as np
import pytest

from sorter.pictures.still_bars import NONE, Margins, margins, window
from sorter.records import Box
from tests.sorter.pictures.test_video import scenery

Grey = np.ndarray


def barred(top: int = 0, side: int = 0, colour: int = 16, seed: int = 1) -> Grey:
    grey = np.full((360, 640), colour, np.uint8)
    grey[top : 360 - top, side : 640 - side] = scenery(seed, (640 - 2 * side, 360 - 2 * top))[..., 0]
    return grey


def found(grey: Grey) -> Box | None:
    return window(grey, margins(grey))


@pytest.mark.parametrize("colour", [0, 16, 255])
@pytest.mark.parametrize(("top", "side"), [(44, 0), (0, 80), (44, 80), (5, 0)])
def test_bars_are_found_to_the_pixel(top: int, side: int, colour: int) -> None:
    box = found(barred(top, side, colour))
    assert box is not None
    wanted = Box(side and side + 1, top and top + 1, 640 - (side and side + 1), 360 - (top and top + 1))
    assert box == wanted


def test_a_subtitle_in_a_bar_does_not_keep_it() -> None:
    grey = barred(60)
    grey[315:340, 200:440:3] = 235
    assert found(grey) == Box(0, 61, 640, 299)


@pytest.mark.parametrize("colour", [0, 128, 255])
def test_a_figure_on_one_colour_has_no_bars(colour: int) -> None:
    down, across = np.mgrid[:360, :640]
    grey = np.full((360, 640), colour, np.uint8)
    body = ((down - 180) / 120) ** 2 + ((across - 320) / 80) ** 2 < 1
    grey[body] = scenery(2, (640, 360))[..., 0][body] // 2 + (64 if colour != 128 else 0)
    assert found(grey) is None


def test_a_dark_sky_is_no_bar() -> None:
    grey = barred()
    grey[:70] = 5
    assert found(grey) is None
    grey[200:] = 5
    assert found(grey) is None  # nor are two, of which one is twice as thick


def test_a_picture_of_one_colour_tells_nothing_but_may_have_any_bars() -> None:
    grey = np.full((360, 640), 16, np.uint8)
    assert found(grey) is None
    assert margins(grey).cover(Box(0, 45, 640, 315), (640, 360))
    assert not Margins(0, 44, 0, 20).cover(Box(0, 45, 640, 315), (640, 360))


@pytest.mark.parametrize("size", [(16, 16), (64, 1), (1, 1), (63, 630)])
def test_in_tiny_pictures_nothing_is_looked_for(size: tuple[int, int]) -> None:
    grey = np.zeros(size, np.uint8)
    assert margins(grey) == NONE
    assert found(grey) is None
