"""What a sorter is worth, in sentences that say what to do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sorter.fit.advice import accepted, verdict, what_helps
from sorter.fit.calibrate import Promise
from sorter.fit.folds import Split
from sorter.fit.validation import Validation

CLASSES = ("calm", "angry", "happy")


def validation(rows: list[tuple[int, int, int]], coverage: float) -> Validation:
    """`rows`: class, what it was taken for, how many."""
    truth = np.array([row[0] for row in rows for _ in range(row[2])])
    guessed = np.array([row[1] for row in rows for _ in range(row[2])])
    return Validation(
        CLASSES,
        tuple(Path(f"{number}.png") for number in range(len(truth))),
        truth,
        np.eye(3, dtype=np.float32)[guessed],
        np.ones(len(truth), bool),
        (float((truth == guessed).mean()),),
        False,
        Split(np.zeros(len(truth), np.int64), "", 1, ()),
        Promise(0.02, coverage, 0.01, (0.5,) * 3),
    )


@pytest.mark.parametrize(
    ("rows", "coverage", "begins", "also"),
    [
        ([(0, 0, 40), (1, 1, 40), (2, 2, 40)], 0.93, "Good enough: of a hundred pictures it sorts 93 by itself", ""),
        ([(0, 0, 40), (1, 1, 30), (1, 0, 9), (2, 2, 40)], 0.5, "Usable: ", "calm and angry.*9 pictures"),
        ([(0, 0, 60), (1, 0, 30), (2, 0, 8)], 0.6, "Not good enough: it is hardly better than always answering calm",
         "more pictures of happy"),
        ([(0, 0, 40), (1, 1, 30), (2, 2, 40), (2, 1, 9)], 0.1, "Not good enough yet: of a hundred", "angry and happy"),
    ],
)  # fmt: skip
def test_a_plain_verdict_comes_first(rows: list[tuple[int, int, int]], coverage: float, begins: str, also: str) -> None:
    import re

    said = verdict(validation(rows, coverage))
    assert said.startswith(begins) and re.search(also, said), said


def test_what_helps_names_classes() -> None:
    assert what_helps(validation([(0, 0, 40), (1, 1, 40), (2, 2, 40)], 0.5)) == []


def test_that_nothing_is_accepted_is_a_sentence() -> None:
    assert accepted(Promise(0.02, 0.0, 0.0, (1.0,))) == (
        'With threshold = "auto" no picture is accepted, since none can be with at most 2.0% wrong: all are doubts.'
    )
