"""Pictures x questions -> answers: each file read once, each kind of pixels decoded once, one pass of a network for all
axes that share it.

An axis by which pictures are turned is asked about the picture and about its mirror image, which is a second pass.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sorter.classify import colours as colours  # these four register their askers
from sorter.classify import locate as locate
from sorter.classify import overlays as overlays
from sorter.classify import taggers as taggers
from sorter.classify.askers import (
    Asked,
    Asker,
    ByAsker,
    ByMeasure,
    BySorter,
    ByTagger,
    Question,
    TagClasses,
    as_json,
    askers,
    load_asked,
    mirror_places,
    tag_key,
)
from sorter.classify.measures import Measure, measure
from sorter.classify.view import View
from sorter.errors import PictureError, SchemeError
from sorter.files import read_file
from sorter.networks.load import Sorter
from sorter.networks.run import Backbone, Runners, share
from sorter.pictures import images
from sorter.records import Label, Picture, Unreadable
from sorter.scheme import Axis, Scheme, Use
from sorter.toml import BACKSLASHES, is_garbled

MOST_HELD = 4 << 20
"""Bytes of a file that is passed on with its labels; a larger one is read once more when it is placed."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A picture and what was answered about it."""

    picture: Picture
    labels: tuple[Label, ...]
    data: bytes | None = field(default=None, compare=False, repr=False)
    """The file, as it was read just now; None if it is large, or was not read."""
    suffix: str = field(default="", compare=False)
    """The ending with which these bytes may be placed as they are; empty if they may not."""


class Questions:
    """All that is to be known of each picture, and who answers it; called with a path, it answers."""

    def __init__(
        self,
        asked: Mapping[str, Asked],
        mirrors: Mapping[str, tuple[int, ...]] | None = None,
        exact: bool = False,
        others: Mapping[str, Asker] | None = None,
    ) -> None:
        """`asked`: axis -> who tells its class. `mirrors`: for axes that are asked about the mirror image too, what
        `mirror_places` says of their classes. `others`: name -> the asker of a scheme's [ask].

        `exact`: decode pictures at full size and scale them as Teachable Machine does, at several times the cost.
        """
        self.exact = exact
        self.asked, self.mirrors, self.others = dict(asked), dict(mirrors or {}), dict(others or {})
        self._shared = share(one.backbone for one in self.asked.values() if isinstance(one, Sorter))
        questions = [*map(self._about, self.asked), *(ByAsker(*pair) for pair in self.others.items())]
        self._questions = dict(zip([*self.asked, *self.others], questions, strict=True))
        # Measures first: they decode in grey, and what is opened already serves them.
        self._in_order = sorted(self._questions.items(), key=lambda pair: isinstance(pair[1], BySorter))
        self._telling = {name: one for name, one in self.others.items() if type(one).told is not Asker.told}
        self._sources = {name: question.source for name, question in self._questions.items()}
        self._largest = max((network.size for network, _ in self._shared.values()), default=0)
        self._whole = max((network.size for one in self.others.values() for network in one.networks()), default=0)
        self._runners = Runners()

    def _about(self, axis: str) -> Question:
        asked = self.asked[axis]
        if isinstance(asked, TagClasses):
            return ByTagger(axis, asked, mirror=self.mirrors.get(axis))
        if not isinstance(asked, Sorter):
            return ByMeasure(axis, asked)
        return BySorter(axis, asked, *self._shared[asked.backbone.key], mirror=self.mirrors.get(axis))

    def sources(self) -> dict[str, str]:
        """Question -> the hash of who answers it, and of how it is asked."""
        return dict(self._sources)

    def told(self, labels: tuple[Label, ...]) -> tuple[Label, ...]:
        """The labels of a picture as they were kept -> as their askers tell them now: the tags above a threshold."""
        if not self._telling:
            return labels
        return tuple([self._told(label) if label.axis in self._telling else label for label in labels])

    def _told(self, label: Label) -> Label:
        return label._replace(name=as_json(self._telling[label.axis].told(json.loads(label.name))))

    def labels(self) -> dict[str, tuple[str, ...]]:
        """Axis -> the classes that its answers can be."""
        return {axis: asked.labels for axis, asked in self.asked.items()}

    def networks(self) -> list[Backbone]:
        """The backbones that are run, each once."""
        run = [one for one, _ in self._shared.values()]
        run += [network for asker in self.others.values() for network in asker.networks()]
        return list({(one.key, one.outputs): one for one in run}.values())

    def unprepared(self) -> list[Backbone]:
        """The backbones that must be converted before the first picture is asked about, once on a machine."""
        return [network for network in self.networks() if not network.is_compiled()]

    def network_of(self, axis: str) -> str:
        """The key of the network that is run for an axis: axes with the same one share a pass over each picture."""
        asked = self.asked[axis]
        return self._shared[asked.backbone.key][0].key if isinstance(asked, Sorter) else ""

    def __call__(self, path: Path, names: Collection[str] | None = None) -> Seen | Unreadable:
        """Read one file and answer the questions of these names, or all. A file that cannot be used is a value."""
        try:
            return self.answer(path, read_file(path), names)
        except OSError as error:
            return Unreadable(path, f"cannot be read: {error.strerror}")

    def answer(
        self, path: Path, data: bytes, names: Collection[str] | None = None, sha256: str = ""
    ) -> Seen | Unreadable:
        """The same of the bytes of a file, wherever they came from. `sha256`: their hash, if it is known."""
        chosen = [(name, one) for name, one in self._in_order if names is None or name in names]
        try:
            with images.opened(data) as image:
                picture = images.described(path, sha256 or hashlib.sha256(data).hexdigest(), image)
                suffix = images.as_it_is(image)
                view = View(picture, data, image, self._runners, self._largest, self._whole, self.exact)
                labels = {name: question.answer(view) for name, question in chosen}
                if not view.is_decoded:
                    _ = view.grey  # what cannot be decoded is no picture
                held = data if len(data) <= MOST_HELD else None
                return Seen(picture, tuple([labels[name] for name in self._questions if name in labels]), held, suffix)
        except PictureError as error:
            return Unreadable(path, str(error))


def load_questions(
    scheme: Scheme, where: str = "scheme.toml", exact: bool = False, unfitted: bool = False
) -> Questions:
    """Load the sorter or measure of each axis of a scheme, and the askers of its [ask]; a sorter's answers that turn
    pictures are checked.

    `unfitted`: an axis whose sorter is still to be fitted is not asked, where it would be an error otherwise. Raises
    ModelError or OptionsError.
    """
    asked: dict[str, Asked] = {}
    mirrors: dict[str, tuple[int, ...]] = {}
    others = {name: _asker(table, f"{where}: [ask.{name}]", Path(where).parent) for name, table in scheme.ask.items()}
    for name, axis in scheme.axes.items():
        if axis.measure:
            asked[name] = measure(axis.measure, f"[axes.{name}]")
        elif axis.asker:
            asked[name] = _tag_classes(axis, others[axis.asker], f"{where}: [axes.{name}]")
        elif unfitted and not Path(str(axis.model)).exists():
            continue
        else:
            asked[name] = load_asked(Path(str(axis.model)))
        if axis.canonical and not isinstance(asked[name], Measure):
            mirrors[name] = mirror_places(axis, asked[name].labels)
    return Questions(asked, mirrors, exact, others)


def _tag_classes(axis: Axis, asker: Asker, where: str) -> TagClasses:
    """The classes of an axis by a tagger's tags. Raises SchemeError where it has no such tags."""
    known = asker.tags()
    if not known:
        raise SchemeError(f'{where} asker = "{axis.asker}": that is no tagger, so no class can be known by its tags')
    for name, meaning in axis.classes.items():
        for tag in meaning.when:
            if tag_key(tag) not in known:
                raise SchemeError(f'{where}: {name}: when: "{tag}" is no tag of [ask.{axis.asker}]{_near(tag, known)}')
    return TagClasses(asker, {name: meaning.when for name, meaning in axis.classes.items()})


def _near(tag: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(tag_key(tag), known, n=1)
    return f'; did you mean "{close[0]}"?' if close else ""


def _asker(table: Use, where: str, root: Path) -> Asker:
    """The asker that a table of [ask] names; the folder of its model is taken relative to the scheme's, `root`."""
    options: dict[str, Any] = table.options()
    model = options.get("model")
    if isinstance(model, str):
        if is_garbled(model):
            raise SchemeError(f"{where} model = {model!r}: {BACKSLASHES}")
        if (root / model).exists():
            options["model"] = str((root / model).absolute())
    return askers.build(table.use, where, **options)
