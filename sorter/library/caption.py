"""Captioners: verdict -> caption text. A plug point. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from sorter.errors import OptionsError, SchemeError, nearest
from sorter.plugins import Options, Registry
from sorter.records import Verdict
from sorter.scheme import Scheme, placeholders
from sorter.text import clean


class Captioner(Options):
    """What every captioner is: called with a verdict and the scheme, it gives one line."""

    def by_classes(self, scheme: Scheme) -> bool:
        """Whether it reads nothing of a verdict but its certain classes: then pictures alike share one caption."""
        return False

    def check(self, scheme: Scheme, where: str) -> None:
        """Raise SchemeError where the options do not fit the scheme."""

    def __call__(self, verdict: Verdict, scheme: Scheme) -> str:
        """The caption."""
        raise NotImplementedError


captioners: Registry[Captioner] = Registry("captioner", "modelsheet.captioners")


@captioners.add("template")
class Template(Captioner):
    """Fills the tags of the certain classes, and askers' tags, into a text; a part that stays empty is left out."""

    text: str = ""
    """Such as "{trigger}, {pose}, {direction}"; without it the trigger and then every axis in the scheme's order."""

    def by_classes(self, scheme: Scheme) -> bool:
        return not any(name in scheme.ask for name in placeholders(self.text))

    def check(self, scheme: Scheme, where: str) -> None:
        try:
            names = placeholders(self.text)
        except ValueError as found:
            raise SchemeError(f'{where}: [caption] text = "{self.text}": {found}; write {{axis}}') from None
        for name in names:
            if name not in (*scheme.axes, *scheme.ask, "trigger"):
                known = nearest(name, [*scheme.axes, *scheme.ask, "trigger"])
                what = "neither an axis nor an asker" if scheme.ask else "not an axis"
                raise SchemeError(f'{where}: [caption] text names "{{{name}}}", which is {what}{known}')

    def __call__(self, verdict: Verdict, scheme: Scheme) -> str:
        words = dict.fromkeys(scheme.axes, "") | {"trigger": scheme.trigger}
        words |= {name: scheme.axes[name].tag(label) for name, label in verdict.sure().items()}
        words |= {name: as_words(verdict.answer(name), name) for name in scheme.ask if f"{{{name}}}" in self.text}
        text = self.text or ", ".join(f"{{{name}}}" for name in ["trigger", *scheme.axes])
        return tidy(text.format_map(words))


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
    parts = [clean(part) for part in re.split(r",", text) if part.strip()]
    return ", ".join(dict.fromkeys(parts))


@dataclass(frozen=True)
class Captions:
    """A scheme's captioner, with its options."""

    captioner: Captioner
    scheme: Scheme

    def __call__(self, verdict: Verdict) -> str:
        """The caption of one picture."""
        return self.captioner(verdict, self.scheme)

    @property
    def by_classes(self) -> bool:
        """As the captioner says."""
        return self.captioner.by_classes(self.scheme)


def captioner_of(scheme: Scheme, where: str = "scheme.toml") -> Captions:
    """The captioner that the scheme's [caption] names, checked. Raises OptionsError or SchemeError."""
    captioner = captioners.build(scheme.caption.use, f"{where}: [caption]", **scheme.caption.options())
    captioner.check(scheme, where)
    return Captions(captioner, scheme)
