"""Where the joints are, for every pose, seen from the front or turned to the left.

Figure units: the ground is y = 1, a standing figure's crown about y = 0.05, the middle x = 0.
The head is about half of the height, so that a face can be read at 64 x 64 pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

from .look import Pose
from .pen import Point

Joints = tuple[Point, Point, Point]


@dataclass(frozen=True, slots=True)
class Stance:
    """Joints of a figure. Arms run shoulder-elbow-hand, legs hip-knee-ankle; far side first."""

    head: Point
    hip: Point
    arms: tuple[Joints, Joints]
    legs: tuple[Joints, Joints]
    feet: tuple[Point, Point]
    foot: Point = (0.062, 0.036)
    raised: tuple[int, ...] = ()
    """The arms that reach over the head, the hand open."""
    tilt: float = 0.0
    dust: tuple[Point, ...] = ()


_FRONT: dict[Pose, Stance] = {
    "standing": Stance(
        head=(0, 0.31), hip=(0, 0.76),
        arms=(((-0.09, 0.57), (-0.16, 0.66), (-0.19, 0.75)), ((0.09, 0.57), (0.16, 0.66), (0.19, 0.75))),
        legs=(((-0.06, 0.76), (-0.065, 0.86), (-0.07, 0.95)), ((0.06, 0.76), (0.065, 0.86), (0.07, 0.95))),
        feet=((-0.08, 0.965), (0.08, 0.965)),
    ),
    "sitting": Stance(
        head=(0, 0.44), hip=(0, 0.90),
        arms=(((-0.09, 0.70), (-0.17, 0.78), (-0.15, 0.88)), ((0.09, 0.70), (0.17, 0.78), (0.15, 0.88))),
        legs=(((-0.06, 0.91), (-0.15, 0.93), (-0.24, 0.95)), ((0.06, 0.91), (0.15, 0.93), (0.24, 0.95))),
        feet=((-0.27, 0.925), (0.27, 0.925)), foot=(0.058, 0.072),
    ),
    "waving": Stance(
        head=(0.02, 0.31), hip=(0, 0.76),
        arms=(((-0.08, 0.57), (-0.26, 0.56), (-0.36, 0.36)), ((0.09, 0.57), (0.22, 0.64), (0.12, 0.73))),
        legs=(((-0.06, 0.76), (-0.07, 0.86), (-0.08, 0.95)), ((0.06, 0.76), (0.07, 0.86), (0.08, 0.95))),
        feet=((-0.09, 0.965), (0.09, 0.965)), raised=(0,), tilt=5,
    ),
    "running": Stance(
        head=(0.0, 0.29), hip=(0.02, 0.72),
        arms=(((-0.09, 0.55), (-0.24, 0.63), (-0.29, 0.52)), ((0.09, 0.55), (0.24, 0.60), (0.27, 0.72))),
        legs=(((-0.06, 0.74), (-0.15, 0.79), (-0.12, 0.87)), ((0.06, 0.74), (0.12, 0.84), (0.17, 0.94))),
        feet=((-0.12, 0.885), (0.19, 0.955)), tilt=-6,
        dust=((-0.30, 0.96), (0.36, 0.97), (-0.22, 0.98)),
    ),
    "cheering": Stance(
        head=(0, 0.33), hip=(0, 0.76),
        arms=(((-0.08, 0.57), (-0.27, 0.50), (-0.37, 0.24)), ((0.08, 0.57), (0.27, 0.50), (0.37, 0.24))),
        legs=(((-0.06, 0.76), (-0.10, 0.86), (-0.14, 0.95)), ((0.06, 0.76), (0.10, 0.86), (0.14, 0.95))),
        feet=((-0.16, 0.965), (0.16, 0.965)), raised=(0, 1),
    ),
}  # fmt: skip

_LEFT: dict[Pose, Stance] = {
    "standing": Stance(
        head=(-0.01, 0.31), hip=(0.01, 0.76),
        arms=(((-0.05, 0.57), (-0.12, 0.66), (-0.16, 0.74)), ((0.05, 0.58), (0.08, 0.67), (0.03, 0.76))),
        legs=(((-0.035, 0.76), (-0.04, 0.86), (-0.04, 0.95)), ((0.05, 0.76), (0.055, 0.86), (0.055, 0.95))),
        feet=((-0.085, 0.96), (0.015, 0.965)), foot=(0.085, 0.036),
    ),
    "sitting": Stance(
        head=(0.08, 0.44), hip=(0.11, 0.90),
        arms=(((0.04, 0.70), (-0.03, 0.79), (-0.10, 0.85)), ((0.14, 0.71), (0.23, 0.80), (0.27, 0.93))),
        legs=(((0.07, 0.90), (-0.08, 0.87), (-0.24, 0.93)), ((0.11, 0.92), (-0.07, 0.92), (-0.25, 0.95))),
        feet=((-0.28, 0.89), (-0.31, 0.92)), foot=(0.048, 0.078),
    ),
    "waving": Stance(
        head=(0.03, 0.31), hip=(0.02, 0.76),
        arms=(((-0.05, 0.58), (-0.23, 0.58), (-0.35, 0.37)), ((0.07, 0.58), (0.17, 0.66), (0.09, 0.75))),
        legs=(((-0.035, 0.76), (-0.04, 0.86), (-0.04, 0.95)), ((0.05, 0.76), (0.055, 0.86), (0.055, 0.95))),
        feet=((-0.085, 0.96), (0.015, 0.965)), foot=(0.085, 0.036), raised=(0,), tilt=4,
    ),
    "running": Stance(
        head=(-0.06, 0.30), hip=(0.05, 0.73),
        arms=(((-0.07, 0.56), (-0.20, 0.66), (-0.30, 0.58)), ((0.03, 0.57), (0.19, 0.62), (0.27, 0.53))),
        legs=(((0.00, 0.75), (-0.14, 0.80), (-0.16, 0.93)), ((0.07, 0.75), (0.17, 0.84), (0.29, 0.82))),
        feet=((-0.21, 0.955), (0.33, 0.80)), foot=(0.08, 0.038), tilt=-7,
        dust=((0.30, 0.97), (0.40, 0.95), (0.20, 0.98)),
    ),
    "cheering": Stance(
        head=(0.0, 0.33), hip=(0.01, 0.76),
        arms=(((-0.05, 0.58), (-0.26, 0.52), (-0.37, 0.26)), ((0.06, 0.58), (0.27, 0.52), (0.38, 0.28))),
        legs=(((-0.035, 0.76), (-0.08, 0.86), (-0.11, 0.95)), ((0.05, 0.76), (0.08, 0.86), (0.11, 0.95))),
        feet=((-0.155, 0.96), (0.075, 0.965)), foot=(0.085, 0.036), raised=(0, 1),
    ),
}  # fmt: skip


def stance(pose: Pose, turned: bool, random: Random) -> Stance:
    """The joints for a pose, each drawing a little different."""
    base = (_LEFT if turned else _FRONT)[pose]

    def near(point: Point, reach: float = 0.012) -> Point:
        return point[0] + random.uniform(-reach, reach), point[1] + random.uniform(-reach, reach)

    def arm(joints: Joints) -> Joints:
        return joints[0], near(joints[1], 0.018), near(joints[2], 0.028)

    return replace(
        base,
        head=near(base.head),
        arms=(arm(base.arms[0]), arm(base.arms[1])),
        tilt=base.tilt + random.uniform(-4, 4),
    )
