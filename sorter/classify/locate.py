"""The locator: an asker that answers with the box of the subject's head."""

from __future__ import annotations

import functools
import hashlib
import io
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sorter.classify.askers import Asker, Scored, askers
from sorter.errors import ModelError
from sorter.files import read_file
from sorter.networks.locator import LocatorHead, head_of, network
from sorter.networks.run import Backbone
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
        found = _head(self._folder())[0](view.whole_maps(network()))
        wide, high = view.picture.width, view.picture.height
        left, right = sorted(round(min(max(side, 0.0), 1.0) * wide) for side in (found.left, found.right))
        top, bottom = sorted(round(min(max(side, 0.0), 1.0) * high) for side in (found.top, found.bottom))
        return Scored(Box(left, top, right, bottom), found.score)

    def networks(self) -> list[Backbone]:
        return [network()]

    def sha256(self) -> str:
        return hashlib.sha256(f"{self.version} {_head(self._folder())[1]}".encode()).hexdigest()

    def _folder(self) -> Path:
        return DRAWN if self.model is None else Path(self.model)


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
        raise ModelError(
            f"{folder / FILE}: cannot be read: {found.strerror}; sorter fit PICTURES --boxes FILE --to {folder} makes it"
        ) from None


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
