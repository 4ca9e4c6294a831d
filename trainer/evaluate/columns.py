"""A model of a run, with all that was found about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from trainer.evaluate.drawing import Model
from trainer.evaluate.judge import Judged, Judgement
from trainer.evaluate.likeness import Likeness
from trainer.evaluate.losses import Losses


@dataclass(frozen=True, eq=False)
class Column:
    """A model of the run, judged."""

    model: Model
    paths: Sequence[Path]
    """A picture a prompt."""
    made: Judgement
    like: Likeness | None = None
    losses: Losses | None = None

    @cached_property
    def seen(self) -> dict[Path, Judged]:
        """The pictures that are judged, by their files."""
        return {one.path: one for one in self.made.judged}

    @property
    def adherence(self) -> float:
        """The mean over the axes, 0..1."""
        return self.made.mean.value

    @cached_property
    def scores(self) -> Mapping[int, float]:
        """The prompt's number -> the share of what it asks for that is seen."""
        judged = {number: self.seen[path].right() for number, path in enumerate(self.paths) if path in self.seen}
        return {number: sum(right.values()) / len(right) for number, right in judged.items()}
