"""A dataset folder as it lies on the disk: metadata.jsonl and the pictures that it names. Loads no network."""

from __future__ import annotations

import hashlib
import json
import struct
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from PIL import Image, ImageOps

from sorter.errors import DatasetError
from sorter.files import read_file
from sorter.text import is_text
from trainer.buckets import SMALL, Size, fitted

TRAIN = "train"
"""The folder of the part that is trained on, of a dataset of which another part is held out."""
BAD_PICTURE = (
    OSError, ValueError, SyntaxError, EOFError, LookupError, TypeError, ArithmeticError, RuntimeError, MemoryError,
    struct.error, Image.DecompressionBombError, Image.DecompressionBombWarning,
)  # fmt: skip
"""What Pillow raises for a file that is not a picture, is cut off, or is made to fill the memory."""


@dataclass(frozen=True, slots=True)
class Example:
    """One captioned picture. `size` is what is trained on: the middle of the picture, in whole latents; `scaled` is
    what the picture is scaled to before, where that is too large for the base."""

    path: Path
    sha256: str
    size: Size
    caption: str
    scaled: Size | None = None
    original: Size | None = None  # the picture's own; none: it is neither scaled nor cut

    @property
    def cut(self) -> tuple[int, int, int, int]:
        """Height and width of the whole picture, and where what is trained on begins after scaling, top and left."""
        whole = self.original or self.size
        scaled = self.scaled or whole
        left, top = ((have - want) // 2 for have, want in zip(scaled, self.size, strict=True))
        return whole[1], whole[0], top, left


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A picture that is left out, and why."""

    file_name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Dataset:
    """The pictures of a dataset folder, in the order of metadata.jsonl."""

    folder: Path
    examples: tuple[Example, ...]
    unreadable: tuple[Unreadable, ...]

    @property
    def sizes(self) -> dict[Size, int]:
        """How many pictures there are of each size, most first."""
        return dict(Counter(example.size for example in self.examples).most_common())

    @property
    def scaled(self) -> int:
        """How many pictures are scaled down."""
        return sum(example.scaled is not None for example in self.examples)

    def scales(self) -> str:
        """One hash over what pictures are scaled to; empty where none is."""
        if not self.scaled:
            return ""
        return hashlib.sha256(json.dumps([(one.sha256, one.scaled) for one in self.examples]).encode()).hexdigest()

    def small(self, side: int) -> int:
        """How many pictures have less than SMALL of the area of the base's own, whose side is given."""
        return sum(width * height < SMALL * side * side for width, height in (one.size for one in self.examples))

    def pictures(self) -> str:
        """One hash over the pictures alone."""
        return hashlib.sha256(json.dumps([example.sha256 for example in self.examples]).encode()).hexdigest()

    def fingerprint(self) -> str:
        """One hash over pictures and captions: whether a run goes on with the same dataset."""
        rows = [f"{example.sha256} {example.caption}" for example in self.examples]
        return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def read_dataset(
    folder: Path,
    factor: int,
    side: int | None = None,
    whole: bool = False,
    on_progress: Callable[[int, int], None] = lambda done, of: None,
) -> Dataset:
    """Read metadata.jsonl (`file_name`, `text`) and the header and hash of every picture that is not held out.

    factor: pixels a latent; sizes are cut down to multiples of it. side: of the base's own pictures, pixels; see
    `fitted`. whole: decode the pictures, too, and not only their headers. A picture that cannot be read becomes an
    Unreadable. Raises DatasetError where nothing is left, or a row points out of the folder.
    """
    examples: list[Example] = []
    unreadable: list[Unreadable] = []
    table = _find_metadata(folder)
    rows = list(_rows(table))
    for done, (where, row) in enumerate(rows, 1):
        path = _place(table.parent, row, where)
        caption = _text(row, "text", where).encode(errors="replace").decode()  # JSON can hold halves of characters
        try:
            example = _example(path, caption, factor, side)
            if whole:
                open_picture(path, example.size, example.scaled)
            examples.append(example)
        except BAD_PICTURE as error:
            unreadable.append(Unreadable(str(row["file_name"]), reason(error)))
        on_progress(done, len(rows))
    if not examples:
        why = f"none of its {len(unreadable)} pictures can be read" if unreadable else "it names no pictures"
        raise DatasetError(f"{folder}: there is nothing to train on: {why}")
    return Dataset(folder, tuple(examples), tuple(unreadable))


def open_picture(path: Path, size: Size, scaled: Size | None = None) -> Image.Image:
    """The middle `size` of the picture, `scaled` before where that is given, as RGB, upright, on black where it is
    transparent."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(BytesIO(read_file(path))) as opened:
            picture = ImageOps.exif_transpose(opened).convert("RGBA")
    if scaled is not None:
        picture = picture.resize(scaled, Image.Resampling.LANCZOS)
    black = Image.new("RGBA", picture.size, (0, 0, 0, 255))
    left, top = ((have - want) // 2 for have, want in zip(picture.size, size, strict=True))
    return Image.alpha_composite(black, picture).convert("RGB").crop((left, top, left + size[0], top + size[1]))


def _example(path: Path, caption: str, factor: int, side: int | None) -> Example:
    data = read_file(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(BytesIO(data)) as picture:
            width, height = picture.size
            if picture.getexif().get(0x0112, 1) >= 5:  # orientations 5 to 8 lie on their side
                width, height = height, width
    scaled, size = fitted((width, height), side, factor)
    sha256 = hashlib.sha256(data).hexdigest()
    return Example(path, sha256, size, caption, None if scaled == (width, height) else scaled, (width, height))


def _find_metadata(folder: Path) -> Path:
    if not folder.is_dir():
        raise DatasetError(f"{folder}: there is no such folder; dataset is a folder that `sorter export` wrote")
    for path in (folder / "metadata.jsonl", folder / TRAIN / "metadata.jsonl"):
        if path.is_file():
            return path
    raise DatasetError(f"{folder}: there is no metadata.jsonl in it; export it with --as imagefolder")


def _rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
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


def _place(folder: Path, row: dict[str, Any], where: str) -> Path:
    """Where the picture lies; it must be inside the folder by every system's reading of the name, links followed."""
    name = _text(row, "file_name", where)
    posix, windows = PurePosixPath(name), PureWindowsPath(name)
    outside = posix.is_absolute() or windows.anchor or ".." in (*posix.parts, *windows.parts)
    if "\0" in name or not is_text(name):
        raise DatasetError(f"{where}: {json.dumps(name)} is no name of a file")
    if outside or not name or not (folder / name).resolve().is_relative_to(folder.resolve()):
        raise DatasetError(f'{where}: "{name}" lies outside the dataset folder')
    return folder / name


def reason(error: BaseException) -> str:
    """Why a picture is left out, in a line."""
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, MemoryError):
        return "there is not enough memory for it"
    return str(error).splitlines()[0] if str(error) else type(error).__name__
