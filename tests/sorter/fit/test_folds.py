"""What is held out together: groups by name and by looks, and the folds they are put in."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from sorter.errors import ExamplesError
from sorter.fit.folds import ALIKE, FOLDS, SAME, Split, leaks, near_pairs, scenes, split
from sorter.pictures.hashing import distance, perceptual_hash  # fmt: skip
from sorter.pictures.images import fit_view

WHERE = Path("examples")
FILMS = np.random.default_rng(5).integers(0, 2**64, 40, np.uint64)
"""Looks of scenes that have nothing to do with each other."""


def held_out(names: list[str], group: str = "none", labels: Any = None, hashes: Any = None, seed: int = 0) -> Split:
    paths = [Path(name) for name in names]
    labels = np.arange(len(names)) % 2 if labels is None else np.array(labels)
    hashes = FILMS[:1].repeat(len(names)) if hashes is None else np.array(hashes, np.uint64)
    return split(paths, labels, hashes, group, seed, WHERE)


def bits(looks: np.uint64, count: int) -> np.uint64:
    """The same looks but for so many bits."""
    return np.uint64(looks ^ np.uint64((1 << count) - 1))


def together(found: Split, names: list[str]) -> dict[str, list[int]]:
    return {key: sorted({int(found.folds[i]) for i, name in enumerate(names) if key in name})
            for key in ("anna", "ben", "cleo")}  # fmt: skip


# --- groups by name


@pytest.mark.parametrize(
    ("group", "form"),
    [
        ("{group}/...", "{}/{}.png"),
        ("{group}/...", "{}/deep/er/{}.png"),
        ("{group}_*", "{}_{}.png"),
        ("{group}_*", "{}_{}_x_y.png"),
        ("*/{group}/*", "x/{}/{}.png"),
        (".../{group}-*", "x/y/{}-{}.png"),
        ("...[{group}]...", "x/y [{}] {}.png"),
        (r"^(?P<group>\w+?)\d*/", "{}7/{}.png"),
        (r"(\d+)-([a-z]+)-(?P<group>[a-z]+)", "12-film-{}-{}.png"),
        (r"([a-z]+)-\d", "{}-{}.png"),
        ("anna|ben|cleo", "{}-{}.png"),
    ],
)
def test_a_group_stays_together(group: str, form: str) -> None:
    names = [form.format(who, number) for who in ("anna", "ben", "cleo") for number in range(4)]
    found = held_out(names, group)
    assert found.groups == 3 and found.how == f'by --group "{group}": 3 groups'
    assert sorted(together(found, names).values()) == [[0], [1], [2]]


@pytest.mark.parametrize(
    ("group", "said"),
    [
        ("{group}/...", '--group "{group}/..." does not fit "plain.png"; write it like "{group}/..." or "scene"'),
        ("{group}_*", '--group "{group}_*" does not fit "plain.png"'),
        (r"\d+", r'--group "\d+" does not fit "plain.png"'),
        (r"(?P<group>anna)?", r'--group "(?P<group>anna)?" does not fit "plain.png"'),
        (r"(anna)?", r'--group "(anna)?" does not fit "plain.png"'),
        ("(", '--group "(" is not a regular expression: missing )'),
        ("[{group}", '--group "[{group}" does not fit'),
        ("", 'by --group "" all pictures are of one group; at least two are needed'),
        ("png$", 'by --group "png$" all pictures are of one group; at least two are needed'),
    ],
)
def test_a_group_that_does_not_fit_is_a_sentence(group: str, said: str) -> None:
    with pytest.raises(ExamplesError) as found:
        held_out(["plain.png", "anna/1.png", "anna_2.png"], group)
    assert said in str(found.value) and str(found.value).startswith("examples: ") and "\n" not in str(found.value)


def test_a_star_stays_within_a_name_and_the_shortest_group_is_taken() -> None:
    with pytest.raises(ExamplesError, match=r'does not fit "anna_1/x.png"'):
        held_out(["anna_1.png", "anna_1/x.png"], "{group}_*")
    names = ["anna_a_1.png", "anna_b_1.png", "ben_a_1.png", "ben_b_1.png"]
    assert held_out(names, "{group}_*").groups == 2


def test_none_is_at_random() -> None:
    found = held_out([f"{number}.png" for number in range(20)])
    assert (found.groups, found.how) == (20, "at random, picture by picture")
    assert np.bincount(found.folds).tolist() == [4] * 5


# --- scenes


def test_a_scene_is_a_run_of_frames_that_look_alike() -> None:
    """Whatever order they are listed in, and frame 9 is before frame 10."""
    names = [f"f{number}.png" for number in range(12)]
    looks = [FILMS[0]] * 6 + [FILMS[1]] * 6
    order = np.random.default_rng(0).permutation(12)
    found = scenes([Path(names[place]) for place in order], np.array(looks, np.uint64)[order])
    assert len(set(found.tolist())) == 2
    assert {int(number) for number in found[order < 6]} & {int(number) for number in found[order >= 6]} == set()


def test_frames_follow_each_other_by_their_numbers() -> None:
    """In the order of letters, 1 is followed by 10 and 2 by 20: five frames apart, so no scene would be found."""
    names = [f"Film {number}.png" for number in range(1, 31)]
    looks = [bits(FILMS[0], number) for number in range(30)]  # each differs from the next by one bit
    assert len(set(scenes([Path(name) for name in names], np.array(looks)).tolist())) == 1


def test_a_scene_may_lie_in_several_class_folders() -> None:
    """Paths are below the class folders: left has frames 1, 3, 5 and right has 2, 4, 6."""
    paths = [Path(f"{number}.png") for number in (1, 3, 5, 7, 2, 4, 6, 8)]
    looks = np.array([FILMS[0], FILMS[0], FILMS[1], FILMS[1]] * 2, np.uint64)
    assert scenes(paths, looks).tolist() == [0, 0, 1, 1, 0, 0, 1, 1]


def test_a_flash_does_not_cut_a_scene_and_a_change_does() -> None:
    flash = [FILMS[0], FILMS[0], FILMS[1], FILMS[0], FILMS[2], FILMS[3], FILMS[4], FILMS[5], FILMS[0]]
    found = scenes([Path(f"{number}.png") for number in range(9)], np.array(flash, np.uint64)).tolist()
    assert found[0] == found[1] == found[3] != found[2]
    assert found[8] == found[0]  # the same again later is the same scene, as a title card in each episode is
    near, far = bits(FILMS[0], ALIKE), bits(FILMS[0], ALIKE + 1)
    assert scenes([Path("1.png"), Path("2.png")], np.array([FILMS[0], near])).tolist() == [0, 0]
    assert scenes([Path("1.png"), Path("2.png")], np.array([FILMS[0], far])).tolist() == [0, 1]


def test_films_that_number_their_frames_alike_are_not_mixed_up() -> None:
    paths = [Path(f"film {film}/{number:04}.png") for film in range(8) for number in range(5)]
    found = scenes(paths, FILMS[:8].repeat(5))
    assert len(set(found.tolist())) == 8


def test_scenes_are_not_cut_by_folds() -> None:
    names = [f"{number:03}.png" for number in range(60)]
    found = held_out(names, "scene", hashes=FILMS[:12].repeat(5))
    assert (found.groups, found.leaks) == (12, ())
    assert found.how == "by scene, runs of near-identical frames: 12 scenes"
    assert all(len(set(scene)) == 1 for scene in found.folds.reshape(12, 5).tolist())


def test_one_scene_only_is_split_at_random_and_says_so() -> None:
    found = held_out([f"{number}.png" for number in range(10)], "scene")
    assert found.how == "at random, since all pictures seem to be of one scene: too good to be true"
    assert (found.groups, len(found.leaks)) == (1, 10)
    assert len(set(found.folds.tolist())) == FOLDS


JITTERS: tuple[Callable[[Image.Image], Image.Image], ...] = (
    lambda image: ImageEnhance.Brightness(image).enhance(1.08),
    lambda image: image.crop((image.width // 100, image.height // 100, image.width, image.height)),
    lambda image: image.resize((image.width // 3, image.height // 3)),
)


def test_jittered_film_frames_are_one_scene(shared: Path) -> None:
    frames = [Image.open(path).convert("RGB") for path in sorted((shared / "frames").glob("*.jpg"))[:12:3]]
    assert len(frames) == 4
    looks = [[looks_of(jitter(frame)) for jitter in JITTERS] for frame in frames]
    paths = [Path(f"film_{number}.png") for number in range(12)]
    found = scenes(paths, np.array(looks, np.uint64).reshape(-1)).reshape(4, 3)
    assert all(len(set(scene)) == 1 for scene in found.tolist())
    assert len(set(found[:, 0].tolist())) > 1  # and not all that is of one film is one scene


# --- folds


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9)), min_size=4, max_size=60),
    st.integers(0, 3),
)
def test_no_group_is_in_two_folds_and_every_fold_has_something_to_learn_from(
    pictures: list[tuple[int, int]], seed: int
) -> None:
    pictures += [(label, group) for label in {label for label, _ in pictures} for group in (10 + label, 20 + label)]
    names = [f"{group}_{number}.png" for number, (_, group) in enumerate(pictures)]
    labels = [label for label, _ in pictures]
    found = held_out(names, "{group}_*", labels, seed=seed)
    groups = {group for _, group in pictures}
    for group in groups:
        assert len({int(found.folds[i]) for i, (_, other) in enumerate(pictures) if other == group}) == 1
    assert 2 <= len(set(found.folds.tolist())) <= min(FOLDS, len(groups))
    again = held_out(names, "{group}_*", labels, seed=seed)
    assert np.array_equal(found.folds, again.folds)


def test_each_fold_has_its_share_of_every_class() -> None:
    labels = [0] * 50 + [1] * 25 + [2] * 5
    found = held_out([f"{number}.png" for number in range(80)], labels=labels)
    counts = np.array([np.bincount(np.array(labels)[found.folds == fold], minlength=3) for fold in range(5)])
    assert counts.tolist() == [[10, 5, 1]] * 5
    other = held_out([f"{number}.png" for number in range(80)], labels=labels, seed=1)
    assert not np.array_equal(found.folds, other.folds)


@pytest.mark.parametrize(("pictures", "parts"), [(2, 2), (3, 3), (9, 5)])
def test_few_pictures_are_few_folds(pictures: int, parts: int) -> None:
    labels = [0] * pictures + [1] * 2
    found = held_out([f"{number}.png" for number in range(pictures + 2)], labels=labels)
    assert len(set(found.folds.tolist())) == parts


# --- looks


def test_leaks_are_the_pictures_with_a_near_identical_one_in_another_fold() -> None:
    looks = np.array([FILMS[0], bits(FILMS[0], SAME), FILMS[1], bits(FILMS[1], SAME + 1), FILMS[2], FILMS[2], FILMS[3]])
    assert len(leaks(looks, np.array([0, 1, 0, 1, 0, 0, 1]))) == 2
    assert leaks(looks, np.zeros(7, np.int64)) == ()
    many = FILMS[:1].repeat(600)  # more than are compared at a time
    assert len(leaks(many, np.arange(600) // 599)) == 600


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_the_distance_is_the_count_of_bits(one: int, other: int) -> None:
    assert distance(np.array([one], np.uint64), np.array([other], np.uint64)) == (one ^ other).bit_count()


def looks_of(image: Image.Image) -> int:
    return perceptual_hash(fit_view(np.asarray(image), 224))


def scenery(seed: int) -> Image.Image:
    draw = np.random.default_rng(seed)
    return Image.fromarray(draw.integers(0, 256, (6, 8, 3), np.uint8)).resize((320, 240), Image.Resampling.BICUBIC)


def as_jpeg(image: Image.Image, quality: int) -> Image.Image:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality)
    return Image.open(out)


@pytest.mark.parametrize("seed", range(4))
def test_scaling_brightness_and_compression_hardly_change_what_a_picture_looks_like(seed: int) -> None:
    image = scenery(seed)
    plain = looks_of(image)
    assert 0 <= plain < 2**64
    changed = [image.resize((100, 75)), image.resize((640, 480)), ImageEnhance.Brightness(image).enhance(0.8),
               ImageEnhance.Contrast(image).enhance(0.8), as_jpeg(image, 30)]  # fmt: skip
    for other in changed:
        assert (plain ^ looks_of(other)).bit_count() <= SAME
    for different in (scenery(seed + 10), image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)):
        assert (plain ^ looks_of(different)).bit_count() > ALIKE


@pytest.mark.parametrize("value", [0, 1, 128, 255])
def test_flat_pictures_look_alike(value: int) -> None:
    flat = np.full((224, 224, 3), value, np.uint8)
    assert perceptual_hash(flat) in (0, 1 << 63)


def test_what_is_the_same_far_apart_does_not_leak() -> None:
    """Twenty scenes, and a title card before each."""
    names, looks = [], []
    for scene in range(20):
        names += [f"{scene:02}/{number}.png" for number in range(6)]
        looks += [FILMS[11], *[bits(FILMS[scene % 10], 6 * (scene // 10))] * 5]
    found = held_out(names, "scene", hashes=np.array(looks, np.uint64))
    assert found.leaks == ()


def test_near_pairs_are_those_of_a_plain_comparison() -> None:
    draw = np.random.default_rng(3)
    films = draw.integers(0, 2**64, 2000, np.uint64)
    others = np.concatenate([films, films[:700] ^ np.uint64(0b1011), films[700:2500] ^ np.uint64(0b11111)])
    others = np.concatenate([others, draw.integers(0, 2**64, 3000, np.uint64)])
    rows, columns = near_pairs(films[:600], others)
    plain = np.nonzero(distance(films[:600, None], others[None, :]) <= SAME)
    order = np.lexsort((columns, rows))
    assert (rows[order] == plain[0]).all() and (columns[order] == plain[1]).all()
    assert len(rows) == 1200 and len(near_pairs(films[:0], others)[0]) == len(near_pairs(films, others[:0])[0]) == 0
