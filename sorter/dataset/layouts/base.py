"""What layouts are made of: items, the plug point, and what several of them write."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field

from sorter.errors import DatasetError
from sorter.plugins import Options, Registry
from sorter.records import Output, Render, Text, Verdict
from sorter.text import clean

AUTHOR = "caption_by"
"""The column that says who wrote a caption: "human", or the captioner, as `Captions.author` says."""
TRAIN, VALIDATION = "train", "validation"
"""What Hugging Face's datasets call the two parts of a dataset; folders and files are named so."""
OWN_COLUMNS = {"file_name", "text", "image", "mask", "mask_file_name", "repeats", AUTHOR}
"""The columns of a table that are not axes; `image` and `mask` are made by those who read it."""


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
    mask: Render | None = None
    """White where a trainer is to learn; None where that is all of it."""
    group: str = ""
    """The folder that it goes into, where a layout has folders; a folder's name."""
    repeats: int = 1
    """How often it is to be seen in an epoch."""
    author: str = ""
    """Who wrote the caption."""
    held_out: bool = False
    """Whether it is for validation, and not trained on."""

    @property
    def name(self) -> str:
        """Its file's name."""
        return self.stem + self.suffix

    @property
    def is_enlarged(self) -> bool:
        """Whether it is made of fewer pixels than it has."""
        box, size = self.render.crop, self.render.size
        return bool(box and size and (box.right - box.left < size[0] or box.bottom - box.top < size[1]))

    @property
    def line(self) -> str:
        """Its caption as the one line of a text file; sd-scripts stops at a file of no bytes, and not at this one."""
        return (clean(self.caption) if self.caption.strip() else "") + "\n"


class Layout(Options):
    """What every dataset layout is: called with the items, it gives every file that the dataset should hold."""

    has_masks: ClassVar[bool] = True
    """Whether the trainer that reads it can leave a part of a picture out of its loss."""
    at: str = "."
    """Where the trainer will find the dataset's folder: what paths in its config begin with."""

    holds_out: ClassVar[bool] = False
    """Whether it keeps items apart that are held out; without that, it is never given any."""

    def __call__(self, items: Iterable[Item]) -> Iterator[Output]:
        """The pictures, and the texts that belong to them. Called again without those that could not be written."""
        raise NotImplementedError

    def read_back(self, folder: Path, items: Iterable[Item]) -> None:
        """Read what stands in the dataset's folder as a trainer will. Raises DatasetError where it is not `items`."""


class InFolders(Layout):
    """A layout of pictures with a text beside each."""

    def read_back(self, folder: Path, items: Iterable[Item]) -> None:
        """Every picture is there, and every text says what was asked for."""
        read_captions(folder, self(items))


RESOLUTION = 512
"""Pixels a side that are trained on where nothing says so."""
SMALLEST = 64
"""Pixels a side, below which no trainer has a size."""


class Sized(InFolders):
    """One whose config says at what size is trained."""

    resolution: Annotated[int, Field(ge=SMALLEST, le=8192)] = RESOLUTION
    """Pixels a side, where the pictures are not all squares of one size."""

    def side(self, items: Iterable[Item]) -> int:
        """The side of the pictures, if all of them are squares, but for those that are too small; else `resolution`."""
        sizes = {item.render.size for item in items}
        squares = [size[0] for size in sizes if size and size[0] == size[1]]
        return max(SMALLEST, *squares) if sizes and len(squares) == len(sizes) else self.resolution


layouts: Registry[Layout] = Registry("dataset layout", "modelsheet.layouts")


def row(item: Item, balanced: bool = False) -> dict[str, Any]:
    """What a table says of an item: text, each axis, and, where a dataset is `balanced`, repeats.

    Raises DatasetError where an axis has the name of a column.
    """
    if taken := OWN_COLUMNS & item.classes.keys():
        name = min(taken)
        raise DatasetError(f'axes.{name}: a dataset has a column "{name}" of its own; give the axis another name')
    return {"text": item.caption, AUTHOR: item.author, **item.classes} | ({"repeats": item.repeats} if balanced else {})


def is_balanced(items: Iterable[Item]) -> bool:
    """Whether some items are repeated more often than others."""
    return any(item.repeats > 1 for item in items)


def parts(items: Iterable[Item]) -> tuple[list[Item], list[Item]]:
    """Those that are trained on, and those that are held out."""
    sides: tuple[list[Item], list[Item]] = ([], [])
    for item in items:
        sides[item.held_out].append(item)
    return sides


def by_group(items: Iterable[Item]) -> dict[tuple[str, int], list[Item]]:
    """(Folder, repeats) -> items, in the order of their folders."""
    found: dict[tuple[str, int], list[Item]] = {}
    for item in items:
        found.setdefault((item.group, item.repeats), []).append(item)
    return dict(sorted(found.items()))


def masks(items: Sequence[Item]) -> dict[str, Render]:
    """Stem -> mask, of all of them if any has one: trainers stop at a folder where some have none. Else of none."""
    if not any(item.mask for item in items):
        return {}
    return {item.stem: item.mask or item.render._replace(mask=True, opaque=False) for item in items}


def kept_in_front(items: Iterable[Item]) -> int:
    """How many tags every caption begins with, such as the trigger: a trainer that shuffles tags is to leave them."""
    captions = [[tag.strip() for tag in item.line.split(",")] for item in items]
    same = 0
    for tags in zip(*captions, strict=False):
        if len(set(tags)) > 1:
            break
        same += 1
    return same


def as_json(value: Any) -> Text:
    """A config in JSON, for people to read."""
    return Text(json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def in_folder(folder: str, items: Iterable[Item], suffix: str | None = None) -> Iterator[Output]:
    """Pictures with a .txt beside each, below `folder`; `suffix` where they are to have another than their own."""
    for item in items:
        yield Output(f"{folder}/{item.stem}{suffix or item.suffix}", item.render)
        yield Output(f"{folder}/{item.stem}.txt", Text(item.line))


def apart(items: Iterable[Item], suffixes: Mapping[str, str] | None = None) -> Iterator[Output]:
    """What is held out, with a .txt beside each, in the folder VALIDATION; a folder a class below it.

    `suffixes`: ending -> the ending in its place. There are no masks: trainers do not mask that loss.
    """
    for item in items:
        suffix = (suffixes or {}).get(item.suffix, item.suffix)
        yield from in_folder(f"{VALIDATION}/{item.group}", [item], suffix)


def read_captions(folder: Path, wanted: Iterable[Output]) -> None:
    """Read the captions that were written, as UTF-8. Raises DatasetError where one of them, or a picture, is not."""
    for output in wanted:
        path = folder / output.path
        if not isinstance(output.content, Text):
            if not path.is_file():
                raise DatasetError(f"{path}: was written, and is not there; export it again")
            continue
        try:
            found = path.read_bytes().decode()
        except (OSError, UnicodeDecodeError) as error:
            raise DatasetError(f"{path}: was written, and cannot be read: {error}; export it again") from None
        if found != output.content.text:
            raise DatasetError(f"{path}: was written, and reads otherwise; export it again")
