"""The askers that say what is on a picture in words: a tagger's tags, a captioner's sentence.

What they say goes into captions as `{NAME}`.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from sorter.classify.askers import Asker, askers, tag_key
from sorter.errors import ModelError, nearest
from sorter.hub import model_folder
from sorter.networks.image_to_text import KINDS as CAPTIONER_KINDS
from sorter.networks.image_to_text import CaptionerFiles, ImageToText, Wanted, is_captioner, read_captioner
from sorter.networks.tags import KINDS, Colours, TaggerFiles, TagNetwork, Values, is_tagger, read_tagger
from sorter.threads import OnceEach

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sorter.classify.view import View

LEAST = 0.1
"""Probability below which a tag is not kept. Thresholds down to it can be changed without asking anybody again."""
ONE_OF_THEM = ("rating", "quality")
"""Categories of which a picture has one: the likeliest is taken."""

Share = Annotated[float, Field(ge=0, le=1)]


class Worded(Asker):
    """One whose answer is words for captions."""


@askers.add("tagger")
class Tagger(Worded):
    """Tags by an ONNX tagger such as SmilingWolf's wd taggers: a folder or a name on huggingface.co."""

    model: str
    """A folder with model.onnx and selected_tags.csv, relative to the scheme, or a name on huggingface.co."""
    categories: tuple[str, ...] = ("general", "character")
    """The kinds of tags that are said, in this order; "rating", "copyright", "artist" and "meta" are others."""
    general_threshold: Share = 0.35
    """The probability from which on a tag is said."""
    character_threshold: Share = 0.85
    rating_threshold: Share = 0.0
    """The likeliest rating is said if it reaches this."""
    other_threshold: Share = 0.5
    """Of every other kind."""
    underscores: bool = False
    """Whether tags keep their underscores; faces such as ^_^ do in any case."""
    colours: Colours = "bgr"
    """The order in which the model reads colours."""
    values: Values = "auto"
    """What the model reads; "auto": 0..255 where colours come last, as wd's do, and -1..1 where they come first."""

    def sha256(self) -> str:
        """Of the model's files, and of those options that change what it is asked: thresholds need no second look."""
        said = f"{self.version} {self.files.sha256} {self.colours} {self.values} {self._least()}"
        return hashlib.sha256(f"tagger {said}".encode()).hexdigest()

    def ask(self, view: View) -> dict[str, dict[str, float]]:
        """Category -> tag, as the model spells it -> its probability, of those that are likely at all."""
        found: dict[str, dict[str, float]] = {}
        chances = self._chances(view)
        for place in np.flatnonzero(chances >= self._least()):
            tag = self.files.tags[place]
            found.setdefault(tag.category, {})[tag.name] = round(float(chances[place]), 4)
        return found

    def told(self, kept: Any) -> list[str]:
        """The tags of the wanted categories that are likely enough, the likeliest of each category first."""
        tags: list[str] = []
        for category in self.categories:
            ranked = sorted(kept.get(category, {}).items(), key=lambda pair: -pair[1])
            ranked = ranked[:1] if category in ONE_OF_THEM else ranked
            least = self._threshold(category)
            tags += [tag for tag, chance in ranked if chance >= least]
        return tags if self.underscores else [with_spaces(tag) for tag in tags]

    def tags(self) -> frozenset[str]:
        """All that it knows."""
        return frozenset(self.places)

    def chances(self, view: View, tags: Sequence[str], mirrored: bool = False) -> list[float]:
        """The probability of each of these tags on the picture, or on its mirror image."""
        chances = self._chances(view, mirrored)
        return [round(float(chances[self.places[tag_key(tag)]]), 4) for tag in tags]

    def check(self) -> list[str]:
        """How many tags it knows, and what it runs on. Raises ModelError where model and tags do not fit."""
        counts = Counter(tag.category for tag in self.files.tags)
        network = self._network()
        device = network.provider.removesuffix("ExecutionProvider")
        known = ", ".join(f"{count} {category}" for category, count in counts.items())
        return [f"knows {known} tags; looks at {network.side} x {network.side} pixels; runs on: {device}"]

    @cached_property
    def files(self) -> TaggerFiles:
        """Its folder, read. Raises ModelError, also where it has no tags of a category that is to be said."""
        files = read_tagger(model_folder(self.model, KINDS, is_tagger, "taggers"))
        known = {tag.category for tag in files.tags}
        for category in self.categories:
            if category not in known and category != "character":  # which is among those said if nothing is given
                raise ModelError(f'{self.model}: categories: it has no tags of "{category}"{nearest(category, known)}')
        return files

    @cached_property
    def places(self) -> dict[str, int]:
        """Tag, as `tag_key` writes it -> which of the outputs is its probability."""
        return {tag_key(tag.name): place for place, tag in enumerate(self.files.tags)}

    def _chances(self, view: View, mirrored: bool = False) -> NDArray[np.float32]:
        network = self._network()

        def look() -> NDArray[np.float32]:
            square = view.whole(network.side)
            return network(np.ascontiguousarray(square[:, ::-1]) if mirrored else square)

        return view.once((network, mirrored), look)

    def _network(self) -> TagNetwork:
        return _tagger(self.files, self.colours, self.values)

    def _least(self) -> float:
        return min(LEAST, self.general_threshold, self.character_threshold, self.other_threshold)

    def _threshold(self, category: str) -> float:
        one = {"general": self.general_threshold, "character": self.character_threshold}
        return self.rating_threshold if category in ONE_OF_THEM else one.get(category, self.other_threshold)


@askers.add("image-to-text")
class ImageToTextAsker(Worded):
    """A sentence by a captioning network such as BLIP or Florence-2: a folder or a name on huggingface.co."""

    model: str
    """A folder as transformers saves it, with .safetensors, relative to the scheme, or a name on huggingface.co."""
    prompt: str = ""
    """What it is to go on from, or is asked; it is not repeated in the answer. Florence-2 wants "<CAPTION>"."""
    max_new_tokens: Annotated[int, Field(ge=1, le=1000)] = 50
    """The longest answer; a token is a word or a part of one."""
    num_beams: Annotated[int, Field(ge=1, le=16)] = 1
    """Answers that are followed at a time; the likeliest is taken. More take longer."""

    @cached_property
    def files(self) -> CaptionerFiles:
        """Its folder, read. Raises ModelError."""
        return read_captioner(model_folder(self.model, CAPTIONER_KINDS, is_captioner, "captioners"))

    def sha256(self) -> str:
        """Of the model's files, and of all options."""
        said = f"{self.version} {self.files.sha256} {self._wanted()}"
        return hashlib.sha256(f"image-to-text {said}".encode()).hexdigest()

    def ask(self, view: View) -> str:
        """What it says, on one line."""
        return self._network()(view.rgb)

    def told(self, kept: Any) -> str:
        """Without its full stop: a comma follows."""
        return str(kept).rstrip(" .")

    def check(self) -> list[str]:
        """What it runs on. Raises ModelError where it cannot be loaded."""
        return [f"runs on: {self._network().device}"]

    def _wanted(self) -> Wanted:
        return Wanted(self.prompt, self.max_new_tokens, self.num_beams)

    def _network(self) -> ImageToText:
        return _captioner(self.files, self._wanted())


@lru_cache(1 << 14)
def with_spaces(tag: str) -> str:
    """A tag with spaces for underscores, unless it is a face: ^_^, o_o and (o)_(o) have no two letters side by side."""
    return tag.replace("_", " ") if re.search(r"[^\W\d_]{2}", tag) else tag


def use_for(folder: Path) -> tuple[str, str] | None:
    """The asker for a downloaded model in a folder, and what its answers may be called; None where it is neither."""
    if is_tagger(folder):
        return "tagger", "tags"
    return ("image-to-text", "sentence") if is_captioner(folder) else None


_tagger = OnceEach(TagNetwork)
_captioner = OnceEach(ImageToText)
"""Both are held for as long as the process lives: a watch reads its scheme again, and not its networks."""
