"""TOML files, whatever is in their place. Reads; writes nothing."""

from __future__ import annotations

import json
import os
import re
import tomllib
import unicodedata
from pathlib import Path
from typing import Any

from sorter.errors import ModelsheetError
from sorter.files import read_file

LARGEST = 1 << 20
"""Bytes; what people write by hand has some thousands, a card of a thousand classes 100,000."""
DOTS = 100
"""Of one line: a key of a thousand parts would take tomllib hours and all of the memory."""
BACKSLASHES = "in double quotes TOML takes a backslash for something else; write C:/models/pose or 'C:\\models\\pose'"


def read_toml(path: Path, error: type[ModelsheetError]) -> dict[str, Any]:
    """What a TOML file says, its text in Unicode's composed form, which JSON can hold as well.

    Raises OSError as `read_file` does, and `error`, with one sentence, where it is no such file.
    """
    data = read_file(path, LARGEST)
    if not data:
        raise error(f"{path}: is empty")
    try:
        text = unicodedata.normalize("NFC", data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise error(f"{path}: is not UTF-8 text; save it again as UTF-8") from None
    if any(line.count(".") > DOTS for line in text.splitlines()):
        raise error(f"{path}: has a line with over {DOTS} dots; write it in several lines")
    try:
        values = tomllib.loads(text)
        json.dumps(values, default=str)
    except tomllib.TOMLDecodeError as found:
        raise error(f"{path}: is not TOML: {found}{_advice(text, str(found))}") from None
    except RecursionError:
        raise error(f"{path}: is nested too deeply to be read") from None
    except ValueError:
        raise error(f"{path}: holds a number of thousands of digits") from None
    return values


def is_garbled(path: str) -> bool:
    """Whether a path from a TOML file holds what the backslashes of "models\\test" become in double quotes."""
    return any(char < " " for char in path)


def as_stored(path: Path) -> Path:
    """The path as it is spelt on the disk, which may hold é as two characters where a person types one."""
    if os.fspath(path).isascii() or path.exists():
        return path
    parent, wanted = as_stored(path.parent), unicodedata.normalize("NFC", path.name)
    try:
        there = [one.name for one in parent.iterdir() if unicodedata.normalize("NFC", one.name) == wanted]
    except OSError:
        there = []
    return parent / next(iter(there), path.name)


def _advice(text: str, found: str) -> str:
    """What to do about a Windows path in double quotes, if that is what the line holds."""
    line = re.search(r"at line (\d+)", found)
    return f"; {BACKSLASHES}" if "\\" in (text.split("\n")[int(line[1]) - 1] if line else text) else ""
