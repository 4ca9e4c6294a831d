"""Askers for what was laid over a picture, or around it: black bars, and written words."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sorter.classify.askers import Asker, askers
from sorter.errors import MissingExtra
from sorter.pictures.still_bars import NONE, SMALLEST, margins, window

if TYPE_CHECKING:
    from sorter.classify.view import View

LONGER_SIDE = 640
"""Pixels, to which a picture is made smaller for the detector: of a subtitle's line, 22 are left."""
LONGEST = 20
"""Times its width or height, that a picture may be long: the detector refuses longer strips."""


@askers.add("bars")
class Bars(Asker):
    """Black bars, or of another colour: how far each edge is of one colour, and the window that bars leave."""

    def ask(self, view: View) -> dict[str, Any]:
        """{"size": width, height; "margins": left, top, right, bottom; "window": the same of a box, or None}."""
        flat = NONE if view.is_transparent else margins(view.grey)  # a figure cut out of its picture has no bars
        size = view.picture.width, view.picture.height
        return {"size": size, "margins": flat, "window": (found := window(view.grey, flat)) and found.sides}


@askers.add("text")
class Text(Asker):
    """Where something is written, by rapidocr's detector: subtitles, watermarks, signs of the scene."""

    def ask(self, view: View) -> list[list[int]]:
        """Boxes: left, top, right, bottom, in pixels. Raises MissingExtra."""
        size = view.picture.width, view.picture.height
        if min(size) < SMALLEST or max(size) > LONGEST * min(size):
            return []
        found = _detector()(np.asarray(view.rgb)[:, :, ::-1], use_det=True, use_cls=False, use_rec=False)
        boxes = [] if found.boxes is None else found.boxes
        return [[int(side) for side in (*corners.min(axis=0), *np.ceil(corners.max(axis=0)))] for corners in boxes]

    def sha256(self) -> str:
        """Another version of rapidocr may have another detector."""
        return hashlib.sha256(f"{super().sha256()} {detector_version()}".encode()).hexdigest()


def detector_version() -> str:
    """The version of rapidocr. Raises MissingExtra."""
    try:
        return version("rapidocr")
    except PackageNotFoundError:
        raise MissingExtra("overlays", "finding subtitles") from None


@cache
def _detector() -> Any:
    """rapidocr with its detector alone, which its wheel holds; called by several threads, each on one core."""
    try:
        import cv2
        import onnxruntime  # noqa: F401 - rapidocr looks for it when it is first asked
        import rapidocr
    except ImportError:
        raise MissingExtra("overlays", "finding subtitles") from None
    cv2.setNumThreads(1)
    here = Path(rapidocr.__file__).parent / "models"
    return rapidocr.RapidOCR(params={
        "Global.log_level": "error",
        "Det.model_path": str(next(here.glob("*_det_small.onnx"))),
        "Det.limit_type": "max",
        "Det.limit_side_len": LONGER_SIDE,
        "EngineConfig.onnxruntime.intra_op_num_threads": 1,
        "EngineConfig.onnxruntime.inter_op_num_threads": 1,
    })  # fmt: skip
