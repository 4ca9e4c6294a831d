"""Pictures whose classes are known: those of a library, or of the dataset that a run was trained on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sorter.commands.chosen import chosen
from sorter.commands.framing import How, in_frame
from sorter.commands.gallery import Gallery, Place
from sorter.commands.job import Job
from sorter.commands.plan import verdicts
from sorter.errors import LibraryError, PictureError
from sorter.files import read_file, read_if
from sorter.library.store.manifest import Manifest
from sorter.pictures import images
from sorter.records import Render, Verdict
from sorter.tally import Report
from trainer.dataset import Dataset
from trainer.evaluate.asked import Reader

if TYPE_CHECKING:
    from PIL.Image import Image


IN_THE_MIDDLE = ("none", "centre", "bucket")
"""Croppers that show what `fitted` does: the middle of a picture."""


class Known(NamedTuple):
    """A picture whose classes are known."""

    sha256: str
    """Of the picture as it was found."""
    name: str
    """The path where it was found: neighbouring frames have names that follow each other."""
    places: Sequence[Place]
    """The files that may hold it."""
    classes: Mapping[str, str]
    """Axis -> its class, as the picture stands."""
    is_kept: bool = True
    """False for one that is left out of the library by a class that the scheme drops; then only that is known of it."""
    frame: Render | None = None
    """What of the first of these files a dataset shows."""


def of_library(library: Path, job: Job) -> list[Known]:
    """The pictures of a library that are beyond doubt, and those that are left out by a class. Changes nothing in it.

    Raises LibraryError where there is no library, or nothing certain in it.
    """
    with Manifest(library, dry_run=True) as manifest:
        certain = [one for one in verdicts(manifest, job) if not one.unsure]
        places = Gallery(manifest, library).standing(certain)
        framed = {} if job.scheme.crop.use in IN_THE_MIDDLE else _framed(manifest, job)
    found = [one for pair in zip(certain, places, strict=True) if (one := _known(*pair, job))]
    found = [framed.get(one.sha256, one) for one in found]
    if not any(one.is_kept for one in found):
        raise LibraryError(f"{library}: holds no picture that is beyond doubt; sort some first")
    return found


def _framed(manifest: Manifest, job: Job) -> dict[str, Known]:
    """The pictures of a library as a dataset shows them, by the hash of each as it was found."""
    pictures = list(chosen(manifest, job, False, Report(), "evaluate"))
    found = {}
    for one in in_frame(manifest, pictures, How(job.cropper), Report(), keep=False):
        classes = {label.axis: label.name for label in one.verdict.labels}
        place = Place(manifest.root / one.placed.output.path)
        picture = one.verdict.picture
        found[picture.sha256] = Known(picture.sha256, picture.path, [place], classes, frame=one.made.rendered)
    return found


def of_dataset(dataset: Dataset, job: Job) -> list[Known]:
    """The pictures of a dataset, of the classes that their captions name."""
    reader = Reader(job.scheme, job.questions.labels())
    return [Known(one.sha256, str(one.path), [Place(one.path)], reader.asked(one.caption).classes)
            for one in dataset.examples]  # fmt: skip


def _known(verdict: Verdict, places: Sequence[Place], job: Job) -> Known | None:
    classes = {label.axis: label.name for label in verdict.labels}
    if verdict.unwanted:
        axes = job.scheme.axes
        classes = {axis: name for axis, name in classes.items() if axis in axes and axes[axis].meaning(name).drop}
    if not classes:
        return None
    return Known(verdict.picture.sha256, verdict.picture.path, places, classes, not verdict.unwanted)


def at_size(known: Known, size: tuple[int, int]) -> tuple[Path, Image] | None:
    """The file that holds the picture, and the picture as it stands, at this width and height; None if it is gone."""
    from PIL import ImageOps

    for place in known.places:
        with suppress(OSError, PictureError):
            data = read_if(place.path, place.sha256) if place.sha256 else read_file(place.path)
            if data and known.frame:
                data = images.render(data, known.frame._replace(opaque=True), ".png")
            picture = fitted(data or b"", size)
            return place.path, ImageOps.mirror(picture) if place.mirror else picture
    return None


def fitted(data: bytes, size: tuple[int, int]) -> Image:
    """A picture scaled to cover this width and height, and cropped to its middle, in RGB. Raises PictureError."""
    from PIL import Image, ImageOps

    with images.opened(data) as image:
        pixels = images.load_small(data, image, at_least=max(size))
    return ImageOps.fit(Image.fromarray(pixels), size, Image.Resampling.LANCZOS)


Pixels = NDArray[np.uint8]
Through = Callable[[Pixels], Pixels]
"""A picture (height, width, 3), RGB -> what is left of it."""


@dataclass(frozen=True, slots=True)
class Lens:
    """How real pictures are made like drawn ones before they are judged."""

    size: tuple[int, int]
    """Width and height to which they are scaled and cropped."""
    through: Through | None = None
    """A base's autoencoder."""
    sha256: str = ""
    """Of that autoencoder."""

    @property
    def at(self) -> str:
        """Such as "at 512x512"."""
        return f"at {self.size[0]}x{self.size[1]}{' through the autoencoder' if self.through else ''}"

    def __call__(self, known: Known) -> Pixels | None:
        """The picture, as a drawn one would look; None where it is gone or damaged."""
        found = at_size(known, self.size)
        if found is None:
            return None
        pixels = np.asarray(found[1])
        return self.through(pixels) if self.through else pixels
