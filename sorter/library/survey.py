"""What stands in a library's folders, against what we left there. Reads the folders; writes nothing."""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from sorter.errors import PictureError
from sorter.files import Found, found_at, is_ours, read_file
from sorter.library.store.contents import Placed
from sorter.library.store.manifest import FOLDER, Manifest
from sorter.pictures.images import SUFFIXES, open_picture

CAPTION_SUFFIX = ".txt"


@dataclass(frozen=True, eq=False)
class Stranger:
    """A picture or a text in a library's folders that we did not put there."""

    path: str
    """Below the library, with "/" between its parts."""
    file: Found

    @property
    def is_caption(self) -> bool:
        """Whether it is a text, not a picture."""
        return self.file.path.suffix.lower() == CAPTION_SUFFIX

    @property
    def folder(self) -> str:
        """The folder that it lies in, below the library."""
        return self.path.rpartition("/")[0]

    @cached_property
    def sha256(self) -> str:
        """The hash of its bytes; empty where they cannot be read."""
        return self._looked[0]

    @cached_property
    def is_picture(self) -> bool:
        """Whether its bytes begin as those of a picture."""
        return self._looked[1]

    @cached_property
    def _looked(self) -> tuple[str, bool]:
        try:
            data = read_file(self.file.path)
        except OSError:
            return "", False
        try:
            open_picture(data)
        except PictureError:
            return hashlib.sha256(data).hexdigest(), False
        return hashlib.sha256(data).hexdigest(), True


@dataclass
class Survey:
    """The differences."""

    gone: list[Placed] = field(default_factory=list)
    changed: list[Placed] = field(default_factory=list)
    """Files whose bytes are no longer ours."""
    touched: list[Placed] = field(default_factory=list)
    """Files that were written again with the same bytes, as they stand now."""
    strangers: list[Stranger] = field(default_factory=list)


def survey(manifest: Manifest) -> Survey:
    """Compare a library's folders with its manifest: a look at each file, and a reading of those that look changed."""
    left, found = manifest.stamps(), Survey()
    for path, file in _files(manifest.root):
        name = path if path in left else unicodedata.normalize("NFC", path)  # macOS may give names back decomposed
        if name in left:
            if left.pop(name) != (file.size, file.modified):
                _compare(manifest, name, found)
        elif file.path.suffix.lower() in SUFFIXES or file.path.suffix.lower() == CAPTION_SUFFIX:
            found.strangers.append(Stranger(path, file))
    for path in sorted(left):  # gone, unless a folder could not be listed, or a disk has other ideas of a name
        _compare(manifest, path, found)
    return found


def _compare(manifest: Manifest, path: str, found: Survey) -> None:
    placed = manifest.placed_at(path)
    assert placed is not None
    try:
        file = found_at(manifest.root / path)
        if (file.size, file.modified) == (placed.size, placed.modified):
            return
        if hashlib.sha256(read_file(file.path)).hexdigest() == placed.sha256:
            found.touched.append(replace(placed, size=file.size, modified=file.modified))
        else:
            found.changed.append(placed)
    except (FileNotFoundError, NotADirectoryError):
        found.gone.append(placed)
    except OSError:  # no file any more, or not to be read now: nobody has said that they do not want it
        found.changed.append(placed)


def _files(root: Path) -> Iterator[tuple[str, Found]]:
    """The files below a library's folder, each with its path below it; what is being written is left out."""
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if name != FOLDER)
        below = Path(folder).relative_to(root).as_posix()
        for name in sorted(names):
            if not is_ours(name):
                with suppress(OSError):  # a link to nowhere, a pipe; or gone since it was listed
                    yield name if below == "." else f"{below}/{name}", found_at(Path(folder, name))
