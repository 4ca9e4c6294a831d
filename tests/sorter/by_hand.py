"""What a person does to a library."""

from __future__ import annotations

from pathlib import Path


def one(library: Path, pattern: str) -> Path:
    (found,) = library.rglob(pattern)
    return found


def move(library: Path, pattern: str, folder: str, caption: bool = True) -> Path:
    """As a person drags a picture, with its caption or without."""
    path = one(library, pattern)
    (library / folder).mkdir(parents=True, exist_ok=True)
    if caption:
        path.with_suffix(".txt").rename(library / folder / path.with_suffix(".txt").name)
    return path.rename(library / folder / path.name)
