"""A small drawing engine: chibi characters that stand, sit, wave and run in varied places."""

from .figure import draw_figure
from .look import (
    DIRECTION_WORDS,
    DIRECTIONS,
    EXPRESSIONS,
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
