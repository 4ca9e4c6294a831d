"""Captioners: verdict -> caption text. A plug point. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from sorter.errors import OptionsError, SchemeError, nearest
from sorter.library.vocabulary import Classes, Tags, parts_of, tags_of
from sorter.plugins import Options, Registry
from sorter.records import HUMAN, Picture, Verdict
from sorter.scheme import Scheme, placeholders

MOST_TEXTS = 16
SHOT = "shot"
"""The placeholder of what a cropper says of how near the subject is; an axis or an asker of that name goes before."""
Texts = Annotated[tuple[str, ...], Field(min_length=1, max_length=MOST_TEXTS)]


class Captioner(Options):
    """What every captioner is: called with a verdict and the scheme, it gives the parts of a caption, with commas."""

    def by_classes(self, scheme: Scheme) -> bool:
        """Whether it reads nothing of a verdict but its certain classes: then pictures alike share one caption."""
        return False

    def variant(self, picture: Picture) -> int:
        """Which of several ways it takes with a picture; with `by_classes`, pictures alike share one caption a way."""
        return 0

    def texts(self, scheme: Scheme) -> tuple[str, ...]:
        """The templates it writes by: their own words are standard, whatever the vocabulary says."""
        return ()

    def askers(self, verdict: Verdict, scheme: Scheme) -> list[str]:
        """The askers whose words it uses in the caption of a picture."""
        return []

    def check(self, scheme: Scheme, where: str) -> None:
        """Raise SchemeError where the options do not fit the scheme."""

    def __call__(self, verdict: Verdict, scheme: Scheme) -> str:
        """The caption, before the vocabulary is applied to its parts."""
        raise NotImplementedError


captioners: Registry[Captioner] = Registry("captioner", "modelsheet.captioners")


@captioners.add("template")
class Template(Captioner):
    """Fills the tags of the certain classes, and askers' tags, into a text; a part that stays empty is left out."""

    text: str | Texts = ""
    """Such as "{trigger}, {pose}, {direction}"; without it the trigger, every axis in the scheme's order, and the shot.
    Of several, each picture has its own, always the same."""
    seed: int = 0
    """Another number deals the texts out in another way."""

    def by_classes(self, scheme: Scheme) -> bool:
        return not any(name in scheme.ask for text in self.texts(scheme) for name in placeholders(text))

    def variant(self, picture: Picture) -> int:
        if isinstance(self.text, str):
            return 0
        # The highest of one number a text: a text added at the end takes its share, and the others keep theirs.
        drawn = hashlib.blake2b(f"{self.seed} {picture.sha256}".encode(), digest_size=4 * MOST_TEXTS).digest()
        return max(range(len(self.text)), key=lambda place: drawn[4 * place : 4 * place + 4])

    def texts(self, scheme: Scheme) -> tuple[str, ...]:
        if isinstance(self.text, tuple):
            return self.text
        return (self.text or ", ".join(f"{{{name}}}" for name in ["trigger", *scheme.axes, SHOT]),)

    def askers(self, verdict: Verdict, scheme: Scheme) -> list[str]:
        named = placeholders(self.texts(scheme)[self.variant(verdict.picture)])
        return [name for name in dict.fromkeys(named) if name in scheme.ask and verdict.answer(name)]

    def check(self, scheme: Scheme, where: str) -> None:
        for text in self.texts(scheme):
            try:
                names = placeholders(text)
            except ValueError as found:
                raise SchemeError(f'{where}: [caption] text = "{text}": {found}; write {{axis}}') from None
            for name in names:
                if name not in (*scheme.axes, *scheme.ask, "trigger", SHOT):
                    known = nearest(name, [*scheme.axes, *scheme.ask, "trigger"])
                    what = "neither an axis nor an asker" if scheme.ask else "not an axis"
                    raise SchemeError(f'{where}: [caption] text names "{{{name}}}", which is {what}{known}')

    def __call__(self, verdict: Verdict, scheme: Scheme) -> str:
        text = self.texts(scheme)[self.variant(verdict.picture)]
        words = {SHOT: verdict.shot} | dict.fromkeys(scheme.axes, "") | {"trigger": scheme.trigger}
        words |= {name: scheme.axes[name].tag(label) for name, label in verdict.sure().items()}
        words |= {name: as_words(verdict.answer(name), name) for name in scheme.ask if f"{{{name}}}" in text}
        return text.format_map(words)


def as_words(answer: Any, name: str) -> str:
    """An asker's text, or its list of tags, as a part of a caption. Raises OptionsError where it is neither."""
    if answer is None:
        return ""
    if isinstance(answer, str):
        return answer
    if isinstance(answer, list) and all(isinstance(tag, str) for tag in answer):
        return ", ".join(answer)
    raise OptionsError(f'[caption] text names "{{{name}}}", whose answers are no words: {str(answer)[:60]}')


def tidy(text: str) -> str:
    """One line, single spaces, no empty parts between commas, no part twice."""
    return ", ".join(parts_of(text))


@dataclass(frozen=True)
class Captions:
    """A scheme's captioner, with its options, and the vocabulary that its lines go through."""

    captioner: Captioner
    scheme: Scheme
    tags: Tags

    def __call__(self, verdict: Verdict) -> str:
        """The caption of one picture."""
        table = self.scheme.caption
        return table.separator.join(_escaped(part, table.escape) for part in self.sort_out(verdict)[0])

    def sort_out(self, verdict: Verdict) -> tuple[list[str], list[str]]:
        """The parts of the caption, not escaped; and those that are pruned."""
        return self.tags.sort_out(self.captioner(verdict, self.scheme), verdict.sure())

    def author(self, verdict: Verdict) -> str:
        """Who wrote the caption: HUMAN, or the captioner, with the askers whose words are in it ("template + tags")."""
        if verdict.caption is not None:
            return HUMAN
        return " + ".join([self.scheme.caption.use, *self.captioner.askers(verdict, self.scheme)])

    def variant(self, verdict: Verdict) -> int:
        """As the captioner says."""
        return self.captioner.variant(verdict.picture)

    @property
    def by_classes(self) -> bool:
        """As the captioner says."""
        return self.captioner.by_classes(self.scheme)


def _escaped(part: str, brackets: str) -> str:
    if "(" in brackets:
        part = re.sub(r"\\?([()])", r"\\\1", part)
    if "{" in brackets:
        part = re.sub(r"([{}])", r"\1\1", part)
    return part


def captioner_of(
    scheme: Scheme, where: str = "scheme.toml", labels: Classes | None = None, words: Sequence[str] = ()
) -> Captions:
    """The captioner that the scheme's [caption] names, checked with its vocabulary.

    `labels`: axis to classes; without them, those that the scheme names. `words`: what else is standard, such as a
    cropper's words. Raises OptionsError or SchemeError.
    """
    captioner = captioners.build(scheme.caption.use, f"{where}: [caption]", **scheme.caption.options())
    captioner.check(scheme, where)
    return Captions(captioner, scheme, tags_of(scheme, labels, (*captioner.texts(scheme), *words), where))
