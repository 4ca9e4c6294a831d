"""Which head is chosen, and that it computes what it was chosen for: on made-up maps, without any network."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sorter.fit.features import LARGEST, Features, parted, summary
from sorter.fit.heads import STRENGTHS, Choice, choose
from sorter.fit.solvers import MOST_WEIGHT
from sorter.networks.head import Head, grid, softmax
from sorter.networks.labels import mirror_pairs

SIZE, CHANNELS = 6, 3
SHAPES: dict[Any, tuple[int, ...]] = {"grid": (SIZE, SIZE, CHANNELS), "average": (SIZE, SIZE, CHANNELS)}
QUARTERS = {"up left": (0, 0), "up right": (0, 3), "down left": (3, 0), "down right": (3, 3)}


def maps(count: int, labels: np.ndarray, what: str, seed: int = 0) -> np.ndarray:
    """Maps (n, 6, 6, 3) of pictures whose class is where something lies, or how much of it there is."""
    draw = np.random.default_rng(seed)
    made = draw.normal(0, 0.1, (count, SIZE, SIZE, CHANNELS)).astype(np.float32)
    for number, label in enumerate(labels):
        places = list(QUARTERS.values())
        down, right = places[label if what == "where" else draw.integers(4)]
        amount = 1.0 if what == "where" else 1.0 + 0.3 * label
        made[number, down : down + 3, right : right + 3, 0] += amount
    return made


def inputs(made: np.ndarray, kinds: tuple[str, ...], copies: bool) -> dict[Any, np.ndarray]:
    """What heads are fitted on, of maps that are both the narrow and the last one."""
    found = [Features("", 0, np.stack([summary(one, one), summary(one[:, ::-1], one[:, ::-1])])) for one in made]
    return {kind: numbers[: 1 + copies] for kind, numbers in parted(found, CHANNELS).items() if kind in kinds}


def chosen(made: np.ndarray, labels: np.ndarray, swap: Any = None, folds: Any = None, **how: Any) -> Choice:
    """A choice with five folds; by default no class changes in a mirror."""
    kinds, copies = how.pop("kinds", ("average", "grid")), how.pop("copies", True)
    swap = np.arange(labels.max() + 1) if swap is None else np.array(swap)
    folds = np.arange(len(labels)) * 7 % 5 if folds is None else np.array(folds)
    return choose(inputs(made, kinds, copies), labels, swap, folds, SHAPES, **how)


def plain(rows: np.ndarray, labels: np.ndarray) -> Choice:
    """A choice among average heads on numbers (n, d) as they are, one view."""
    count, width = rows.shape
    return choose({"average": rows[None].astype(np.float32)}, labels, np.arange(labels.max() + 1),
                  np.arange(count) % 5, {"average": (1, 1, width)})  # fmt: skip


def tried(found: Choice, word: str) -> float:
    """The best mean share of right answers among the heads of that kind."""
    return max(float(np.mean(shares)) for one, shares in found.tried if word in str(one))


def answers(found: Choice, made: np.ndarray) -> np.ndarray:
    return Head(found.layers)(made.astype(np.float32))


# --- which one


def test_only_a_grid_sees_where_something_is() -> None:
    labels = np.arange(80) % 4
    found = chosen(maps(80, labels, "where"), labels, [1, 0, 3, 2])
    assert found.candidate.kind == "grid"
    assert found.held_out.accuracy == [1.0, 1.0]
    assert tried(found, "average") < 0.5
    fresh = np.arange(40) % 4
    made = maps(40, fresh, "where", 1)
    assert (answers(found, made).argmax(axis=1) == fresh).all()
    assert (answers(found, made[:, :, ::-1]).argmax(axis=1) == np.array([1, 0, 3, 2])[fresh]).all()


def test_elsewhere_the_choice_is_as_good_as_the_average() -> None:
    labels = np.arange(120) % 2
    found = chosen(maps(120, labels, "how much"), labels)
    assert np.mean(found.held_out.accuracy) == max(np.mean(shares) for _, shares in found.tried)
    assert np.mean(found.held_out.accuracy) >= tried(found, "average") > 0.95
    fresh = np.arange(100) % 2
    assert (answers(found, maps(100, fresh, "how much", 1)).argmax(axis=1) == fresh).mean() > 0.95


def test_a_hidden_layer_is_chosen_where_no_line_divides_the_classes() -> None:
    rows = np.random.default_rng(0).normal(0, 1, (300, 2))
    found = plain(rows, ((rows[:, 0] > 0) ^ (rows[:, 1] > 0)).astype(np.int64))
    assert str(found.candidate) == "average, hidden layer of 100"
    assert tried(found, "linear") < 0.7 and found.held_out.accuracy[0] > 0.9


def test_what_was_tried_is_every_strength_and_one_hidden_layer() -> None:
    labels = np.arange(30) % 3
    found = chosen(maps(30, labels, "where"), labels, [1, 0, 2])
    linear = [f"{kind}, linear, regularisation {one:g}" for kind in ("average", "grid") for one in STRENGTHS]
    assert [str(one) for one, _ in found.tried] == [*linear, "grid, hidden layer of 100"]
    assert all(len(shares) == 2 and 0 <= min(shares) <= max(shares) <= 1 for _, shares in found.tried)


@pytest.mark.parametrize("kind", ["average", "grid"])
@pytest.mark.parametrize("head", ["linear", "dense"])
def test_head_and_features_can_be_given(kind: str, head: str) -> None:
    labels = np.arange(20) % 2
    found = chosen(maps(20, labels, "where"), labels, [1, 0], kinds=(kind,), heads=(head,))
    assert found.candidate.kind == kind and bool(found.candidate.units) == (head == "dense")
    assert [layer.kind for layer in found.layers] == (
        ["GlobalAveragePooling2D" if kind == "average" else "Flatten", "Dense"] + ["Dense"] * (head == "dense")
    )
    assert {one.kind for one, _ in found.tried} == {kind}


def test_without_mirrored_copies_there_is_one_view() -> None:
    labels = np.arange(40) % 4
    found = chosen(maps(40, labels, "where"), labels, copies=False)
    assert found.held_out.accuracy == [1.0] and found.held_out.truth.tolist() == [labels.tolist()]


def test_the_mirrored_view_is_of_the_mirrored_class() -> None:
    labels = np.arange(40) % 4
    found = chosen(maps(40, labels, "where"), labels, [1, 0, 3, 2])
    assert found.held_out.truth.tolist() == [labels.tolist(), [[1, 0, 3, 2][label] for label in labels]]


# --- the same again


@pytest.mark.parametrize("head", ["linear", "dense"])
def test_a_choice_can_be_repeated(head: str) -> None:
    labels = np.arange(40) % 2
    made = maps(40, labels, "how much")
    first, again, other = (chosen(made, labels, heads=(head,), seed=seed) for seed in (3, 3, 4))
    assert first.candidate == again.candidate and first.temperature == again.temperature
    assert np.array_equal(first.held_out.logits, again.held_out.logits)
    assert np.array_equal(answers(first, made), answers(again, made))
    assert np.array_equal(answers(first, made), answers(other, made)) == (head == "linear")


# --- what it computes


def ridge(rows: np.ndarray, labels: np.ndarray, train: np.ndarray, strength: float) -> np.ndarray:
    """The textbook's weighted solution, by features, in double precision: logits of all rows."""
    counts = np.bincount(labels)
    share = np.minimum(counts.max() / counts, MOST_WEIGHT)
    share = share / share.mean()
    weights = share[labels[train]]
    x = (rows - np.average(rows, axis=0, weights=share[labels])) / rows.std(axis=0) / np.sqrt(rows.shape[1])
    y = np.eye(len(counts))[labels[train]]
    common = np.average(y, axis=0, weights=weights)
    weighed = x[train].T * weights
    solved = np.linalg.solve(weighed @ x[train] + strength * np.eye(x.shape[1]), weighed @ (y - common))
    return np.asarray(x @ solved + common)


@pytest.mark.parametrize(("count", "width"), [(30, 90), (40, 40), (41, 40), (200, 12)])
@pytest.mark.parametrize("classes", [[0, 1, 2], [0, 0, 0, 1, 2, 0, 1, 0, 0, 0]])
def test_least_squares_by_rows_and_by_features_are_the_textbooks(count: int, width: int, classes: list[int]) -> None:
    draw = np.random.default_rng(count)
    labels = np.resize(classes, count)
    rows = draw.normal(5, 1, (count, width)) * draw.uniform(0.1, 10, width) + labels[:, None]
    found = choose({"average": rows[None].astype(np.float32)}, labels, np.arange(3), np.arange(count) % 5,
                   {"average": (1, 1, width)}, heads=("linear",))  # fmt: skip
    strength = found.candidate.strength
    for fold in range(5):
        out = np.arange(count) % 5 == fold
        assert found.held_out.logits[0, out] == pytest.approx(ridge(rows, labels, ~out, strength)[out], abs=2e-3)
    whole = ridge(rows, labels, np.ones(count, bool), strength)
    assert answers(found, rows[:, None, None]) == pytest.approx(softmax(whole / found.temperature), abs=2e-3)


def test_a_small_class_counts_like_a_large_one() -> None:
    """Where the classes overlap, the border lies in the middle, and not where the large one has it."""
    draw = np.random.default_rng(0)
    labels = np.array([0] * 300 + [1] * 40)
    rows = draw.normal(0, 1, (340, 1)) + 2 * labels[:, None]
    found = plain(rows, labels)
    recall = [(answers(found, rows[:, None, None]).argmax(axis=1) == labels)[labels == one].mean() for one in (0, 1)]
    assert min(recall) > 0.75


@pytest.mark.parametrize("kind", ["average", "grid"])
@pytest.mark.parametrize("head", ["linear", "dense"])
def test_the_layers_are_calibrated_and_fit_the_map(kind: str, head: str) -> None:
    """Fitted on all pictures they answer much as the held-out heads did, at the temperature of these."""
    labels = np.arange(60) % 4
    made = maps(60, labels, "where")
    found = chosen(made, labels, [1, 0, 3, 2], kinds=(kind,), heads=(head,))
    scores = answers(found, made)
    assert scores.shape == (60, 4) and scores.sum(axis=1) == pytest.approx(1)
    held_out = softmax(found.held_out.logits[0] / np.float32(found.temperature))
    assert np.abs(scores - held_out).mean() < 0.15
    assert found.temperature == pytest.approx(found.held_out.temperature)


@given(st.integers(1, 40), st.integers(1, 40))
def test_a_grid_is_symmetric_and_each_cell_is_a_mean(height: int, width: int) -> None:
    cells = grid(height, width).reshape(4, 4, height, width)
    assert np.array_equal(cells[:, ::-1, :, ::-1], cells)
    assert np.array_equal(cells[::-1, :, ::-1], cells)
    assert cells.sum(axis=(2, 3)) == pytest.approx(1)
    assert (cells.sum(axis=(0, 1)) > 0).all()  # nothing of the map is left out


def test_a_map_without_normalisation_is_held_within_half_precision() -> None:
    loud = np.full((4, 4, 2), 1e9, np.float32)
    assert summary(loud, -loud).tolist() == [LARGEST] * 32 + [-LARGEST] * 2


# --- poor examples


def test_a_class_that_is_missing_from_a_folds_training_is_never_likely_there() -> None:
    labels = np.array([0, 1] * 20 + [2] * 5)
    folds = np.array([1, 2, 3, 4] * 10 + [0] * 5)  # all of the third class are held out together
    made = maps(45, labels, "where")
    for head in ("linear", "dense"):
        found = chosen(made, labels, folds=folds, heads=(head,), copies=False)
        assert (found.held_out.logits[0, -5:].argmax(axis=1) != 2).all()
        assert 0.75 < found.held_out.accuracy[0] <= 40 / 45
        assert (answers(found, made)[-5:].argmax(axis=1) == 2).all()  # fitted on all, it is known


@pytest.mark.parametrize("head", ["linear", "dense"])
def test_two_classes_of_one_group_each_leave_nothing_to_tell_them_from(head: str) -> None:
    labels = np.arange(20) % 2
    found = chosen(maps(20, labels, "where"), labels, folds=labels, heads=(head,), kinds=("grid",), copies=False)
    assert found.held_out.accuracy == [0.0]
    assert np.isfinite(found.held_out.logits).all() and np.isfinite(found.temperature)
    assert (answers(found, maps(20, labels, "where", 1)).argmax(axis=1) == labels).all()


@pytest.mark.parametrize("head", ["linear", "dense"])
def test_a_feature_that_is_always_the_same_says_nothing(head: str) -> None:
    labels = np.arange(40) % 2
    made = maps(40, labels, "how much")
    made[..., 2] = 7
    found = chosen(made, labels, heads=(head,))
    assert all(np.isfinite(array).all() for layer in found.layers for array in layer.weights)
    turned = made.copy()
    turned[..., 2] += np.random.default_rng(0).normal(0, 1e-6, turned.shape[:3])
    assert answers(found, turned) == pytest.approx(answers(found, made), abs=0.01)


@pytest.mark.parametrize("head", ["linear", "dense"])
def test_pictures_that_are_all_alike_are_learnt_nothing_from(head: str) -> None:
    labels = np.arange(20) % 2
    found = chosen(np.full((20, SIZE, SIZE, CHANNELS), 3.0), labels, heads=(head,))
    assert all(np.isfinite(array).all() for layer in found.layers for array in layer.weights)
    assert answers(found, np.full((1, SIZE, SIZE, CHANNELS), 3.0)) == pytest.approx(0.5, abs=0.05)


def test_four_pictures_are_enough_to_run() -> None:
    labels = np.array([0, 0, 1, 1])
    made = maps(4, labels, "where")
    assert (answers(chosen(made, labels, folds=[0, 1, 0, 1]), made).argmax(axis=1) == labels).all()


# --- mirror classes


@pytest.mark.parametrize(
    ("classes", "pairs"),
    [
        (["left", "right", "front"], {"left": "right", "right": "left"}),
        (["Left", "RIGHT"], {"Left": "RIGHT", "RIGHT": "Left"}),
        (["looking_left", "looking_right"], {"looking_left": "looking_right", "looking_right": "looking_left"}),
        (["left", "front"], {}),
        (["happy", "bright"], {}),
    ],
)
def test_mirror_classes_are_found_by_their_names(classes: list[str], pairs: dict[str, str]) -> None:
    assert mirror_pairs(classes) == pairs


@given(st.lists(st.sampled_from(["left", "right", "Left", "a left", "a right", "left left", "left right", "front"])))
def test_mirror_classes_come_in_pairs(classes: list[str]) -> None:
    pairs = mirror_pairs(classes)
    assert all(pairs[other] == name != other for name, other in pairs.items())
