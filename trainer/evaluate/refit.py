"""A sorter for one axis, fitted on known pictures as a drawn one would look, and kept in the cache folder."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from sorter.commands.check import spread
from sorter.commands.job import Job
from sorter.errors import ExamplesError, ModelError
from sorter.files import read_file, remove_folder, write
from sorter.fit.examples import Example, Examples
from sorter.fit.fit import Recipe, Track, fit_examples
from sorter.fit.folds import scenes
from sorter.networks.load import Sorter, load_sorter
from sorter.pictures import images
from sorter.pictures.hashing import perceptual_hash
from sorter.pictures.png import encode_png
from sorter.records import Unreadable
from sorter.threads import in_step
from trainer.evaluate.judge import Show, counted, is_sure
from trainer.evaluate.known import Known, Lens
from trainer.evaluate.scores import AxisScore

MOST = 600
"""Pictures that are fitted on."""
MOST_ENCODED = 400
"""Of those, where each goes through an autoencoder."""
LEAST = 5
"""Pictures of each class; below that, what a fit says of itself means nothing."""
GROUP = "{group}-*"
"""Of pictures' names: what is held out together."""
HELD_OUT = "held_out.json"
HASHED = 224
"""Pixels a side of what is hashed."""


@dataclass(frozen=True, eq=False)
class Refit:
    """A sorter that was fitted again, and what it says of pictures while it is not fitted on them."""

    sorter: Sorter
    score: AxisScore
    was: AxisScore
    """Of the same pictures, by the sorter that it was before."""


class _Example(NamedTuple):
    """A known picture as a drawn one would look, in a file."""

    known: Known
    path: Path
    mirrored: Path
    """Of its mirror image."""


def refit(
    job: Job, axes: Sequence[str], known: Sequence[Known], lens: Lens, folder: Path, show: Show
) -> dict[str, Refit | str]:
    """For each axis the sorter that `folder` keeps, or else a new one; a sentence where there are too few pictures.

    folder: for these pictures and this lens alone. Raises MissingExtra.
    """
    found: dict[str, Refit | str] = {axis: kept for axis in axes if (kept := _read(folder / axis))}
    missing = [axis for axis in axes if axis not in found]
    if missing:
        most = MOST_ENCODED if lens.through else MOST
        inside, spare = ([one for one in known if one.is_kept is kind] for kind in (True, False))
        examples = _written([*spread(inside, most), *spread(spare, most // 4)], lens, folder / "pictures", show)
        found |= {axis: _fitted(job, axis, examples, folder, show) for axis in missing}
        remove_folder(folder / "pictures")
    return found


def _fitted(job: Job, axis: str, examples: Sequence[_Example], folder: Path, show: Show) -> Refit | str:
    names, meaning = job.questions.labels()[axis], job.scheme.axes[axis]
    mirror = {name: other for name in names if (other := meaning.mirrored(name)) != name}
    pictures = []
    for number, one in enumerate(one for one in examples if axis in one.known.classes):
        name = one.known.classes[axis]
        turn = number % 2 == 1 and name in mirror  # a library that is turned to one side shows none of the other
        pictures.append((mirror[name], one.mirrored) if turn else (name, one.path))
    counts = Counter(name for name, _ in pictures)
    classes = tuple(sorted(counts))
    few = [name for name in classes if counts[name] < LEAST]
    if len(classes) < 2 or few:
        return f"{axis}: there are too few pictures of {', '.join(few) or 'a second class'} to refit its sorter"
    some = Examples(classes, tuple(Example(path, classes.index(name)) for name, path in pictures))
    recipe = Recipe(group=GROUP, mirror={name: other for name, other in mirror.items() if name in classes},
                    copies=_is_mirrored(job, axis))  # fmt: skip
    try:
        made = fit_examples(folder, some, folder / axis, recipe, _track(f"refitting {axis}", show))
    except ExamplesError as error:
        return f"{axis}: its sorter cannot be refitted: {error}"
    was = _was(job, axis, [path for _, path in pictures])
    rows = [row | was[row["sha256"]] for row in made.held_out]
    write(folder / axis / HELD_OUT, json.dumps(rows).encode())
    return _read(folder / axis) or f"{axis}: the refitted sorter in {folder / axis} cannot be read"


def _was(job: Job, axis: str, paths: Sequence[Path]) -> dict[str, dict[str, Any]]:
    """By the hash of each of these pictures, what the scheme's own sorter takes it for, and whether it is sure."""
    found = {}
    for seen in in_step(lambda path: job.questions(path, [axis]), paths):
        if not isinstance(seen, Unreadable):
            (label,) = seen.labels
            found[seen.picture.sha256] = {"was": label.name, "was_sure": is_sure(label, job)}
    return found


def _written(chosen: Sequence[Known], lens: Lens, folder: Path, show: Show) -> list[_Example]:
    """The pictures in files whose names begin with the number of their scene."""
    import numpy as np

    def look(known: Known) -> tuple[int, bytes, bytes] | None:
        pixels = lens(known)
        if pixels is None:
            return None
        turned = np.ascontiguousarray(pixels[:, ::-1])
        return perceptual_hash(images.fit_view(pixels, HASHED)), encode_png(pixels), encode_png(turned)

    looks = counted(in_step(look, chosen), "looking at the pictures to refit on", len(chosen), show)
    found = [(known, one) for known, one in zip(chosen, looks, strict=True) if one]
    groups = scenes([Path(known.name) for known, _ in found], np.array([one[0] for _, one in found], np.uint64))
    examples = []
    for (known, (_, plain, turned)), group in zip(found, groups, strict=True):
        stem = f"{group:06d}-{known.sha256[:16]}"
        examples.append(_Example(known, folder / f"{stem}.png", folder / f"{stem}-mirrored.png"))
        write(examples[-1].path, plain)
        write(examples[-1].mirrored, turned)
    return examples


def _is_mirrored(job: Job, axis: str) -> bool:
    """Whether mirror images are examples too: as the sorter's card says."""
    asked = job.questions.asked[axis]
    head = asked.card.get("head") if isinstance(asked, Sorter) else None
    return bool(head.get("mirrored_copies", True)) if isinstance(head, dict) else True


def _read(folder: Path) -> Refit | None:
    """What is kept; None where it is damaged or not there."""
    try:
        rows, sorter = json.loads(read_file(folder / HELD_OUT)), load_sorter(folder)
        sure = sorter.card["thresholds"]["classes"]
        score, was = (Counter((row["class"], row[key]) for row in rows) for key in ("taken_for", "was"))
        return Refit(
            sorter,
            AxisScore(score, sum(row["score"] >= sure[row["taken_for"]] for row in rows)),
            AxisScore(was, sum(row["was_sure"] for row in rows)),
        )
    except (OSError, ValueError, KeyError, TypeError, ModelError):
        return None


def _track(what: str, show: Show) -> Track:
    def track(items: Iterable[Any], _: str, total: int | None) -> Iterable[Any]:
        return counted(items, what, total or 0, show)

    return track
