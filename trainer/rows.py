"""What a dataset folder says of its pictures: the rows of a metadata.jsonl, or kohya's folders with their texts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, Literal

from sorter.errors import DatasetError
from sorter.files import read_file
from sorter.text import is_text

METADATA = "metadata.jsonl"
Part = Literal["train", "validation"]
REPEATED = re.compile(r"(\d+)_(.+)")
"""The name of one of kohya's folders: how often its pictures are seen in a pass, and words where there is no text."""
PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
"""The endings that sd-scripts reads."""
CAPTIONS = (".txt", ".caption")
MASKS = "masks"
MOST_REPEATS = 10_000


@dataclass(frozen=True, slots=True)
class Row:
    """A picture, as its dataset names it."""

    name: str  # of the file, for people
    path: Path
    captions: tuple[str, ...]  # one at least
    repeats: int = 1  # how often it is seen in a pass
    mask: Path | None = None  # white where there is something to learn


def read_rows(folder: Path, part: Part = "train") -> list[Row]:
    """The pictures that are trained on, or those that are held out: none where nothing is.

    Raises DatasetError where the folder is none of a dataset, or a row points out of it.
    """
    if not folder.is_dir():
        raise DatasetError(f"{folder}: there is no such folder; dataset is a folder that `sorter export` wrote")
    tables = [folder / METADATA, folder / "train" / METADATA]
    if any(table.is_file() for table in tables):
        wanted = tables if part == "train" else [folder / part / METADATA]
        return next((_table(table) for table in wanted if table.is_file()), [])
    kohya = {path: match for path in _folders(folder) if (match := REPEATED.fullmatch(path.name))}
    if not kohya:
        raise DatasetError(f"{folder}: {_no_dataset(folder)}")
    if part == "validation":
        return [row for path in _folders(folder / part) for row in _kohya(folder, path, 1, path.name)]
    found = [row for path, match in kohya.items() for row in _kohya(folder, path, int(match[1]), match[2])]
    if not found:
        raise DatasetError(f"{folder}: there is nothing to train on: its folders with numbers hold no pictures")
    return found


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []


def _no_dataset(folder: Path) -> str:
    """Why there is nothing to read, and what would be right."""
    if REPEATED.fullmatch(folder.name):
        return f'is one of kohya\'s folders; dataset is the folder that it lies in: "{folder.parent.name}"'
    if any(path.suffix.lower() in PICTURES for path in folder.iterdir()):
        return (
            f"there is no {METADATA} in it; export it with --as imagefolder, or move its pictures and texts into a"
            f' folder with a number in its name, as kohya has it, such as "{folder.name}/1_{folder.name}"'
        )
    return f"there is no {METADATA} in it, and no folder such as 10_mira; export it with --as imagefolder"


def _kohya(dataset: Path, folder: Path, repeats: int, words: str) -> Iterator[Row]:
    """The pictures of one of kohya's folders, none of folders below it. Of a text, the first line is the caption; a
    picture without one has the folder's words for it. A folder that is repeated 0 times is left out, as kohya does."""
    if repeats > MOST_REPEATS:
        raise DatasetError(f"{folder}: repeats its pictures {repeats} times, and {MOST_REPEATS} are the most")
    if not repeats:
        return
    for path in sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURES):
        text = next((text for ending in CAPTIONS if (text := path.with_suffix(ending)).is_file()), None)
        mask = dataset / MASKS / folder.name / f"{path.stem}.png"
        name = path.relative_to(dataset).as_posix()
        caption = words if text is None else _first_line(text)
        yield Row(name, path, (caption,), repeats, mask if mask.is_file() else None)


def _first_line(path: Path) -> str:
    try:
        return (read_file(path).decode("utf-8-sig").splitlines() or [""])[0].strip()
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path}: not UTF-8: {error}") from None
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read: {error.strerror}") from None


def _table(path: Path) -> list[Row]:
    folder = path.parent
    rows = []
    for where, row in _lines(path):
        captions = row.get("text")
        if not isinstance(captions, list):
            captions = [_text(row, "text", where)]
        if not captions or not all(isinstance(caption, str) for caption in captions):
            raise DatasetError(f'{where}: "text" is not a caption, or a list of captions')
        # JSON can hold halves of characters.
        legal = tuple(caption.encode(errors="replace").decode() for caption in captions)
        mask = _place(folder, _text(row, "mask_file_name", where), where) if row.get("mask_file_name") else None
        name = _text(row, "file_name", where)
        rows.append(Row(name, _place(folder, name, where), legal, _repeats(row, where), mask))
    return rows


def _repeats(row: dict[str, Any], where: str) -> int:
    repeats = row.get("repeats", 1)
    if type(repeats) is not int or not 1 <= repeats <= MOST_REPEATS:
        raise DatasetError(f'{where}: "repeats" is {repeats!r}, not a whole number from 1 to {MOST_REPEATS}')
    return repeats


def _lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        lines = read_file(path).decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path}: not UTF-8: {error}") from None
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read: {error.strerror}") from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DatasetError(f"{where}: not JSON: {error}") from None
        if not isinstance(row, dict):
            raise DatasetError(f"{where}: not a table with file_name and text")
        yield where, row


def _text(row: dict[str, Any], key: str, where: str) -> str:
    value = row.get(key)
    if not isinstance(value, str):
        raise DatasetError(f'{where}: "{key}" is {"missing" if value is None else f"{value!r}, not text"}')
    return value


def _place(folder: Path, name: str, where: str) -> Path:
    """Where a picture lies; it must be inside the folder by every system's reading of the name, links followed."""
    posix, windows = PurePosixPath(name), PureWindowsPath(name)
    outside = posix.is_absolute() or windows.anchor or ".." in (*posix.parts, *windows.parts)
    if "\0" in name or not is_text(name):
        raise DatasetError(f"{where}: {json.dumps(name)} is no name of a file")
    if outside or not name or not (folder / name).resolve().is_relative_to(folder.resolve()):
        raise DatasetError(f'{where}: "{name}" lies outside the dataset folder')
    return folder / name
