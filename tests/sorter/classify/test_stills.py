"""Which frames are kept: a few of each scene, sharp, unlike, and none of what nobody wants."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from sorter.classify.stills import Scene, Wanted, stills
from sorter.pictures.video import Damage, look, read
from tests.film import RATE, Pixels, film, mixed, write_video
from tests.sorter.pictures.test_video import moving, scenery

pytest.importorskip("av")
pytest.importorskip("imagehash")

SIZE = (320, 180)


def scenes(path: Path, wanted: Wanted | None = None, start: float = 0.0) -> list[Scene]:
    video = look(path)
    return list(stills(video, read(video, max(0.0, start - 5), Damage()), wanted or Wanted(), start))


def taken(path: Path, wanted: Wanted | None = None) -> list[int]:
    """The numbers of the frames that are kept."""
    return [round(one.seconds * RATE) for scene in scenes(path, wanted) for one in scene.frames]


def still(seed: int, count: int) -> list[Pixels]:
    return [scenery(seed, SIZE)] * count


def test_every_scene_and_no_mixture(tmp_path: Path) -> None:
    pictures = [Image.fromarray(scenery(seed, (640, 360))) for seed in range(9)]
    shown = list(film(pictures, SIZE))
    truth = [number for _, number in shown]
    found = [truth[place] for place in taken(write_video(tmp_path / "a.mp4", (pixels for pixels, _ in shown)))]
    assert None not in found
    assert set(found) == set(range(9))


def test_neither_black_nor_plain_frames_are_kept(tmp_path: Path) -> None:
    black, blue = np.zeros((180, 320, 3), np.uint8), np.full((180, 320, 3), (20, 40, 200), np.uint8)
    video = write_video(tmp_path / "a.mp4", [*[black] * 30, *still(1, 30), *[blue] * 30, *[black] * 30])
    found = taken(video)
    assert len(found) == 1 and 30 <= found[0] < 60
    assert sum(scene.passed["black or plain"] for scene in scenes(video)) >= 40


def test_the_sharp_moment_of_a_scene_is_kept(tmp_path: Path) -> None:
    """The camera finds its focus for half a second."""
    sharp = np.random.default_rng(0).integers(0, 255, (45, 80, 3), np.uint8)
    picture = Image.fromarray(sharp).resize(SIZE, Image.Resampling.NEAREST)
    blurred = np.asarray(picture.filter(ImageFilter.GaussianBlur(3)))
    frames = [np.asarray(picture) if 60 <= place < 72 else blurred for place in range(120)]
    found = taken(write_video(tmp_path / "a.mp4", frames))
    assert found and all(60 <= place < 72 for place in found)


def test_frames_of_a_scene_are_unlike_and_apart(tmp_path: Path) -> None:
    assert len(taken(write_video(tmp_path / "still.mp4", still(1, 240)))) == 1
    panned = write_video(tmp_path / "panned.mp4", moving(240, size=SIZE))
    assert len(taken(panned, Wanted(most=2))) == 2
    assert len(found := taken(panned, Wanted(most=9, gap=2.0))) > 2
    assert all(after - before >= 2.0 * RATE for before, after in pairwise(found))


def test_a_scene_that_comes_again_is_kept_once(tmp_path: Path) -> None:
    found = taken(write_video(tmp_path / "a.mp4", still(1, 40) + still(2, 40) + still(1, 40) + still(2, 40)))
    assert [place // 40 for place in found] == [0, 1]


def test_every_so_many_seconds_repeats_and_black_are_left_out(tmp_path: Path) -> None:
    """A drawing stands for two frames, as in many cartoons: of 24 frames a second, 12 are different."""
    twos = [np.roll(scenery(1, SIZE), 8 * (place // 2), axis=1) for place in range(48)]
    found = taken(write_video(tmp_path / "a.mp4", twos), Wanted(every=1 / RATE))
    assert found == list(range(0, 48, 2))
    assert taken(write_video(tmp_path / "b.mp4", moving(120, size=SIZE)), Wanted(every=2.0)) == [0, 48, 96]


@pytest.mark.parametrize("every", [None, 0.5])
def test_from_the_middle_on_the_same_is_found(tmp_path: Path, every: float | None) -> None:
    pictures = [Image.fromarray(scenery(seed, (640, 360))) for seed in range(8)]
    video = write_video(tmp_path / "a.mp4", (pixels for pixels, _ in film(pictures, SIZE)))
    whole = scenes(video, Wanted(every=every))
    for cut in (len(whole) // 3, len(whole) * 2 // 3):
        known = [one for scene in whole[:cut] for one in scene.hashes]
        start = whole[cut - 1].end
        described = look(video)
        rest = stills(described, read(described, max(0, start - 5), Damage()), Wanted(every=every), start, known)
        assert [(scene.begin, [one.seconds for one in scene.frames]) for scene in rest] == [
            (scene.begin, [one.seconds for one in scene.frames]) for scene in whole[cut:]
        ]


def test_the_faint_ends_of_a_fade_are_avoided(tmp_path: Path) -> None:
    fade = [mixed(scenery(1, SIZE), scenery(2, SIZE), share / 49) for share in range(1, 49)]
    for place in taken(write_video(tmp_path / "a.mp4", still(1, 50) + fade + still(2, 50))):
        assert not 50 <= place < 98
