"""Cuts and cross-fades, told from small frames whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from sorter.pictures.scenes import Scenes, Seen, is_same
from tests.film import mixed
from tests.sorter.pictures.test_video import Pixels, moving, scenery

RATE = 12


def seen(frames: list[Pixels]) -> list[Seen]:
    looked, found = Scenes(RATE), []
    for pixels in frames:
        small = pixels[::4, ::4]
        found += looked.add(small[..., 0], small[..., 1:])
    return found + list(looked.end())


def test_each_frame_is_told_of_once() -> None:
    for count in (0, 1, 2, 5, 200):
        assert len(seen(moving(count))) == count


def test_a_cut_is_where_it_is_and_nowhere_else() -> None:
    found = seen(moving(40, 1) + moving(40, 2) + moving(7, 3) + moving(40, 4))
    assert [place for place, one in enumerate(found) if one.begins] == [40, 80, 87]
    assert not any(one.mixed for one in found)


@pytest.mark.parametrize("length", [3, 6, 12, 24])
@pytest.mark.parametrize("speed", [0, 1])
def test_every_frame_of_a_cross_fade_is_called_so(length: int, speed: int) -> None:
    one, other = ([frame if speed else frames[0] for frame in frames] for frames in (moving(90, 1), moving(90, 2)))
    fade = [mixed(a, b, (i + 1) / (length + 1)) for i, (a, b) in enumerate(zip(one[60:], other, strict=False))][:length]
    found = seen(one[:60] + fade + other[length:])
    assert all(found[place].mixed for place in range(60, 60 + length))
    assert sum(one.mixed for one in found) <= length + 12


def test_a_fade_through_black() -> None:
    black = np.zeros_like(scenery(1))
    down = [mixed(scenery(1), black, share / 7) for share in range(1, 7)]
    up = [mixed(black, scenery(2), share / 7) for share in range(1, 7)]
    found = seen([scenery(1)] * 40 + down + [black] * 3 + up + [scenery(2)] * 40)
    assert all(one.mixed for one in (*found[40:46], *found[49:55]))
    assert all(one.plain for one in found[46:49])


def test_light_and_movement_are_no_cross_fade() -> None:
    brighter = [np.asarray(scenery(1) * (0.4 + 0.6 * share / 100), np.uint8) for share in range(100)]
    assert not any(one.mixed or one.begins for one in seen(brighter))
    wide = scenery(3, (800, 90))
    assert not any(one.mixed or one.begins for one in seen([wide[:, x : x + 160] for x in range(0, 600, 5)]))


def test_a_repeated_frame_is_the_same_and_a_moved_mouth_is_not() -> None:
    one = scenery(1)[::4, ::4, 0]
    noisy = np.clip(one.astype(int) + np.random.default_rng(0).integers(-1, 2, one.shape), 0, 255).astype(np.uint8)
    spoken = one.copy()
    spoken[10:12, 20:23] = 255 - spoken[10:12, 20:23]
    assert is_same(one, noisy) is not None
    assert not is_same(one, spoken)
