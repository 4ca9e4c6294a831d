"""Skulls, ears and hair, around a head's centre."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from . import curves
from .curves import RX, RY
from .look import Look
from .pen import Colour, Pen, Point, mix, oval, smooth


def _moved(points: Sequence[Point], centre: Point) -> list[Point]:
    return [(x + centre[0], y + centre[1]) for x, y in points]


def draw_behind(pen: Pen, look: Look, centre: Point, turned: bool) -> None:
    """What hangs behind the body: long hair, a pony tail, bunches."""
    x, y = centre
    shade = mix(look.hair, pen.ink, 0.18)
    if look.style == "long":
        mass = curves.LONG_HAIR_TURNED if turned else curves.LONG_HAIR
        pen.shape(smooth(_moved(mass, centre)), shade)
    elif look.style == "ponytail":
        pen.shape(smooth(_moved(curves.PONYTAIL, centre)), shade)
    elif look.style == "bunches":
        for side in (-1, 1):
            small = 0.7 if turned and side < 0 else 1.0
            reach = 0.24 if turned else 0.27
            hang = [(x + side * (reach + small * px), y + small * py) for px, py in curves.BUNCH]
            pen.shape(smooth(hang), shade)


def _pointed_ear(pen: Pen, look: Look, x: float, y: float, side: int, size: float, inner: Colour) -> None:
    """A triangle that leans outward; a fox's is taller, with a dark tip."""
    tip = (x + side * 0.07 * size, y - 0.19 * size)
    left, right = (x - 0.085 * size, y + 0.03), (x + 0.085 * size, y + 0.03)
    pen.shape([left, tip, right], look.hair)
    pen.shape(
        [(x - 0.04 * size, y + 0.02), (x + side * 0.05 * size, y - 0.12 * size), (x + 0.045 * size, y + 0.02)],
        inner,
        line=0,
    )
    if look.ears == "fox":
        dark = mix(look.hair, pen.ink, 0.75)
        ends = [((tip[0] * 2 + base[0]) / 3, (tip[1] * 2 + base[1]) / 3) for base in (left, right)]
        pen.shape([tip, *ends], dark)


def draw_ears(pen: Pen, look: Look, centre: Point, turned: bool) -> None:
    """Ears that stand on top. A turned head carries them back, the far one smaller."""
    x, y = centre
    inner = look.muzzle or (255, 236, 214)
    for side in (-1, 1):
        ex = x + side * 0.15 + (0.055 if turned else 0.0)
        size = 0.85 if turned and side < 0 else 1.0
        if look.ears == "cat":
            _pointed_ear(pen, look, ex, y - 0.165, side, size, inner)
        elif look.ears == "fox":
            _pointed_ear(pen, look, ex, y - 0.165, side, size * 1.35, inner)
        elif look.ears == "bear":
            pen.oval(ex + side * 0.03, y - 0.175, 0.085 * size, 0.085 * size, look.hair)
            pen.oval(ex + side * 0.03, y - 0.170, 0.045 * size, 0.045 * size, inner, line=0)
        elif look.ears == "rabbit":
            ear = pen.turned(side * 12, (ex - side * 0.04, y - 0.15))
            ear.oval(ex - side * 0.04, y - 0.27, 0.060 * size, 0.150, look.hair)
            ear.oval(ex - side * 0.04, y - 0.26, 0.028 * size, 0.105, inner, line=0)


def _box(pen: Pen, look: Look, centre: Point, turned: bool) -> None:
    """A machine's head: round corners, a pale plate for the face, a bolt where ears would be."""
    x, y = centre
    if not turned:
        pen.oval(x - RX - 0.01, y + 0.03, 0.040, 0.062, look.legs)
    pen.oval(x + RX + 0.01, y + 0.03, 0.040, 0.062, look.legs)
    pen.shape(oval(x, y, RX + 0.01, RY, power=3.6), look.skin)
    aside, narrow = (0.075, 0.055) if turned else (0.0, 0.03)
    pen.shape(oval(x - aside, y + 0.045, RX - narrow, RY - 0.06, power=3.2), look.muzzle or look.skin)
    if look.antenna:
        top = x + (0.06 if turned else 0.0)
        pen.stroke([(top, y - RY), (top + 0.015, y - RY - 0.085)], 0.026)
        pen.oval(top + 0.015, y - RY - 0.115, 0.052, 0.052, look.antenna)


def draw_skull(pen: Pen, look: Look, centre: Point, turned: bool) -> None:
    """The bare head. Turned, it has a nose or a snout on its left edge."""
    x, y = centre
    if look.head == "box":
        _box(pen, look, centre, turned)
        return
    if look.ears == "human" and not turned:
        for side in (-1, 1):
            pen.oval(x + side * (RX + 0.005), y + 0.05, 0.035, 0.05, look.skin)
    outline = curves.face_turned(0.075 if look.muzzle else 0.030) if turned else curves.FACE
    pen.shape(smooth(_moved(outline, centre)), look.skin)


def _cap(turned: bool, spiky: bool) -> list[Point]:
    """The hair over the forehead."""
    crown = curves.CROWN_TURNED if turned else curves.CROWN
    fringe = curves.FRINGE_TURNED if turned else curves.FRINGE
    if not spiky:
        return [*smooth(crown, closed=False), *fringe]
    spikes: list[Point] = []
    for (ax, ay), (bx, by) in pairwise(crown):
        spikes += [(ax, ay), ((ax + bx) / 2 * 1.28 + 0.02, (ay + by) / 2 * 1.28 - 0.01)]
    return [*spikes, crown[-1], *fringe]


def draw_hair(pen: Pen, look: Look, centre: Point, turned: bool) -> None:
    """The hair in front of the face; a furry head has none."""
    if look.style == "fur":
        return
    pen.shape(_moved(_cap(turned, look.style == "spiky"), centre), look.hair)
    shine = mix(look.hair, (255, 255, 255), 0.35)
    pen.stroke(smooth(_moved(curves.SHINE, centre), closed=False), 0.016, shine)
    if look.style == "long":
        locks = ((0.215, 0.30),) if turned else ((-0.245, 0.26), (0.245, 0.26))
        for lx, drop in locks:
            lock = [(lx - 0.04, -0.02), (lx + 0.04, -0.02), (lx + 0.045, 0.16), (lx, drop), (lx - 0.035, 0.14)]
            pen.shape(smooth(_moved(lock, centre)), look.hair)
