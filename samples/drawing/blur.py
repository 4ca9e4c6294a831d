"""What goes wrong in a camera: a lens out of focus, a subject or a hand that moved."""

from __future__ import annotations

from math import cos, radians, sin
from random import Random

import numpy as np
from PIL import Image, ImageFilter


def out_of_focus(picture: Image.Image, radius: float) -> Image.Image:
    """A soft lens; `radius` is in pixels."""
    return picture.filter(ImageFilter.GaussianBlur(radius))


def moved(picture: Image.Image, length: int, degrees: float) -> Image.Image:
    """The mean of the picture shifted along a line of `length` pixels."""
    dx, dy = cos(radians(degrees)), sin(radians(degrees))
    reach = length // 2 + 1
    source = np.pad(np.asarray(picture), ((reach, reach), (reach, reach), (0, 0)), mode="edge")
    high, wide = picture.height, picture.width
    total = np.zeros((high, wide, 3), np.uint32)
    shifts = range(-(length // 2), length // 2 + 1, 2)
    for shift in shifts:
        top, left = reach + round(shift * dy), reach + round(shift * dx)
        total += source[top : top + high, left : left + wide]
    return Image.fromarray((total // len(shifts)).astype(np.uint8))


def blurred(picture: Image.Image, random: Random) -> Image.Image:
    """One of the two, half of them mild: about 1 in 140 of the width, the others up to 1 in 20."""
    unit = picture.width / 1280
    mild = random.random() < 0.5
    if random.random() < 0.5:
        return out_of_focus(picture, unit * (random.uniform(5, 7) if mild else random.uniform(9, 16)))
    length = random.randint(24, 34) if mild else random.randint(44, 72)
    return moved(picture, round(length * unit), random.uniform(0, 180))
