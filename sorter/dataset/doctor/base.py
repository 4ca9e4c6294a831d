"""What every trainer's file is made of: the dataset as it lies there, what is found, and what all trainers share. Pure.

A trainer reads pictures in `Source`s, folders with settings of their own; each picture becomes an `Example`, what the
trainer makes of it, or a `Finding` (see diagnosis.py), or both.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Annotated, Any, ClassVar, NamedTuple, Self

from pydantic import Field

from sorter.buckets import Fit
from sorter.dataset.doctor import kinds
from sorter.dataset.doctor.diagnosis import Diagnosis, Example
from sorter.dataset.doctor.kinds import Kind
from sorter.plugins import Options, Registry

MOST_TOKENS = 75
"""What CLIP's text encoder takes beside its begin and end."""
VALIDATION = "validation"
"""The folder of pictures that are held out, as exports and Hugging Face's datasets call it."""
MUCH = 0.25
"""The share of a picture that may be cut off without a word."""


class Seen(NamedTuple):
    """A picture file, by its header."""

    path: str
    """Below the dataset's folder, "/" between its parts."""
    width: int = 0
    height: int = 0
    """Pixels as they are stored."""
    turned: int = 1
    """The EXIF orientation: 1 is upright; from 5 on it lies on its side."""
    format: str = ""
    """Pillow's name."""
    transparent: bool = False
    deep: bool = False
    """More than 8 bits a colour."""
    why: str = ""
    """Why it cannot be read; empty if it can."""

    @property
    def upright(self) -> tuple[int, int]:
        """Width and height as a person sees it."""
        return (self.height, self.width) if self.turned >= 5 else (self.width, self.height)


@dataclass(frozen=True)
class Dataset:
    """A dataset's folder. Paths are below it."""

    name: str
    """Its own."""
    pictures: Mapping[str, Seen]
    """Every file with a picture's ending, by its path, in order."""
    files: Mapping[str, int]
    """Every file -> when it was changed, nanoseconds."""
    read: Callable[[str], bytes]
    """The bytes of a file. Raises OSError."""
    tokens: Callable[[str], int]
    """How many tokens a caption has, at least."""


class Source(NamedTuple):
    """A folder as a trainer is told of it."""

    folder: str = ""
    """Below the dataset's; empty: itself."""
    repeats: int = 1
    deep: bool = False
    """Whether folders in it are read, too."""
    ending: str = ".txt"
    """Of captions."""
    flip: bool = False
    words: str | None = None
    """The caption of pictures that have none."""
    held_out: bool = False
    """Whether its pictures are for validation, and not trained on."""


class Trainer(Options):
    """What every trainer is: its fields are its settings; called with a dataset, it says what it will make of it."""

    resolution: Annotated[int, Field(ge=64, le=8192)] = 512
    """Pixels a side that are trained on."""
    batch_size: Annotated[int, Field(ge=1)] = 1
    flip: bool = False
    """Whether pictures are mirrored at random."""

    endings: ClassVar[frozenset[str]] = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp"})
    """Of files that it takes for pictures, in lower case."""
    upright: ClassVar[bool] = True
    """Whether it turns pictures as EXIF says."""
    unreadable: ClassVar[Kind] = kinds.UNREADABLE
    few: ClassVar[Kind] = kinds.FEW_FOR_BATCH

    def __call__(self, dataset: Dataset) -> Diagnosis:
        """Go through the sources, then through what no source has read."""
        out, used = Diagnosis(), set()
        for source in self.sources(dataset, out):
            seen = list(self.pictures(dataset, source))
            used |= {one.path for one in seen}
            for one in seen:
                self._look_at(one, dataset, source, out)
            self.clashes(seen, out)
            if source.flip:
                out.add(kinds.FLIPPED, source.folder or ".")
        if count := sum(PurePosixPath(one.path).parts[0] == VALIDATION for one in out.examples):
            out.add(kinds.TRAINED_ON, VALIDATION, f"{count} pictures")
        self._unused(dataset, used, out)
        for size, count in out.buckets().items():
            if count < self.batch_size:
                out.add(self.few, f"{size[0]}x{size[1]}", f"{count} of {self.batch_size}")
        if not out.examples:
            out.add(kinds.NO_PICTURES, ".")
        return out

    def trained_at(self, resolution: Any) -> Self:
        """The same with the resolution of a config, where that is a size, and nobody has said another."""
        is_size = isinstance(resolution, int) and 64 <= resolution <= 8192
        if not is_size or "resolution" in self.model_fields_set:
            return self
        return self.model_copy(update={"resolution": resolution})

    def sources(self, dataset: Dataset, out: Diagnosis) -> list[Source]:
        """The folders that are read."""
        raise NotImplementedError

    def fit(self, width: int, height: int) -> Fit:
        """The size that a picture is trained at. Raises ValueError where it has none."""
        raise NotImplementedError

    def pictures(self, dataset: Dataset, source: Source) -> Iterator[Seen]:
        """The pictures that are read from a source."""
        for path, seen in dataset.pictures.items():
            if is_in(path, source) and PurePosixPath(path).suffix.lower() in self.endings:
                yield seen

    def caption(self, seen: Seen, dataset: Dataset, source: Source, out: Diagnosis) -> str | None:
        """The caption of a picture; None where the trainer stops at it."""
        path = str(PurePosixPath(seen.path).with_suffix(source.ending))
        if path not in dataset.files:
            self.without(seen, dataset, source, out)
            return source.words or ""
        try:
            text = dataset.read(path).decode()
        except UnicodeDecodeError:
            out.add(kinds.NOT_UTF8, path)
            return None
        except OSError as error:
            out.add(kinds.NOT_UTF8._replace(name="caption cannot be read", do="make it readable"), path, str(error))
            return None
        return self.words_of(text, path, out)

    def without(self, seen: Seen, dataset: Dataset, source: Source, out: Diagnosis) -> None:
        """A picture has no caption: or one with an ending that is not read."""
        stem = PurePosixPath(seen.path).with_suffix("")
        others = [f"{stem}{ending}" for ending in (".txt", ".caption", ".json") if f"{stem}{ending}" in dataset.files]
        if others:
            out.add(kinds.NEVER_READ, others[0], f"{source.ending} is read")
        elif source.words:
            out.add(kinds.FOLDERS_WORDS, seen.path, source.words)
        else:
            out.add(kinds.NO_CAPTION, seen.path)

    def words_of(self, text: str, path: str, out: Diagnosis) -> str | None:
        """What is taken of a caption's file; None where the trainer stops at it."""
        if not text.strip():
            out.add(kinds.EMPTY, path)
        elif len(text.split("\n")) - text.endswith("\n") > 1:
            out.add(kinds.MORE_LINES, path)
        return text.strip()

    def clashes(self, seen: list[Seen], out: Diagnosis) -> None:
        """Pictures of one source that differ in their endings alone."""
        stems: dict[str, list[str]] = defaultdict(list)
        for one in seen:
            stems[str(PurePosixPath(one.path).with_suffix("")).casefold()].append(one.path)
        for paths in stems.values():
            for path in paths[1:]:
                out.add(kinds.SAME_STEM, path, PurePosixPath(paths[0]).name)

    def _look_at(self, seen: Seen, dataset: Dataset, source: Source, out: Diagnosis) -> None:
        if seen.why:
            out.add(self.unreadable, seen.path, seen.why)
            return
        caption = self.caption(seen, dataset, source, out)
        self.pixels(seen, out)
        try:
            fit = self.fit(*(seen.upright if self.upright else (seen.width, seen.height)))
        except ValueError as error:
            out.add(kinds.NO_BUCKET, seen.path, str(error))
            return
        if fit.enlarged > 1:
            out.add(kinds.UPSCALED, seen.path, f"{fit.enlarged:.2f} times")
        if fit.lost > MUCH:
            out.add(kinds.MUCH_LOST, seen.path, f"{fit.lost:.0%}")
        if caption is not None:
            self.about_words(caption, seen.path, dataset, source, out)
            side = out.held_out if source.held_out else out.examples
            side.append(Example(seen.path, caption, fit, source.repeats))

    def about_words(self, caption: str, path: str, dataset: Dataset, source: Source, out: Diagnosis) -> None:
        """What may be wrong with a caption's words."""
        if (tokens := dataset.tokens(caption)) > MOST_TOKENS:
            out.add(kinds.TOO_LONG, path, f"{tokens} tokens")
        if source.flip and (sides := kinds.SIDES & set(re.findall(r"[\w-]+", caption.casefold().replace("_", " ")))):
            out.add(kinds.SIDE_AND_FLIP, path, min(sides))

    def pixels(self, seen: Seen, out: Diagnosis) -> None:
        """What may be wrong with a picture, by its header."""
        if seen.transparent:
            out.add(kinds.TRANSPARENT, seen.path)
        if seen.deep:
            out.add(kinds.DEEP, seen.path)
        if seen.turned != 1 and not self.upright:
            out.add(kinds.LIES_ON_ITS_SIDE, seen.path)

    def _unused(self, dataset: Dataset, used: set[str], out: Diagnosis) -> None:
        apart = 0
        for path in dataset.pictures:
            if path in used or self.is_meant(path):
                continue
            if PurePosixPath(path).parts[0] == VALIDATION:
                apart += 1
                continue
            known = PurePosixPath(path).suffix.lower() in self.endings
            out.add(kinds.WRONG_DEPTH if known else kinds.NOT_A_FORMAT, path)
        if apart:
            out.notes.append(f"{apart} pictures in {VALIDATION}/ are held out: the trainer does not read them")

    def is_meant(self, path: str) -> bool:
        """Whether a picture that is not read is no loss, such as a mask."""
        return "masks" in PurePosixPath(path).parts[:-1]


def is_in(path: str, source: Source) -> bool:
    """Whether a file lies in a source's folder, or below it where that counts."""
    parent = str(PurePosixPath(path).parent)
    folder = source.folder or "."
    return parent == folder or (source.deep and (folder == "." or parent.startswith(f"{folder}/")))


def below(dataset: Dataset, named: str) -> str | None:
    """A folder that a config names, below the dataset's own: by as many of its last parts as are there; empty for the
    dataset's own, None where it is neither.

    A config holds a path of the machine that trains, which need not be this one.
    """
    folders = {str(parent) for path in dataset.files for parent in PurePosixPath(path).parents}
    parts = PurePosixPath(named.replace("\\", "/")).parts
    found = next((name for start in range(len(parts)) if (name := "/".join(parts[start:])) in folders), None)
    return "" if found is None and parts[-1:] in ((), (dataset.name,)) else found


trainers: Registry[Trainer] = Registry("trainer", "modelsheet.trainers")
