"""What a character looks like, and what is asked of one picture of it. Values only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .pen import Colour

Pose = Literal["standing", "sitting", "waving", "running", "cheering"]
Expression = Literal["neutral", "happy", "sad", "angry", "surprised", "asleep"]
Direction = Literal["left", "right", "front"]
Place = Literal["hills", "sea", "town", "room", "night"]

POSES: tuple[Pose, ...] = ("standing", "sitting", "waving", "running")
EXPRESSIONS: tuple[Expression, ...] = ("neutral", "happy", "sad", "angry", "surprised")
DIRECTIONS: tuple[Direction, ...] = ("left", "right", "front")
NEW_POSES: tuple[Pose, ...] = ("cheering",)
NEW_EXPRESSIONS: tuple[Expression, ...] = ("asleep",)
"""What the base model has never seen, so that it can be measured how well training teaches it."""
PLACES: tuple[Place, ...] = ("hills", "sea", "town", "room", "night")

DIRECTION_WORDS: dict[Direction, str] = {
    "left": "facing left",
    "right": "facing right",
    "front": "facing the viewer",
}


@dataclass(frozen=True, slots=True)
class Look:
    """One character. `words` is how a caption would describe it."""

    name: str
    words: str
    skin: Colour
    hair: Colour
    cloth: Colour
    legs: Colour
    shoes: Colour
    iris: Colour = (70, 60, 110)
    style: Literal["long", "short", "ponytail", "bunches", "spiky", "fur"] = "short"
    ears: Literal["human", "cat", "rabbit", "bear", "fox", "none"] = "human"
    outfit: Literal["dress", "shirt", "coat", "shell"] = "shirt"
    head: Literal["round", "box"] = "round"
    muzzle: Colour | None = None
    scarf: Colour | None = None
    tail: Colour | None = None
    antenna: Colour | None = None


@dataclass(frozen=True, slots=True)
class Act:
    """What the character does in a picture: `left` looks towards the left edge."""

    pose: Pose
    expression: Expression
    direction: Direction

    @property
    def words(self) -> str:
        return f"{self.pose}, {self.expression}, {DIRECTION_WORDS[self.direction]}"
