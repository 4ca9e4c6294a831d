"""The files of ours that stand in a library, known by their names alone. Reads the library's folders."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sorter.files import read_file
from sorter.library.names import digits_of
from sorter.pictures.images import KEPT


@dataclass(frozen=True, slots=True)
class Standing:
    """The files that share a stem. More than one of a kind, where a person made copies."""

    stem: str
    pictures: list[Path] = field(default_factory=list)
    captions: list[Path] = field(default_factory=list)


def standing(root: Path) -> dict[str, Standing]:
    """Stem -> its files, all in the order of their paths. Files whose names are not ours are passed over."""
    found: dict[str, Standing] = {}
    for path in _ours(root):
        one = found.setdefault(path.stem, Standing(path.stem))
        (one.captions if path.suffix == ".txt" else one.pictures).append(path)
    return found


def is_sorted(root: Path) -> bool:
    """Whether a picture stands here whose name tells its own hash, which no camera and no person would write."""
    return any(path.suffix != ".txt" and _bears_its_hash(path) for path in _ours(root))


def _ours(root: Path) -> Iterator[Path]:
    endings = {".txt", *KEPT.values()}
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            path = Path(folder, name)
            if path.suffix in endings and digits_of(path.stem):
                yield path


def _bears_its_hash(path: Path) -> bool:
    try:
        return hashlib.sha256(read_file(path)).hexdigest().startswith(digits_of(path.stem))
    except OSError:
        return False
