"""A scheme's classes -> prompts that ask for each of them, worded as the training captions are. Pure."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations, product
from math import prod

from sorter.commands.job import Job
from sorter.records import Label, Picture, Verdict
from trainer.errors import EvaluationError
from trainer.evaluate.asked import Reader

MOST_TRIED = 2_000
"""Combinations among which the next one is looked for."""
Combination = tuple[str, ...]
"""A class of each axis."""


def prompts(job: Job, captions: Sequence[str], count: int, seed: int = 0) -> list[str]:
    """So many prompts; of one scheme, captions and seed, fewer of them are always the first of more.

    captions: those of the training; a class that none of them names is not asked for, and without any captions each
    class is that pictures are kept of. Raises EvaluationError where the captions name no class.
    """
    reader = Reader(job.scheme, job.questions.labels())
    axes = _named(reader, captions) if captions else _kept(job)
    axes = {axis: names for axis, names in axes.items() if _is_worded(job, reader, axis, names[0])}
    if not axes:
        raise EvaluationError(
            "no class of the scheme is named in the training captions, so there is nothing to ask for; give the scheme "
            "that the dataset was exported by"
        )
    chosen = spread_evenly(list(axes.values()), seed)
    shots = Counter({shot: sum(shot in text for text in captions) for shot in job.cropper.wordings()})
    shot = next((name for name, times in shots.most_common(1) if times), "")
    return [worded(job, dict(zip(axes, next(chosen), strict=True)), number, shot) for number in range(count)]


def worded(job: Job, classes: Mapping[str, str], number: int = 0, shot: str = "") -> str:
    """The caption of a picture of these classes. `number` says which of several texts, where the scheme has them;
    `shot`: a cropper's words for how near the subject is."""
    labels = tuple(Label(axis, name, 1.0, "") for axis, name in classes.items())
    return job.layout.captioner(Verdict(Picture(f"{number:064x}", "", 0, 0, ""), labels, shot=shot))


def spread_evenly(axes: Sequence[Sequence[str]], seed: int) -> Iterator[Combination]:
    """Combinations without end: the next one is that whose classes, then pairs of classes, came least often so far."""
    chance = random.Random(f"combinations {seed}")
    seen: Counter[object] = Counter()
    while True:
        best = min(_candidates(axes, chance), key=lambda one: (_repeats(one, seen), chance.random()))
        seen.update(_parts(best))
        yield best


def _candidates(axes: Sequence[Sequence[str]], chance: random.Random) -> Iterable[Combination]:
    if prod(map(len, axes)) <= MOST_TRIED:
        return product(*axes)
    return [tuple(chance.choice(names) for names in axes) for _ in range(MOST_TRIED)]


def _parts(one: Combination) -> list[object]:
    places = list(enumerate(one))
    return [*places, *combinations(places, 2), one]


def _repeats(one: Combination, seen: Counter[object]) -> tuple[int, int, int]:
    """How often its classes, its pairs of classes, and all of it were there: sums of squares, so that rare ones win."""
    places = list(enumerate(one))
    pairs = sum(seen[pair] ** 2 for pair in combinations(places, 2))
    return sum(seen[place] ** 2 for place in places), pairs, seen[one]


def _named(reader: Reader, captions: Iterable[str]) -> dict[str, list[str]]:
    """Axis -> the classes that captions name, in the sorters' order."""
    found = {pair for caption in captions for pair in reader.asked(caption).classes.items()}
    rows = {axis: [name for name in names if (axis, name) in found] for axis, names in reader.labels.items()}
    return {axis: names for axis, names in rows.items() if names}


def _kept(job: Job) -> dict[str, list[str]]:
    """Axis -> the classes that are kept in a library, as they stand there."""
    rows = {}
    for name, axis in job.scheme.axes.items():
        turned = {other for other in axis.classes if axis.canonical and axis.mirrored(other) == axis.canonical}
        left_out = {other for other in axis.classes if axis.meaning(other).drop} | (turned - {axis.canonical})
        rows[name] = [one for one in job.questions.labels().get(name, ()) if one not in left_out]
    return {axis: names for axis, names in rows.items() if names}


def _is_worded(job: Job, reader: Reader, axis: str, name: str) -> bool:
    """Whether the captions say the axis, so that a prompt can ask for it."""
    return axis in reader.asked(worded(job, {axis: name})).classes
