"""`sorter fit`: class folders, and what a person answered about a library's pictures -> a sorter."""

from __future__ import annotations

from pathlib import Path

from sorter.errors import ExamplesError
from sorter.fit import examples as folders
from sorter.fit.examples import Example, Examples
from sorter.fit.fit import Fitted, Recipe, Track, examples_in, fit_examples
from sorter.library.originals import places
from sorter.library.store.manifest import Manifest
from sorter.text import clean

LEAST = 2
"""Examples of a class; one of fewer cannot be held out and learnt from as well."""


def fit_answers(library: Path, axis: str, folder: Path | None, to: Path, recipe: Recipe, track: Track) -> Fitted:
    """Fit a sorter on a person's answers on an axis of a library, and on class folders if there are any.

    A class with fewer than LEAST answers is left out. Raises what `fit_examples` raises, and LibraryError.
    """
    found = answered(library, axis)
    if folder is not None:
        found = joined(examples_in(folder), found)
    found = without_small(found)
    where = folder or library
    if len(found.classes) < 2:
        raise ExamplesError(
            f"{library}: has {LEAST} or more answers of {', '.join(found.classes) or 'no class'} on {axis};"
            " at least two classes are needed"
        )
    folders.check(where, found)
    return fit_examples(where, found, to, recipe, track)


def answered(library: Path, axis: str) -> Examples:
    """The pictures that a person answered about on an axis, as they were found."""
    with Manifest(library) as manifest:
        given = manifest.answers_on(axis)
        there = {sha256: next((path for path in places(manifest, sha256) if path.exists()), None) for sha256 in given}
    # A label file holds one class a line, and none twice.
    classes = tuple(sorted({clean(name) for name in given.values()}))
    found = [(path, clean(given[sha256])) for sha256, path in there.items() if path is not None]
    return Examples(classes, tuple(Example(path.absolute(), classes.index(name)) for path, name in found))


def joined(first: Examples, second: Examples) -> Examples:
    """Both together; a picture that is in both is an example once."""
    classes = tuple(sorted({*first.classes, *second.classes}))
    pictures = {
        one.path: Example(one.path, classes.index(some.classes[one.label]))
        for some in (first, second)
        for one in some.pictures
    }
    return Examples(classes, tuple(pictures.values()), (*first.unreadable, *second.unreadable))


def without_small(examples: Examples) -> Examples:
    """The same without the classes that have too few pictures."""
    counts = examples.counts()
    classes = tuple(name for name in examples.classes if counts[name] >= LEAST)
    pictures = tuple(
        Example(one.path, classes.index(name))
        for one in examples.pictures
        if (name := examples.classes[one.label]) in classes
    )
    return Examples(classes, pictures, examples.unreadable)
