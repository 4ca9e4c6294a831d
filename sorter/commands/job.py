"""scheme.toml -> what is to be asked, decided and laid out: all that sorting needs, apart from a library."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sorter.classify.ask import Questions, load_questions
from sorter.classify.askers import Asked
from sorter.dataset.croppers import Cropper, croppers
from sorter.errors import ModelError
from sorter.library.caption import captioner_of
from sorter.library.decide import decide
from sorter.library.layout import ClassFolders, class_folders
from sorter.records import Verdict
from sorter.scheme import Scheme, check_classes, load_scheme


@dataclass(frozen=True, eq=False)
class Job:
    """A scheme with its sorters loaded: all that is needed to sort, apart from a library."""

    scheme: Scheme
    questions: Questions
    layout: ClassFolders
    thresholds: Mapping[str, Mapping[str, float]]
    """Axis -> class -> the score below which that answer is a doubt, where the scheme says "auto"."""
    cropper: Cropper
    """The scheme's own [crop]."""
    classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Axis -> the classes that its sorter knows."""

    @property
    def taught(self) -> list[str]:
        """The axes that a sorter answers which can be fitted; the others have a measure or a tagger."""
        return [name for name, axis in self.scheme.axes.items() if not (axis.measure or axis.asker)]

    def decide(self, *known: Any) -> Verdict:
        """The verdict on a (picture, labels) pair of the manifest."""
        return decide(known[0], self.questions.told(known[1]), self.scheme, self.thresholds, self.classes)


def load_job(scheme_path: Path, exact: bool = False, unfitted: bool = False) -> Job:
    """Read a scheme and load its sorters. Raises SchemeError, ModelError, OptionsError.

    `exact`: to look at pictures as Teachable Machine does, to the last bit. `unfitted`: an axis may have no sorter yet;
    then its classes are those that the scheme names, and all its answers are people's.
    """
    scheme = load_scheme(scheme_path)
    cropper = croppers.build(scheme.crop.use, f"{scheme_path}: [crop]", **scheme.crop.options())
    cropper.check(scheme.ask, f"{scheme_path}: [crop]")
    questions = load_questions(scheme, str(scheme_path), exact, unfitted)
    labels = questions.labels()
    if unfitted:
        # A class that was added since a sorter was fitted is one of its axis as well.
        labels = {
            name: tuple(dict.fromkeys((*labels.get(name, ()), *axis.classes))) for name, axis in scheme.axes.items()
        }
    check_classes(str(scheme_path), scheme, labels)
    captions = captioner_of(scheme, str(scheme_path), labels, cropper.wordings())
    layout = class_folders(scheme, labels, captions)
    return Job(scheme, questions, layout, _thresholds(scheme, questions), cropper, labels)


def _thresholds(scheme: Scheme, questions: Questions) -> dict[str, dict[str, float]]:
    found = {}
    for name, axis in scheme.axes.items():
        if axis.threshold == "auto" and name in questions.asked:
            by = "a tagger" if axis.asker else "the built-in measure"
            card = f"{axis.model}/card.toml" if axis.model else by
            found[name] = _calibrated(questions.asked[name], f'[axes.{name}] threshold = "auto": {card}')
    return found


def _calibrated(asked: Asked, where: str) -> dict[str, float]:
    """Class -> threshold, as a card has them: a number from 0 to 1 for each class. Raises ModelError."""
    table = asked.card.get("thresholds")
    numbers = table.get("classes") if isinstance(table, dict) else None
    if not isinstance(numbers, dict):
        raise ModelError(f"{where} has no [thresholds.classes]; fit it again, or write a number")
    for label in asked.labels:
        number = numbers.get(label)
        if number is None:
            raise ModelError(f'{where} has no threshold for "{label}"; fit it again, or write a number')
        if isinstance(number, bool) or not isinstance(number, int | float) or not 0 <= number <= 1:
            raise ModelError(
                f'{where} says {str(number)[:40]!r} for "{label}", which is no number from 0 to 1; '
                "fit it again, or write a number"
            )
    return {label: float(numbers[label]) for label in asked.labels}
