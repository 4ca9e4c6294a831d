"""Black bars are found where they are, and only there."""

from __future__ import annotations

import numpy as np
import pytest

from sorter.pictures.bars import Profile, find_bars, profile
from sorter.records import Box
from tests.sorter.pictures.test_video import scenery

Grey = np.ndarray


def barred(seed: int, top: int = 0, side: int = 0) -> Grey:
    grey = np.full((360, 640), 16, np.uint8)
    grey[top : 360 - top, side : 640 - side] = np.maximum(scenery(seed, (640 - 2 * side, 360 - 2 * top))[..., 0], 20)
    return grey


def box(frames: list[Grey]) -> Box | None:
    return find_bars([one for one in map(profile, frames) if isinstance(one, Profile)])


@pytest.mark.parametrize(("top", "side"), [(44, 0), (0, 80), (44, 80)])
def test_bars_are_found(top: int, side: int) -> None:
    found = box([barred(seed, top, side) for seed in range(6)])
    assert found is not None
    assert 0 <= found.top - top <= 4 and 0 <= 360 - top - found.bottom <= 4
    assert 0 <= found.left - side <= 4 and 0 <= 640 - side - found.right <= 4


def test_no_bars_no_box() -> None:
    assert box([barred(seed) for seed in range(6)]) is None
    assert box([]) is None
    assert box([np.full((360, 640), 16, np.uint8)] * 3) is None


def test_a_subtitle_in_the_bar_does_not_keep_it() -> None:
    frames = [barred(seed, 44) for seed in range(8)]
    for frame in frames[:4]:
        frame[330:345, 200:440] = 235
    found = box(frames)
    assert found is not None and found.bottom <= 316


def test_a_figure_on_black_is_not_cut() -> None:
    frames = []
    for seed in range(6):
        frame = np.full((360, 640), 16, np.uint8)
        across, down = np.meshgrid(np.arange(640), np.arange(360))
        inside = ((across - 320) / 250) ** 2 + ((down - 180) / 120) ** 2 < 1
        frame[inside] = np.maximum(scenery(seed, (640, 360))[..., 0], 60)[inside]
        frames.append(frame)
    assert box(frames) is None


def test_one_dark_edge_is_no_bar() -> None:
    frames = [barred(seed) for seed in range(6)]
    for frame in frames:
        frame[:90] = 16
    assert box(frames) is None
