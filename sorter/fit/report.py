"""What a fitted sorter answers on pictures it was not fitted on: as numbers for its card, and as a page to look at."""

from __future__ import annotations

import html
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sorter.errors import PictureError
from sorter.files import read_file
from sorter.fit.calibrate import Promise
from sorter.fit.folds import Split
from sorter.page import Section, Shown, page, shown
from sorter.pictures import images
from sorter.records import Unreadable

WORST = 12
"""Mistakes that are shown."""
LEAKING = 0.02
"""A share of pictures with a near-identical one on the other side that is worth a warning."""


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
            "leaks": self.split.leaks,
            "classes": self.scores_of_classes(),
            "confusion": self.confusion().tolist(),
        }  # fmt: skip


def write_page(name: str, card: dict[str, Any], found: Validation) -> str:
    """models/NAME/report.html."""
    sections = [Section("In short", in_short(card, found)), _classes(card, found)]
    sections.append(
        Section(
            "What was taken for what: a row is a class, a column what its pictures were taken for",
            plot=confusion_picture(found.classes, found.confusion()),
        )
    )
    mistakes = worst(found)
    sections.append(
        Section(
            "The worst mistakes: look whether the picture lies in the right folder",
            texts=() if mistakes else ["None: every held-out picture was taken for what it is."],
            pictures=mistakes,
        )
    )
    sections.append(_thresholds(found))
    if found.tried:
        head = ["head", "right", "right, mirrored"][: 1 + len(found.accuracy)]
        rows = [[_mark(what, found.chosen), *map(_percent, shares)] for what, shares in found.tried]
        sections.append(Section("What was tried", head=head, rows=rows, folded=True))
    if found.unreadable:
        rows = [[str(one.path), one.reason] for one in found.unreadable]
        sections.append(Section("Pictures that could not be used", rows=rows))
    return page(f"The sorter {name}", sections)


def in_short(card: dict[str, Any], found: Validation) -> list[str]:
    """The sentences that matter."""
    scores = card["scores"]
    said = f"Right on {_percent(scores['accuracy'])} of {scores['pictures']} pictures that it was not fitted on"
    if "accuracy_mirrored" in scores:
        said += f", and on {_percent(scores['accuracy_mirrored'])} of their mirror images"
    if "accuracy_both_views" in scores:
        said += f"; asked about both together, as sorter sort does, on {_percent(scores['accuracy_both_views'])}"
    lines = [f"{said}.", f"How they were held out: {scores['split']}.", *warnings(found)]
    promise = found.promise
    lines.append(
        f'With threshold = "auto", {_percent(promise.coverage)} of the pictures are accepted, of which '
        f"{_percent(promise.wrong)} are wrong here (aimed at: {_percent(promise.error)}); the others are doubts."
    )
    if "head" in card:
        lines.append(f"The head: {found.chosen}; the backbone: {card['backbone']['name']}.")
    return lines


def warnings(found: Validation) -> list[str]:
    """Why the figures may look better than they are, or cannot be had."""
    lines = []
    if found.split.leaks > LEAKING * len(found.truth):
        lines.append(
            f"Too good to be true: {found.split.leaks} of {len(found.truth)} pictures have a near-identical one on the "
            "other side of the split; a --group that keeps them together would tell the truth."
        )
    few = [name for name, row in zip(found.classes, found.confusion(), strict=True) if row.sum() < 10]
    if few:
        lines.append(f"Fewer than 10 pictures: {', '.join(few)}; the figures for so few say little.")
    never = [name for name, at in zip(found.classes, found.promise.thresholds, strict=True) if at >= 1]
    if never:
        lines.append(
            f"No score of {', '.join(never)} is safe enough to be accepted: more and clearer examples are needed."
        )
    return lines


def worst(found: Validation) -> list[Shown]:
    """The mistakes that the sorter was surest of."""
    wrong = np.flatnonzero(found.guessed != found.truth)
    order = wrong[np.argsort(-found.scores[wrong].max(axis=1), kind="stable")][:WORST]
    pictures = []
    for place in order:
        name, other = found.classes[found.truth[place]], found.classes[found.guessed[place]]
        text = f"lies in {name}, taken for {other} ({_percent(found.scores[place].max())}): {found.paths[place].name}"
        try:
            upright = images.load(images.open_picture(read_file(found.paths[place])))
            pictures.append(shown(upright, text, 220))
        except (OSError, PictureError):
            continue  # it was there a minute ago; the page is not worth less without it
    return pictures


def confusion_picture(classes: tuple[str, ...], table: NDArray[np.int64]) -> str:
    """An SVG: the darker a square, the larger the share of its row."""
    side = 44
    edge = 9 * max(len(name) for name in classes) + 20
    whole = edge + side * len(classes) + 10
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{whole}" height="{whole}" font-size="13">']
    for row, name in enumerate(classes):
        middle, label = edge + side * row + side / 2 + 4, html.escape(name)
        parts.append(f'<text x="{edge - 8}" y="{middle}" text-anchor="end" fill="currentColor">{label}</text>')
        parts.append(f'<text transform="translate({middle},{edge - 8}) rotate(-90)" fill="currentColor">{label}</text>')
        for column, count in enumerate(table[row]):
            share, colour = count / max(1, int(table[row].sum())), "#2f9e63" if row == column else "#c8443c"
            x, y = edge + side * column, edge + side * row
            shape = f'x="{x}" y="{y}" width="{side - 2}" height="{side - 2}"'
            parts.append(f'<rect {shape} fill="{colour}" fill-opacity="{0.06 + 0.94 * share:.2f}"/>')
            if count:
                where = f'x="{x + side / 2 - 1}" y="{y + side / 2 + 4}" text-anchor="middle"'
                parts.append(f'<text {where} fill="{"#fff" if share > 0.5 else "currentColor"}">{count}</text>')
    return "".join(parts) + "</svg>"


def _classes(card: dict[str, Any], found: Validation) -> Section:
    rows = []
    for name, at in zip(found.classes, found.promise.thresholds, strict=True):
        scores = card["scores"]["classes"][name]
        accept = f"{at:.3f}" if at < 1 else "never"
        rows.append([name, card["pictures"][name], _percent(scores["precision"]), _percent(scores["recall"]), accept])
    return Section(
        "Class by class",
        ["Precision: of those taken for the class, the share that is. Recall: of the class, the share that was found."],
        ["class", "pictures", "precision", "recall", "accepted from"],
        rows,
    )


def _thresholds(found: Validation) -> Section:
    top, right = found.scores.max(axis=1), found.guessed == found.truth
    rows = []
    for at in (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95):
        accepted = found.agree & (top >= at) if at else np.ones(len(top), bool)
        wrong = _percent((~right[accepted]).mean()) if accepted.any() else "-"
        rows.append([f"{at:.2f}", _percent(accepted.mean()), wrong])
    return Section(
        "What a threshold costs",
        ["A number as threshold in scheme.toml: the share of pictures it accepts, and the wrong ones among them."],
        ["threshold", "accepted", "of these wrong"],
        rows,
    )


def _mark(what: str, chosen: str) -> str:
    return f"{what} (chosen)" if what == chosen else what


def _percent(share: float) -> str:
    return f"{share:.1%}"
