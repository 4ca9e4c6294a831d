"""Class folders of labelled examples. Reads files; writes nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sorter.errors import ExamplesError
from sorter.files import Found
from sorter.pictures.scan import is_system, walk
from sorter.records import Unreadable

MOST_NAMED = 20
"""Pictures in two classes that are named at a time."""


@dataclass(frozen=True, slots=True)
class Example:
    """A labelled picture."""

    path: Path
    label: int
    """The place of its class among the class names."""


@dataclass(frozen=True, slots=True)
class Examples:
    """What the class folders hold."""

    classes: tuple[str, ...]
    """Folder names, in alphabetical order."""
    pictures: tuple[Example, ...]
    unreadable: tuple[Unreadable, ...] = ()

    def counts(self) -> dict[str, int]:
        """Class -> how many pictures."""
        return {
            name: sum(picture.label == index for picture in self.pictures) for index, name in enumerate(self.classes)
        }


def find_examples(folder: Path) -> Examples:
    """The class folders in `folder`. Raises ExamplesError where there are not two classes with two pictures each."""
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise ExamplesError(f"{folder}: {what}; give the folder that holds one folder a class")
    there = [path.name for path in folder.iterdir() if path.is_dir()]
    classes = sorted(name for name in there if not (name.startswith(".") or is_system(name)))
    found = [(index, file) for index, name in enumerate(classes) for file in walk(folder / name)]
    pictures = tuple(Example(file.path, index) for index, file in found if isinstance(file, Found))
    examples = Examples(tuple(classes), pictures, tuple(file for _, file in found if isinstance(file, Unreadable)))
    check(folder, examples)
    return examples


def check(folder: Path, examples: Examples) -> None:
    """Raise ExamplesError where there is too little to learn from."""
    if len(examples.classes) < 2:
        found = ", ".join(examples.classes) or "none"
        raise ExamplesError(f"{folder}: needs a folder for each of at least two classes; found {found}")
    for name, count in examples.counts().items():
        if count < 2:
            what = f"{count} readable picture{'s' * (count != 1)}"
            raise ExamplesError(f"{folder / name}: has {what}; a class needs at least 2, better 30")


def check_distinct(hashes: list[str], examples: Examples) -> None:
    """Raise ExamplesError where one picture (by its bytes) is in two classes. `hashes`: one a picture."""
    first: dict[str, Example] = {}
    double = []
    for sha256, example in zip(hashes, examples.pictures, strict=True):
        other = first.setdefault(sha256, example)
        if other.label != example.label:
            double.append(f"{example.path} is the same picture as {other.path}")
    if double:
        more = f", and {len(double) - MOST_NAMED} more" if len(double) > MOST_NAMED else ""
        raise ExamplesError(f"{'; '.join(double[:MOST_NAMED])}{more}: keep each in one class only")


def fingerprint(examples: Examples, hashes: list[str]) -> str:
    """A hash over which pictures are in which class, whatever their file names."""
    rows = sorted(f"{examples.classes[e.label]}\0{sha}" for e, sha in zip(examples.pictures, hashes, strict=True))
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()


def without(examples: Examples, is_bad: Callable[[Example], Unreadable | None]) -> Examples:
    """The examples less those that cannot be used, which are listed as unreadable."""
    bad = {example.path: reason for example in examples.pictures if (reason := is_bad(example))}
    left = tuple(example for example in examples.pictures if example.path not in bad)
    return Examples(examples.classes, left, (*examples.unreadable, *bad.values()))
