"""Small frames one after the other -> where a scene begins, what is a cross-fade, what was seen before. Pure.

Everything is told from scalar products of a frame with earlier ones. With a, m, b three frames k apart, centred:
- a cut: m and the frame before it have little in common, and far less than the frames around them;
- a cross-fade: m lies on the line from a to b, which have little in common. So does, less exactly, the middle of a
  camera's movement: of a picture whose correlation with itself, moved by x, is exp(-x^2 / 2L^2), the frame half-way
  between two of correlation c has c^(1/4) with both, and lies beside the line by
  (3 + c - 4 c^(1/4)) / 2 of the picture's variance. Frames much nearer to the line are a cross-fade.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Small = NDArray[np.uint8]
Floats = NDArray[np.float32]

SPANS = 0.125, 0.17, 0.25, 0.36, 0.5, 0.72, 1.0, 1.4, 2.0
"""Seconds between a and m, and m and b."""
LONGEST = 3.0
"""Seconds of a cross-fade that is told by its contrast."""
UNLIKE = 0.3
"""1 - the correlation of two frames with a cut between them."""
STANDS_OUT = 2.5
"""By how much a cut exceeds all but one of the changes around it. The one may be another cut."""
AROUND = 5
"""Frames before and after a cut that it is compared with."""
LEAST_CHANGE = 3.0
"""Grey values (root mean square): a smaller change is none."""
COARSE = 0.15
"""The square of how far a movement's middle lies beside the line, of the way from a to b, where a picture is coarse:
spots that each run into the next have a correlation of 0.6 half-way to where they have none."""
ON_LINE = 0.6
"""How much nearer to the line a cross-fade lies than a movement would."""
LEAST_APART = 10.0
"""Grey values between a and b; in a still scene any three frames lie on a line."""
MIXED = 0.04
"""The share of the other scene from which a frame is called a mixture."""
MOST_ALIKE = 0.4
"""The correlation of a and b above which the contrast between them is not looked at."""
OFF = 0.18
"""The share of their contrast by which that of a mixture may differ from what it should be."""
AT_ONCE = 0.5
"""The share of the way from a to b that a fade does not do from one frame to the next."""
MARGIN = 0.12
"""Seconds at each end of a cross-fade in which the other scene is too faint to be told."""
SAME = 0.6
"""Grey values between a frame and its repetition: what compression leaves; PLACE, where they differ most."""
PLACE = 5.0
PLAIN = 7.0
"""Grey values (standard deviation) of a frame that shows nothing."""


class Seen(NamedTuple):
    """What is known of a frame once those after it were seen."""

    begins: bool
    """Whether it comes after a cut."""
    mixed: bool
    """Whether it is of a cross-fade, or of a fade from or to black."""
    plain: bool
    """Whether it is black, or of one colour."""


@dataclass(slots=True)
class _Frame:
    brightness: Small
    square: float
    """Its scalar product with itself, and with those so many frames before it."""
    products: dict[int, float]
    plain: bool
    change: float = 0.0
    novelty: float = 0.0
    mixed: bool = False
    """Told from the frames around it, or from the contrast of those of the whole fade."""
    faint: bool = False


class Scenes:
    """Takes frames in their order, and tells of each some two seconds later."""

    def __init__(self, rate: float) -> None:
        """`rate`: frames a second."""
        self.spans = sorted({max(1, round(span * rate)) for span in SPANS})
        self.margin = max(2, round(MARGIN * rate))
        self.delay = max(AROUND, self.spans[-1] + self.margin, round(LONGEST * rate))
        """Frames after which a frame is told of."""
        self._lags = np.array(sorted({1, *self.spans, *(2 * span for span in self.spans)}))
        self._rows: Floats | None = None
        self._frames: deque[_Frame] = deque()  # the last ones; those after _told are still to be told of
        self._added = self._told = 0

    def add(self, brightness: Small, colours: Small) -> Iterator[Seen]:
        """Take a frame's brightness and its colours, small; yield what is known of an earlier one by now."""
        row = np.concatenate([_centred(brightness), _centred(colours)])
        if self._rows is None:  # a ring
            self._rows = np.zeros((2 * self.spans[-1] + 1, len(row)), np.float32)
        size = len(self._rows)
        self._rows[self._added % size] = row
        products = self._rows[(self._added - self._lags) % size] @ row
        found = dict(zip(self._lags.tolist(), products.tolist(), strict=True))
        frame = _Frame(brightness, float(row @ row), found, is_plain(brightness))
        if self._frames:
            self._compare(frame, self._frames[-1])
        self._frames.append(frame)
        self._added += 1
        for span in self.spans:
            if self._added <= 2 * span:
                break
            if self._lies_between(span):
                self._frames[-1 - span].mixed = True
            if 2 * span <= self.delay and self._has_less_contrast(span):
                for place in range(1, 2 * span):
                    self._frames[-1 - place].faint = True
        while len(self._frames) > size + self.delay + AROUND:
            self._frames.popleft()
        if self._added - self._told > self.delay:
            yield self._tell()

    def end(self) -> Iterator[Seen]:
        """What is known of the last frames."""
        while self._told < self._added:
            yield self._tell()

    def _compare(self, frame: _Frame, before: _Frame) -> None:
        apart = frame.brightness.astype(np.int16) - before.brightness
        frame.change = math.sqrt(float(np.square(apart, dtype=np.float32).mean()))
        if frame.change > LEAST_CHANGE:
            frame.novelty = 1 - _correlation(frame.square, before.square, frame.products[1])

    def _lies_between(self, span: int) -> bool:
        """Whether the frame `span` before the last is of a fade between the last and the one as far before it."""
        a, m, b = self._frames[-1 - 2 * span], self._frames[-1 - span], self._frames[-1]
        am, mb, ab = m.products[span], b.products[span], b.products[2 * span]
        apart = a.square + b.square - 2 * ab
        if apart < LEAST_APART**2 * a.brightness.size:
            return False
        share = (mb - am - ab + a.square) / apart
        beside = m.square + a.square - 2 * am - share**2 * apart
        alike = min(max(_correlation(a.square, b.square, ab), 0.0), 0.999)
        of_movement = apart * min(COARSE, (3 + alike - 4 * alike**0.25) / (4 - 4 * alike))
        nearer = min(share, 1 - share)
        if nearer < MIXED or beside > min(ON_LINE**2 * of_movement, nearer**2 * apart):
            return False
        return self._is_gradual(span, apart)

    def _has_less_contrast(self, span: int) -> bool:
        """Whether the contrast from a to b goes as that of a cross-fade does that begins at a and ends at b."""
        a, b = self._frames[-1 - 2 * span], self._frames[-1]
        common = b.products[2 * span]
        mean = (a.square + b.square) / 2
        if 2 * mean < LEAST_APART**2 * a.brightness.size or common > MOST_ALIKE * math.sqrt(a.square * b.square):
            return False
        for share in (0.25, 0.5, 0.75):
            m = self._frames[-1 - round(2 * span * (1 - share))]
            mixed = (1 - share) ** 2 * a.square + share**2 * b.square + 2 * share * (1 - share) * common
            if abs(m.square - mixed) > OFF * mean:
                return False
        return self._is_gradual(span, 2 * mean - 2 * common)

    def _is_gradual(self, span: int, apart: float) -> bool:
        """Whether no frame from a to b does much of the way at once, as a cut does. `apart`: the square of the way."""
        steps = islice(reversed(self._frames), 2 * span)
        return max(step.change for step in steps) ** 2 * self._frames[-1].brightness.size < AT_ONCE**2 * apart

    def _tell(self) -> Seen:
        place = len(self._frames) - (self._added - self._told)
        frame = self._frames[place]
        self._told += 1
        near = range(max(0, place - self.margin), min(len(self._frames), place + self.margin + 1))
        around = range(max(0, place - AROUND), min(len(self._frames), place + AROUND + 1))
        others = sorted(self._frames[other].novelty for other in around if other != place)
        begins = frame.novelty > max(UNLIKE, STANDS_OUT * (others[-2] if len(others) > 1 else 0.0))
        return Seen(begins, frame.faint or any(self._frames[other].mixed for other in near), frame.plain)


def is_plain(brightness: Small) -> bool:
    """Whether a frame shows nothing: black, or of one colour."""
    return float(brightness.std()) < PLAIN


def is_same(one: Small, other: Small) -> bool:
    """Whether a frame repeats another, as where one drawing stands for two frames, or 24 a second became 60."""
    apart = np.abs(one.astype(np.int16) - other)
    return int(apart.max()) < PLACE and float(np.square(apart, dtype=np.float32).mean()) < SAME**2


def _centred(values: Small) -> Floats:
    flat = values.astype(np.float32).ravel()
    flat -= flat.mean()
    return flat


def _correlation(one: float, other: float, product: float) -> float:
    """Of two centred frames, -1..1; 0 where one of them shows nothing."""
    return product / math.sqrt(one * other) if min(one, other) > 1 else 0.0
