"""Videos that are made, with every cut and cross-fade known, of pictures or of nothing."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

Pixels = NDArray[np.uint8]

RATE = 24
TRANSITIONS = (0, 12, 0, 24, -16, 0, 8, 48, 0, -24, 36)
"""Frames between a scene and the next, in turn: 0 is a cut, 12 a cross-fade, -16 half as many to black and from it."""
DRAWN = (0, 0, 0, 6, 10, 16, 20, 30, 40, 60, -12, -20, -40)
"""Those of which a drawn film has some."""
LENGTHS = (40, 96, 24, 60, 130, 34, 72)
"""Frames of a scene beside those of transitions, in turn."""


def scene(picture: Image.Image, number: int, size: tuple[int, int]) -> Iterator[Pixels]:
    """Endless frames of one scene: part of a picture, in colours of its own, still, panned, zoomed or on twos."""
    if number % 2:
        picture = ImageOps.mirror(picture)
    hue, saturation, value = picture.convert("HSV").split()
    turned = hue.point(lambda old: (old + 47 * number) % 256)
    picture = Image.merge("HSV", (turned, saturation, value)).convert("RGB")
    width, height = picture.size
    part = 0.45 + 0.07 * (number % 5)
    left, top = (1 - part) * (number * 0.37 % 1), (1 - part) * (number * 0.61 % 1)
    frame = 0
    while True:
        kind = ("still", "pan", "zoom", "twos")[number % 4]
        step = {"still": 0, "pan": frame, "zoom": 0, "twos": frame // 2 * 2}[kind]
        sway = 0.5 * (1 - part) * np.sin(step / 40)
        side = part * (1 - 0.15 * np.sin(frame / 60) ** 2) if kind == "zoom" else part
        x = min(max(left + sway, 0.0), 1 - side)
        box = (x * width, top * height, (x + side) * width, (top + side) * height)
        yield np.asarray(picture.resize(size, Image.Resampling.BILINEAR, box))
        frame += 1


def film(
    pictures: Sequence[Image.Image], size: tuple[int, int], seed: int | None = None
) -> Iterator[tuple[Pixels, int | None]]:
    """Frames, each with the number of its scene; None for those of a cross-fade, or of a fade through black.

    `seed`: everything else than in the film without one.
    """
    black = np.zeros((size[1], size[0], 3), np.uint8)
    lengths: Sequence[int] = LENGTHS
    transitions: Sequence[int] = TRANSITIONS
    draw, first = random.Random(seed), 0
    if seed is not None:
        pictures, first = draw.sample(pictures, len(pictures)), draw.randrange(100)
        lengths = tuple(draw.randint(20, 120) for _ in pictures)
        transitions = tuple(draw.choice(DRAWN) for _ in pictures)
    frames = [scene(picture, first + 3 * number if first else number, size) for number, picture in enumerate(pictures)]
    for number in range(len(frames)):
        for _ in range(lengths[number % len(lengths)]):
            yield next(frames[number]), number
        length = transitions[number % len(transitions)]
        if number + 1 == len(frames) or not length:
            continue
        for place in range(1, abs(length) + 1):
            share = place / (abs(length) + 1)
            if length > 0:
                yield mixed(next(frames[number]), next(frames[number + 1]), share), None
            elif share < 0.5:
                yield mixed(next(frames[number]), black, 2 * share), None
            else:
                yield mixed(black, next(frames[number + 1]), 2 * share - 1), None


def mixed(one: Pixels, other: Pixels, share: float) -> Pixels:
    """`share` of the other."""
    return np.asarray(np.rint(one * (1 - share) + other * share), np.uint8)


def write_video(path: Path, frames: Iterable[Pixels], rate: int = RATE, **how: Any) -> Path:
    """Encode RGB frames; `how`: codec, pix_fmt, aspect, rotation, options."""
    import av

    codec = how.get("codec", "h264" if "libx264" in av.codecs_available else "mpeg4")
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream: Any = None
        for pixels in frames:
            if stream is None:
                stream = container.add_stream(codec, rate=rate, options=how.get("options", {"preset": "veryfast"}))
                stream.width, stream.height = pixels.shape[1], pixels.shape[0]
                stream.pix_fmt = how.get("pix_fmt", "yuv420p")
                if "aspect" in how:
                    stream.codec_context.sample_aspect_ratio = Fraction(how["aspect"])
                if "rotation" in how:
                    stream.set_display_rotation(how["rotation"])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        if stream is not None:
            container.mux(stream.encode())
    return path
