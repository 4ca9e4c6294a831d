"""What a fitted locator finds on pictures that it was not fitted on, as a page to look at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sorter.classify.locate import Part
from sorter.errors import PictureError
from sorter.files import read_file
from sorter.fit.locator import Boxed, Sides, Tried, overlap
from sorter.page import Section, Shown, page, shown
from sorter.pictures import images
from sorter.records import Unreadable

MOST = 200
"""Pictures that are shown, those that went wrong first."""
WIDTH = 220
TRUE, FOUND = (60, 200, 90), (230, 60, 50)
"""The colours of the box that was drawn, and of the one that was found."""


def write_page(
    name: str,
    said: Sequence[str],
    looked: Sequence[tuple[Path, Part]],
    examples: Sequence[Boxed],
    tried: Tried | None,
    failures: Sequence[Unreadable],
) -> str:
    """models/NAME/report.html: every box on its picture, the worst first. `looked`: file and part of each example."""
    sections = [Section("In short", [*said])]
    if tried is not None:
        scores = np.array([overlap(found, one.box) for found, one in zip(tried.found, examples, strict=True)])
        order = np.lexsort((scores, tried.hits))[:MOST].tolist()
        colours = "The green box was drawn, the red one found."
        for title, hit in (("Not found", False), ("Found", True)):
            pictures = [
                with_boxes(
                    looked[place][0],
                    looked[place][1],
                    [(examples[place].box, TRUE), (tuple(tried.found[place]), FOUND)],
                )
                for place in order
                if tried.hits[place] == hit
            ]
            count = int((tried.hits == hit).sum())
            shown_ones = [one for one in pictures if one]
            sections.append(Section(f"{title} ({count:,})", [colours] if count else ["None."], pictures=shown_ones))
    if failures:
        rows = [[str(one.path), one.reason] for one in failures]
        sections.append(Section("Pictures that could not be used", rows=rows))
    return page(f"The locator {name}", sections)


def with_boxes(path: Path, part: Part, boxes: Sequence[tuple[Sides, tuple[int, int, int]]]) -> Shown | None:
    """A part of a picture made small with boxes on it; None where it cannot be read any more."""
    from PIL import Image, ImageDraw

    try:
        data = read_file(path)
        with images.opened(data) as image:
            picture = Image.fromarray(images.load_small(data, image, at_least=WIDTH))
    except (OSError, PictureError):
        return None
    wide, high = picture.size
    picture = picture.crop(
        (round(part.left * wide), round(part.top * high), round(part.right * wide), round(part.bottom * high))
    )
    picture.thumbnail((2 * WIDTH, 2 * WIDTH))
    draw = ImageDraw.Draw(picture)
    wide, high = picture.size
    for (left, top, right, bottom), colour in boxes:
        draw.rectangle((left * wide, top * high, right * wide, bottom * high), outline=colour, width=3)
    return shown(picture, path.name, WIDTH)
