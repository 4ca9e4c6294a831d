"""The prompt that a picture was drawn by, as whoever drew it wrote it down. All of it is a stranger's text.

It is read from A1111's and Forge's `parameters`, in a PNG's text or in EXIF; from ComfyUI's graph; from the PNGs of
`trainer sample`; else from a .txt beside the picture, or from the folders that it lies in.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sorter.errors import PictureError
from sorter.pictures.images import DAMAGE, open_picture
from trainer.evaluate.comfy import LARGEST, positive
from trainer.recipe import OURS

LONGEST = 20_000
"""Characters of a prompt that are read; text encoders read some hundred words."""
EXIF, USER_COMMENT, MODEL = 0x8769, 0x9286, 0x0110
"""The EXIF block, where A1111 writes in JPEG and WebP (EXIF 2.32, section 4.6.5), and where ComfyUI does in WebP."""
OURS_BEFORE = ("prompt", "seed", "guidance")
"""Keys of the text in a PNG of `trainer sample`, before all of it was one."""
AFTER = re.compile(r"^(?:Negative prompt:|Steps: \d)", re.MULTILINE)
"""The first line after A1111's prompt."""
FOLDERS = "folders"
"""The source of a prompt that is only the names of folders."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """What was asked for, in the words of whoever asked."""

    text: str
    source: str
    """Where it was found: A1111, ComfyUI, Modelsheet, txt or FOLDERS."""


def prompt_of(path: Path, data: bytes, root: Path) -> Prompt | None:
    """The prompt of a picture below the folder `root`, whose bytes are `data`; None where there is none.

    Raises PictureError where the picture, or the .txt beside it, cannot be read.
    """
    found = _inside(data) or _beside(path) or _above(path, root)
    return found and Prompt(found.text[:LONGEST], found.source)


def _inside(data: bytes) -> Prompt | None:
    image = open_picture(data)
    texts: Mapping[Any, Any] = image.info
    try:
        exif = image.getexif()
        comment = _comment(exif.get_ifd(EXIF).get(USER_COMMENT))
        model = exif.get(MODEL)
    except DAMAGE:  # a broken EXIF block says nothing of the pixels
        comment, model = "", None
    if ours := _of_json(texts.get(OURS)):
        return Prompt(ours, "Modelsheet")
    for parameters in (texts.get("parameters"), comment):
        if isinstance(parameters, str) and parameters.strip():
            said = _of_json(parameters)
            return Prompt(_before_negative(parameters) if said is None else said, "A1111")
    if all(isinstance(texts.get(key), str) for key in OURS_BEFORE):
        return Prompt(str(texts["prompt"]), "Modelsheet")
    graphs = [texts.get("prompt"), texts.get("workflow")]
    if isinstance(model, str) and model.startswith("prompt:"):
        graphs.append(model.removeprefix("prompt:"))
    for graph in graphs:
        if isinstance(graph, str) and (text := positive(graph)):
            return Prompt(text, "ComfyUI")
    return None


def _of_json(text: Any) -> str | None:
    """The prompt in an object, as Fooocus and SwarmUI write it for `parameters`, and `trainer sample` beside A1111's.

    "" where it has none; None where the text is no object.
    """
    if not isinstance(text, str) or len(text) > LARGEST or not text.lstrip().startswith("{"):
        return None
    try:
        read = json.loads(text)
    except (ValueError, RecursionError):
        return None
    inner = read.get("sui_image_params", read)
    said = inner.get("prompt") if isinstance(inner, dict) else None
    return said if isinstance(said, str) else ""


def _before_negative(text: str) -> str:
    """A1111's text up to the negative prompt."""
    after = AFTER.search(text)
    return text[: after.start() if after else None].strip()


def _comment(value: Any) -> str:
    """EXIF's UserComment: eight bytes name the encoding of the rest; UNICODE is UTF-16, of either order."""
    if not isinstance(value, bytes):
        return ""
    kind, rest = value[:8], value[8 : 8 + 4 * LONGEST]
    if kind == b"UNICODE\0":
        little = rest[1::2].count(0) > rest[0::2].count(0)
        return rest.decode("utf-16-le" if little else "utf-16-be", errors="replace").strip("\0\ufeff")
    return rest.decode("utf-8", errors="replace").strip("\0") if kind == b"ASCII\0\0\0" else ""


def _beside(path: Path) -> Prompt | None:
    text = path.with_suffix(".txt")
    try:
        if not text.is_file():
            return None
        with text.open("rb") as file:
            said = file.read(4 * LONGEST).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise PictureError(f"its prompt, {text.name}, is not UTF-8; save it as UTF-8") from None
    except OSError as error:
        raise PictureError(f"its prompt, {text.name}, cannot be read: {error.strerror}") from None
    return Prompt(prompt, "txt") if (prompt := _before_negative(said)) else None


def _above(path: Path, root: Path) -> Prompt | None:
    """The folders between `root` and the picture; kohya's "10_mira" is "mira"."""
    folders = path.absolute().relative_to(root.absolute()).parent.parts
    names = [re.sub(r"^\d+_", "", name) for name in folders]
    return Prompt(", ".join(names), FOLDERS) if names else None
