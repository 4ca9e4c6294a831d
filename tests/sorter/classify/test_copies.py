"""Which pictures are told to be copies: on drawn frames whose differences are known."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from sorter.classify.columns import Columns
from sorter.classify.copies import Group, find_copies
from sorter.classify.looks import FILE, Look, LookCache, look_at
from sorter.pictures.align import aligned
from sorter.pictures.hashing import pairs_within
from sorter.pictures.keypoints import keypoints, mirrored_signs


@pytest.fixture(scope="module")
def franchise() -> Iterator[Any]:
    """The sample's list of frames, and what draws one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parents[3] / "samples"))  # which are scripts, not a package
        import franchise
        import lantern_bay

        yield lantern_bay.heap(7), lambda frame: franchise.draw(frame).convert("RGB")


@pytest.fixture
def groups(tmp_path: Path) -> Callable[..., list[Group]]:
    """The groups of pictures, of which the first are the better ones."""

    def find(*pictures: Image.Image) -> list[Group]:
        cache = LookCache(tmp_path / "looks.sqlite")
        keys = [f"{number:064x}" for number in range(len(pictures))]
        cache.put(look_at(encoded(one), key) for key, one in zip(keys, pictures, strict=True))
        shapes = [one.width / one.height for one in pictures]
        looked = Columns(cache.each(keys)).looked(
            range(len(keys)), shapes, lambda chosen: cache.smalls([keys[place] for place in chosen])
        )
        found = find_copies(looked)
        cache.close()
        return found

    return find


def encoded(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "PNG", compress_level=1)
    return out.getvalue()


def test_frames_that_differ_in_a_face_are_no_copies(franchise: Any, groups: Any) -> None:
    """The one thing that a character's dataset is about changes few pixels."""
    frames, draw = franchise
    pairs = []
    for frame in frames[:12]:
        act = frame.shot.act
        other = replace(act, expression="sad" if act.expression != "sad" else "happy")
        pairs += [draw(frame), draw(replace(frame, shot=replace(frame.shot, act=other)))]
    assert groups(*pairs) == []


def test_a_change_of_contrast_and_brightness_is_a_copy(franchise: Any, groups: Any) -> None:
    frames, draw = franchise
    picture = draw(frames[0])
    (group,) = groups(picture, picture.point(lambda value: 30 + value * 0.7))
    assert group == (0, ((1, "near"),))


def test_no_chain_of_neighbours_becomes_one_group(franchise: Any, groups: Any) -> None:
    """Each frame is a little cropped from the one before; the last shows less than the first one's half."""
    frames, draw = franchise
    whole = draw(frames[2])
    width, height = whole.size
    steps = [whole]
    for number in range(1, 30):
        left, top = round(width * 0.012 * number), round(height * 0.012 * number)
        steps.append(whole.crop((left, top, width - left, height - top)).resize(whole.size))
    found = groups(*steps)
    assert found[0].kept == 0
    assert len(found) > 1  # what is too small a part of the first has a group of its own
    for group in found:
        assert all(copy.place > group.kept for copy in group.copies)
        assert max(copy.place for copy in group.copies) - group.kept < 29


@pytest.mark.parametrize("colour", [(0, 0, 0), (250, 250, 250), (40, 90, 160)])
def test_pictures_with_nothing_on_them_are_no_copies(groups: Any, colour: tuple[int, int, int]) -> None:
    draw = np.random.default_rng(0)
    plain = [
        Image.fromarray(np.clip(np.array(colour) + draw.integers(-3, 4, (90, 160, 3)), 0, 255).astype(np.uint8))
        for _ in range(4)
    ]
    assert groups(*plain) == []
    assert groups(plain[0], plain[0]) == [(0, ((1, "exact"),))]


@pytest.mark.parametrize("size", [(1, 1), (3, 500), (700, 2), (17, 9)])
def test_odd_sizes_are_looked_at(groups: Any, size: tuple[int, int]) -> None:
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 256, (*size[::-1], 3)).astype(np.uint8))
    assert groups(noise, noise) == [(0, ((1, "exact"),))]


def test_a_mirror_image_has_the_same_points_with_other_signs(franchise: Any) -> None:
    frames, draw = franchise
    grey = np.asarray(draw(frames[1]).convert("L").resize((192, 192)))
    here, there = keypoints(grey), keypoints(np.ascontiguousarray(grey[:, ::-1]))
    order, other = (np.lexsort(np.round(places, 3).T) for places in (here.places, mirrored(there.places)))
    assert len(here.hashes) > 20
    assert np.abs(here.places[order] - mirrored(there.places)[other]).max() < 0.001
    bits = np.bitwise_count(here.hashes[order] ^ there.hashes[other] ^ mirrored_signs())
    assert np.median(bits) == 0


def mirrored(places: np.ndarray) -> np.ndarray:
    return places * (-1, 1, 1) + (1, 0, 0)


def test_a_part_is_found_where_it_lies(franchise: Any) -> None:
    frames, draw = franchise
    whole = draw(frames[3]).convert("L")
    width, height = whole.size
    part = whole.crop((round(0.12 * width), round(0.06 * height), round(0.92 * width), round(0.86 * height)))
    smalls = [np.asarray(one.resize((64, 64), Image.Resampling.LANCZOS))[None] for one in (part, whole)]
    found = aligned(*smalls, np.array([[0.83, 0.78, 0.1, 0.08]], np.float32))
    assert np.abs(found.places[0] - (0.8, 0.8, 0.12, 0.06)).max() < 0.01
    assert found.likeness[0] > 0.99
    away = aligned(smalls[0][:, :, ::-1], smalls[1], found.places)
    assert away.change[0] > 3 * found.change[0]


def test_pairs_of_hashes_are_those_of_all_against_all() -> None:
    draw = np.random.default_rng(2)
    hashes = draw.integers(0, 2**63, 9000, np.uint64)
    hashes[::7] ^= np.uint64(5)
    hashes[1::7] = hashes[::7][: len(hashes[1::7])] ^ np.uint64(1 << 40)
    found = set(zip(*(side.tolist() for side in pairs_within(hashes, hashes, 4)), strict=True))
    brute = set()
    for one in range(0, 9000, 100):
        bits = np.bitwise_count(hashes[one : one + 100, None] ^ hashes[None])
        brute |= {(one + int(row), int(column)) for row, column in np.argwhere(bits <= 4) if one + row < column}
    assert found == brute
    assert len(found) >= 1200


def test_a_damaged_cache_is_made_again(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"no database at all" * 100)
    cache = LookCache(tmp_path / FILE)
    picture = Image.new("RGB", (40, 30), "red")
    cache.put([look_at(encoded(picture), "a" * 64)])
    (found,) = cache.each(["a" * 64])
    assert isinstance(found, Look)
    assert cache.known(["a" * 64, "b" * 64]) == {"a" * 64}
    cache.close()


def test_a_mirrored_copy_of_a_flat_drawing_is_found(groups: Any, draw: Any) -> None:
    """Drawings of a few plain areas have hardly any points."""
    flat = draw("left", "happy", size=(320, 200))
    found = groups(flat, ImageOps.mirror(flat).resize((160, 100)))
    assert found == [(0, ((1, "mirrored"),))]
