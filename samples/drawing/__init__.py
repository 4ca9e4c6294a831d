"""A small drawing engine: chibi characters that stand, sit, wave, run and cheer in varied places."""

from .figure import draw_figure
from .look import (
    DIRECTION_WORDS,
    DIRECTIONS,
    EXPRESSIONS,
    NEW_EXPRESSIONS,
    NEW_POSES,
    PLACES,
    POSES,
    Act,
    Direction,
    Expression,
    Look,
    Place,
    Pose,
)

__all__ = [
    "DIRECTIONS",
    "DIRECTION_WORDS",
    "EXPRESSIONS",
    "NEW_EXPRESSIONS",
    "NEW_POSES",
    "PLACES",
    "POSES",
    "Act",
    "Direction",
    "Expression",
    "Look",
    "Place",
    "Pose",
    "draw_figure",
]
