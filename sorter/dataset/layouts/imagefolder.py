"""Hugging Face's imagefolder, which diffusers' scripts and `trainer` read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar

from sorter.dataset.layouts.base import Item, Layout, is_balanced, layouts, row
from sorter.errors import DatasetError
from sorter.records import Output, Text

METADATA = "metadata.jsonl"


@layouts.add("imagefolder")
class ImageFolder(Layout):
    """Hugging Face's imagefolder: pictures beside a metadata.jsonl: file_name, text, caption_by, a column an axis."""

    has_masks: ClassVar[bool] = False

    def __call__(self, items: Iterable[Item]) -> Iterator[Output]:
        items = list(items)
        for item in items:
            yield Output(item.name, item.render)
        if items:
            yield Output(METADATA, Text("".join(json.dumps(one, ensure_ascii=False) + "\n" for one in _rows(items))))

    def read_back(self, folder: Path, items: Iterable[Item]) -> None:
        """Every line is the row of its picture, and every picture is there."""
        wanted = {one["file_name"]: one for one in _rows(list(items))}
        try:
            text = (folder / METADATA).read_bytes().decode() if wanted else ""
            there = {row["file_name"]: row for row in map(json.loads, text.split("\n")[:-1])}
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise _misread(folder, f"it cannot be read: {error}") from None
        if other := [name for name in wanted | there if wanted.get(name) != there.get(name)]:
            raise _misread(folder, f"{len(other)} of its rows are not what was exported, {other[0]} first")
        if gone := [name for name in wanted if not (folder / name).is_file()]:
            raise _misread(folder, f"it names {len(gone)} pictures that are not there, {gone[0]} first")


def _rows(items: list[Item]) -> list[dict[str, Any]]:
    balanced = is_balanced(items)
    return [{"file_name": item.name} | row(item, balanced) for item in items]


def _misread(folder: Path, why: str) -> DatasetError:
    return DatasetError(f"{folder / METADATA}: was written and read back, and {why}; export it again")
