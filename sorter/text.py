"""Text from outside, such as the name of a file, made harmless to whatever shows it. Pure."""

from __future__ import annotations

import json
import re
import unicodedata

HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Unicode's categories of control characters, of marks that are not seen and may change the order or the place of
what is, of halves of characters, and of ends of lines and paragraphs."""
RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in "0123456789¹²³")}
"""Names that Windows keeps for devices, whatever comes after a dot
(learn.microsoft.com/windows/win32/fileio/naming-a-file)."""


def visible(text: str) -> str:
    """The same with hidden characters written as JSON writes them: a new line as \\n, an escape as \\u001b.

    A terminal would obey them, and a page be in another order than it is written. JSON stays what it means.
    """
    if text.isprintable():
        return text
    return "".join(json.dumps(char)[1:-1] if unicodedata.category(char) in HIDDEN else char for char in text)


def is_text(name: str) -> bool:
    """Whether a file's name can be written down: on Linux it may be any bytes, as after unpacking an old zip."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def clean(name: str) -> str:
    """One line of visible characters with single spaces; a name is a stranger's text.

    In Unicode's composed form: a Mac writes é as two characters, a person types one.
    """
    name = unicodedata.normalize("NFC", name)
    visible = "".join(char if char.isprintable() else " " for char in name)
    return " ".join(visible.split()) or "unnamed"


def folded(name: str) -> str:
    """A name as names are compared: whatever the case of its letters, and whether é is one character or two."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def is_reserved(name: str) -> bool:
    """Whether Windows keeps the name of a file or folder for a device, as it does "con" and "nul.txt"."""
    return name.split(".")[0].strip().casefold() in RESERVED


SIDES = {"left": "right", "right": "left"}
NO_SIDE = re.compile(
    r" (?:next to|in front|in the (?:middle|cent(?:er|re))|behind|beside|above|below|under|on top)\b", re.IGNORECASE
)
"""What stands after "right" where it means exactly, and after "left" where it means abandoned."""
OF_A_SIDE = re.compile(
    r"\b(?:the|her|his|its|their|to|from|upper|lower|facing|looking|turned|turning|pointing) $", re.IGNORECASE
)
"""What stands before them where they are sides all the same: "on the right in front of a tree"."""
LONGEST_OF_THEM = 12
"""Characters before a word at which is looked for that."""


def swap_sides(text: str) -> str:
    """The same said of the mirror image: "left" and "right" change places, as whole words ("looking_left", "Left")."""
    return re.sub(r"(?<![^\W_])(?:left|right)(?![^\W_])", _other_side, text, flags=re.IGNORECASE)


def _other_side(found: re.Match[str]) -> str:
    word = found[0]
    before = found.string[max(0, found.start() - LONGEST_OF_THEM) : found.start()]
    if NO_SIDE.match(found.string, found.end()) and not OF_A_SIDE.search(before):
        return word
    other = SIDES[word.lower()]
    return other.upper() if word.isupper() else other.capitalize() if word[0].isupper() else other
