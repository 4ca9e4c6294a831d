"""Answers that are compared with those about the same source: what is blurry in one film is sharp in another."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from sorter.classify.measures import Sharpness
from sorter.records import HUMAN, Label, Picture

ENOUGH = 12
"""Pictures of a source from which on it is compared with itself."""
SHARP_PART = 25
"""Percentile of the edges' widths that stands for the sharp pictures of a source: most may be blurry, not all."""

Source = tuple[str, int, int]
"""Pictures of one size in one folder, or in any ("")."""


@dataclass
class References:
    """For each axis that is measured so, its measure and the widths of sharp edges in each source. Pure."""

    measures: Mapping[str, Sharpness]
    widths: dict[tuple[str, Source], float] = field(default_factory=dict)

    def learn(self, axis: str, answers: Iterable[tuple[str, int, int, str, float]]) -> None:
        """Take in the answers on an axis: path, width and height of the picture, name and score of the answer."""
        use, found = self.measures[axis], defaultdict[Source, list[float]](list)
        for path, width, height, name, score in answers:
            edges = use.edge_width(name, score, min(width, height))
            for source in _sources(path, width, height):
                found[source].append(edges)
        for source, edges_of in found.items():
            if len(edges_of) >= ENOUGH:
                self.widths[axis, source] = float(np.percentile(edges_of, SHARP_PART))

    def __call__(self, picture: Picture, labels: tuple[Label, ...]) -> tuple[Label, ...]:
        """The labels of a picture, those that are measured compared with its source; a person's stay."""
        if not self.measures:
            return labels
        return tuple(self._among(picture, label) for label in labels)

    def _among(self, picture: Picture, label: Label) -> Label:
        use = self.measures.get(label.axis)
        if use is None or label.source == HUMAN:
            return label
        for source in _sources(picture.path, picture.width, picture.height):
            if (reference := self.widths.get((label.axis, source))) is not None:
                side = min(picture.width, picture.height)
                name, score = use.among(label.name, label.score, side, reference)
                return label._replace(name=name, score=score)
        return label


def _sources(path: str, width: int, height: int) -> tuple[Source, Source]:
    """That of its folder first."""
    return (os.path.dirname(path), width, height), ("", width, height)  # noqa: PTH120 - a Path for each takes seconds
