"""Dataset layouts: pictures of a library -> every file of a dataset, pictures and texts. A plug point."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sorter.errors import DatasetError
from sorter.plugins import Options, Registry
from sorter.records import Output, Render, Text, Verdict

METADATA = "metadata.jsonl"
AUTHOR = "caption_by"
"""The column that says who wrote a caption: "human", or the captioner, as `Captions.author` says."""
OWN_COLUMNS = {"file_name", "text", "image", AUTHOR}
"""The columns of an imagefolder that are not axes; `image` is made by those who read it."""


@dataclass(frozen=True, slots=True)
class Item:
    """A picture of the library with all that a dataset says of it."""

    stem: str
    """Its name without an ending, of its own in the library: it ends in digits of the picture's hash."""
    suffix: str
    """The ending that its pixels ask for, such as ".png"."""
    render: Render
    """Its pixels."""
    caption: str
    classes: dict[str, str | None]
    """Axis -> class; None where it is in doubt."""
    verdict: Verdict | None = None
    """All that is known of it, the askers' answers too."""
    author: str = ""
    """Who wrote the caption."""


class Layout(Options):
    """What every dataset layout is: called with the items, it gives every file that the dataset should hold."""

    def __call__(self, items: Iterable[Item]) -> Iterator[Output]:
        """The pictures, and the texts that belong to them. Called again without those that could not be written."""
        raise NotImplementedError

    def read_back(self, folder: Path, items: Iterable[Item]) -> None:
        """Read what stands in the dataset's folder as a trainer will. Raises DatasetError where it is not `items`."""


layouts: Registry[Layout] = Registry("dataset layout", "modelsheet.layouts")


@layouts.add("imagefolder")
class ImageFolder(Layout):
    """Hugging Face's imagefolder: pictures beside a metadata.jsonl: file_name, text, caption_by, a column an axis."""

    def __call__(self, items: Iterable[Item]) -> Iterator[Output]:
        lines = []
        for item in items:
            yield Output(item.stem + item.suffix, item.render)
            lines.append(json.dumps(_row(item), ensure_ascii=False) + "\n")
        if lines:
            yield Output(METADATA, Text("".join(lines)))

    def read_back(self, folder: Path, items: Iterable[Item]) -> None:
        """Every line is the row of its picture, and every picture is there."""
        wanted = {item.stem + item.suffix: _row(item) for item in items}
        try:
            text = (folder / METADATA).read_bytes().decode() if wanted else ""
            there = {row["file_name"]: row for row in map(json.loads, text.split("\n")[:-1])}
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise _misread(folder, f"it cannot be read: {error}") from None
        if other := [name for name in wanted | there if wanted.get(name) != there.get(name)]:
            raise _misread(folder, f"{len(other)} of its rows are not what was exported, {other[0]} first")
        if gone := [name for name in wanted if not (folder / name).is_file()]:
            raise _misread(folder, f"it names {len(gone)} pictures that are not there, {gone[0]} first")


def _row(item: Item) -> dict[str, str | None]:
    if taken := OWN_COLUMNS & item.classes.keys():
        name = min(taken)
        raise DatasetError(f'axes.{name}: an imagefolder has a column "{name}" of its own; give the axis another name')
    return {"file_name": item.stem + item.suffix, "text": item.caption, AUTHOR: item.author, **item.classes}


def _misread(folder: Path, why: str) -> DatasetError:
    return DatasetError(f"{folder / METADATA}: was written and read back, and {why}; export it again")
