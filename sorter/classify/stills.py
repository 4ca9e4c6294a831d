"""The frames of a video -> those worth keeping: sharp, unlike each other, and none of a cross-fade, black or plain."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from sorter.classify.measures import edge_ratios
from sorter.pictures.frame import Frame, Video
from sorter.pictures.hashing import perceptual_hash
from sorter.pictures.scenes import Scenes, Seen, is_plain, is_same

FASTEST = 15.0
"""Frames a second that are looked at, at most: of 24, every second one."""
WARM_UP = 5.0
"""Seconds before a place from which a video is read so that what is found there is what a whole run finds."""
BIN = 1 / 6
"""Seconds, of which the sharpest frame alone is a candidate."""
CUT_EDGE, FADE_EDGE = 0.1, 0.4
"""Seconds beside a cut and beside a cross-fade whose frames are taken only where a scene has no others."""
HELD = 4
"""Candidates of a scene that are held, decoded, for each frame that is wanted; of a longer scene, spread over it."""
ALIKE = 6
"""Bits of the perceptual hash up to which two frames show the same."""
BLURRED = 0.7
"""The share of the sharpest frame's edge ratio below which a frame of the same scene is blurred."""
MOST_BLURRED = 3
"""Candidates of a scene that may turn out to be blurred before no more is looked for."""
MIDDLE = 0.6
"""The part of a frame's width and height in which its sharpness is measured."""
ROWS = 32
"""One row in so many is looked at to find the sharpest of neighbouring frames."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to take of a video."""

    most: int = 3
    """Frames of a scene."""
    gap: float = 1.0
    """Seconds between two frames of a scene, at least."""
    every: float | None = None
    """Seconds: a frame of each so many of them instead, whatever the scenes."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What was found from `begin` to `end`, in seconds. `passed`: why frames were not taken -> how many."""

    begin: float
    end: float
    frames: tuple[Frame, ...]
    """Those to keep."""
    hashes: tuple[int, ...]
    """Their perceptual hashes."""
    passed: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True, eq=False)
class _Candidate:
    seconds: float
    frame: Frame | None
    """None where a sharper one is near it."""
    brightness: NDArray[np.uint8]
    detail: float
    perceptual_hash: int = 0


def stills(
    video: Video, frames: Iterable[Frame], wanted: Wanted, start: float = 0.0, known: Iterable[int] = ()
) -> Iterator[Scene]:
    """Scene by scene what is to be kept, from the scene on that begins at `start`.

    `frames` begin WARM_UP before it. `known`: the perceptual hashes of what was kept of this video before `start`.
    """
    if wanted.every is not None:
        yield from _regular(frames, wanted.every, start)
        return
    chooser = _Chooser(video, wanted, list(known))
    for scene in chooser.scenes(frames):
        if scene.begin >= start - 1e-6:
            yield scene


def _regular(frames: Iterable[Frame], every: float, start: float) -> Iterator[Scene]:
    """A frame of each `every` seconds: the first that is neither black nor plain nor the one that was taken last."""
    taken, last = -1, None
    passed: Counter[str] = Counter()
    for frame in frames:
        place = int(frame.seconds / every + 1e-6)
        if place <= taken:
            continue
        small, _ = frame.small()
        if start and frame.seconds <= start + 1e-6:
            last, taken = small, place  # the frame with which an earlier run ended, or one before it
        elif is_plain(small):
            passed["black or plain"] += 1
        elif last is not None and is_same(small, last):
            passed["repeated"] += 1
        else:
            last, taken = small, place
            yield Scene(frame.seconds, frame.seconds, (frame,), (_hash(small),), passed)
            passed = Counter()
    yield Scene(math.inf, math.inf, (), (), passed)


class _Chooser:
    """Takes frames in their order; gives scenes."""

    def __init__(self, video: Video, wanted: Wanted, known: list[int]) -> None:
        self.wanted, self.known = wanted, known
        self.rate = video.rate / math.ceil(video.rate / FASTEST)
        self.looked = Scenes(self.rate)
        self.pending: deque[_Candidate] = deque()
        self.held: list[_Candidate] = []
        self.passed: Counter[str] = Counter()
        self.begin = self.last = 0.0
        self.mixed = self.was_mixed = False

    def scenes(self, frames: Iterable[Frame]) -> Iterator[Scene]:
        tick = -1
        for frame in frames:
            if (now := int(frame.seconds * self.rate + 0.01)) == tick:
                continue
            if tick < 0:
                self.begin = frame.seconds
            tick = now
            brightness, colours = frame.small()
            self._hold(_Candidate(frame.seconds, frame, brightness, _detail(frame.grey())))
            for seen in self.looked.add(brightness, colours):
                yield from self._told(self.pending.popleft(), seen)
        for seen in self.looked.end():
            yield from self._told(self.pending.popleft(), seen)
        yield self._closed(math.inf, False)

    def _hold(self, candidate: _Candidate) -> None:
        """Keep its pixels, if it is the sharpest so far of the few around it."""
        for other in reversed(self.pending):
            if int(other.seconds / BIN) != int(candidate.seconds / BIN):
                break
            if other.frame is not None:
                worse = other if other.detail < candidate.detail else candidate
                worse.frame = None
        self.pending.append(candidate)

    def _told(self, candidate: _Candidate, seen: Seen) -> Iterator[Scene]:
        if seen.begins or seen.mixed != self.mixed:
            yield self._closed(candidate.seconds, seen.mixed)
        self.mixed, self.last = seen.mixed, candidate.seconds
        if seen.mixed:
            self.passed["of a cross-fade"] += 1
        elif seen.plain:
            self.passed["black or plain"] += 1
        elif candidate.frame is not None:
            self.held.append(candidate)
            if len(self.held) > HELD * self.wanted.most:
                self._thin_out()

    def _thin_out(self) -> None:
        """Let go of the less sharp one of the two that are nearest to each other in time."""
        gaps = [after.seconds - before.seconds for before, after in pairwise(self.held)]
        place = gaps.index(min(gaps))
        del self.held[place if self.held[place].detail < self.held[place + 1].detail else place + 1]

    def _closed(self, end: float, by_fade: bool) -> Scene:
        """What was found since the last scene ended."""
        begin, held, passed = self.begin, self.held, self.passed
        first = begin + (FADE_EDGE if self.was_mixed else CUT_EDGE)
        last = self.last - (FADE_EDGE if by_fade else CUT_EDGE)
        self.begin, self.held, self.passed, self.was_mixed = end, [], Counter(), self.mixed
        if not held or (self.last == begin and end < math.inf):
            return Scene(begin, end, (), (), passed)
        inner = [one for one in held if first <= one.seconds <= last]
        chosen = sorted(self._choose(inner or held, passed), key=lambda one: one.seconds)
        hashes = tuple(one.perceptual_hash for one in chosen)
        self.known += hashes
        return Scene(begin, end, tuple(one.frame for one in chosen if one.frame), hashes, passed)

    def _choose(self, held: list[_Candidate], passed: Counter[str]) -> list[_Candidate]:
        """The one with the most detail; then, in turn, the one that is least like those chosen, if it is sharp, too."""
        chosen: list[_Candidate] = []
        sharp: list[float] = []
        for one in held:
            one.perceptual_hash = _hash(one.brightness)
        left = sorted(held, key=lambda one: -one.detail)
        for _ in range(self.wanted.most + MOST_BLURRED):
            left = [one for one in left if all(abs(one.seconds - other.seconds) >= self.wanted.gap for other in chosen)]
            apart = [self._apart(one) if not chosen else min(self._apart(one), _apart(one, chosen)) for one in left]
            if len(chosen) == self.wanted.most or not left or max(apart) <= ALIKE:
                break
            first = next(place for place, bits in enumerate(apart) if bits > ALIKE)
            best = left.pop(int(np.argmax(apart)) if chosen else first)
            if not chosen:
                chosen.append(best)  # to be compared with: often no other comes
                continue
            sharp = sharp or [_sharpness(chosen[0].frame)]
            sharp.append(_sharpness(best.frame))
            if sharp[-1] >= BLURRED * max(sharp):
                chosen.append(best)
            else:
                passed["blurred"] += 1
        if not chosen:
            passed["in a scene like an earlier one"] += len(held)
        return chosen

    def _apart(self, one: _Candidate) -> int:
        """Bits between it and what is most like it of all that was kept."""
        return min(((one.perceptual_hash ^ other).bit_count() for other in self.known), default=64)


def _apart(one: _Candidate, others: list[_Candidate]) -> int:
    return min((one.perceptual_hash ^ other.perceptual_hash).bit_count() for other in others)


def _hash(brightness: NDArray[np.uint8]) -> int:
    return perceptual_hash(np.repeat(brightness[..., None], 3, axis=2))


def _detail(grey: NDArray[np.uint8]) -> float:
    """How steep a frame's edges are along some of its rows: enough to compare frames of the same moment."""
    rows = grey[ROWS // 2 :: ROWS].astype(np.int16)
    return float(np.square(rows[:, 2:] - rows[:, :-2], dtype=np.int32).mean())


def _sharpness(frame: Frame | None) -> float:
    """What a known blur does to the edges in the middle of a frame, more to sharp ones: see `measures.edge_ratios`."""
    assert frame is not None
    grey = frame.grey()
    top, left = (int(side * (1 - MIDDLE) / 2) for side in grey.shape)
    return edge_ratios(grey[top : grey.shape[0] - top, left : grey.shape[1] - left])[0]
