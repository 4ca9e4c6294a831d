"""The captions of any dataset folder: texts beside the pictures, or the rows of a metadata.jsonl."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from sorter.dataset.layouts.base import AUTHOR
from sorter.dataset.layouts.imagefolder import METADATA
from sorter.files import read_file
from sorter.library.captions_by_hand import NO_TEXT, read_caption
from sorter.pictures.scan import walk
from sorter.records import Unreadable

ENDINGS = (".txt", ".caption")
"""Of captions beside a picture: of most tools, and of kohya's trainer where it is not told otherwise."""
COLUMNS = ("text", "prompt", "caption")
"""Of a metadata.jsonl that hold the caption, the first that is there."""


class Caption(NamedTuple):
    """A caption of a dataset as it stands, or of a library as the next `sorter apply` leaves it."""

    file: str
    """Of the picture, below the folder."""
    text: str
    """On one line, a comma in place of each line's end; empty where there is none."""
    by: str
    """Who wrote it, as `Captions.author` says; empty where the dataset does not say."""
    lines: int = 1


def read_captions(folder: Path) -> Iterator[Caption | Unreadable]:
    """The caption of each picture below `folder`. Raises LibraryError where `folder` is none."""
    root, read = folder.absolute(), set[Path]()
    rows: dict[Path, dict[str, Any]] = {}
    for found in walk(folder):
        if isinstance(found, Unreadable):
            yield found
            continue
        for place in {root, found.path.parent} - read:  # a table may name pictures in folders below it
            read.add(place)
            for row in _rows(place / METADATA):
                if isinstance(row, Unreadable):
                    yield row
                else:
                    rows[place / str(row.get("file_name"))] = row
        yield _caption(root, found.path, rows.get(found.path))


def _caption(folder: Path, picture: Path, row: dict[str, Any] | None) -> Caption | Unreadable:
    name, by = picture.relative_to(folder).as_posix(), ""
    if row is not None:
        said = next((row[column] for column in COLUMNS if isinstance(row.get(column), str)), "")
        data, by = said.encode(errors="replace"), str(row.get(AUTHOR) or "")
    else:
        path, data = _beside(picture)
        if isinstance(data, OSError):
            return Unreadable(path, f"cannot be read: {data.strerror}")
    text = read_caption(data)
    if text is None:
        return Unreadable(picture, f"its caption {NO_TEXT}")
    return Caption(name, text, by, len(data.strip().splitlines()))


def _beside(picture: Path) -> tuple[Path, bytes | OSError]:
    """The text that belongs to a picture (a.png with a.txt, or with a.png.txt); nothing where there is none."""
    for path in (*map(picture.with_suffix, ENDINGS), *(Path(f"{picture}{ending}") for ending in ENDINGS)):
        try:
            return path, read_file(path)
        except FileNotFoundError:
            continue
        except OSError as found:
            return path, found
    return picture, b""


def _rows(path: Path) -> Iterator[dict[str, Any] | Unreadable]:
    try:
        lines = read_file(path).decode("utf-8-sig").split("\n")
    except FileNotFoundError:
        return
    except (OSError, UnicodeDecodeError) as found:
        why = found.strerror if isinstance(found, OSError) else "it is not UTF-8 text"
        yield Unreadable(path, f"cannot be read: {why}")
        return
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                row = None
            yield row if isinstance(row, dict) else Unreadable(path, f"line {number} is not a JSON object")
