"""Places to stand in, and the picture that puts a figure into one."""

from __future__ import annotations

import colorsys
from collections.abc import Callable
from dataclasses import dataclass
from math import pi, sin
from random import Random

from PIL import Image, ImageDraw, ImageFilter

from .figure import draw_with_head, ground
from .look import Act, Look, Place
from .pen import Colour, Point, mix

WHITE: Colour = (255, 255, 255)


def hue(random: Random, centre: float, spread: float, saturation: float, value: float) -> Colour:
    """A colour near a hue (0 to 1), a little off each time."""
    h = (centre + random.uniform(-spread, spread)) % 1.0
    s = min(1.0, max(0.0, saturation + random.uniform(-0.08, 0.08)))
    v = min(1.0, max(0.0, value + random.uniform(-0.06, 0.06)))
    r, g, b = (round(255 * part) for part in colorsys.hsv_to_rgb(h, s, v))
    return r, g, b


@dataclass(frozen=True, slots=True)
class Canvas:
    """A backdrop under way: y runs from 0 to 1, x from 0 to `wide`."""

    draw: ImageDraw.ImageDraw
    high: int
    wide: float
    random: Random

    def fade(self, top: Colour, bottom: Colour, start: float = 0.0, stop: float = 1.0) -> None:
        first, last = round(start * self.high), round(stop * self.high)
        for row in range(first, last):
            colour = mix(top, bottom, (row - first) / max(1, last - first))
            self.draw.line((0, row, self.wide * self.high, row), colour)

    def shape(self, points: list[Point], fill: Colour) -> None:
        self.draw.polygon([(x * self.high, y * self.high) for x, y in points], fill=fill)

    def oval(self, x: float, y: float, rx: float, ry: float, fill: Colour) -> None:
        h = self.high
        self.draw.ellipse(((x - rx) * h, (y - ry) * h, (x + rx) * h, (y + ry) * h), fill=fill)

    def box(self, x: float, y: float, wide: float, high: float, fill: Colour) -> None:
        h = self.high
        self.draw.rectangle((x * h, y * h, (x + wide) * h, (y + high) * h), fill=fill)

    def ridge(self, level: float, swing: float, fill: Colour) -> None:
        """Rolling ground: everything under a wavy line."""
        phase, waves = self.random.uniform(0, 2 * pi), self.random.uniform(2.5, 5)
        crest = [(x * self.wide / 40, level + swing * sin(phase + waves * x * self.wide / 40)) for x in range(41)]
        self.shape([*crest, (self.wide, 1.0), (0.0, 1.0)], fill)

    def across(self, count: int) -> list[float]:
        """Positions along the width, in order, unevenly spaced."""
        step = self.wide / count
        return [step * (n + self.random.uniform(0.1, 0.9)) for n in range(count)]


def _cloud(canvas: Canvas, x: float, y: float, size: float) -> None:
    for dx, dy, r in ((-0.6, 0.1, 0.5), (0, -0.1, 0.7), (0.6, 0.1, 0.5)):
        canvas.oval(x + dx * size, y + dy * size, r * size, r * size * 0.7, (250, 250, 252))


def _sky(canvas: Canvas) -> None:
    r = canvas.random
    top = hue(r, r.choice((0.56, 0.56, 0.07, 0.82)), 0.03, 0.36, 0.92)
    canvas.fade(top, mix(top, WHITE, 0.7))
    canvas.oval(r.uniform(0.1, canvas.wide - 0.1), r.uniform(0.08, 0.25), 0.07, 0.07, (255, 240, 190))
    for x in canvas.across(r.randint(1, 4)):
        _cloud(canvas, x, r.uniform(0.06, 0.32), r.uniform(0.06, 0.12))


def _tree(canvas: Canvas, x: float, base: float, size: float) -> None:
    r = canvas.random
    leaf = hue(r, 0.30, 0.06, 0.45, 0.55)
    canvas.box(x - 0.06 * size, base - 0.45 * size, 0.12 * size, 0.45 * size, (120, 90, 70))
    if r.random() < 0.5:
        canvas.oval(x, base - 0.65 * size, 0.32 * size, 0.36 * size, leaf)
        return
    for step in range(3):
        y = base - (0.3 + 0.25 * step) * size
        half = (0.36 - 0.08 * step) * size
        canvas.shape([(x - half, y), (x, y - 0.42 * size), (x + half, y)], leaf)


def _hills(canvas: Canvas) -> None:
    r = canvas.random
    _sky(canvas)
    tint = r.choice((0.30, 0.27, 0.22, 0.12))
    for level, value in ((0.50, 0.85), (0.62, 0.78)):
        canvas.ridge(level + r.uniform(-0.05, 0.05), 0.05, hue(r, tint, 0.04, 0.35, value))
        for x in canvas.across(r.randint(1, 4)):
            _tree(canvas, x, level + 0.06, r.uniform(0.12, 0.3))
    canvas.ridge(0.78, 0.015, hue(r, tint, 0.04, 0.42, 0.72))
    for x in canvas.across(8):
        canvas.oval(x, r.uniform(0.84, 0.98), 0.014, 0.011, hue(r, r.random(), 0.1, 0.5, 0.95))


def _boat(canvas: Canvas, x: float, y: float, size: float) -> None:
    sail = hue(canvas.random, canvas.random.random(), 0.1, 0.25, 0.97)
    canvas.shape(
        [
            (x - size, y - 0.2 * size),
            (x + size, y - 0.2 * size),
            (x + 0.6 * size, y + 0.2 * size),
            (x - 0.6 * size, y + 0.2 * size),
        ],
        (130, 95, 80),
    )
    canvas.shape([(x, y - 1.6 * size), (x, y - 0.3 * size), (x + 0.8 * size, y - 0.3 * size)], sail)


def _sea(canvas: Canvas) -> None:
    r = canvas.random
    _sky(canvas)
    horizon = r.uniform(0.42, 0.52)
    water = hue(r, 0.52, 0.05, 0.48, 0.78)
    canvas.fade(mix(water, WHITE, 0.35), water, horizon, 0.8)
    for _ in range(14):
        x, y = r.uniform(0, canvas.wide), r.uniform(horizon + 0.02, 0.74)
        canvas.box(x, y, r.uniform(0.04, 0.12), 0.006, mix(water, WHITE, 0.6))
    for x in canvas.across(r.randint(1, 3)):
        _boat(canvas, x, horizon + 0.04, r.uniform(0.05, 0.09))
    sand = hue(r, 0.11, 0.03, 0.30, 0.93)
    canvas.ridge(0.78, 0.015, sand)
    for x in canvas.across(5):
        canvas.oval(x, r.uniform(0.86, 0.98), 0.025, 0.015, mix(sand, (120, 90, 90), r.uniform(0.15, 0.4)))


def _house(canvas: Canvas, x: float, wide: float, high: float, lit: bool) -> None:
    r = canvas.random
    wall = hue(r, r.random(), 0.1, 0.25, 0.40 if lit else 0.86)
    base = 0.80
    canvas.box(x, base - high, wide, high, wall)
    if r.random() < 0.6:
        roof = mix(wall, (150, 60, 50), 0.5)
        eaves = base - high
        canvas.shape([(x - 0.03, eaves), (x + wide / 2, eaves - 0.13), (x + wide + 0.03, eaves)], roof)
    rows, columns = max(1, int(high / 0.15)), max(1, int(wide / 0.10))
    pane = (250, 220, 130) if lit else mix(wall, (90, 120, 170), 0.55)
    for row in range(rows):
        for column in range(columns):
            if r.random() < 0.85:
                left, top = x + wide * (column + 0.25) / columns, base - high + 0.05 + 0.15 * row
                canvas.box(left, top, wide * 0.5 / columns, 0.075, pane)


def _street(canvas: Canvas, lit: bool) -> None:
    r = canvas.random
    x = -0.1
    while x < canvas.wide:
        wide = r.uniform(0.18, 0.38)
        _house(canvas, x, wide, r.uniform(0.28, 0.60), lit)
        x += wide + r.uniform(-0.01, 0.05)
    road = (70, 70, 95) if lit else hue(r, 0.1, 0.3, 0.08, 0.74)
    canvas.box(0, 0.78, canvas.wide, 0.22, road)
    for x in canvas.across(6):
        canvas.box(x, 0.885, 0.09, 0.012, mix(road, WHITE, 0.5))


def _town(canvas: Canvas) -> None:
    _sky(canvas)
    _street(canvas, lit=False)
    for x in canvas.across(canvas.random.randint(1, 3)):
        _tree(canvas, x, 0.80, canvas.random.uniform(0.2, 0.35))


def _night(canvas: Canvas) -> None:
    r = canvas.random
    top = hue(r, 0.66, 0.06, 0.60, 0.32)
    canvas.fade(top, mix(top, (150, 120, 190), 0.5))
    for _ in range(40):
        canvas.oval(r.uniform(0, canvas.wide), r.uniform(0, 0.5), 0.005, 0.005, (240, 240, 220))
    canvas.oval(r.uniform(0.1, canvas.wide - 0.1), r.uniform(0.1, 0.22), 0.075, 0.075, (250, 246, 220))
    _street(canvas, lit=True)


def _room(canvas: Canvas) -> None:
    r = canvas.random
    wall = hue(r, r.random(), 0.1, 0.20, 0.90)
    canvas.box(0, 0, canvas.wide, 1, wall)
    for x in canvas.across(r.randint(6, 12)):
        canvas.box(x, 0, 0.012, 0.76, mix(wall, WHITE, 0.4))
    for x in canvas.across(r.randint(1, 3)):
        y, size = r.uniform(0.12, 0.25), r.uniform(0.18, 0.28)
        canvas.box(x - 0.02, y - 0.02, size + 0.04, size + 0.04, (140, 105, 85))
        canvas.box(x, y, size, size, hue(r, r.random(), 0.1, 0.35, 0.92))
        canvas.box(x + size / 2 - 0.006, y, 0.012, size, (140, 105, 85))
    for x in canvas.across(r.randint(1, 2)):
        wood = hue(r, 0.07, 0.03, 0.45, 0.62)
        canvas.box(x, 0.52, 0.30, 0.26, wood)
        canvas.box(x + 0.02, 0.56, 0.26, 0.08, mix(wood, WHITE, 0.25))
        canvas.oval(x + 0.15, 0.47, 0.05, 0.06, hue(r, r.random(), 0.1, 0.5, 0.85))
    floor = hue(r, 0.08, 0.05, 0.35, 0.75)
    canvas.box(0, 0.76, canvas.wide, 0.24, floor)
    canvas.oval(canvas.wide / 2 + r.uniform(-0.2, 0.2), 0.92, 0.5, 0.07, hue(r, r.random(), 0.1, 0.3, 0.85))


_PAINTERS: dict[Place, Callable[[Canvas], None]] = {
    "hills": _hills,
    "sea": _sea,
    "town": _town,
    "room": _room,
    "night": _night,
}


def draw_place(place: Place, size: tuple[int, int], random: Random, *, oversample: int = 1) -> Image.Image:
    """An empty backdrop of that size."""
    wide, high = size[0] * oversample, size[1] * oversample
    picture = Image.new("RGB", (wide, high))
    _PAINTERS[place](Canvas(ImageDraw.Draw(picture), high, wide / high, random))
    return picture.reduce(oversample) if oversample > 1 else picture


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture: who does what, where, how large (part of the height) and how far off middle."""

    look: Look
    act: Act
    place: Place
    height: float = 0.8
    aside: float = 0.0
    floor: float = 0.95


def draw_shot(
    shot: Shot, size: tuple[int, int], random: Random, *, oversample: int = 2, haze: float = 0.0
) -> Image.Image:
    """The figure in its place, RGB. `aside` is in frame heights, positive to the right.

    `haze` blurs the backdrop only, in pixels, as a lens does that is set on the figure.
    """
    return draw_shot_with_head(shot, size, random, oversample=oversample, haze=haze)[0]


def draw_shot_with_head(
    shot: Shot, size: tuple[int, int], random: Random, *, oversample: int = 2, haze: float = 0.0
) -> tuple[Image.Image, tuple[float, float, float, float]]:
    """The same, and where the head is: left, top, right, bottom in pixels."""
    wide, high = size
    picture = draw_place(shot.place, size, random, oversample=2 if high < 200 else 1)
    if haze:
        picture = picture.filter(ImageFilter.GaussianBlur(haze))
    # Hair and ears rise above a figure's nominal height by about a fifth.
    height = shot.height * high / 1.2
    figure, head = draw_with_head(shot.look, shot.act, height, random, oversample=oversample)
    side = figure.width
    left = round(wide / 2 + shot.aside * high - side / 2)
    feet = shot.floor * high
    top = round(feet - ground(side))
    shadow = Image.new("L", size)
    reach = side * 0.22
    ImageDraw.Draw(shadow).ellipse(
        (left + side / 2 - reach, feet - reach * 0.20, left + side / 2 + reach, feet + reach * 0.16), fill=70
    )
    picture.paste((20, 15, 35), mask=shadow)
    picture.paste(figure, (left, top), figure)
    return picture, (head[0] + left, head[1] + top, head[2] + left, head[3] + top)
