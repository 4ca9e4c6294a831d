"""What a fitted sorter answers on pictures that it was not fitted on, as numbers for its card."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sorter.fit.calibrate import Promise
from sorter.fit.folds import Split
from sorter.records import Unreadable


@dataclass(frozen=True, eq=False)
class Validation:
    """The answers on held-out pictures, and how these were held out."""

    classes: tuple[str, ...]
    paths: tuple[Path, ...]
    truth: NDArray[np.int64]
    """(n,): the place of each picture's class."""
    scores: NDArray[np.float32]
    """(n, classes): probabilities, of both views together where `mirrored`."""
    agree: NDArray[np.bool_]
    """(n,): False where picture and mirror image were taken for different things."""
    accuracy: tuple[float, ...]
    """The share of right answers: of the pictures, and of their mirror images where these are examples too."""
    mirrored: bool
    """Whether classes change places in a mirror, so that both views are asked."""
    split: Split
    promise: Promise
    chosen: str = ""
    tried: tuple[tuple[str, tuple[float, ...]], ...] = ()
    """Each head that was tried, with its share of right answers."""
    unreadable: tuple[Unreadable, ...] = ()

    @property
    def guessed(self) -> NDArray[np.int64]:
        """(n,): the place of the likeliest class."""
        return np.asarray(self.scores.argmax(axis=1))

    def largest(self) -> tuple[str, float]:
        """The class with the most pictures, and its share: how often always answering it would be right."""
        counts = np.bincount(self.truth, minlength=len(self.classes))
        return self.classes[int(counts.argmax())], float(counts.max() / counts.sum())

    def confusion(self) -> NDArray[np.int64]:
        """(classes, classes): row by row a class's pictures, by what they were taken for."""
        table = np.zeros((len(self.classes),) * 2, np.int64)
        np.add.at(table, (self.truth, self.guessed), 1)
        return table

    def scores_of_classes(self) -> dict[str, dict[str, float]]:
        """Precision (of those taken for the class, the share that is) and recall (of the class, the share found)."""
        table = self.confusion()
        right, taken, there = table.diagonal(), table.sum(axis=0), table.sum(axis=1)
        return {
            name: {
                "precision": float(right[i] / taken[i]) if taken[i] else 0.0,
                "recall": float(right[i] / there[i]) if there[i] else 0.0,
            }
            for i, name in enumerate(self.classes)
        }

    def card_scores(self) -> dict[str, Any]:
        """The [scores] table of a card."""
        both = {"accuracy_both_views": float((self.guessed == self.truth).mean())} if self.mirrored else {}
        mirrored = {"accuracy_mirrored": self.accuracy[1]} if len(self.accuracy) > 1 else {}
        return {
            "accuracy": self.accuracy[0], **mirrored, **both,
            "pictures": len(self.truth),
            "split": f"each picture held out once, in {self.split.folds.max() + 1} parts; {self.split.how}",
            "leaks": len(self.split.leaks),
            "largest_class": self.largest()[1],
            "classes": self.scores_of_classes(),
            "confusion": self.confusion().tolist(),
        }  # fmt: skip
