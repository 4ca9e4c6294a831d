"""What a fitted sorter is worth, in sentences: whether it is good enough, why its figures may flatter, what helps."""

from __future__ import annotations

import numpy as np

from sorter.fit.calibrate import Promise
from sorter.fit.validation import Validation

GOOD, USABLE = 0.8, 0.4
"""Shares of the pictures that are accepted with threshold = "auto"."""
BETTER = 0.1
"""By how much a sorter must be right more often than always answering the largest class."""
ENOUGH = 30
"""Pictures of a class; with fewer, more of them help most."""
LEAKING = 0.02
"""A share of pictures with a near-identical one on the other side that is worth a warning."""


def verdict(found: Validation) -> str:
    """Whether the sorter is good enough, in one sentence, and what would help."""
    accuracy = float((found.guessed == found.truth).mean())
    coverage, (largest, share) = found.promise.coverage, found.largest()
    by_itself = f"of a hundred pictures it sorts {round(100 * coverage)} by itself, and asks you about the others"
    if coverage >= GOOD:
        return f"Good enough: {by_itself}."
    helps = what_helps(found)
    advice = f" What helps: {'; '.join(helps)}." if helps else ""
    if accuracy < share + BETTER:
        return f"Not good enough: it is hardly better than always answering {largest}.{advice}"
    if coverage >= USABLE:
        return f"Usable: {by_itself}.{advice}"
    return f"Not good enough yet: {by_itself}.{advice}"


def what_helps(found: Validation) -> list[str]:
    """What a person can do for a better sorter, the most promising first."""
    helps = []
    table = found.confusion()
    few = [name for name, row in zip(found.classes, table, strict=True) if row.sum() < ENOUGH]
    if few:
        helps.append(f"more pictures of {', '.join(few[:5])} ({ENOUGH} or more of each)")
    mixed = (table + table.T) * (1 - np.eye(len(found.classes), dtype=np.int64))
    one, other = np.unravel_index(int(mixed.argmax()), mixed.shape)
    if mixed[one, other] > 1:
        helps.append(
            f"a look at {found.classes[one]} and {found.classes[other]}, which are taken for each other most often "
            f"({mixed[one, other]} pictures)"
        )
    return helps


def accepted(promise: Promise) -> str:
    if not promise.coverage:
        return (
            f'With threshold = "auto" no picture is accepted, since none can be with at most {percent(promise.error)} '
            "wrong: all are doubts."
        )
    return (
        f'With threshold = "auto", {percent(promise.coverage)} of the pictures are accepted, of which '
        f"{percent(promise.wrong)} are wrong here (aimed at: {percent(promise.error)}); the others are doubts."
    )


def warnings(found: Validation) -> list[str]:
    """Why the figures may look better than they are, or cannot be had."""
    lines = []
    leaks, pictures = len(found.split.leaks), len(found.truth)
    if leaks > LEAKING * pictures:
        lines.append(
            f"Too good to be true: {leaks} of {pictures} pictures have a near-identical one on the "
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


def percent(share: float) -> str:
    """A share of 0..1 as people write it."""
    return f"{share:.1%}"
