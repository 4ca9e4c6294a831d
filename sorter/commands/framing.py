"""Pictures of a library -> what of each a dataset gets: within bars, cropped, with what is not to be learned masked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from sorter.commands.chosen import Chosen
from sorter.commands.overlays import overlays_on
from sorter.dataset.croppers import Cropper, Framed, framed
from sorter.dataset.overlays import Clear, Mode, clear
from sorter.errors import PictureError
from sorter.files import read_file
from sorter.library.store.contents import Placed
from sorter.library.store.manifest import Manifest
from sorter.pictures.images import read_picture
from sorter.records import Picture, Unreadable, Verdict
from sorter.tally import Report, Track, silent


class How(NamedTuple):
    """How pictures are framed."""

    cropper: Cropper
    overlays: Mode = "bars"
    masked: bool = True
    """Whether there will be masks."""


class InFrame(NamedTuple):
    """A picture with its frame."""

    placed: Placed
    """Its file in the library, as we left it."""
    picture: Picture
    """That file as it stands."""
    verdict: Verdict
    made: Framed


def in_frame(
    library: Manifest,
    pictures: Iterable[Chosen],
    how: How,
    report: Report,
    track: Track[Any] = silent,
    keep: bool = True,
) -> Iterator[InFrame]:
    """The pictures with their frames; the report counts what was cut, padded and left small.

    `keep`: write what was found of bars and subtitles into the library's manifest. Raises MissingExtra, OptionsError.
    """
    pictures = list(pictures)
    found = overlays_on(pictures, library, how.overlays, track, keep)
    for verdict, one, sha256 in pictures:
        picture = verdict.picture._replace(sha256=sha256)
        if sha256 != one.sha256:
            path = library.root / one.output.path
            try:
                picture, _ = read_picture(path, read_file(path))  # edited, perhaps to another size
            except PictureError as error:
                report.failures.append(Unreadable(path, str(error)))
                continue
            verdict = verdict._replace(answers=())  # what was found is not where it was
        over = found.get(sha256)
        cleared = clear(over, how.overlays, how.masked) if over else Clear()
        turn = one.is_mirrored != verdict.mirror  # corrected since the last sort: turned here already
        made = framed(picture, verdict, how.cropper, cleared, turn)
        report.counts.update((*cleared.done, *made.remarks))
        yield InFrame(one, picture, verdict, made)
