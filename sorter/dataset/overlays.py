"""What was found over pictures and around them -> what is cut off, and what a trainer is not to learn. Pure.

Words are often a part of the drawing: a shop's name, a book. So a line counts as a subtitle by where it stands alone:
centred, low or high, of a subtitle's height; and as a watermark in a corner, small.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, NamedTuple, get_args

from sorter.pictures.still_bars import NONE, Margins
from sorter.records import Box

Mode = Literal["bars", "cut", "mask", "keep"]
"""What becomes of overlays: black bars cut; subtitles and logos cut, too, or masked; all kept."""
MODES: list[str] = list(get_args(Mode))
COMMON = 0.05
"""The share of a source's pictures that have bars, from which on dark ones of it are taken to have them, too."""
AGREE = 3
"""Pictures with the same bars, at least."""
SAME = 2
"""Pixels by which the same bars may differ."""

LINE = 0.02, 0.16
"""The height of a subtitle's line as a share of the picture's; it is found a third higher than its letters are."""
LOW, HIGH = 0.65, 0.12
"""A subtitle's middle lies below or above these shares of the height."""
CENTRED = 0.1
"""Of the width, by which a subtitle's middle may be off the picture's."""
WIDE = 1.2
"""A subtitle's line is at least so many times as wide as it is high."""
CORNER = 0.12, 0.3
"""How far from the edge the middle of a watermark may lie, as shares of the height and of the width."""
SMALL = 0.06
"""The height of a watermark's line, at most."""
LONG = 2.5
"""A watermark's line is at least so many times as wide as it is high; a flower in a corner is not."""
GROWN = 0.2
"""Of a line's height, by which its box is made larger on each side: outlines and shadows."""
MOST_CUT = 0.2
"""Of the picture's height or width, that is cut off for the sake of an overlay; beyond it, a mask is better."""


class Looked(NamedTuple):
    """What the askers said of one file."""

    size: tuple[int, int]
    margins: Margins = NONE
    window: Box | None = None
    text: tuple[Box, ...] = ()

    def mirrored(self) -> Looked:
        """What they would have said of its mirror image; words are left out."""
        left, top, right, bottom = self.margins
        window = self.window and self.window.mirrored(self.size[0])
        return Looked(self.size, Margins(right, top, left, bottom), window)


class Overlays(NamedTuple):
    """What lies over a picture and around it, in the pixels of its file."""

    size: tuple[int, int]
    """Of the file."""
    window: Box | None = None
    """The part within its bars; None where it has none."""
    subtitles: tuple[Box, ...] = ()
    """Lines of them, and of watermarks."""
    logos: tuple[Box, ...] = ()
    """What stays at its place in the pictures of one source."""


class Clear(NamedTuple):
    """What is to be done about them."""

    window: Box | None = None
    """The part that a cropper takes for the whole picture."""
    hidden: tuple[Box, ...] = ()
    """What is to be black in a loss mask, in the pixels of `window`."""
    done: tuple[str, ...] = ()
    """Such as "with subtitles cut off", for a census."""


def find_windows(source: Mapping[str, Looked]) -> dict[str, Box]:
    """File -> what is within its bars, of the files of one source and size that have some.

    One whose own edge cannot be seen, as in a dark scene, gets the commonest of the others' bars that it may have.
    """
    found = {key: one.window for key, one in source.items() if one.window}
    common = Counter(found.values()).most_common()
    usual = [box for box, _ in common if _share(box, common) >= max(AGREE, COMMON * len(source))]
    for key, one in source.items():
        if not one.window and (box := next((box for box in usual if one.margins.cover(box, one.size)), None)):
            found[key] = box
    return found


def _share(box: Box, common: list[tuple[Box, int]]) -> int:
    """How many pictures have these bars, or nearly."""
    near = (zip(box.sides, other.sides, strict=True) for other, _ in common)
    return sum(
        count
        for (_, count), sides in zip(common, near, strict=True)
        if all(abs(one - other) <= SAME for one, other in sides)
    )


def find_subtitles(text: Iterable[Box], whole: Box) -> tuple[Box, ...]:
    """Those of the boxes with words that are subtitles or watermarks, within the part `whole` of a picture."""
    width, height = whole.size
    found = []
    for box in text:
        line = box.seen_from(whole)
        if not line or not LINE[0] * height <= line.size[1] <= LINE[1] * height or line.size[0] < WIDE * line.size[1]:
            continue
        across, down = (line.left + line.right) / 2 / width, (line.top + line.bottom) / 2 / height
        is_subtitle = abs(across - 0.5) <= CENTRED and (down >= LOW or down <= HIGH)
        is_small = line.size[1] <= min(SMALL * height, line.size[0] / LONG) and line.left > 0 and line.right < width
        is_in_corner = min(down, 1 - down) <= CORNER[0] and min(across, 1 - across) <= CORNER[1]
        if is_subtitle or (is_small and is_in_corner):
            found.append(box)
    return tuple(found)


def clear(found: Overlays, mode: Mode, masked: bool = True) -> Clear:
    """What is to be done about the overlays of a picture, by `mode`.

    "cut" leaves out what can be left out by cutting off a fifth of the picture at most. `masked`: whether there will be
    masks; without them, what cannot be cut off stays, and is said.
    """
    if mode == "keep":
        return Clear()
    done = ["with black bars cut off"] if found.window else []
    whole = window = found.window or Box(0, 0, *found.size)
    hidden: list[Box] = []
    for name, boxes in (("subtitles", found.subtitles), ("logos", found.logos)) if mode != "bars" else ():
        left = [box for box in map(_grown, boxes) if box.seen_from(window)]
        for block in _blocks(left, whole):
            smaller = _without(_around(block), whole, window) if mode == "cut" else None
            window = smaller or window
            hidden += [] if smaller or not masked else block
            fate = "cut off" if smaller else "masked" if masked else "left in, as this layout has no masks"
            done.append(f"with {name} {fate}")
    seen = (box.seen_from(window) for box in hidden)
    is_whole = window == Box(0, 0, *found.size)
    return Clear(None if is_whole else window, tuple(box for box in seen if box), tuple(dict.fromkeys(done)))


def _blocks(boxes: list[Box], whole: Box) -> Iterator[list[Box]]:
    """The lines of the upper half, and those of the lower: the lines of a subtitle are cut together."""
    middle = (whole.top + whole.bottom) / 2
    for is_upper in (True, False):
        if block := [box for box in boxes if ((box.top + box.bottom) / 2 < middle) == is_upper]:
            yield block


def _around(boxes: list[Box]) -> Box:
    sides = list(zip(*(box.sides for box in boxes), strict=True))
    return Box(min(sides[0]), min(sides[1]), max(sides[2]), max(sides[3]))


def _without(box: Box, whole: Box, window: Box) -> Box | None:
    """The window, cut so that a box lies outside of it, along the side where that costs least of `whole`; None where it
    would cost too much."""
    width, height = whole.size
    ways = [
        ((box.right - whole.left) / width, Box(max(window.left, box.right), window.top, window.right, window.bottom)),
        ((whole.right - box.left) / width, Box(window.left, window.top, min(window.right, box.left), window.bottom)),
        ((box.bottom - whole.top) / height, Box(window.left, max(window.top, box.bottom), window.right, window.bottom)),
        ((whole.bottom - box.top) / height, Box(window.left, window.top, window.right, min(window.bottom, box.top))),
    ]
    cost, cut = min(ways, key=lambda way: way[0])
    return cut if cost <= MOST_CUT else None


def _grown(box: Box) -> Box:
    by = max(2, round(GROWN * box.size[1]))
    return Box(box.left - by, box.top - by, box.right + by, box.bottom + by)
