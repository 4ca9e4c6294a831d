"""What a fitted sorter answers on pictures it was not fitted on, as a page to look at."""

from __future__ import annotations

import html
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sorter.errors import PictureError
from sorter.files import read_file
from sorter.fit.advice import accepted, percent, verdict, warnings
from sorter.fit.validation import Validation
from sorter.page import Section, Shown, page, shown, side_by_side
from sorter.pictures import images

WORST = 12
"""Mistakes that are shown."""


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
    if pairs := leaking(found):
        sections.append(Section("Near-identical pictures on both sides of the split", pictures=pairs))
    sections.append(_thresholds(found))
    if found.tried:
        head = ["head", "right", "right, mirrored"][: 1 + len(found.accuracy)]
        rows = [[_mark(what, found.chosen), *map(percent, shares)] for what, shares in found.tried]
        sections.append(Section("What was tried", head=head, rows=rows, folded=True))
    if found.unreadable:
        rows = [[str(one.path), one.reason] for one in found.unreadable]
        sections.append(Section("Pictures that could not be used", rows=rows))
    return page(f"The sorter {name}", sections)


def in_short(card: dict[str, Any], found: Validation) -> list[str]:
    """The sentences that matter."""
    scores = card["scores"]
    said = f"Right on {percent(scores['accuracy'])} of {scores['pictures']} pictures that it was not fitted on"
    if "accuracy_mirrored" in scores:
        said += f", and on {percent(scores['accuracy_mirrored'])} of their mirror images"
    if "accuracy_both_views" in scores:
        said += f"; asked about both together, as sorter sort does, on {percent(scores['accuracy_both_views'])}"
    name, share = found.largest()
    said += f". Always answering {name}, the largest class, would be right on {percent(share)}"
    lines = [verdict(found), f"{said}.", f"How they were held out: {scores['split']}.", *warnings(found)]
    lines.append(accepted(found.promise))
    if "head" in card:
        lines.append(f"The head: {found.chosen}; the backbone: {card['backbone']['name']}.")
    return lines


def worst(found: Validation) -> list[Shown]:
    """The mistakes that the sorter was surest of."""
    wrong = np.flatnonzero(found.guessed != found.truth)
    order = wrong[np.argsort(-found.scores[wrong].max(axis=1), kind="stable")][:WORST]
    pictures = []
    for place in order:
        name, other = found.classes[found.truth[place]], found.classes[found.guessed[place]]
        text = f"lies in {name}, taken for {other} ({percent(found.scores[place].max())}): {found.paths[place].name}"
        try:
            upright = images.load(images.open_picture(read_file(found.paths[place])))
            pictures.append(shown(upright, text, 220))
        except (OSError, PictureError):
            continue  # it was there a minute ago; the page is not worth less without it
    return pictures


def leaking(found: Validation) -> list[Shown]:
    """Pairs of near-identical pictures of which one was held out while the other was fitted on."""
    pictures: list[Shown] = []
    for one, other in [pair for pair in found.split.leaks if pair[0] < pair[1]][:WORST]:
        paths = found.paths[one], found.paths[other]
        try:
            left, right = (images.load(images.open_picture(read_file(path))) for path in paths)
        except (OSError, PictureError):
            continue
        pictures.append(side_by_side(left, right, " and ".join(f"{path.parent.name}/{path.name}" for path in paths)))
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
        rows.append([name, card["pictures"][name], percent(scores["precision"]), percent(scores["recall"]), accept])
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
        wrong = percent((~right[accepted]).mean()) if accepted.any() else "-"
        rows.append([f"{at:.2f}", percent(accepted.mean()), wrong])
    return Section(
        "What a threshold costs",
        ["A number as threshold in scheme.toml: the share of pictures it accepts, and the wrong ones among them."],
        ["threshold", "accepted", "of these wrong"],
        rows,
    )


def _mark(what: str, chosen: str) -> str:
    return f"{what} (chosen)" if what == chosen else what
