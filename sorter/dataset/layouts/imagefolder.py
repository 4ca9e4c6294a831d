"""Hugging Face's imagefolder, which diffusers' scripts and `trainer` read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar

from sorter.dataset.layouts.base import TRAIN, VALIDATION, Item, Layout, is_balanced, layouts, parts, row
from sorter.errors import DatasetError
from sorter.records import Output, Render, Text

METADATA = "metadata.jsonl"


@layouts.add("imagefolder")
class ImageFolder(Layout):
    """Hugging Face's imagefolder: pictures and masks, and a metadata.jsonl: file_name, text, caption_by, each axis."""

    holds_out: ClassVar[bool] = True

    def __call__(self, items: Iterable[Item]) -> Iterator[Output]:
        every = list(items)
        for place, some, rows in _tables(every):
            for item in some:
                yield Output(place + item.name, item.render)
            for name, mask in {_mask(item): mask for item, mask in _masks(every, some)}.items():
                yield Output(place + name, mask)
            yield Output(place + METADATA, Text("".join(json.dumps(one, ensure_ascii=False) + "\n" for one in rows)))

    def read_back(self, folder: Path, items: Iterable[Item]) -> None:
        """Every line is the row of its picture, and every picture is there."""
        for place, _, rows in _tables(list(items)):
            _read_back(folder / place, rows)


def _tables(items: list[Item]) -> Iterator[tuple[str, list[Item], list[dict[str, Any]]]]:
    """Where a table lies, with a slash at its end, its items and its rows: one table, or one a part."""
    balanced = is_balanced(items)
    train, held_out = parts(items)
    for place, some in ((f"{TRAIN}/" if held_out else "", train), (f"{VALIDATION}/", held_out)):
        if some:
            # Of `mask_file_name`, the package datasets makes a column "mask" with the pictures.
            named = {item.stem: {"mask_file_name": _mask(item)} for item, _ in _masks(items, some)}
            rows = [{"file_name": item.name} | row(item, balanced) | named.get(item.stem, {}) for item in some]
            yield place, some, rows


def _masks(items: list[Item], some: list[Item]) -> list[tuple[Item, Render]]:
    """The masks of some of the items: of each, if any item has one, since the package datasets asks for the same
    columns in all rows and in both parts."""
    if not any(item.mask for item in items):
        return []
    return [(item, item.mask or item.render._replace(mask=True, opaque=False)) for item in some]


def _mask(item: Item) -> str:
    """The file of its mask; those that hide nothing share one for each size."""
    if item.mask or item.render.size is None:
        return f"masks/{item.stem}.png"
    width, height = item.render.size
    return f"masks/all-{width}x{height}.png"


def _read_back(folder: Path, rows: list[dict[str, Any]]) -> None:
    wanted = {one["file_name"]: one for one in rows}
    try:
        text = (folder / METADATA).read_bytes().decode()
        there = {row["file_name"]: row for row in map(json.loads, text.split("\n")[:-1])}
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise _misread(folder, f"it cannot be read: {error}") from None
    if other := [name for name in wanted | there if wanted.get(name) != there.get(name)]:
        raise _misread(folder, f"{len(other)} of its rows are not what was exported, {other[0]} first")
    named = [*wanted, *(row["mask_file_name"] for row in rows if "mask_file_name" in row)]
    if gone := [name for name in named if not (folder / name).is_file()]:
        raise _misread(folder, f"it names {len(gone)} pictures that are not there, {gone[0]} first")


def _misread(folder: Path, why: str) -> DatasetError:
    return DatasetError(f"{folder / METADATA}: was written and read back, and {why}; export it again")
