"""Askers: whatever looks at pixels and answers. A plug point.

Each is asked once about a picture and its answer kept in the manifest, by the hash of the picture and of the asker: a
class on an axis, by a sorter or a measure; and whatever else somebody wants to know, such as tags, a box, a caption.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from sorter.classify.measures import Measure, read_measure
from sorter.networks.head import mean_of_views
from sorter.networks.load import Sorter, load_sorter, read_card
from sorter.networks.run import Backbone
from sorter.plugins import Options, Registry
from sorter.records import Box, Label

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from sorter.classify.view import View
    from sorter.scheme import Axis


class Asker(Options):
    """What every asker of a scheme's [ask] tables is: its fields are its options, its docstring is its help."""

    version: ClassVar[int] = 1
    """Counted up when the same options give other answers, so that kept ones are asked for again."""

    def ask(self, view: View) -> Any:
        """The answer: what JSON can hold (a text, a list of tags, numbers), or a Box; or one of these in a Scored.
        Called by several threads."""
        raise NotImplementedError

    def networks(self) -> list[Backbone]:
        """The networks that it runs by `view`, so that they are converted before the first picture."""
        return []

    def is_answer(self, kept: str) -> bool:
        """Whether a person may give this answer, as JSON, in its place."""
        return False

    def told(self, kept: Any) -> Any:
        """What is told of a kept answer: of a tagger's probabilities, the tags above a threshold. Such options should
        not be in the hash: then nobody is asked again when they change."""
        return kept

    def tags(self) -> frozenset[str]:
        """The tags, as `tag_key` writes them, by which an axis's classes may be known; none, unless it is a tagger."""
        return frozenset()

    def chances(self, view: View, tags: Sequence[str], mirrored: bool = False) -> list[float]:
        """Of a tagger, the probability of each of these tags on the picture, or on its mirror image."""
        raise NotImplementedError

    def check(self) -> list[str]:
        """Notes for `sorter check`. Raises ModelError where its files or options do not fit."""
        return []

    def sha256(self) -> str:
        """The hash by which answers are kept: of the class, its version and its options. One that reads a model file
        adds that file's."""
        said = f"{type(self).__module__}.{type(self).__qualname__} {self.version} {self.model_dump_json()}"
        return hashlib.sha256(said.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Scored:
    """An answer that is sure to some degree."""

    answer: Any
    score: float
    """0 to 1."""


askers: Registry[Asker] = Registry("asker", "modelsheet.askers")


@dataclass(frozen=True, eq=False)
class TagClasses:
    """The classes of an axis, each known by tags of a tagger: as likely as the likeliest of them."""

    asker: Asker
    tags: Mapping[str, tuple[str, ...]]
    """Class -> its tags; of one class none: it is as likely as none of the others."""
    card: ClassVar[dict[str, Any]] = {}

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes."""
        return tuple(self.tags)

    @property
    def sha256(self) -> str:
        """Of the tagger and of what its tags are taken for."""
        return hashlib.sha256(f"{self.asker.sha256()} {json.dumps(self.tags)}".encode()).hexdigest()

    def scores(self, view: View, mirrored: bool = False) -> NDArray[np.float32]:
        """A probability a class, which need not come to 1. Raises PictureError."""
        import numpy as np

        wanted = [tag for tags in self.tags.values() for tag in tags]
        chances = dict(zip(wanted, self.asker.chances(view, wanted, mirrored), strict=True))
        rest = 1 - max(chances.values())
        return np.array([max((chances[tag] for tag in tags), default=rest) for tags in self.tags.values()], np.float32)


Asked = Sorter | Measure | TagClasses
"""Whoever tells the class on an axis: a trained sorter, a measure, or a tagger."""


@dataclass(frozen=True, eq=False)
class ByAsker:
    """A question of a scheme's [ask]: the answer is kept as JSON in the place of a class's name."""

    name: str
    asker: Asker

    @cached_property
    def source(self) -> str:
        """Whose answer it is."""
        return self.asker.sha256()

    def answer(self, view: View) -> Label:
        """Ask about one picture. Raises PictureError."""
        said = self.asker.ask(view)
        scored = said if isinstance(said, Scored) else Scored(said, 1.0)
        return Label(self.name, as_json(scored.answer), scored.score, self.source)


@dataclass(frozen=True, eq=False)
class ByMeasure:
    """The class on an axis, measured."""

    axis: str
    asked: Measure

    @property
    def source(self) -> str:
        """Whose answer it is."""
        return self.asked.sha256

    def answer(self, view: View) -> Label:
        """Ask about one picture. Raises PictureError."""
        return best(self.axis, self.asked.labels, self.source, self.asked(view.grey))


@dataclass(frozen=True, eq=False)
class ByScores:
    """The class on an axis, by a score for each class."""

    axis: str
    asked: Sorter | TagClasses
    mirror: tuple[int, ...] | None = field(default=None, kw_only=True)
    """As `mirror_places` says, where it is asked about the mirror image too."""

    @cached_property
    def source(self) -> str:
        """Whose answer it is; asked in another way, one gives other answers, and what was kept does not count."""
        sha256 = self.asked.sha256
        return sha256 if self.mirror is None else hashlib.sha256(f"{sha256} {self.mirror}".encode()).hexdigest()

    def answer(self, view: View) -> Label:
        """Ask about one picture. Raises PictureError."""
        scores, classes = self.scores(view), self.asked.labels
        if self.mirror is None:
            return best(self.axis, classes, self.source, scores)
        return both_ways(self.axis, classes, self.source, scores, self.scores(view, True), self.mirror)

    def scores(self, view: View, mirrored: bool = False) -> NDArray[np.float32]:
        """(classes,), of a picture or of its mirror image."""
        raise NotImplementedError


@dataclass(frozen=True, eq=False)
class BySorter(ByScores):
    """By a trained sorter on one of the maps of a network that others may share."""

    asked: Sorter
    network: Backbone
    output: int
    """Which of the network's maps its head reads."""

    def scores(self, view: View, mirrored: bool = False) -> NDArray[np.float32]:
        """As its head says of the map."""
        scores: NDArray[np.float32] = self.asked.head(view.maps(self.network, mirrored)[self.output][None])[0]
        return scores


@dataclass(frozen=True, eq=False)
class ByTagger(ByScores):
    """By the tags of a tagger."""

    asked: TagClasses

    def scores(self, view: View, mirrored: bool = False) -> NDArray[np.float32]:
        """As its tags say."""
        return self.asked.scores(view, mirrored)


Question = BySorter | ByMeasure | ByTagger | ByAsker


def load_asked(folder: Path) -> Asked:
    """The sorter or the fitted measure in a folder (or a zip of one). Raises ModelError."""
    card = read_card(folder)
    if "measure" in card:
        return read_measure(card["measure"], str(folder / "card.toml"), card)
    return load_sorter(folder)


def best(axis: str, classes: Sequence[str], source: str, scores: NDArray[np.float32]) -> Label:
    """The answer that scores (classes,) give."""
    place = int(scores.argmax())
    return Label(axis, classes[place], float(scores[place]), source, "", "", *runner_up(classes, scores, place))


def both_ways(
    axis: str,
    classes: Sequence[str],
    source: str,
    plain: NDArray[np.float32],
    turned: NDArray[np.float32],
    mirror: Sequence[int],
) -> Label:
    """The answer that the scores of a picture and those of its mirror image give together: their mean.

    `mirror`: as `mirror_places` says. The mirrored picture gets the mirrored answer with the same score. Where the two
    contradict each other, the label says what each was taken for, and is a doubt; where two classes are level then,
    either may be taken.
    """
    mean = mean_of_views(plain, turned, mirror)
    seen, back = int(plain.argmax()), int(turned.argmax())
    if mirror[back] == seen:
        return Label(axis, classes[seen], float(mean[seen]), source, "", "", *runner_up(classes, mean, seen))
    place = int(mean.argmax())
    second = runner_up(classes, mean, place)
    return Label(axis, classes[place], float(mean[place]), source, classes[seen], classes[back], *second)


def runner_up(classes: Sequence[str], scores: NDArray[np.float32], best: int) -> tuple[str, float]:
    """The likeliest class but the one at `best`, and its score; none where there is but one."""
    if len(classes) < 2:
        return "", 0.0
    others = [place for place in range(len(classes)) if place != best]
    second = max(others, key=lambda place: float(scores[place]))
    return classes[second], float(scores[second])


def mirror_places(axis: Axis, classes: Sequence[str]) -> tuple[int, ...]:
    """For each class the place of the class that it becomes in a mirror; its own, if it stays."""
    places = {name: place for place, name in enumerate(classes)}
    # A mirror class that the sorter does not know is refused by check_classes, once the sorters are loaded.
    return tuple(places.get(axis.mirrored(name), place) for place, name in enumerate(classes))


def tag_key(tag: str) -> str:
    """A tag as a scheme's and a tagger's are compared: long_hair is "Long hair"."""
    return " ".join(tag.casefold().replace("_", " ").split())


def as_json(answer: Any) -> str:
    """An answer as it is kept. Raises TypeError where JSON cannot hold it, which is a fault of the asker."""
    return json.dumps(asdict(answer) if isinstance(answer, Box) else answer, ensure_ascii=False)
