"""labels.txt as it is met in the wild. Pure: works on text."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from sorter.errors import ModelError
from sorter.text import clean

INDEXED = re.compile(r"\s*(\d+)(?:\s+(.*))?")


def parse_labels(text: str, where: str) -> tuple[str, ...]:
    """Class names in the order of the outputs.

    Takes "0 name", a bare "name" a line, a byte-order mark, CRLF, blank lines and doubled spaces; two classes that
    come out alike (Teachable Machine cuts names to 12 characters) are kept apart by their number. Raises ModelError.
    """
    lines = [line for line in text.lstrip("\ufeff").splitlines() if line.strip()]
    found = [INDEXED.fullmatch(line) for line in lines]
    if all(found) and [int(match[1]) for match in found if match] == list(range(len(lines))):
        lines = [match[2] or match[1] for match in found if match]
    names = [clean(line) for line in lines]
    if not names:
        raise ModelError(f"{where}: holds no labels; it should have one line a class")
    while len(set(names)) < len(names):  # again, where "a", "a" and "a 1" stood
        times = Counter(names)
        names = [name if times[name] == 1 else f"{name} {index}" for index, name in enumerate(names)]
    return tuple(names)


def format_labels(names: tuple[str, ...]) -> str:
    """Teachable Machine's own form: "{index} {name}", one line a class."""
    return "".join(f"{index} {name}\n" for index, name in enumerate(names))


def mirror_pairs(classes: Sequence[str]) -> dict[str, str]:
    """The classes that become each other in a mirror, by their names: "left" and "right", "looking_left" and ...

    Where only one of a pair is among the classes, it is not one.
    """
    plain = {name.casefold(): name for name in classes}
    pairs: dict[str, str] = {}
    for low, name in plain.items():
        other = plain.get(low.replace("left", "right"))
        if "left" in low and other is not None:
            pairs |= {name: other, other: name}
    return pairs
