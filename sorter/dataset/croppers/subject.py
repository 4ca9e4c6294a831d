"""The cropper that frames a subject by its head, as a person would frame a full, a mid or a close shot. Pure."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Literal

from pydantic import Field

from sorter.dataset.croppers.base import UNSURE, Fill, Squares, croppers, kept_inside
from sorter.dataset.croppers.plain import Pad
from sorter.errors import OptionsError, nearest
from sorter.records import Box, Picture, Render, Verdict

Shot = Literal["close", "mid", "full"]
Heads = Annotated[float, Field(ge=1, le=20)]

MARGIN = 1.15
"""Times a head's box, that is always left around it: boxes are found to within a tenth or so."""
HIGH = {"close": 0.48, "mid": 0.32, "full": 0.5}
"""How far down in the square the head's middle is, as a share of its side: in a close shot the eyes come to lie on the
upper third; in a mid shot there is a little room above the head, and the body below. A full shot takes all it can."""
NEARLY = 1.3
"""Times the asked side, up to which a square still counts as that shot."""
WORDS: dict[Shot, str] = {"close": "close-up", "mid": "medium shot", "full": "wide shot"}


@croppers.add("subject")
class Subject(Squares):
    """A square framed on the subject's head; the whole picture, as by `pad`, where the locator is unsure."""

    head: str = "head"
    """The asker of the scheme's [ask] that tells where the head is, such as a locator."""
    shot: Shot = "mid"
    """How near: "close" (the head), "mid" (the upper body), "full" (the largest square)."""
    close: Heads = 1.8
    """The side of a close shot, in heights of the head."""
    mid: Heads = 3.5
    """The side of a mid shot; less for figures with large heads."""
    sure: Annotated[float, Field(ge=0, le=1)] = 0.7
    """How sure the locator must be; for a full shot, which forgives more, half as sure."""
    words: dict[Shot, str] = Field(default_factory=lambda: dict(WORDS))
    """The caption's words for each shot, at {shot} in a caption's text."""
    fill: Fill = "#000000"
    """As of `pad`, for those that are padded."""

    def __call__(self, picture: Picture, verdict: Verdict) -> Render:
        head = self._head(verdict)
        if head is None:
            return self._padded(picture, verdict)
        return self.square(picture, self.box(picture, head))

    def wording(self, picture: Picture, verdict: Verdict) -> str:
        head = self._head(verdict)
        return "" if head is None else self.words.get(self._reached(self.box(picture, head), head), "")

    def wordings(self) -> tuple[str, ...]:
        return tuple(self.words.values())

    def remarks(self, picture: Picture, verdict: Verdict) -> tuple[str, ...]:
        unsure = () if self._head(verdict) else (UNSURE,)
        return *super().remarks(picture, verdict), *unsure

    def check(self, askers: Collection[str], where: str) -> None:
        if self.head not in askers:
            how = nearest(self.head, askers) if askers else f'; add [ask.{self.head}] with use = "locator"'
            raise OptionsError(f'{where}: head = "{self.head}" is no asker of this scheme{how}')

    def box(self, picture: Picture, head: Box) -> Box:
        """The square about a head; it lies on the picture."""
        most = min(picture.width, picture.height)
        tall = max(head.size)
        least = min(most, max(self.size * (not self.enlarge), round(MARGIN * tall)))
        side = most if self.shot == "full" else min(most, max(least, round(self._heads(self.shot) * tall)))
        down = HIGH[self.shot] * side
        x, y = (head.left + head.right) / 2, (head.top + head.bottom) / 2
        top = min(y - down, head.top - (MARGIN - 1) / 2 * tall)  # never through the crown
        return kept_inside(picture, x - side / 2, top, (side, side))

    def _heads(self, shot: Shot) -> float:
        return {"close": self.close, "mid": self.mid}.get(shot, 0.0)

    def _reached(self, box: Box, head: Box) -> Shot:
        """The shot that a square is: a picture may have too few pixels for the one that was asked for."""
        heads = box.size[0] / max(head.size)
        near: list[Shot] = ["close", "mid"] if self.shot == "close" else ["mid"] if self.shot == "mid" else []
        return next((shot for shot in near if heads <= NEARLY * self._heads(shot)), "full")

    def _head(self, verdict: Verdict) -> Box | None:
        """None where it is not known, or not surely."""
        least = self.sure / 2 if self.shot == "full" else self.sure
        return verdict.box(self.head) if verdict.score(self.head) >= least else None

    def _padded(self, picture: Picture, verdict: Verdict) -> Render:
        return Pad(size=self.size, enlarge=self.enlarge, fill=self.fill)(picture, verdict)
