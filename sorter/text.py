"""Text from outside, such as the name of a file, made harmless to whatever shows it. Pure."""

from __future__ import annotations

import json
import unicodedata

HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Unicode's categories of control characters, of marks that are not seen and may change the order or the place of
what is, of halves of characters, and of ends of lines and paragraphs."""


def visible(text: str) -> str:
    """The same with hidden characters written as JSON writes them: a new line as \\n, an escape as \\u001b.

    A terminal would obey them, and a page be in another order than it is written. JSON stays what it means.
    """
    if text.isprintable():
        return text
    return "".join(json.dumps(char)[1:-1] if unicodedata.category(char) in HIDDEN else char for char in text)


def clean(name: str) -> str:
    """One line of visible characters with single spaces; a name is a stranger's text."""
    visible = "".join(char if char.isprintable() else " " for char in name)
    return " ".join(visible.split()) or "unnamed"
