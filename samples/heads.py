"""Fits the locator that is used where nobody has drawn a box: on the heads of drawn people and animals.

python samples/heads.py --to sorter/classify/drawn_heads/locator.npz
"""

from __future__ import annotations

from pathlib import Path
from random import Random

import click
import numpy as np
from drawing import DIRECTIONS, EXPRESSIONS, PLACES, POSES, Act
from drawing.figure import draw_with_head, ground
from drawing.scene import draw_place
from people import anyone
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter

from sorter.classify.locate import write_head
from sorter.fit.locator import Boxed, solve
from sorter.networks.locator import SIZE, cells, network

Box = tuple[float, float, float, float]
FRAMES = ((960, 540), (720, 540))
STRENGTH, BLUR = 1e-6, 2.0
"""Far more regularised, and looked at more coarsely, than a locator for pictures like those it was fitted on: of 176
film stills, 0.91 have the head whole in the largest square about what is found, by strengths of 1e-5 and more 0.84."""
CALIBRATION = (0.63, 0.46)
"""From the likeliest cell's logit to the logit of being right, on film stills: python -m tests.bench.framing."""


def drawn(number: int) -> tuple[Image.Image, list[Box]]:
    """A scene with one to three figures, small or large, anywhere, in colours of its own; and their heads in shares of
    the picture, the largest first."""
    random = Random(f"heads-{number}")
    size = random.choice(FRAMES)
    picture = draw_place(random.choice(PLACES), size, random)
    boxes: list[Box] = []
    for _ in range(random.choice((1, 1, 1, 2, 2, 3))):
        put_figure(picture, boxes, random)
    if not boxes:
        return drawn(number + 1_000_000)
    boxes.sort(key=lambda box: (box[0] - box[2]) * (box[3] - box[1]))
    return coloured(picture, random), boxes


def put_figure(picture: Image.Image, boxes: list[Box], random: Random) -> None:
    """Draw one more figure, where it hides none of the heads that are there and its own is whole."""
    wide, high = picture.size
    for _ in range(20):
        tall = high * random.choice((random.uniform(0.3, 0.6), random.uniform(0.6, 1.0), random.uniform(1.0, 2.4)))
        act = Act(random.choice(POSES), random.choice(EXPRESSIONS), random.choice(DIRECTIONS))
        figure, head = draw_with_head(
            anyone(random), act, tall / 1.2, random, oversample=2, head_size=random.uniform(0.5, 1.25)
        )
        if random.random() < 0.3:
            figure, head = leaning(figure, head, random.uniform(-35, 35))
        left = round(random.uniform(-head[0], wide - head[2]))
        top = round(random.uniform(-head[1], high - head[3]))
        if top + ground(figure.height) < high * 0.6:
            continue
        box = ((head[0] + left) / wide, (head[1] + top) / high, (head[2] + left) / wide, (head[3] + top) / high)
        around = (left / wide, top / high, (left + figure.width) / wide, (top + figure.height) / high)
        if any(o[0] < around[2] and around[0] < o[2] and o[1] < around[3] and around[1] < o[3] for o in boxes):
            continue
        picture.paste(figure, (left, top), figure)
        boxes.append(box)
        return


def leaning(figure: Image.Image, head: Box, degrees: float) -> tuple[Image.Image, Box]:
    """A figure that leans, and the box around its leaning head."""
    mask = Image.new("L", figure.size)
    ImageDraw.Draw(mask).ellipse(head, fill=255)
    left, top, right, bottom = mask.rotate(degrees).getbbox() or head
    return figure.rotate(degrees, Image.Resampling.BILINEAR), (left, top, right, bottom)


def coloured(picture: Image.Image, random: Random) -> Image.Image:
    """Other colours, light and sharpness: films differ in them."""
    shift, grey, light = random.randrange(256), random.uniform(0, 1.3), random.uniform(0.5, 1.3)
    if random.random() < 0.6:
        h, s, v = picture.convert("HSV").split()
        picture = Image.merge("HSV", (h.point([(k + shift) % 256 for k in range(256)]), s, v)).convert("RGB")
    picture = ImageEnhance.Color(picture).enhance(grey)
    picture = ImageEnhance.Brightness(picture).enhance(light)
    picture = ImageEnhance.Contrast(picture).enhance(random.uniform(0.6, 1.3))
    return picture.filter(ImageFilter.GaussianBlur(random.choice((0, 0, 1, 2))))


def examples(count: int) -> list[Boxed]:
    """Drawn scenes as examples, each a group of its own."""
    run = network().runner()
    found = []
    for number in range(count):
        picture, boxes = drawn(number)
        view = np.asarray(picture.resize((SIZE, SIZE), Image.Resampling.LANCZOS))
        found.append(Boxed((cells(run(view)),), boxes[0], number, tuple(boxes[1:])))
        if number % 100 == 99:
            print(f"{number + 1} of {count} drawn", flush=True)
    return found


@click.command(help=__doc__)
@click.option("--to", type=click.Path(path_type=Path), required=True)
@click.option("--count", default=900, show_default=True)
def main(to: Path, count: int) -> None:
    to.write_bytes(write_head(solve(examples(count), STRENGTH, CALIBRATION, BLUR)))
    print(f"{to}: written")


if __name__ == "__main__":
    main()
