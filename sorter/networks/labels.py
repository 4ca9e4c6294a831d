"""labels.txt as it is met in the wild. Pure: works on text."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from sorter.errors import ModelError
from sorter.text import clean

SPACED = re.compile(r"(\d{1,9})(?:\s+(.*))?")
"""Teachable Machine's "0 name"."""
MARKED = re.compile(r"(\d{1,9})\s*(?:[,;)=]|[:.](?!\d))\s*(.*)")
"""Other tools' "0: name", "0. name", "0,name"; "16:9" and "2.5 cm" are no numbered names."""
QUOTED = re.compile(r"([\"'])(.+)\1")
REPEATED = re.compile(r"\d{1,4}_(.+)")
"""The folders of kohya's sd-scripts: how often a picture is repeated, and a name."""


def parse_labels(text: str, where: str) -> tuple[str, ...]:
    """Class names in the order of the outputs.

    Takes "0 name", a bare "name" a line, numbers with a mark ("0: name"), from 1, and in any order (the number
    decides), quotes, a byte-order mark, CRLF, blank lines and doubled spaces; two classes that come out alike
    (Teachable Machine cuts names to 12 characters) are kept apart by their number. Raises ModelError.
    """
    lines = [line.strip() for line in text.lstrip("\ufeff").splitlines() if line.strip()]
    names = [clean(line) for line in _unquoted(_in_order(_unquoted(lines), where))]
    if not names:
        raise ModelError(f"{where}: holds no labels; it should have one line a class")
    while len(set(names)) < len(names):  # again, where "a", "a" and "a 1" stood
        times = Counter(names)
        names = [name if times[name] == 1 else f"{name} {index}" for index, name in enumerate(names)]
    return tuple(names)


def format_labels(names: tuple[str, ...]) -> str:
    """Teachable Machine's own form: "{index} {name}", one line a class."""
    if _unquoted(names) != list(names):  # quotes of their own, which a reader would take for the list's
        names = tuple(f'"{name}"' for name in names)
    return "".join(f"{index} {name}\n" for index, name in enumerate(names))


def without_repeats(names: Sequence[str]) -> tuple[str, ...]:
    """The names without kohya's number of repeats, "left" for "10_left", where each has one."""
    found = [REPEATED.fullmatch(name) for name in names]
    return tuple(match[1] for match in found if match) if all(found) else tuple(names)


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


def _unquoted(lines: Sequence[str]) -> list[str]:
    """The lines without quotes, where each is in quotes."""
    found = [QUOTED.fullmatch(line) for line in lines]
    return [match[2].strip() for match in found if match] if all(found) else list(lines)


def _in_order(lines: list[str], where: str) -> list[str]:
    """The names behind the numbers, in the order of the numbers; the lines as they are, where they are not numbered.

    Names may begin with a number themselves ("1 girl", "2 girls"). Raises ModelError where numbers are left out.
    """
    for form in (SPACED, MARKED):
        found = [match for line in lines if (match := form.fullmatch(line))]
        if len(found) == len(lines):
            break
    else:
        return lines
    numbers, names = [int(match[1]) for match in found], [match[2] for match in found]
    count, known = len(lines), sorted(numbers)
    whole = known == list(range(count))
    if not any(names) or (not whole and len(set(names)) < count):  # "0 degrees", "90 degrees"
        return lines
    if whole or known == list(range(1, count + 1)):
        return [name or str(number) for number, name in sorted(zip(numbers, names, strict=True))]
    if form is MARKED or 0 in numbers or (1 in numbers and len(set(numbers)) == count):
        told = f"its {count} labels have the numbers {', '.join(map(str, numbers[:8]))}{', ...' * (count > 8)}"
        raise ModelError(f"{where}: {told}; they should be 0 to {count - 1}, or 1 to {count}, or left out")
    return lines
