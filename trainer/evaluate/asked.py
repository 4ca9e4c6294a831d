"""A prompt -> the classes that it asks for. Pure.

A class is asked for where its tag stands in the prompt, or an alias of it. Of tags that overlap, the longest counts:
"facing left" hides "left". Words that no other class of the axis shares are enough: of "mira, a girl" that is "mira".
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from sorter.library.vocabulary import key_of, parts_of, tags_of
from sorter.scheme import Scheme

Words = tuple[str, ...]
ClassOf = tuple[str, str]
"""An axis and a class of it."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a prompt asks for."""

    classes: Mapping[str, str]
    """Axis -> the class, of axes of which one is named."""
    several: tuple[str, ...] = ()
    """Axes of which the prompt names several classes."""


@dataclass(frozen=True, eq=False)
class Reader:
    """Reads prompts by the tags of a scheme whose sorters answer with `labels`."""

    scheme: Scheme
    labels: Mapping[str, Iterable[str]]
    where: str = field(default="scheme.toml")

    def asked(self, prompt: str, by_folders: bool = False) -> Asked:
        """`by_folders`: the prompt is names of folders, which may be classes' own names instead of their tags."""
        phrases = self._names if by_folders else self._phrases
        found: dict[str, set[str]] = {}
        for part in plain(prompt).split(","):
            for axis, name in _found(words_of(part), phrases):
                found.setdefault(axis, set()).add(name)
        one = {axis: next(iter(names)) for axis, names in found.items() if len(names) == 1}
        return Asked(one, tuple(axis for axis, names in found.items() if len(names) > 1))

    @cached_property
    def _phrases(self) -> dict[Words, set[ClassOf]]:
        """Words -> the classes that they ask for; none for tags of the vocabulary and the trigger, which hide words."""
        found: dict[Words, set[ClassOf]] = {}
        tags = tags_of(self.scheme, {axis: tuple(names) for axis, names in self.labels.items()}, where=self.where)
        for tag in (*tags.grouped.values(), *parts_of(self.scheme.trigger)):
            found.setdefault(words_of(tag), set())
        for axis, names in self.labels.items():
            parts = {name: {words_of(one) for one in parts_of(self.scheme.axes[axis].tag(name))} for name in names}
            shared = Counter(one for some in parts.values() for one in some)
            for name, some in parts.items():
                for one in some:
                    if shared[one] == 1:
                        found.setdefault(one, set()).add((axis, name))
        for alias, tag in tags.aliases.items():
            found.setdefault(words_of(alias), set()).update(found.get(words_of(tag), ()))
        return {words: classes for words, classes in found.items() if words}

    @cached_property
    def _names(self) -> dict[Words, set[ClassOf]]:
        found = {words: set(classes) for words, classes in self._phrases.items()}
        for axis, names in self.labels.items():
            for name in names:
                found.setdefault(words_of(name), set()).add((axis, name))
        return {words: classes for words, classes in found.items() if words}


def words_of(text: str) -> Words:
    """The words of a tag or of a part of a prompt, as they are compared; brackets and escapes are none."""
    return tuple(re.findall(r"\w+|[^\w\s()\[\]{}\\]+", key_of(text)))


def plain(prompt: str) -> str:
    """A prompt without the syntax of A1111 and ComfyUI: its parts, between commas.

    Taken out are <lora:x:1>, weights as in (word:1.3), BREAK and AND; of [a:b:0.5] and {a|b} all parts are kept.
    """
    text = re.sub(r"<[^<>]{0,500}>", ",", prompt)
    text = re.sub(r"\b(?:BREAK|AND)\b", ",", text)
    text = re.sub(r"(?<!\\)\[([^\[\]]{0,500})\]", lambda found: found[1].replace(":", ","), text)
    text = re.sub(r":[ \t]{0,9}-?\d{0,9}\.?\d{1,9}(?=[ \t]{0,9}(?:[)\],\n]|$))", "", text)
    return re.sub(r"[\n\r;|]|\.(?:\s|$)", ",", text)


def _found(words: Words, phrases: Mapping[Words, set[ClassOf]]) -> set[ClassOf]:
    """The classes named in a part of a prompt: by the whole of it, else by words in it, the longest first."""
    if words in phrases:
        return phrases[words]
    found: set[ClassOf] = set()
    taken = [False] * len(words)
    for length in sorted({len(phrase) for phrase in phrases}, reverse=True):
        for start in range(len(words) - length + 1):
            here = slice(start, start + length)
            if words[here] in phrases and not any(taken[here]):
                taken[here] = [True] * length
                found |= phrases[words[here]]
    return found
