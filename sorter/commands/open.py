"""A library, opened for a command: locked, and cleared of what a cut-off run left open."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sorter.errors import LibraryError
from sorter.library.apply import recover
from sorter.library.folders import Folders
from sorter.library.names import LONGEST_STEM
from sorter.library.originals import adopt_list
from sorter.library.store.lock import locked
from sorter.library.store.manifest import Manifest

LONGEST_PATH = 259
"""Characters that Windows takes where it is not told otherwise (MAX_PATH, less the end of the text)."""
LONGEST_FILE = len(".-0123456789.webp.1f3a0c77.modelsheet-part") + LONGEST_STEM
"""Characters of a file's name while it is being written."""


@contextmanager
def open_library(library: Path, command: str, dry_run: bool = False) -> Iterator[Manifest]:
    """The manifest of a library, made if need be; locked, and cleared of what a cut-off run left open.

    `dry_run`: a copy in memory; nothing lasts and nothing is locked.
    """
    if dry_run:
        with Manifest(library, create=True, dry_run=True) as manifest:
            yield manifest
        return
    with locked(library, command), Manifest(library, create=True) as manifest:
        recover(manifest)
        adopt_list(manifest)
        yield manifest


def check_length(library: Path, folders: Folders) -> str:
    """A sentence where names would be longer than Windows takes, or nothing. Raises LibraryError where this is it."""
    longest = len(str(library.absolute())) + 1 + folders.longest() + 1 + LONGEST_FILE
    if longest <= LONGEST_PATH:
        return ""
    said = f"{library}: its files may have paths of {longest} characters, and Windows takes {LONGEST_PATH}"
    if os.name == "nt":
        raise LibraryError(
            f"{said}; choose a shorter folder, name fewer axes in folders, or shorten the classes' names"
        )
    return f"{said}; choose shorter names if it is to be used there"


def check_apart(source: Path, library: Path) -> None:
    """Raise LibraryError where pictures would be taken from the library that they are sorted into."""
    inner, outer = source.resolve(), library.resolve()
    if inner == outer or outer in inner.parents:
        raise LibraryError(f"{source}: lies in the library {library}; give the folder that the pictures come from")
