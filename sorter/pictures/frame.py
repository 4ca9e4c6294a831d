"""A decoded frame of a video -> pixels. Pure: the frame is in memory already."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sorter.pictures.hdr import HLG, PQ, tone_mapped
from sorter.records import Box

if TYPE_CHECKING:
    from av import VideoFrame
    from av.video.reformatter import VideoReformatter

SMALL = 64, 36
"""Pixels (width, height) of the view by which scenes are told apart; its two colour planes have half of that."""
HD_LINES = 576
"""Lines of a video above which it has the colours of BT.709 where it does not say; up to these, of BT.601."""
UNSAID = 2
"""What H.273 calls unspecified (table 4, MatrixCoefficients)."""


@dataclass(frozen=True)
class Video:
    """What is known of a video before it is read."""

    path: Path
    seconds: float | None
    """Its length; None where it does not say."""
    rate: float
    """Frames a second, on average."""
    aspect: float = 1.0
    """The width of a stored pixel, its height being 1."""
    bars: Box | None = None
    """The part of its frames that is picture, in pixels as they are stored; None for all of it."""
    is_hdr: bool = False
    is_interlaced: bool = False


@dataclass(frozen=True)
class Frame:
    """A decoded frame, still as the decoder gave it."""

    video: Video
    seconds: float
    """From the video's beginning."""
    raw: VideoFrame = field(repr=False)
    scaler: VideoReformatter = field(repr=False)
    """What makes the small views of all frames of a video: to set it up takes ten times as long as its work."""

    def small(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Its brightness and its colours, each pixel the mean of many: SMALL, or the part of it that is picture."""
        from av.video.reformatter import Interpolation

        width, height = SMALL
        how = {"interpolation": Interpolation.AREA, "threads": 1}
        view = self.scaler.reformat(self.raw, width, height, "yuv420p", **how)
        brightness, *colours = (_plane(view, number) for number in range(3))
        if box := self.video.bars:
            across, down = width / self.raw.width, height / self.raw.height
            rows, columns = _inside(box.top * down, box.bottom * down), _inside(box.left * across, box.right * across)
            brightness = brightness[rows, columns]
        return brightness.copy(), np.stack(colours)

    def grey(self) -> NDArray[np.uint8]:
        """Brightness (height, width) at the frame's own size, as it is stored; without the bars."""
        return _cut(grey(self.raw), self.video.bars)

    def pixels(self) -> NDArray[np.uint8]:
        """RGB (height, width, 3): upright, its pixels square, without bars; HDR as `hdr.tone_mapped` has it."""
        raw, box = self.raw, self.video.bars
        width, height = self._size()
        how: dict[str, Any] = {"width": width, "height": height, "interpolation": "LANCZOS"}
        if raw.colorspace == UNSAID and raw.height > HD_LINES:
            how["src_colorspace"] = "ITU709"
        if raw.color_trc in (PQ, HLG):
            found = tone_mapped(
                np.asarray(raw.reformat(format="rgb48le", **how).to_ndarray(), np.uint16), raw.color_trc
            )
        else:
            found = np.asarray(raw.reformat(format="rgb24", **how).to_ndarray(), np.uint8)
        if box:
            across, down = width / raw.width, height / raw.height
            found = _cut(found, Box(*(round(side) for side in (
                box.left * across, box.top * down, box.right * across, box.bottom * down))))  # fmt: skip
        return np.ascontiguousarray(np.rot90(found, round(raw.rotation / 90)))

    def _size(self) -> tuple[int, int]:
        """Width and height with square pixels: the side that is too short is made longer, so that nothing is lost."""
        aspect = self.video.aspect
        if aspect >= 1:
            return round(self.raw.width * aspect), self.raw.height
        return self.raw.width, round(self.raw.height / aspect)


def grey(raw: VideoFrame) -> NDArray[np.uint8]:
    """The brightness of a decoded frame (height, width); without a copy where it is stored in 8 bits by itself."""
    kind = raw.format
    if kind.name.startswith(("yuv", "gray", "nv")) and kind.components[0].bits == 8 and kind.is_planar:
        return _plane(raw, 0)
    return np.asarray(raw.reformat(format="gray").to_ndarray())


def _plane(raw: VideoFrame, number: int) -> NDArray[np.uint8]:
    plane = raw.planes[number]
    values = np.frombuffer(memoryview(plane), np.uint8)
    return values.reshape(-1, plane.line_size)[: plane.height, : plane.width]


def _cut(pixels: NDArray[np.uint8], box: Box | None) -> NDArray[np.uint8]:
    return pixels[box.top : box.bottom, box.left : box.right] if box else pixels


def _inside(start: float, stop: float) -> slice:
    """The whole pixels between two places, one at least."""
    first = int(np.ceil(start - 0.01))
    return slice(first, max(first + 1, int(stop + 0.01)))
