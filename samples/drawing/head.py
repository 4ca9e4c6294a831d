"""Skulls, ears and hair, around a head's centre."""

from __future__ import annotations

from itertools import pairwise

from .look import Look
from .pen import Colour, Pen, Point, mix, oval, smooth

RX, RY = 0.245, 0.225


def _moved(points: list[Point], centre: Point) -> list[Point]:
    return [(x + centre[0], y + centre[1]) for x, y in points]


def draw_behind(pen: Pen, look: Look, centre: Point, turned: bool) -> None:
    """What hangs behind the body: long hair, a pony tail, bunches."""
    x, y = centre
    shade = mix(look.hair, pen.ink, 0.18)
    if look.style == "long":
        mass: list[Point] = (
            [(-0.10, -0.20), (0.16, -0.22), (0.31, -0.02), (0.34, 0.22), (0.40, 0.42), (0.22, 0.44), (0.06, 0.36), (-0.06, 0.16)]
            if turned
            else [(0, -0.22), (0.27, -0.10), (0.31, 0.14), (0.33, 0.40), (0.15, 0.42), (-0.15, 0.42), (-0.33, 0.40), (-0.31, 0.14), (-0.27, -0.10)]
        )
        pen.shape(smooth(_moved(mass, centre)), shade)
    elif look.style == "ponytail":
        tail: list[Point] = [(0.14, -0.16), (0.28, -0.26), (0.43, -0.14), (0.44, 0.10), (0.36, 0.28), (0.31, 0.08), (0.20, -0.02)]
        pen.shape(smooth(_moved(tail, centre)), shade)
    elif look.style == "bunches":
        for side in (-1, 1):
            small = 0.7 if turned and side < 0 else 1.0
            reach = 0.24 if turned else 0.27
            hang: list[Point] = [(0.0, -0.10), (0.13, -0.08), (0.15, 0.12), (0.08, 0.30), (0.0, 0.16), (-0.04, 0.0)]
            pen.shape(smooth([(x + side * (reach + small * px), y + small * py) for px, py in hang]), shade)


def _pointed_ear(pen: Pen, look: Look, x: float, y: float, side: int, size: float, inner: Colour) -> None:
    """A triangle that leans outward; a fox's is taller, with a dark tip."""
    tip = (x + side * 0.07 * size, y - 0.19 * size)
    left, right = (x - 0.085 * size, y + 0.03), (x + 0.085 * size, y + 0.03)
    pen.shape([left, tip, right], look.hair)
    pen.shape([(x - 0.04 * size, y + 0.02), (x + side * 0.05 * size, y - 0.12 * size), (x + 0.045 * size, y + 0.02)], inner, line=0)
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
    plate = oval(x - 0.075, y + 0.045, RX - 0.055, RY - 0.06, power=3.2) if turned else oval(x, y + 0.045, RX - 0.03, RY - 0.06, power=3.2)
    pen.shape(plate, look.muzzle or look.skin)
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
    if not turned:
        if look.ears == "human":
            for side in (-1, 1):
                pen.oval(x + side * (RX + 0.005), y + 0.05, 0.035, 0.05, look.skin)
        cheeks: list[Point] = [(0, -RY), (0.18, -0.16), (RX, 0.02), (0.215, 0.13), (0.11, 0.205), (0, RY), (-0.11, 0.205), (-0.215, 0.13), (-RX, 0.02), (-0.18, -0.16)]
        pen.shape(smooth(_moved(cheeks, centre)), look.skin)
        return
    nose = 0.075 if look.muzzle else 0.030
    side_view: list[Point] = [
        (0.02, -RY), (0.19, -0.15), (RX, 0.02), (0.20, 0.14), (0.08, 0.205), (-0.08, 0.225),
        (-0.19, 0.20), (-0.235 - nose * 0.6, 0.135), (-0.238 - nose, 0.085), (-0.235 - nose * 0.2, 0.03), (-0.225, -0.06), (-0.15, -0.18),
    ]  # fmt: skip
    pen.shape(smooth(_moved(side_view, centre)), look.skin)


def _cap(turned: bool, spiky: bool) -> list[Point]:
    """The hair over the forehead: crown, temples, then the fringe from right to left."""
    if turned:
        crown: list[Point] = [(-0.245, -0.02), (-0.25, -0.13), (-0.13, -0.25), (0.04, -0.27), (0.20, -0.20), (0.285, -0.02), (0.25, 0.15), (0.17, 0.19)]
        fringe: list[Point] = [(0.165, 0.05), (0.10, -0.06), (0.02, -0.10), (-0.06, -0.06), (-0.10, -0.115), (-0.17, -0.05), (-0.195, -0.10)]
    else:
        crown = [(-0.265, 0.07), (-0.28, -0.06), (-0.17, -0.22), (0, -0.27), (0.17, -0.22), (0.28, -0.06), (0.265, 0.07)]
        fringe = [(0.215, -0.01), (0.16, -0.09), (0.08, -0.055), (0.03, -0.12), (-0.06, -0.05), (-0.13, -0.10), (-0.215, -0.01)]
    if not spiky:
        return [*smooth(crown, closed=False), *fringe]
    spikes: list[Point] = []
    for (ax, ay), (bx, by) in pairwise(crown):
        mid = ((ax + bx) / 2, (ay + by) / 2)
        spikes += [(ax, ay), (mid[0] * 1.28 + 0.02, mid[1] * 1.28 - 0.01)]
    return [*spikes, crown[-1], *fringe]


def draw_hair(pen: Pen, look: Look, centre: Point, turned: bool) -> None:
    """The hair in front of the face, or a tuft between a furry head's ears."""
    if look.style == "fur":
        return
    pen.shape(_moved(_cap(turned, look.style == "spiky"), centre), look.hair)
    shine = mix(look.hair, (255, 255, 255), 0.35)
    pen.stroke(smooth(_moved([(-0.12, -0.185), (-0.03, -0.215), (0.07, -0.205)], centre), closed=False), 0.016, shine)
    if look.style == "long":
        locks = ((0.215, 0.30),) if turned else ((-0.245, 0.26), (0.245, 0.26))
        for lx, drop in locks:
            lock: list[Point] = [(lx - 0.04, -0.02), (lx + 0.04, -0.02), (lx + 0.045, 0.16), (lx, drop), (lx - 0.035, 0.14)]
            pen.shape(smooth(_moved(lock, centre)), look.hair)
