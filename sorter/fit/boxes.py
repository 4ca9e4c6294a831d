"""Boxes that somebody drew, as their tools keep them: COCO, Pascal VOC, YOLO, or a plain table. Reads those files only.

COCO (cocodataset.org/#format-data): one .json of images, annotations and categories; a box is [left, top, width,
height] in pixels. Pascal VOC (host.robots.ox.ac.uk/pascal/VOC, VOC2012 development kit, section 4): an .xml a picture,
pixels. YOLO (docs.ultralytics.com/datasets/detect): a .txt a picture, a line a box: class number, middle, width and
height in shares; the names of the classes in classes.txt, obj.names or data.yaml. The plain table: {"name.jpg": [left,
top, right, bottom]} in pixels.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from xml.etree import ElementTree

from sorter.errors import ExamplesError
from sorter.files import read_file

MOST_BYTES = 256 << 20
"""Of a file of boxes."""
SIDES = ("xmin", "ymin", "xmax", "ymax")
"""Of a box in Pascal VOC."""
NAMES = ("classes.txt", "obj.names", "data.yaml", "data.yml", "notes.json")
"""Files in a YOLO folder that are no boxes of a picture."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A box as it was drawn. Sides are pixels, or shares of the picture where `size` is (1, 1)."""

    picture: str
    """The picture's name, perhaps with folders; without an ending where the tool keeps none."""
    kind: str
    """The class; empty where there is none."""
    left: float
    top: float
    right: float
    bottom: float
    size: tuple[float, float] | None = None
    """The picture's width and height, as the tool has them; None where it does not say."""


def read_boxes(path: Path) -> list[Drawn]:
    """All boxes in a file or a folder of files. Raises ExamplesError with what is wrong, and where."""
    if not path.exists():
        raise ExamplesError(f"{path}: is not there; give a COCO .json, or a folder of VOC .xml or YOLO .txt files")
    if path.is_file() and path.suffix.lower() == ".json":
        found = list(_json(path))
    elif path.is_file() and path.suffix.lower() == ".xml":
        found = list(_voc(path))
    elif path.is_dir():
        found = list(_folder(path))
    else:
        raise ExamplesError(
            f"{path}: is no file of boxes; give a COCO .json, or a folder of VOC .xml or YOLO .txt files"
        )
    if not found:
        raise ExamplesError(f"{path}: holds no box; draw some first")
    for one in found:
        if not (one.left < one.right and one.top < one.bottom):
            raise ExamplesError(f"{path}: a box of {one.picture} has no width or no height; draw it again")
    return found


def _folder(path: Path) -> Iterator[Drawn]:
    xml = sorted(path.rglob("*.xml"))
    texts = [one for one in sorted(path.rglob("*.txt")) if one.name not in NAMES]
    if xml and texts:
        raise ExamplesError(f"{path}: holds .xml and .txt files; keep those of one tool")
    for one in xml:
        yield from _voc(one)
    names = _yolo_names(path)
    for one in texts:
        yield from _yolo(one, one.relative_to(path), names)


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ExamplesError(f"{path}: is too large for a file of boxes")
        return read_file(path)
    except OSError as found:
        raise ExamplesError(f"{path}: cannot be read: {found.strerror}") from None


def _json(path: Path) -> Iterator[Drawn]:
    try:
        values = json.loads(_read(path).decode("utf-8-sig"))
        if isinstance(values, dict) and isinstance(values.get("annotations"), list):
            yield from _coco(values)
            return
        for name, sides in values.items():
            left, top, right, bottom = map(float, sides)
            yield Drawn(name, "", left, top, right, bottom)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as found:
        raise ExamplesError(f"{path}: is no COCO file: {_line(found)}; export the boxes again as COCO") from None


def _coco(values: Mapping[str, Any]) -> Iterator[Drawn]:
    images = {one["id"]: one for one in values["images"]}
    kinds = {one["id"]: str(one["name"]) for one in values.get("categories") or []}
    for one in values["annotations"]:
        if one.get("iscrowd"):
            continue  # a box around many
        image = images[one["image_id"]]
        left, top, wide, high = map(float, one["bbox"])
        size = (float(image["width"]), float(image["height"])) if image.get("width") and image.get("height") else None
        kind = kinds.get(one.get("category_id"), "")
        yield Drawn(str(image["file_name"]), kind, left, top, left + wide, top + high, size)


def _voc(path: Path) -> Iterator[Drawn]:
    data = _read(path)
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        raise ExamplesError(f"{path}: is no file of boxes: it defines entities, which Pascal VOC has none of")
    try:
        root = ElementTree.fromstring(data)  # noqa: S314  entities, the danger of it, are refused above
        name = (root.findtext("filename") or "").strip() or path.stem
        wide, high = (float(root.findtext(f"size/{side}") or 0) for side in ("width", "height"))
        size = (wide, high) if wide > 0 and high > 0 else None
        for one in root.iter("object"):
            left, top, right, bottom = (float(one.findtext(f"bndbox/{side}") or "") for side in SIDES)
            yield Drawn(name, (one.findtext("name") or "").strip(), left, top, right, bottom, size)
    except (ElementTree.ParseError, ValueError) as found:
        raise ExamplesError(f"{path}: is no Pascal VOC file: {_line(found)}") from None


def _yolo(path: Path, below: Path, names: list[str]) -> Iterator[Drawn]:
    try:
        for line in _read(path).decode("utf-8-sig").splitlines():
            if not line.strip():
                continue
            number, *numbers = (float(part) for part in line.split())
            if len(numbers) in (4, 5):  # the fifth is how sure a network was
                x, y, wide, high = numbers[:4]
                sides = x - wide / 2, y - high / 2, x + wide / 2, y + high / 2
            elif len(numbers) >= 6 and len(numbers) % 2 == 0:  # an outline, point by point
                sides = min(numbers[::2]), min(numbers[1::2]), max(numbers[::2]), max(numbers[1::2])
            else:
                raise ValueError(f"a line has {len(numbers) + 1} numbers, not 5")
            if not all(-0.5 <= side <= 1.5 for side in sides):
                raise ValueError("its numbers are not shares from 0 to 1")
            kind = names[int(number)] if 0 <= number < len(names) else str(int(number))
            yield Drawn(below.with_suffix("").as_posix(), kind, *sides, size=(1, 1))
    except ValueError as found:
        raise ExamplesError(f"{path}: is no YOLO file: {_line(found)}") from None


def _yolo_names(folder: Path) -> list[str]:
    """The names of the classes in their order; none where no file says them."""
    for place in (folder, folder.parent):
        for name in ("classes.txt", "obj.names"):
            if (place / name).is_file():
                text = _read(place / name).decode("utf-8-sig", "replace")
                return [line.strip() for line in text.splitlines() if line.strip()]
        for name in ("data.yaml", "data.yml"):
            if (place / name).is_file():
                return _names_in_yaml(_read(place / name).decode("utf-8-sig", "replace"))
    return []


def _names_in_yaml(text: str) -> list[str]:
    """`names` of a data.yaml, a list or numbered, in brackets or a line each: all that is wanted of such a file."""
    if found := re.search(r"^names:\s*\[(.*?)\]", text, re.MULTILINE | re.DOTALL):
        return [one.strip().strip("\"'") for one in found[1].split(",") if one.strip()]
    found = re.search(r"^names:\s*\n((?:[ \t]*(?:-|\d+:)[^\n]*\n?)+)", text, re.MULTILINE)
    lines = found[1].splitlines() if found else []
    return [re.sub(r"^\s*(?:-|\d+:)\s*", "", line).strip().strip("\"'") for line in lines]


def of_class(boxes: list[Drawn], kind: str | None, where: Path) -> list[Drawn]:
    """The boxes of one class. Raises ExamplesError where there are several and none is asked for, or it has none."""
    kinds = sorted({one.kind for one in boxes})
    if kind is None:
        if len(kinds) > 1:
            listed = ", ".join(f'"{one}"' for one in kinds[:12])
            raise ExamplesError(f"{where}: has boxes of {listed}; say which are the heads: --box-class {kinds[0]}")
        return boxes
    if kind not in kinds:
        listed = ", ".join(f'"{one}"' for one in kinds[:12])
        raise ExamplesError(f'{where}: has no box of "{kind}"; it has {listed}')
    return [one for one in boxes if one.kind == kind]


def by_picture(boxes: list[Drawn], pictures: Path, files: list[Path]) -> tuple[dict[Path, list[Drawn]], list[str]]:
    """Picture -> its boxes; and the names of those that are not in the folder, or are there twice.

    `files`: all pictures in the folder. A name with folders is looked for as it is, then alone, then without ending.
    """
    known: dict[str, set[Path]] = {}
    for path in files:
        below = PurePosixPath(path.relative_to(pictures).as_posix())
        for name in {str(below), str(below.with_suffix("")), below.name, below.stem}:
            known.setdefault(name.casefold(), set()).add(path)
    found: dict[Path, list[Drawn]] = {}
    missing: set[str] = set()
    for one in boxes:
        said = PurePosixPath(one.picture.replace("\\", "/"))
        tries = (str(said), said.name, str(said.with_suffix("")), said.stem)
        places = next((known[text.casefold()] for text in tries if text.casefold() in known), set())
        if len(places) == 1:
            found.setdefault(next(iter(places)), []).append(one)
        else:
            missing.add(one.picture)
    return found, sorted(missing)


def _line(found: BaseException) -> str:
    said = " ".join(str(found).split())[:160]
    return f"it has no {said}" if isinstance(found, KeyError) else said or type(found).__name__
