"""Pictures of a library for a page: found where they stand or lie, made small by threads, with links to their files."""

from __future__ import annotations

import os
from bisect import insort
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

from sorter.errors import PictureError
from sorter.files import read_file, read_if
from sorter.library import originals
from sorter.library.store.manifest import Manifest
from sorter.page import Link, Shown, shown
from sorter.pictures import images
from sorter.records import Box, Render, Verdict
from sorter.threads import in_step

if TYPE_CHECKING:
    from PIL.Image import Image

SMALL, MIDDLE, LARGE = 170, 200, 280
"""Pixels of a picture on a contact sheet, of one that is to be looked at, and of one that is to be decided."""
STORED = 280
"""Pixels that are kept of a picture on a contact sheet; of others, twice what is shown."""


MARK = 3
"""Pixels of a box's line, of twice as many as are shown."""


class First:
    """Of however many verdicts come, those with the smallest keys; where keys are equal, with the smallest hashes."""

    def __init__(self, most: int) -> None:
        self.most, self.count = most, 0
        self._rows: list[tuple[float, str, Verdict]] = []

    def add(self, verdict: Verdict, key: float = 0.0) -> None:
        """One more."""
        self.count += 1
        row = key, verdict.picture.sha256, verdict
        if len(self._rows) < self.most or row < self._rows[-1]:
            insort(self._rows, row)
            del self._rows[self.most :]

    def __iter__(self) -> Iterator[Verdict]:
        return (verdict for *_, verdict in self._rows)


class Place(NamedTuple):
    """A file that may hold a picture."""

    path: Path
    sha256: str = ""
    """The hash that its bytes must have; empty where any will do, such as those that a person has edited."""
    mirror: bool = False
    """Whether its mirror image is what is wanted."""


class Mark(NamedTuple):
    """A box that is drawn onto a picture."""

    box: Box
    size: tuple[int, int]
    """Of the picture in whose pixels the box is."""
    colour: str


@dataclass(frozen=True)
class Request:
    """A picture to be shown: the first of `places` that can be read and decoded, with the words below it."""

    places: Sequence[Place]
    text: str = ""
    width: int = LARGE
    label: str = ""
    name: str = ""
    """What the picture is called; empty for the name of the file that it was read from."""
    marks: Sequence[Mark] = ()


class Gallery:
    """The pictures of a library, for a page that lies in the folder `beside`."""

    def __init__(self, manifest: Manifest, beside: Path) -> None:
        self.manifest, self.beside = manifest, beside

    def show(self, requests: Iterable[Request]) -> list[Shown | None]:
        """Each of them made small; None for one that is nowhere any more, or damaged."""
        return list(in_step(self._shown, requests))

    def link(self, path: Path, text: str = "") -> Link:
        """A link from the page to a file or folder."""
        return Link(text or path.name, self._href(path))

    def named(self, path: Path) -> str:
        """The folder of a file: below the library, or the last two parts of one elsewhere."""
        if path.is_relative_to(self.manifest.root):
            return "/".join(path.relative_to(self.manifest.root).parent.parts)
        return "/".join(part.strip("/\\") for part in path.parts[:-1][-2:])

    def standing(self, verdicts: Iterable[Verdict]) -> list[list[Place]]:
        """For each, where it stands in the library; else where it was found, to be turned as it will stand."""
        verdicts = list(verdicts)
        placed = self.placed(verdict.picture.sha256 for verdict in verdicts)
        return [
            [
                *(Place(path) for path, _ in placed.get(verdict.picture.sha256, ())),
                *self.original(verdict.picture.sha256, verdict.mirror),
            ]
            for verdict in verdicts
        ]

    def original(self, sha256: str, mirror: bool = False) -> list[Place]:
        """Where a picture may lie as it was found."""
        return [Place(path, sha256, mirror) for path in originals.places(self.manifest, sha256)]

    def placed(self, hashes: Iterable[str]) -> dict[str, list[tuple[Path, Render]]]:
        """Hash -> the files in the library that show this picture, and how, for those that there are any of."""
        found: dict[str, list[tuple[Path, Render]]] = {}
        for some in self.manifest.placed_with(sha256[:10] for sha256 in hashes).values():
            for one in some:
                if isinstance(one.output.content, Render):
                    row = self.manifest.root / one.output.path, one.output.content
                    found.setdefault(one.output.content.sha256, []).append(row)
        return found

    def _shown(self, request: Request) -> Shown | None:
        """Done by any thread: it asks no manifest."""
        for place in request.places:
            data = read_if(place.path, place.sha256) if place.sha256 else _bytes_of(place.path)
            with suppress(PictureError):
                picture = _marked(_small(data or b"", 2 * request.width, place.mirror), request.marks)
                times = STORED / request.width if request.width == SMALL else 2
                made = shown(picture, "", request.width, times=times)
                text = "\n".join(filter(None, (self.named(place.path), request.text)))
                name, href = request.name or place.path.name, self._href(place.path)
                return replace(made, text=text, name=name, href=href, label=request.label)
        return None

    def _href(self, path: Path) -> str:
        try:
            below = os.path.relpath(path, self.beside)
        except ValueError:  # on another drive
            return path.absolute().as_uri()
        return quote(os.fsencode(below.replace(os.sep, "/")))


def _small(data: bytes, width: int, mirror: bool) -> Image:
    """The picture in these bytes, upright, not yet scaled down. Raises PictureError."""
    from PIL import Image, ImageOps

    with images.opened(data) as opened:
        side = min(opened.size) * width // max(opened.size)
        picture = Image.fromarray(images.load_small(data, opened, at_least=max(1, side)))
    picture.thumbnail((width, width))
    return ImageOps.mirror(picture) if mirror else picture


def _marked(picture: Image, marks: Sequence[Mark]) -> Image:
    from PIL import ImageDraw

    draw = ImageDraw.Draw(picture)
    for box, (width, height), colour in marks:
        across, down = picture.width / width, picture.height / height
        left, right = _line(box.left * across, box.right * across, picture.width)
        top, bottom = _line(box.top * down, box.bottom * down, picture.height)
        draw.rectangle((left, top, right, bottom), outline=colour, width=MARK)
    return picture


def _line(start: float, stop: float, length: int) -> tuple[float, float]:
    """The first and last pixel of a box's side that can be seen."""
    start = min(max(start, 0), length - 1)
    return start, max(start, min(stop, length) - 1)


def _bytes_of(path: Path) -> bytes | None:
    with suppress(OSError):
        return read_file(path)
    return None
