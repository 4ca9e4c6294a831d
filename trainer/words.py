"""Words that a text encoder has learnt, and what a text reads like with them. Pure.

A word of several vectors is as many tokens, "fox", "fox_1", "fox_2", as diffusers names them; texts say "fox".
"""

from __future__ import annotations

import re
from typing import Any


def names_of(word: str, vectors: int) -> list[str]:
    """The tokens of a word: ["fox", "fox_1", ...]."""
    return [word, *(f"{word}_{number}" for number in range(1, vectors))]


def spelt(tokenizer: Any, text: str) -> str:
    """The text with all tokens of each learnt word: "a fox, sad" -> "a fox fox_1, sad"."""
    added = tokenizer.get_added_vocab()
    for word in added:
        if f"{word}_1" in added:
            vectors = next(number for number in range(1, len(added) + 1) if f"{word}_{number}" not in added)
            written = " ".join(names_of(word, vectors))
            text = re.sub(rf"(?<!\w){re.escape(word)}(?!\w)", written, text, flags=re.IGNORECASE)
    return text
