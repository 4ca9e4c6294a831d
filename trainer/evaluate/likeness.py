"""Drawn pictures beside real ones: copies, contrast and colour."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sorter.commands.check import spread
from sorter.errors import LibraryError, PictureError
from sorter.files import read_file
from sorter.pictures import images
from sorter.pictures.hashing import distance, perceptual_hash
from sorter.threads import in_step
from trainer.evaluate.judge import Show, counted
from trainer.evaluate.known import Known, at_size, fitted
from trainer.evaluate.scores import Share
from trainer.evaluate.trial import Trial

MOST_COMPARED = 5_000
"""Pictures of the library that are compared with."""
COPY = 8
"""Of 64 bits, by which a copy's perceptual hash differs at most, as in `sorter duplicates`."""
STRONG = 1.3
"""Times the library's contrast or saturation from which on it is said. It is no sign of too much training: of good runs
on the sample base no checkpoint reached it, but of overtrained ones hardly any did, either."""
SMALL = 32
"""Pixels a side of what is hashed."""


class Look(NamedTuple):
    """What is compared of a picture."""

    path: Path
    bits: int
    """Its perceptual hash."""
    contrast: float
    """The standard deviation of its brightness, 0..0.5."""
    saturation: float
    """The mean saturation of its pixels as HSV has it, 0..1."""


class Nearest(NamedTuple):
    """A drawn picture, and the picture of the library that is most like it."""

    path: Path
    training: Path
    bits: int
    """Of 64, by which their perceptual hashes differ."""


@dataclass(frozen=True, eq=False)
class Likeness:
    """Drawn pictures beside real ones."""

    trial: Trial
    """How well the sorters judge pictures of that size."""
    nearest: Sequence[Nearest]
    """For each drawn picture, the most alike first."""
    compared: int
    """Real pictures that were compared with."""
    contrast: tuple[float, float]
    """Mean of the drawn pictures, and of the real ones."""
    saturation: tuple[float, float]
    spread: float
    """Of 64 bits, by which two drawn pictures differ in the mean; where it is small, all are alike."""
    nearer: Share | None = None
    """Drawn pictures that are more like a training picture than like any of as many that were held out; of a model
    that has learnt none by heart half of them are (Meehan et al. 2020, arXiv:2004.05675)."""

    @property
    def copies(self) -> list[Nearest]:
        """Drawn pictures that are as like one of the library as copies are."""
        return [one for one in self.nearest if one.bits <= COPY]

    def strong(self) -> list[str]:
        """Sentences where contrast or saturation is far above the library's."""
        said = []
        for name, (drawn, library) in (("contrast", self.contrast), ("saturation", self.saturation)):
            if drawn > STRONG * library > 0:
                said.append(f"the pictures have {drawn / library:.1f} times the {name} of real ones")
        return said


def looks_of(known: Sequence[Known], size: tuple[int, int], show: Show) -> list[Look]:
    """What is compared of real pictures, at this width and height. Raises MissingExtra without imagehash, LibraryError
    where none of them can be read."""
    chosen = spread([one for one in known if one.is_kept], MOST_COMPARED)

    def look(one: Known) -> Look | None:
        found = at_size(one, size)
        return found and _look(found[0], np.asarray(found[1]))

    looks = [one for one in counted(in_step(look, chosen), "looking at real pictures", len(chosen), show) if one]
    if not looks:
        raise LibraryError(f"{known[0].name}: neither this picture nor another one of the library can be read")
    return looks


def compare(
    paths: Sequence[Path], real: Sequence[Look], trial: Trial, show: Show, held_out: Sequence[Look] = ()
) -> Likeness:
    """Compare drawn pictures with real ones, and these with others that no model has seen."""
    size = trial.lens.size
    looks = counted(in_step(lambda path: _drawn(path, size), paths), "comparing pictures", len(paths), show)
    drawn = [one for one in looks if one]
    contrast, saturation = (_means(drawn, real, name) for name in ("contrast", "saturation"))
    nearest = _nearest(drawn, real)
    return Likeness(trial, nearest, len(real), contrast, saturation, _spread(drawn), _nearer(drawn, real, held_out))


def _spread(drawn: Sequence[Look]) -> float:
    bits = np.array([one.bits for one in drawn], np.uint64)
    apart = distance(bits[:, None], bits[None, :])
    return float(apart.sum()) / max(1, len(bits) * (len(bits) - 1))


def _nearer(drawn: Sequence[Look], training: Sequence[Look], held_out: Sequence[Look]) -> Share | None:
    if not held_out:
        return None
    count = min(len(training), len(held_out))
    known, new = ({one.path: one.bits for one in _nearest(drawn, spread(some, count))} for some in (training, held_out))
    right = sum((known[path] < new[path]) + (known[path] == new[path]) / 2 for path in known)
    return Share(right, len(known))


def _means(drawn: Sequence[Look], training: Sequence[Look], name: str) -> tuple[float, float]:
    first, second = (float(np.mean([getattr(one, name) for one in some])) for some in (drawn, training))
    return first, second


def _nearest(drawn: Sequence[Look], training: Sequence[Look]) -> list[Nearest]:
    """For each drawn picture the most like it, the most alike pairs first."""
    bits = np.array([one.bits for one in training], np.uint64)
    nearest = []
    for one in drawn:
        apart = distance(bits, np.uint64(one.bits))  # type: ignore[arg-type]
        place = int(apart.argmin())
        nearest.append(Nearest(one.path, training[place].path, int(apart[place])))
    return sorted(nearest, key=lambda one: one.bits)


def _drawn(path: Path, size: tuple[int, int]) -> Look | None:
    with suppress(OSError, PictureError):
        return _look(path, np.asarray(fitted(read_file(path), size)))
    return None


def _look(path: Path, pixels: NDArray[np.uint8]) -> Look:
    small = images.fit_view(pixels, SMALL)
    values = pixels[::2, ::2].astype(np.float32) / 255 if min(pixels.shape[:2]) > 2 * SMALL else pixels / 255
    most, least = values.max(axis=2), values.min(axis=2)
    brightness = values @ np.array([0.299, 0.587, 0.114], np.float32)
    saturation = float(np.mean((most - least) / np.maximum(most, 1e-6)))
    return Look(path, perceptual_hash(small), float(brightness.std()), saturation)
