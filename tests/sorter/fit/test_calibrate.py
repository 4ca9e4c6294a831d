"""How far a score can be trusted: on made-up answers of which the truth is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sorter.fit.calibrate import FLATTEST, SHARPEST, Promise, probabilities, promise, temperature
from sorter.networks.head import mean_of_views


def drawn(draw: np.random.Generator, count: int, classes: int, spread: float) -> tuple[np.ndarray, np.ndarray]:
    """Logits whose softmax is the very chance of each class, and the classes drawn by it."""
    logits = draw.normal(0, spread, (count, classes))
    chances = probabilities(logits, 1.0).cumsum(axis=1)
    return logits, np.minimum((chances < draw.random(count)[:, None]).sum(axis=1), classes - 1)


def promised(top: list[float], right: list[bool], error: float = 0.02, agree: Any = None) -> Promise:
    """Of two classes, all answers for the first one."""
    scores = np.array([[score, 1 - score] for score in top])
    truth = np.where(right, 0, 1)
    return promise(scores, truth, np.ones(len(top), bool) if agree is None else np.array(agree), error)


def accepted(found: Promise, scores: np.ndarray) -> np.ndarray:
    return np.asarray(scores.max(axis=1) >= np.array(found.thresholds)[scores.argmax(axis=1)])


# --- temperature


@pytest.mark.parametrize("true", [0.2, 1.0, 5.0])
@pytest.mark.parametrize("classes", [2, 6])
def test_the_temperature_of_overconfident_answers_is_found(true: float, classes: int) -> None:
    logits, truth = drawn(np.random.default_rng(1), 20_000, classes, 2.0)
    assert temperature(logits * true, truth) == pytest.approx(true, rel=0.08)


@pytest.mark.parametrize("count", [2, 10, 1000])
def test_answers_that_are_all_right_are_not_certain(count: int) -> None:
    logits, truth = np.tile([[1.0, 0.0, 0.0]], (count, 1)), np.zeros(count, np.int64)
    true = temperature(logits, truth)
    assert SHARPEST < true < FLATTEST
    assert float(probabilities(logits, true)[0, 0]) == pytest.approx(1 - 2 / 3 / (count + 2), abs=1e-3)
    surer = temperature(np.tile(logits, (2, 1)), np.tile(truth, 2))
    assert surer < true


@given(st.lists(st.tuples(st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=3), st.integers(0, 2)), min_size=1))
def test_a_temperature_is_always_finite(rows: list[tuple[list[float], int]]) -> None:
    logits, truth = np.array([row for row, _ in rows], np.float32), np.array([label for _, label in rows])
    true = temperature(logits, truth)
    assert SHARPEST <= true <= FLATTEST
    assert np.isfinite(probabilities(logits, true)).all()


def test_answers_that_are_all_wrong_are_worth_nothing() -> None:
    logits, truth = np.tile([[4.0, 0.0]], (50, 1)), np.ones(50, np.int64)
    assert temperature(logits, truth) == pytest.approx(FLATTEST, rel=0.01)


# --- what is promised


@pytest.mark.parametrize(("error", "limit"), [(0.02, 0.03), (0.1, 0.125)])
@pytest.mark.parametrize(("classes", "spread", "count"), [(2, 4, 300), (4, 4, 1000), (4, 8, 300)])
def test_of_what_is_accepted_later_about_as_many_are_wrong_as_was_aimed_at(
    classes: int, spread: float, count: int, error: float, limit: float
) -> None:
    """Fresh answers by the same sorter, 60 times; and a good share of them is accepted."""
    draw = np.random.default_rng(0)
    wrong = taken = 0
    for _ in range(60):
        logits, truth = drawn(draw, count, classes, spread)
        found = promise(probabilities(logits, 1.0), truth, np.ones(count, bool), error)
        fresh, later = drawn(draw, 500, classes, spread)
        scores = probabilities(fresh, 1.0)
        mine = accepted(found, scores)
        wrong += int((mine & (scores.argmax(axis=1) != later)).sum())
        taken += int(mine.sum())
    assert error / 2 < wrong / taken < limit
    assert taken / (60 * 500) > 0.3


@st.composite
def answers(draw: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores of three classes in few different steps, so that there are ties; the truth; and whether views agree."""
    rows = draw(st.lists(st.tuples(st.integers(0, 2), st.integers(4, 10), st.integers(0, 2), st.booleans()),
                         min_size=1, max_size=80))  # fmt: skip
    scores = np.zeros((len(rows), 3))
    for row, (guess, tenths, _, _) in enumerate(rows):
        scores[row] = (1 - tenths / 10) / 2
        scores[row, guess] = tenths / 10
    return scores, np.array([truth for _, _, truth, _ in rows]), np.array([agree for *_, agree in rows])


@given(answers(), st.floats(0.001, 0.499))
def test_a_promise_is_what_its_thresholds_do(found: Any, error: float) -> None:
    scores, truth, agree = found
    made = promise(scores, truth, agree, error)
    assert made.error == error and len(made.thresholds) == 3
    assert all(0 <= at <= 1 for at in made.thresholds)
    mine = accepted(made, scores) & agree
    assert made.coverage == pytest.approx(mine.mean())
    right = scores.argmax(axis=1) == truth
    assert made.wrong == (pytest.approx((~right[mine]).mean()) if mine.any() else 0)


@given(answers(), st.floats(0.001, 0.499), st.floats(0.001, 0.499))
def test_who_allows_more_errors_gets_no_higher_thresholds(found: Any, one: float, other: float) -> None:
    """Of classes that make mistakes; where there are none, few pictures count as enough."""
    scores, truth, agree = found
    low, high = (promise(scores, truth, agree, error).thresholds for error in sorted((one, other)))
    guessed = scores.argmax(axis=1)
    for place in range(3):
        if (agree & (guessed == place) & (truth != place)).any():
            assert high[place] <= low[place]


@given(answers(), st.floats(0.001, 0.2))
def test_of_equal_scores_all_or_none_are_accepted(found: Any, error: float) -> None:
    """So the order of the pictures does not matter, and the wrong ones among equals count."""
    scores, truth, agree = found
    order = np.random.default_rng(len(scores)).permutation(len(scores))
    assert promise(scores, truth, agree, error) == promise(scores[order], truth[order], agree[order], error)


def test_equal_scores_of_which_half_are_wrong_are_not_accepted() -> None:
    found = promised([0.9] * 200, [True] * 100 + [False] * 100)
    assert (found.coverage, found.wrong, found.thresholds[0]) == (0.0, 0.0, 1.0)


def test_where_the_wrong_ones_begin_is_where_acceptance_ends() -> None:
    top = np.linspace(0.99, 0.5, 400)
    found = promised(top.tolist(), [score > 0.7 for score in top])
    assert 0.68 < found.thresholds[0] < 0.71
    assert 0 < found.wrong <= 0.02
    assert found.coverage == pytest.approx((top >= found.thresholds[0]).mean())


def test_nothing_is_accepted_of_a_class_that_is_never_right() -> None:
    found = promised(np.linspace(0.99, 0.6, 50).tolist(), [False] * 50, error=0.4)
    assert (found.coverage, found.wrong) == (0.0, 0.0)
    assert found.thresholds == (1.0, 1.0)  # the second one was never answered


def test_a_bad_class_is_not_saved_by_a_good_one() -> None:
    draw = np.random.default_rng(0)
    top = draw.uniform(0.6, 0.99, 1000)
    guessed = np.arange(1000) % 2
    scores = np.where(guessed[:, None] == np.arange(2), top[:, None], 1 - top[:, None])
    truth = np.where((guessed == 1) & (draw.random(1000) < 0.3), 0, guessed)
    found = promise(scores, truth, np.ones(1000, bool), 0.02)
    assert found.thresholds[0] < 0.65 and found.thresholds[1] > 0.9


def test_what_the_two_views_contradict_is_never_accepted() -> None:
    agree = [number % 4 > 0 for number in range(200)]
    found = promised([0.95] * 200, agree, agree=agree)  # all that disagree are wrong
    assert (found.coverage, found.wrong) == (0.75, 0.0)
    found = promised([0.95] * 200, [True] * 200, agree=[False] * 200)
    assert (found.coverage, found.thresholds[0]) == (0.0, 1.0)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_very_few_pictures_without_a_mistake_are_accepted(count: int) -> None:
    found = promised([0.9] * count, [True] * count)
    assert found.coverage == 1.0 and found.thresholds[0] <= 0.9


def test_very_few_pictures_with_a_mistake_are_not() -> None:
    assert promised([0.9, 0.8, 0.7], [True, True, False]).coverage == 0.0


# --- both views


def test_both_views_are_told_the_same_way_round() -> None:
    """A picture that looks left, by four fifths; its mirror image looks right, by three."""
    plain, mirrored = np.array([[0.8, 0.1, 0.1]]), np.array([[0.2, 0.6, 0.2]])
    swap = np.array([1, 0, 2])
    assert mean_of_views(plain, mirrored, swap) == pytest.approx(np.array([[0.7, 0.15, 0.15]]))
    assert mean_of_views(mirrored, plain, swap)[:, swap] == pytest.approx(mean_of_views(plain, mirrored, swap))


def test_probabilities_sum_to_one_however_sure() -> None:
    found = probabilities(np.array([[1e4, 0, -1e4], [3, 3, 3]]), 0.01)
    assert found.sum(axis=1) == pytest.approx(1) and np.isfinite(found).all()
    assert probabilities(np.array([[2.0, 0]]), 2.0) == pytest.approx(np.array([[0.7311, 0.2689]]), abs=1e-4)
