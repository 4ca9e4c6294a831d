"""A folder of drawn pictures -> what was asked for and what the scheme's sorters see, picture by picture."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeGuard, TypeVar

from sorter.classify.ask import Questions
from sorter.commands.job import Job
from sorter.errors import PictureError
from sorter.files import read_file
from sorter.networks.load import Sorter
from sorter.pictures.scan import walk
from sorter.records import Label, Unreadable
from sorter.threads import in_step
from trainer.errors import EvaluationError
from trainer.evaluate.asked import Asked, Reader
from trainer.evaluate.prompts import FOLDERS, Prompt, prompt_of
from trainer.evaluate.scores import AxisScore, Share, mean, together

T = TypeVar("T")
Show = Callable[[str, int, int], object]
"""Shows progress: what is done, how many are, of how many."""
NOTHING = Asked({})


@dataclass(frozen=True, slots=True)
class Judged:
    """A picture that can be read."""

    path: Path
    size: tuple[int, int]
    """Width and height in pixels."""
    prompt: Prompt | None
    asked: Asked
    seen: Mapping[str, Label]
    """Axis -> the likeliest class of the picture as it stands, for each axis that was asked about."""

    def right(self) -> dict[str, bool]:
        """Axis that was asked about -> whether what was asked for is what is seen."""
        return {axis: self.seen[axis].name == name for axis, name in self.asked.classes.items()}


@dataclass(frozen=True, eq=False)
class Judgement:
    """What became of a folder of pictures."""

    job: Job
    readable: list[Judged]
    unreadable: list[Unreadable]

    @cached_property
    def judged(self) -> list[Judged]:
        """Those of which something was asked."""
        return [one for one in self.readable if one.asked.classes]

    @property
    def without_prompt(self) -> int:
        """Pictures that say nowhere what was asked for."""
        return sum(one.prompt is None for one in self.readable)

    @property
    def without_class(self) -> int:
        """Pictures whose prompt names no class, or only several of an axis."""
        return len(self.readable) - len(self.judged) - self.without_prompt

    @property
    def sources(self) -> Counter[str]:
        """Where the prompts of judged pictures were found."""
        return Counter(one.prompt.source for one in self.judged if one.prompt)

    @cached_property
    def axes(self) -> dict[str, AxisScore]:
        """The scores of each axis that was asked about, in the scheme's order."""
        return {axis: score for axis in self.job.scheme.axes if (score := self._score(axis)).confusion}

    @property
    def all_right(self) -> Share:
        """Judged pictures on which all that was asked for is seen."""
        return together(one.right() for one in self.judged)

    @property
    def mean(self) -> Share:
        """The adherence, averaged over axes."""
        return mean([score.share for score in self.axes.values()])

    @property
    def usual_size(self) -> tuple[int, int]:
        """The width and height of most judged pictures."""
        return Counter(one.size for one in self.judged).most_common(1)[0][0]

    def _score(self, axis: str) -> AxisScore:
        asked = [one for one in self.judged if axis in one.asked.classes]
        confusion = Counter((one.asked.classes[axis], one.seen[axis].name) for one in asked)
        several = sum(axis in one.asked.several for one in self.readable)
        return AxisScore(confusion, sum(is_sure(one.seen[axis], self.job) for one in asked), several)


def is_sure(label: Label, job: Job) -> bool:
    """Whether a sorter would sort by this answer without asking a person."""
    threshold = job.scheme.axes[label.axis].threshold
    least = job.thresholds[label.axis][label.name] if threshold == "auto" else threshold
    return label.score >= float(least) and not label.taken_for


def card_of(job: Job, axis: str) -> Share | None:
    """How often a sorter is right on pictures that it was not fitted on, as its card says; None where it says nothing.

    Where it is asked about the mirror image, too, it is what both views together say.
    """
    asked = job.questions.asked[axis]
    scores = asked.card.get("scores") if isinstance(asked, Sorter) else None
    if not isinstance(scores, dict):
        return None
    keys = ["accuracy_both_views"] * (axis in job.questions.mirrors) + ["accuracy"]
    found, pictures = next((scores[key] for key in keys if key in scores), None), scores.get("pictures")
    if not (_is_number(found) and _is_number(pictures) and 0 <= found <= 1 <= pictures):
        return None
    return Share(found * pictures, pictures)


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def judge(folder: Path, job: Job, show: Show, only: Sequence[Path] | None = None) -> Judgement:
    """Judge the pictures below `folder`, or `only` those of them, by the sorters of a scheme.

    Raises EvaluationError where there are no pictures, none has a prompt, or no prompt names a class.
    """
    files: list[Path | Unreadable] = [one if isinstance(one, Unreadable) else one.path for one in walk(folder)]
    if only is not None:
        files = list(only)
    if not files:
        raise EvaluationError(f"{folder}: holds no pictures; give the folder of pictures that a model drew")
    reader, questions = Reader(job.scheme, job.questions.labels()), job.questions
    for network in counted(questions.unprepared(), "converting sorters, once on this machine", 0, show):
        network.compiled()

    def look(file: Path | Unreadable) -> Judged | Unreadable:
        return file if isinstance(file, Unreadable) else _judged(file, folder, reader, questions)

    found = list(counted(in_step(look, files), "judging pictures", len(files), show))
    readable = [one for one in found if isinstance(one, Judged)]
    made = Judgement(job, readable, [one for one in found if isinstance(one, Unreadable)])
    _check(made, folder, reader)
    return made


def counted(items: Iterable[T], what: str, total: int, show: Show) -> Iterator[T]:
    """The items, with progress."""
    for number, item in enumerate(items, 1):
        show(what, number, max(total, number))
        yield item


def _judged(path: Path, root: Path, reader: Reader, questions: Questions) -> Judged | Unreadable:
    try:
        data = read_file(path)
        prompt = prompt_of(path, data, root)
    except OSError as error:
        return Unreadable(path, f"cannot be read: {error.strerror}")
    except PictureError as error:
        return Unreadable(path, str(error))
    by_folders = prompt is not None and prompt.source == FOLDERS
    asked = reader.asked(prompt.text, by_folders) if prompt else NOTHING
    if by_folders and not (asked.classes or asked.several):
        prompt = None  # folders have names for any reason
    seen = questions.answer(path, data, asked.classes.keys())
    if isinstance(seen, Unreadable):
        return seen
    size = seen.picture.width, seen.picture.height
    return Judged(path, size, prompt, asked, {label.axis: label for label in seen.labels})


def _check(made: Judgement, folder: Path, reader: Reader) -> None:
    """Raise EvaluationError where there is nothing to judge."""
    if made.judged:
        return
    if not made.readable:
        first = made.unreadable[0]
        raise EvaluationError(
            f"{folder}: none of its pictures can be read; the first, {first.path.name}: {first.reason}"
        )
    prompt = next((one.prompt for one in made.readable if one.prompt), None)
    if prompt is None:
        raise EvaluationError(
            f"{folder}: none of its {len(made.readable)} pictures has a prompt; it is looked for in what A1111, Forge, "
            "ComfyUI or trainer sample write into the file, in a .txt beside it, and in the names of folders"
        )
    axis = next(iter(reader.labels))
    tags = ", ".join(f'"{made.job.scheme.axes[axis].tag(name)}"' for name in reader.labels[axis])
    raise EvaluationError(
        f'{folder}: no prompt names one class of the scheme; the first is "{prompt.text[:100]}", and the tags of '
        f"{axis} are {tags}"
    )
