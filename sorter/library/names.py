"""Names that are legal everywhere: for class folders, and for files. Pure."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable

from sorter.records import Picture
from sorter.text import folded, is_reserved

UNSURE = "_unsure"
"""The folder for pictures whose class on an axis is in doubt."""
DIGITS = re.compile(r"(?<![0-9a-z])[0-9a-f]{10}(?![0-9a-z])")
FRAME = re.compile(r"(.+)_(\d{2,})-([0-5]\d)-([0-5]\d)-(\d{3})", re.DOTALL | re.ASCII)
NO_WORD = re.compile(r"[^\w-]+")
LONGEST = 60
"""Characters of a name. Whether nested folders of it fit into a path of Windows' depends on where the library lies."""
LONGEST_STEM = 48
"""Characters: of four bytes each, with the hash, the ending and what sorter.files puts around a name while it is being
written, they stay below the 255 of a file's name."""


def folder_names(classes: Iterable[str]) -> dict[str, str]:
    """Class -> folder name: no separators, no reserved names, and distinct on systems that ignore case."""
    taken = {UNSURE}
    names: dict[str, str] = {}
    for name in classes:
        base = folder = folder_name(name)
        number = 2
        while folded(folder) in taken:
            folder, number = f"{base}-{number}", number + 1
        taken.add(folded(folder))
        names[name] = folder
    return names


def folder_name(name: str) -> str:
    """One class as a folder name, before clashes are settled."""
    name = unicodedata.normalize("NFC", name)
    name = "".join(char if char.isprintable() and char not in '<>:"/\\|?*' else "_" for char in name)
    name = name[:LONGEST].strip(" .") or "_"
    return f"_{name}" if is_reserved(name) else name


def file_stem(picture: Picture) -> str:
    """The cleaned stem, a dash, and ten digits of the hash: readable, unique, without dots."""
    return f"{clean_stem(picture.path)}-{picture.sha256[:10]}"


def clean_stem(path: str, otherwise: str = "picture") -> str:
    """A file's name without its ending, of letters, digits, dashes and underscores; `otherwise`, if none are left."""
    name = os.path.basename(path)  # noqa: PTH119 - a Path of each of a million takes seconds
    stem = unicodedata.normalize("NFC", name.rpartition(".")[0] or name)
    # Without a dash first, which other programs take for an option.
    return NO_WORD.sub("_", stem).strip("_").lstrip("-_")[:LONGEST_STEM] or otherwise


def frame_stem(stem: str, seconds: float) -> str:
    """The name of a video's frame, without its ending: `ep01_00-12-03-480` is at 12 minutes and 3.48 seconds."""
    rest = round(seconds * 1000)
    rest, thousandths = divmod(rest, 1000)
    return f"{stem}_{rest // 3600:02}-{rest // 60 % 60:02}-{rest % 60:02}-{thousandths:03}"


def read_frame_stem(name: str) -> tuple[str, float] | None:
    """The video's stem and the seconds that `frame_stem` has put into a name; None where it has made none of it."""
    match = FRAME.fullmatch(name)
    if match is None:
        return None
    hours, minutes, seconds, thousandths = (int(digits) for digits in match.groups()[1:])
    return match[1], hours * 3600 + minutes * 60 + seconds + thousandths / 1000


def digits_of(stem: str) -> str:
    """The first ten digits of the picture's hash, where `stem` is one that `file_stem` makes; else nothing."""
    match = re.fullmatch(r".+-([0-9a-f]{10})", stem, re.DOTALL)
    return match[1] if match else ""


def digits_in(name: str) -> str:
    """The ten digits of a hash that a file's name says, wherever a person's renaming has left them; else nothing."""
    found = DIGITS.findall(name.casefold())
    return found[-1] if found else ""
