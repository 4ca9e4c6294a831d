"""A program that is to be started at login, whatever the system. Pure."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from sorter.errors import LibraryError
from sorter.text import is_text, visible

MARK = "Written by sorter watch, which may overwrite it"
"""In every file that is written for this, so that no other is overwritten."""


@dataclass(frozen=True)
class Service:
    """A program and its arguments. Raises LibraryError where one of them cannot be written into such files."""

    name: str
    """Letters, digits, "_", "." and "-"."""
    title: str
    """What it does, for people; one line."""
    command: tuple[str, ...]
    """The program's path and its arguments."""

    def __post_init__(self) -> None:
        for one in self.command:
            if not is_text(one) or any(unicodedata.category(char) == "Cc" for char in one):
                shown = visible(one)
                raise LibraryError(f"{shown}: has a character that no file of settings can hold; rename the folder")
