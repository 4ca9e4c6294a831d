"""The locator: an asker that answers with the box of the subject's head."""

from __future__ import annotations

import functools
import hashlib
import io
import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sorter.classify.askers import Asker, Scored, askers
from sorter.errors import ModelError
from sorter.files import read_file
from sorter.networks.locator import SIZE, LocatorHead, head_of, network
from sorter.networks.run import Backbone
from sorter.pictures import images
from sorter.pictures.still_bars import margins, window
from sorter.records import Box

if TYPE_CHECKING:
    from sorter.classify.view import View

FILE = "locator.npz"
"""In the folder of a fitted locator."""
DRAWN = Path(__file__).parent / "drawn_heads"
"""The one that is used where nobody has drawn a box: of drawn people and animals, made by samples/heads.py."""
MOST_BYTES = 1 << 20
"""Of the file; a locator's has some tens of thousands."""


@askers.add("locator")
class Locator(Asker):
    """The box of the subject's head, by the boxes that you drew, or by those of drawn people and animals."""

    model: str | None = None
    """The folder that `sorter fit --boxes` wrote, such as "models/head"; without it, the built-in one is asked."""

    def ask(self, view: View) -> Scored:
        square, part = squared(view.small)
        found = _head(self._folder())[0](view.run(network(), square))
        wide, high = view.picture.width, view.picture.height
        left, right = (round(part.across(side) * wide) for side in (found.left, found.right))
        top, bottom = (round(part.down(side) * high) for side in (found.top, found.bottom))
        return Scored(Box(left, top, max(left + 1, right), max(top + 1, bottom)), found.score)

    def networks(self) -> list[Backbone]:
        return [network()]

    def is_answer(self, kept: str) -> bool:
        """A box, or null: there is no head."""
        try:
            said = json.loads(kept)
            box = None if said is None else Box(**said)
        except (ValueError, TypeError):
            return False
        return box is None or (
            all(type(side) is int for side in box.sides) and box.left < box.right and box.top < box.bottom
        )

    def sha256(self) -> str:
        return hashlib.sha256(f"{self.version} {_head(self._folder())[1]}".encode()).hexdigest()

    def _folder(self) -> Path:
        return DRAWN if self.model is None else Path(self.model)


class Part(NamedTuple):
    """The part of a picture that is looked at, in shares of its width and height."""

    left: float
    top: float
    right: float
    bottom: float

    def across(self, share: float) -> float:
        """Where a share of the part's width lies in the picture's, no further than its edges."""
        return self.left + min(max(share, 0.0), 1.0) * (self.right - self.left)

    def down(self, share: float) -> float:
        """The same of the height."""
        return self.top + min(max(share, 0.0), 1.0) * (self.bottom - self.top)

    def shares(self, left: float, top: float, right: float, bottom: float) -> tuple[float, float, float, float]:
        """A box in shares of the picture -> in shares of the part, no further than its edges."""
        across = [min(max((side - self.left) / (self.right - self.left), 0.0), 1.0) for side in (left, right)]
        down = [min(max((side - self.top) / (self.bottom - self.top), 0.0), 1.0) for side in (top, bottom)]
        return across[0], down[0], across[1], down[1]


def squared(pixels: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], Part]:
    """What the network of locators sees of a picture (height, width, 3): all of it within its bars, squeezed to a
    square; and which part that is. Bars would tell the network of edges that nobody drew."""
    grey = pixels.mean(axis=2).astype(np.uint8)
    high, wide = grey.shape
    box = window(grey, margins(grey)) or Box(0, 0, wide, high)
    part = Part(box.left / wide, box.top / high, box.right / wide, box.bottom / high)
    return images.squeezed(np.ascontiguousarray(pixels[box.top : box.bottom, box.left : box.right]), SIZE), part


@functools.lru_cache(maxsize=8)
def _head(folder: Path) -> tuple[LocatorHead, str]:
    data = _read(folder)
    return read_head(data, folder / FILE), hashlib.sha256(data).hexdigest()


def _read(folder: Path) -> bytes:
    try:
        if (folder / FILE).stat().st_size > MOST_BYTES:
            raise ModelError(f"{folder / FILE}: is larger than any locator; fit it again: sorter fit --boxes")
        return read_file(folder / FILE)
    except OSError as found:
        made = f"sorter fit PICTURES --boxes FILE --to {folder} makes it"
        raise ModelError(f"{folder / FILE}: cannot be read: {found.strerror}; {made}") from None


def is_locator(folder: Path) -> bool:
    """Whether a folder holds a fitted locator."""
    return (folder / FILE).is_file()


def read_head(data: bytes, where: Path) -> LocatorHead:
    """A fitted head from its file. Raises ModelError."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return head_of(dict(arrays))
    except (ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile) as found:
        said = " ".join(str(found).split())[:200]
        raise ModelError(f"{where}: is no locator: {said}; fit it again: sorter fit --boxes") from None


def write_head(head: LocatorHead) -> bytes:
    """The file of a head: the same bytes for the same numbers."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as members:
        for name, array in head.arrays().items():
            one = io.BytesIO()
            np.save(one, array, allow_pickle=False)
            members.writestr(zipfile.ZipInfo(f"{name}.npy"), one.getvalue())
    return out.getvalue()
