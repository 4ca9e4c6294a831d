"""Everything that can go wrong by what a user gave us.

    ModelsheetError            one sentence: what is wrong, where, what would be right
    ├── OptionsError           an option or a key of a config file
    │   └── SchemeError        scheme.toml
    ├── ModelError             a sorter's files: the model, labels.txt, card.toml
    ├── PictureError           one picture that cannot be read; in bulk work it becomes a value
    ├── VideoError             one video that cannot be read; in bulk work it becomes a value
    ├── LibraryError           a library's folder or its manifest
    │   └── DamagedManifest    one that `sorter rescan` rebuilds
    ├── DatasetError           an exported dataset
    ├── ExamplesError          the class folders that `sorter fit` learns from
    ├── ClusterError           a Ray cluster, or what its workers are to read from
    └── MissingExtra           an optional part that is not installed

The command line catches this tree and nothing else; any other exception is a bug and keeps its traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ModelsheetError(Exception):
    """The root: its text is one sentence for a person."""


class OptionsError(ModelsheetError):
    """An unknown option, or a value of the wrong kind."""


class SchemeError(OptionsError):
    """scheme.toml does not say something that can be carried out."""


class ModelError(ModelsheetError):
    """A sorter's files are missing, damaged, not allowed, or do not fit each other."""


class PictureError(ModelsheetError):
    """A picture that cannot be read."""


class VideoError(ModelsheetError):
    """A video that cannot be read."""


class LibraryError(ModelsheetError):
    """A library's folder cannot be used as asked."""


class DamagedManifest(LibraryError):
    """A library's manifest is gone or makes no sense; its files still stand."""


class DatasetError(ModelsheetError):
    """A dataset folder cannot be written or read as asked."""


class ExamplesError(ModelsheetError):
    """The labelled examples cannot be learnt from."""


class ClusterError(ModelsheetError):
    """A Ray cluster cannot be reached or used as asked."""


class MissingExtra(ModelsheetError):
    """A part of modelsheet that is installed on request only."""

    def __init__(self, extra: str, what: str) -> None:
        super().__init__(f'{what} needs the "{extra}" part: pip install "modelsheet[{extra}]"')


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of a sentence that names the right spelling: `; did you mean "left"?`, or the list of what there is."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return f'; did you mean "{close[0]}"?'
    return f"; there is {', '.join(names)}" if names else ""


def first_line(found: Exception) -> str:
    """What another library's exception says, cut to what fits into a sentence of ours."""
    return next(iter(str(found).strip().splitlines()), type(found).__name__)[:200]
