"""The folders and the repeats of a dataset's pictures: by the classes of an axis, and by how good a picture is."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from sorter.commands.duplicates import detail
from sorter.commands.job import Job
from sorter.commands.looked import Looked
from sorter.dataset.layouts import Item
from sorter.dataset.repeats import MOST, quality_repeats, repeats_of
from sorter.errors import OptionsError
from sorter.library.names import folder_names
from sorter.tally import Report

MOST_BY_QUALITY = 10
"""Repeats of a good picture; with more, the model would know those by heart."""


def check_quality(most: int) -> None:
    """Raise OptionsError where nobody can repeat pictures so often."""
    if not 2 <= most <= MOST_BY_QUALITY:
        raise OptionsError(f"--quality: {most} is no number of repeats; give one from 2 to {MOST_BY_QUALITY}")


def by_quality(looked: Looked, most: int, resolution: int, report: Report) -> Looked:
    """The items repeated up to `most` times, by how much detail their part of the picture has for what is trained on:
    the size of the largest, since small ones are left small, or where they have none, a square of `resolution`.

    Those in doubt are seen once.
    """
    sizes = [item.render.size for item in looked.items if item.render.size]
    largest = max((wide * high for wide, high in sizes), default=0)
    found = []
    for item, edges in zip(looked.items, looked.edges, strict=True):
        verdict, box = item.verdict, item.render.crop
        if verdict is None or verdict.doubts:
            found.append(item)
            continue
        picture = verdict.picture
        share = (box.right - box.left) * (box.bottom - box.top) / (picture.width * picture.height) if box else 1.0
        wanted = largest if item.render.size else resolution**2
        times = quality_repeats(detail(picture, edges) * min(1.0, share), wanted, most)
        found.append(replace(item, repeats=times))
    common = math.gcd(*(item.repeats for item in found))  # all of them three times is each of them once
    found = [replace(item, repeats=item.repeats // common) for item in found]
    counts = Counter(item.repeats for item in found)
    said = [f"{counts[times]:,} {_seen(counts[times], times)}" for times in sorted(counts, reverse=True)]
    report.notes.append("by their detail, of the pictures " + ", ".join(said))
    return looked._replace(items=found)


def _seen(pictures: int, times: int) -> str:
    return f"{'is' if pictures == 1 else 'are'} seen {'once' if times == 1 else f'{times} times'}"


def in_groups(items: Sequence[Item], job: Job, balance: str | None) -> list[Item]:
    """The items with their folders and repeats: by the classes of an axis, or all in one; pictures of a class that are
    repeated differently have folders of their own. What is held out is not repeated."""
    whole = job.scheme.trigger or job.scheme.name
    labelled = [(item, (item.classes[balance] or "") if balance else whole) for item in items]
    seen: Counter[str] = Counter()
    for item, label in labelled:
        seen[label] += 0 if item.held_out else item.repeats
    times = repeats_of({label: count for label, count in seen.items() if count})
    repeated = [
        (replace(item, repeats=1 if item.held_out else min(MOST, item.repeats * times[label])), label)
        for item, label in labelled
    ]
    counts: dict[str, set[int]] = {label: set() for _, label in labelled}
    for item, label in repeated:
        counts[label] |= set() if item.held_out else {item.repeats}
    named = [
        (item, label if item.held_out or len(counts[label]) < 2 else f"{label} x{item.repeats}")
        for item, label in repeated
    ]
    names = folder_names(sorted({name for _, name in named}))
    return [replace(item, group=names[name]) for item, name in named]
