"""Which pictures are asked about first."""

from __future__ import annotations

import numpy as np
import pytest

from sorter.fit.choose import choose, margins


def clusters(sizes: list[int], spread: float = 0.1, seed: int = 0) -> np.ndarray:
    """(1, n, sizes): so many pictures around each of some distant centres."""
    random = np.random.default_rng(seed)
    centres = 3 * np.eye(len(sizes), dtype=np.float32)
    rows = [
        centre + spread * random.standard_normal((size, len(sizes)))
        for centre, size in zip(centres, sizes, strict=True)
    ]
    return np.concatenate(rows).astype(np.float32)[None]


def test_the_first_are_one_of_each_kind_and_outliers_come_last() -> None:
    features = clusters([40, 30, 20, 1])
    chosen = choose(features, {}, 4)
    kinds = [int(np.searchsorted([40, 70, 90], place, side="right")) for place in chosen]
    assert sorted(kinds[:3]) == [0, 1, 2]
    assert kinds.index(3) == 3 if 3 in kinds else True


def test_what_is_answered_is_not_asked_again() -> None:
    features = clusters([10, 10])
    known = {0: "a", 10: "b", 3: "a"}
    chosen = choose(features, known, 6)
    assert len(chosen) == len(set(chosen)) == 6
    assert not set(chosen) & set(known)


def test_those_that_are_undecided_come_first() -> None:
    line = np.linspace(-1, 1, 41, dtype=np.float32)
    features = np.stack([line, np.zeros(41), np.zeros(41)], axis=1).astype(np.float32)[None]
    known = {0: "a", 1: "a", 39: "b", 40: "b"}
    margin = margins(features, known, np.arange(41))
    assert margin.argmin() == pytest.approx(20, abs=1)


def test_a_mirror_image_answers_for_the_other_side() -> None:
    """Left and right are one thing seen twice: what is known of one view's class is known of the other's opposite."""
    side = np.array([1, 1, 1, -1, -1, -1], np.float32)[:, None]
    features = np.stack([side, -side]) @ np.ones((1, 4), np.float32)
    margin = margins(features, {0: "left", 1: "left", 3: "right"}, np.arange(6))
    assert margin.min() > 0.5


def test_all_that_are_left_are_given_where_there_are_few() -> None:
    assert sorted(choose(clusters([3, 2]), {0: "a"}, 40)) == [1, 2, 3, 4]
    assert choose(clusters([2]), {0: "a", 1: "a"}, 5) == []


def test_near_copies_are_weighed_by_how_many_they_stand_for() -> None:
    features = clusters([20, 20], spread=0.01)
    weights = np.ones(40, np.float32)
    weights[25] = 50
    assert choose(features, {}, 1, weights)[0] >= 20
