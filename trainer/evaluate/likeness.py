"""Drawn pictures beside those of the library: how well the sorters judge at that size, copies, contrast and colour."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sorter.commands.check import spread
from sorter.commands.gallery import Gallery, Place
from sorter.commands.job import Job
from sorter.commands.plan import verdicts
from sorter.errors import LibraryError, PictureError
from sorter.files import read_file, read_if
from sorter.library.store.manifest import Manifest
from sorter.pictures import images
from sorter.pictures.hashing import distance, perceptual_hash
from sorter.pictures.png import encode_png
from sorter.records import Unreadable, Verdict
from sorter.threads import in_step
from trainer.evaluate.judge import Judgement, Show, counted, is_sure
from trainer.evaluate.scores import AxisScore

if TYPE_CHECKING:
    from PIL.Image import Image

MOST_JUDGED = 300
"""Pictures of the library that the sorters judge: an agreement is then good to about 4 points."""
MOST_ENCODED = 100
"""Of those, where each goes through an autoencoder: 512x512 takes seconds on a CPU."""
MOST_COMPARED = 5_000
"""Pictures of the library that are compared with."""
COPY = 8
"""Of 64 bits, by which a copy's perceptual hash differs at most, as in `sorter duplicates`."""
STRONG = 1.3
"""Times the library's contrast or saturation from which on it is said."""
SMALL = 32
"""Pixels a side of what is hashed."""


Through = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
"""A picture (height, width, 3), RGB -> what is left of it."""
Told = Mapping[str, tuple[str, str, bool]]
"""Axis -> the class that is known, the one that is seen, and whether the sorter is sure of that."""


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


@dataclass(frozen=True, slots=True)
class Likeness:
    """Drawn pictures beside a library's."""

    size: tuple[int, int]
    """Width and height to which the library's pictures were scaled and cropped."""
    ceiling: Mapping[str, AxisScore]
    """Axis -> what is known of the library's certain pictures against what the sorter sees in them at that size."""
    encoded: bool
    """Whether they went through a base's autoencoder for that."""
    nearest: Sequence[Nearest]
    """For each drawn picture, the most alike first."""
    compared: int
    """Pictures of the library that were compared with."""
    contrast: tuple[float, float]
    """Mean of the drawn pictures, and of the library's."""
    saturation: tuple[float, float]

    @property
    def at(self) -> str:
        """Such as "at 512x512"."""
        return f"at {self.size[0]}x{self.size[1]}{' through the autoencoder' if self.encoded else ''}"

    @property
    def copies(self) -> list[Nearest]:
        """Drawn pictures that are as like one of the library as copies are."""
        return [one for one in self.nearest if one.bits <= COPY]

    def strong(self) -> list[str]:
        """Sentences where contrast or saturation is far above the library's."""
        said = []
        for name, (drawn, library) in (("contrast", self.contrast), ("saturation", self.saturation)):
            if drawn > STRONG * library > 0:
                said.append(
                    f"the pictures have {drawn / library:.1f} times the {name} of the library's: see whether the "
                    "training went on too long, or guidance is too high"
                )
        return said


def compare(made: Judgement, library: Path, show: Show, through: Through | None = None) -> Likeness:
    """Compare judged pictures with those of a library that are beyond doubt. Changes nothing in it.

    `through`: what is done to the library's pictures before the sorters judge them. Raises LibraryError where there is
    no library, or nothing certain in it; MissingExtra without imagehash.
    """
    size, axes = made.usual_size, tuple(made.axes)
    with Manifest(library, dry_run=True) as manifest:
        certain = [one for one in verdicts(manifest, made.job) if not (one.unwanted or one.unsure)]
        chosen = spread(certain, MOST_COMPARED)
        places = Gallery(manifest, library).standing(chosen)
    asked = {one.picture.sha256 for one in spread(chosen, MOST_ENCODED if through else MOST_JUDGED)}

    def of_library(pair: tuple[Verdict, list[Place]]) -> tuple[Look, Told] | None:
        verdict, where = pair
        found = _first(where, size)
        if found is None:
            return None
        pixels = np.asarray(found[1])
        if verdict.picture.sha256 not in asked:
            return _look(found[0], pixels), {}
        shown = through(pixels) if through else pixels
        return _look(found[0], pixels), _told(verdict, shown, made.job, axes)

    rows = counted(in_step(of_library, zip(chosen, places, strict=True)), "looking at the library", len(chosen), show)
    training = [row for row in rows if row]
    if not training:
        raise LibraryError(f"{library}: holds no picture that is beyond doubt and can be read; sort some first")
    paths = [one.path for one in made.readable]
    looks = counted(in_step(lambda path: _drawn(path, size), paths), "comparing pictures", len(paths), show)
    drawn = [one for one in looks if one]
    ceiling = _ceiling([told for _, told in training], axes)
    library_looks = [look for look, _ in training]
    contrast, saturation = (_means(drawn, library_looks, name) for name in ("contrast", "saturation"))
    nearest = _nearest(drawn, library_looks)
    return Likeness(size, ceiling, through is not None, nearest, len(training), contrast, saturation)


def _means(drawn: list[Look], training: list[Look], name: str) -> tuple[float, float]:
    first, second = (float(np.mean([getattr(one, name) for one in some])) for some in (drawn, training))
    return first, second


def _nearest(drawn: list[Look], training: list[Look]) -> list[Nearest]:
    """For each drawn picture the most like it, the most alike pairs first."""
    bits = np.array([one.bits for one in training], np.uint64)
    nearest = []
    for one in drawn:
        apart = distance(bits, np.uint64(one.bits))  # type: ignore[arg-type]
        place = int(apart.argmin())
        nearest.append(Nearest(one.path, training[place].path, int(apart[place])))
    return sorted(nearest, key=lambda one: one.bits)


def _ceiling(told: list[Told], axes: Sequence[str]) -> dict[str, AxisScore]:
    found = {axis: Counter(one[axis][:2] for one in told if axis in one) for axis in axes}
    sure = Counter(axis for one in told for axis in one if one[axis][2])
    return {axis: AxisScore(confusion, sure[axis]) for axis, confusion in found.items() if confusion}


def _told(verdict: Verdict, pixels: NDArray[np.uint8], job: Job, axes: Sequence[str]) -> Told:
    known = {label.axis: label.name for label in verdict.labels}
    seen = job.questions.answer(Path(verdict.picture.path), encode_png(pixels), axes)
    if isinstance(seen, Unreadable):
        return {}
    return {one.axis: (known[one.axis], one.name, is_sure(one, job)) for one in seen.labels if one.axis in known}


def _first(places: Sequence[Place], size: tuple[int, int]) -> tuple[Path, Image] | None:
    """The first of these places that holds the picture, and it at this size."""
    from PIL import ImageOps

    for place in places:
        with suppress(OSError, PictureError):
            data = read_if(place.path, place.sha256) if place.sha256 else read_file(place.path)
            picture = fitted(data or b"", size)
            return place.path, ImageOps.mirror(picture) if place.mirror else picture
    return None


def _drawn(path: Path, size: tuple[int, int]) -> Look | None:
    with suppress(OSError, PictureError):
        return _look(path, np.asarray(fitted(read_file(path), size)))
    return None


def fitted(data: bytes, size: tuple[int, int]) -> Image:
    """A picture scaled to cover this width and height, and cropped to its middle, in RGB. Raises PictureError."""
    from PIL import Image, ImageOps

    with images.opened(data) as image:
        pixels = images.load_small(data, image, at_least=max(size))
    return ImageOps.fit(Image.fromarray(pixels), size, Image.Resampling.LANCZOS)


def _look(path: Path, pixels: NDArray[np.uint8]) -> Look:
    small = images.fit_view(pixels, SMALL)
    values = pixels[::2, ::2].astype(np.float32) / 255 if min(pixels.shape[:2]) > 2 * SMALL else pixels / 255
    most, least = values.max(axis=2), values.min(axis=2)
    brightness = values @ np.array([0.299, 0.587, 0.114], np.float32)
    saturation = float(np.mean((most - least) / np.maximum(most, 1e-6)))
    return Look(path, perceptual_hash(small), float(brightness.std()), saturation)
