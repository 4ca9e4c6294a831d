"""Shapes in figure units on a supersampled Pillow picture. Knows nothing of characters."""

from __future__ import annotations

import cmath
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import cos, pi, radians, sin

from PIL import ImageDraw

Colour = tuple[int, int, int]
Point = tuple[float, float]

INK: Colour = (38, 28, 44)


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """The colour that lies `share` (0 to 1) of the way from `first` to `second`."""
    r, g, b = (round(a + (z - a) * share) for a, z in zip(first, second, strict=True))
    return r, g, b


def oval(x: float, y: float, rx: float, ry: float, *, power: float = 2.0) -> list[Point]:
    """A superellipse: 2 is an ellipse, 4 a box with round corners."""
    points = []
    for step in range(48):
        angle = 2 * pi * step / 48
        c, s = cos(angle), sin(angle)
        points.append(
            (
                x + rx * abs(c) ** (2 / power) * (1 if c >= 0 else -1),
                y + ry * abs(s) ** (2 / power) * (1 if s >= 0 else -1),
            )
        )
    return points


def smooth(points: Sequence[Point], *, closed: bool = True, steps: int = 8) -> list[Point]:
    """A Catmull-Rom curve through the points."""
    z = [complex(*p) for p in points]
    around = [z[-1], *z, z[0], z[1]] if closed else [z[0], *z, z[-1]]
    curve = []
    for p0, p1, p2, p3 in zip(around, around[1:], around[2:], around[3:], strict=False):
        for step in range(steps):
            t = step / steps
            c = 0.5 * (
                2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2 + (3 * p1 - p0 - 3 * p2 + p3) * t**3
            )
            curve.append((c.real, c.imag))
    if not closed:
        curve.append(points[-1])
    return curve


@dataclass(frozen=True, slots=True)
class Pen:
    """Maps figure units to pixels by `z -> scale * z + origin` (complex: turn and size in one)."""

    draw: ImageDraw.ImageDraw
    scale: complex
    origin: complex
    line: float = 0.011
    ink: Colour = INK

    def at(self, point: Point) -> Point:
        z = self.scale * complex(*point) + self.origin
        return z.real, z.imag

    def turned(self, degrees: float, about: Point, size: float = 1.0) -> Pen:
        """The same pen on paper that is turned, and made larger, about a point."""
        spin = size * cmath.exp(1j * radians(degrees))
        centre = complex(*about)
        return replace(
            self,
            scale=self.scale * spin,
            origin=self.origin + self.scale * (centre - spin * centre),
            line=self.line / size,
        )

    def width(self, units: float) -> int:
        return max(1, round(units * abs(self.scale)))

    def shape(self, points: Iterable[Point], fill: Colour, *, line: float | None = None) -> None:
        """A filled outline; `line=0` leaves the edge bare."""
        pixels = [self.at(p) for p in points]
        self.draw.polygon(pixels, fill=fill)
        edge = self.line if line is None else line
        if edge:
            self.draw.line([*pixels, *pixels[:2]], self.ink, self.width(edge), joint="curve")

    def oval(self, x: float, y: float, rx: float, ry: float, fill: Colour, *, line: float | None = None) -> None:
        self.shape(oval(x, y, rx, ry), fill, line=line)

    def stroke(self, points: Sequence[Point], width: float, colour: Colour | None = None) -> None:
        """A line with round ends and joints."""
        pixels = [self.at(p) for p in points]
        thick = self.width(width)
        paint = self.ink if colour is None else colour
        self.draw.line(pixels, paint, thick, joint="curve")
        for x, y in (pixels[0], pixels[-1]):
            r = thick / 2
            self.draw.ellipse((x - r, y - r, x + r, y + r), fill=paint)

    def limb(self, points: Sequence[Point], width: float, fill: Colour) -> None:
        """A bent, outlined tube through the points."""
        curve = smooth(points, closed=False)
        self.stroke(curve, width + 2 * self.line)
        self.stroke(curve, width, fill)
