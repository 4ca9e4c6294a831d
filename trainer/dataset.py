"""A dataset folder as it lies on the disk: its pictures, their captions and masks. Loads no network."""

from __future__ import annotations

import hashlib
import json
import struct
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageChops, ImageOps

from sorter.errors import DatasetError
from sorter.files import read_file
from trainer.buckets import SMALL, Cut, Size
from trainer.rows import Part, Row, read_rows

BAD_PICTURE = (
    OSError, ValueError, SyntaxError, EOFError, LookupError, TypeError, ArithmeticError, RuntimeError, MemoryError,
    struct.error, Image.DecompressionBombError, Image.DecompressionBombWarning,
)  # fmt: skip
"""What Pillow raises for a file that is not a picture, is cut off, or is made to fill the memory."""
WHITE = 255


@dataclass(frozen=True, slots=True)
class Example:
    """One captioned picture. `size` is what is trained on: the middle of the picture, in whole latents; `scaled` is
    what the picture is scaled to before, where that is another size than its own."""

    path: Path
    sha256: str
    size: Size
    caption: str
    scaled: Size | None = None
    other_captions: tuple[str, ...] = ()  # where it has several: each view has one of them
    repeats: int = 1  # how often it is seen in a pass
    mask: Path | None = None  # a picture of the same size, white where there is something to learn
    alpha: bool = False  # whether its own transparency is its mask
    hides: bool = False  # whether it has a mask; of pictures that are read whole, whether that leaves anything out
    original: Size | None = None  # the picture's own; none: it is neither scaled nor cut

    @property
    def captions(self) -> tuple[str, ...]:
        """All of them."""
        return self.caption, *self.other_captions

    @property
    def cut(self) -> tuple[int, int, int, int]:
        """Height and width of the whole picture, and where what is trained on begins after scaling, top and left."""
        whole = self.original or self.size
        scaled = self.scaled or whole
        left, top = ((have - want) // 2 for have, want in zip(scaled, self.size, strict=True))
        return whole[1], whole[0], top, left


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A picture that is left out, and why."""

    file_name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Dataset:
    """The pictures of a dataset folder, in the order of its metadata.jsonl, or of its files."""

    folder: Path
    examples: tuple[Example, ...]
    unreadable: tuple[Unreadable, ...]

    @property
    def sizes(self) -> dict[Size, int]:
        """How many pictures there are of each size, most first."""
        return dict(Counter(example.size for example in self.examples).most_common())

    @property
    def captions(self) -> list[str]:
        """All captions of all pictures."""
        return [caption for example in self.examples for caption in example.captions]

    @property
    def views(self) -> int:
        """How many pictures are seen in a pass, each as often as it is repeated."""
        return sum(example.repeats for example in self.examples)

    @property
    def masked(self) -> int:
        """How many pictures have a mask; of those that are read whole, one that leaves something out."""
        return sum(example.hides for example in self.examples)

    def lonely(self, batch_size: int) -> int:
        """How many pictures have a size of which there are too few views to fill a batch with different ones."""
        views = Counter[Size]()
        for example in self.examples:
            views[example.size] += example.repeats
        return sum(views[example.size] < batch_size for example in self.examples)

    @property
    def scaled(self) -> int:
        """How many pictures are scaled."""
        return sum(example.scaled is not None for example in self.examples)

    def scales(self) -> str:
        """One hash over what pictures are scaled to; empty where none is."""
        if not self.scaled:
            return ""
        return hashlib.sha256(json.dumps([(one.sha256, one.scaled) for one in self.examples]).encode()).hexdigest()

    def seen(self) -> str:
        """One hash over how pictures are repeated, masked and captioned beside; empty where there is none of it."""
        rows = [(one.repeats, one.mask and one.mask.name, one.alpha, one.other_captions) for one in self.examples]
        if set(rows) <= {(1, None, False, ())}:
            return ""
        return hashlib.sha256(json.dumps(rows).encode()).hexdigest()

    def small(self, side: int) -> int:
        """How many pictures have less than SMALL of the area of the base's own, whose side is given."""
        return sum(width * height < SMALL * side * side for width, height in (one.size for one in self.examples))

    def pictures(self) -> str:
        """One hash over the pictures alone."""
        return hashlib.sha256(json.dumps([example.sha256 for example in self.examples]).encode()).hexdigest()

    def fingerprint(self) -> str:
        """One hash over pictures and captions: whether a run goes on with the same dataset."""
        rows = [f"{example.sha256} {example.caption}" for example in self.examples]
        return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Reading:
    """How pictures are cut (`Cut`), and whether masks are followed: the dataset's own, and each picture's alpha."""

    buckets: bool = False
    enlarge: bool = False
    masks: bool = True
    alpha: bool = False


READ_PLAINLY = Reading()


def read_dataset(
    folder: Path,
    factor: int,
    side: int | None = None,
    whole: bool = False,
    on_progress: Callable[[int, int], None] = lambda done, of: None,
    how: Reading = READ_PLAINLY,
    part: Part = "train",
) -> Dataset:
    """Read what the folder names (`read_rows`), and the header and hash of every picture of that part.

    factor: pixels a latent; sizes are cut down to multiples of it. side: of the base's own pictures, pixels; see `Cut`.
    whole: decode the pictures, too, and not only their headers. A picture that cannot be read, or whose mask cannot,
    becomes an Unreadable. Raises DatasetError where nothing is left to train on, or a row points out of the folder.
    """
    examples: list[Example] = []
    unreadable: list[Unreadable] = []
    rows, cut = read_rows(folder, part), Cut(factor, side, how.buckets, how.enlarge)
    for done, row in enumerate(rows, 1):
        try:
            example = _example(row, cut, how)
            if whole:
                open_picture(example.path, example.size, example.scaled)
                mask = open_mask(example)
                example = replace(example, hides=mask is not None and not _is_white(mask))
            examples.append(example)
        except BAD_PICTURE as error:
            unreadable.append(Unreadable(row.name, reason(error)))
        on_progress(done, len(rows))
    if not examples and part == "train":
        why = none_readable(unreadable) if unreadable else "it names no pictures"
        raise DatasetError(f"{folder}: there is nothing to train on: {why}")
    return Dataset(folder, tuple(examples), tuple(unreadable))


def open_picture(path: Path, size: Size, scaled: Size | None = None) -> Image.Image:
    """The middle `size` of the picture, `scaled` before where that is given, as RGB, upright, on black where it is
    transparent."""
    picture = _opened(path).convert("RGBA")
    if scaled is not None:
        picture = picture.resize(scaled, Image.Resampling.LANCZOS)
    black = Image.new("RGBA", picture.size, (0, 0, 0, 255))
    return _middle(Image.alpha_composite(black, picture).convert("RGB"), size)


def open_mask(example: Example) -> Image.Image | None:
    """What there is to learn of the picture as it is trained on, grey: white all of it, black nothing; None: all is.

    A mask is read as kohya's trainers read one: its red channel. Raises ValueError where it is not there, or has
    another size than the picture.
    """
    if example.mask is None and not example.alpha:
        return None
    own = _opened(example.path)
    whole = Image.new("L", own.size, 255)
    if example.mask is not None:
        try:
            mask = _opened(example.mask).convert("RGB").getchannel("R")
        except FileNotFoundError:
            raise ValueError(f"its mask, {example.mask.name}, is not there") from None
        if mask.size != own.size:
            raise ValueError("its mask is {}x{}, and the picture {}x{}".format(*mask.size, *own.size))
        whole = mask
    if example.alpha:
        whole = ImageChops.multiply(whole, own.convert("RGBA").getchannel("A"))
    if example.scaled is not None:
        whole = whole.resize(example.scaled, Image.Resampling.BOX)
    return _middle(whole, example.size)


def _is_white(mask: Image.Image) -> bool:
    return mask.histogram()[WHITE] == mask.width * mask.height


def _opened(path: Path) -> Image.Image:
    """A picture, upright."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(BytesIO(read_file(path))) as opened:
            return ImageOps.exif_transpose(opened)


def _middle(picture: Image.Image, size: Size) -> Image.Image:
    left, top = ((have - want) // 2 for have, want in zip(picture.size, size, strict=True))
    return picture.crop((left, top, left + size[0], top + size[1]))


def _example(row: Row, cut: Cut, how: Reading) -> Example:
    data = read_file(row.path)
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(BytesIO(data)) as picture:
            width, height = picture.size
            if picture.getexif().get(0x0112, 1) >= 5:  # orientations 5 to 8 lie on their side
                width, height = height, width
            transparent = picture.has_transparency_data
    scaled, size = cut.of((width, height))
    caption, *others = row.captions
    mask, alpha = row.mask if how.masks else None, how.alpha and transparent
    return Example(
        row.path,
        hashlib.sha256(data).hexdigest(),
        size,
        caption,
        None if scaled == (width, height) else scaled,
        tuple(others),
        row.repeats,
        mask,
        alpha,
        mask is not None or alpha,
        (width, height),
    )


def none_readable(unreadable: Sequence[Unreadable]) -> str:
    """The end of a sentence about pictures of which none is left."""
    first = unreadable[0]
    return f"none of its {len(unreadable)} pictures can be read; the first, {first.file_name}: {first.reason}"


def reason(error: BaseException) -> str:
    """Why a picture is left out, in a line."""
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, MemoryError):
        return "there is not enough memory for it"
    return str(error).splitlines()[0] if str(error) else type(error).__name__
