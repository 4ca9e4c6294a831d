"""A library, opened for a command: locked, and cleared of what a cut-off run left open."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sorter.errors import LibraryError
from sorter.library.apply import recover
from sorter.library.originals import adopt_list
from sorter.library.store.lock import locked
from sorter.library.store.manifest import Manifest


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


def check_apart(source: Path, library: Path) -> None:
    """Raise LibraryError where pictures would be taken from the library that they are sorted into."""
    inner, outer = source.resolve(), library.resolve()
    if inner == outer or outer in inner.parents:
        raise LibraryError(f"{source}: lies in the library {library}; give the folder that the pictures come from")
