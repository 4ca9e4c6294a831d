"""`sorter doctor`: read a dataset's folder as a trainer will, whoever made it, and say what it will trip over.

Touches nothing: pictures are opened for their headers, captions are read.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sorter.dataset.doctor import Dataset, Diagnosis, Seen, Trainer
from sorter.errors import DatasetError, MissingExtra, PictureError
from sorter.files import read_file
from sorter.pictures.images import ORIENTATION, SUFFIXES, load, opened
from sorter.pictures.modes import is_deep
from sorter.tally import Track, silent
from sorter.text import is_text
from sorter.threads import in_step

PIECES = re.compile(r"'(?:s|t|re|ve|m|ll|d)\b|[^\W\d_]+|\d|[^\s\w]+|_+")
"""What CLIP's tokenizer splits a caption into before it looks into its vocabulary (openai/CLIP)."""
MOST_TEXT = 1 << 24
"""Bytes of a caption or table."""


def doctor(
    folder: Path, trainer: Trainer, base: Path | None = None, whole: bool = True, track: Track[Any] = silent
) -> Diagnosis:
    """What `trainer` will make of the dataset in `folder`.

    `base`: a model folder whose tokenizer counts tokens; without it, each word, digit and run of other signs counts as
    one, which are as many tokens as a caption has at least. `whole`: decode every picture, too.
    Raises DatasetError where there is no such folder, OptionsError where `base` has no tokenizer.
    """
    if not folder.is_dir():
        raise DatasetError(f"{folder}: there is no such folder; give the one that the trainer is given")
    tokens = _tokenizer(base) if base else _pieces
    files = dict(sorted(_files(folder)))
    names = [name for name in files if Path(name).suffix.lower() in SUFFIXES]
    looks = in_step(lambda name: _look(folder, name, whole), names)
    pictures = {seen.path: seen for seen in track(looks, "reading pictures", len(names))}
    found = trainer(
        Dataset(folder.absolute().name, pictures, files, lambda name: read_file(folder / name, MOST_TEXT), tokens)
    )
    if base is None:
        found.notes.append("tokens are counted by words, as at least so many; give --base for the model's own count")
    return found


def _files(folder: Path) -> Iterator[tuple[str, int]]:
    """Every file below the folder that is not hidden -> when it was changed; links are followed as trainers do."""
    for above, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".") and is_text(name)]
        for name in files:
            if not name.startswith(".") and is_text(name):
                path = Path(above, name)
                try:
                    changed = path.stat().st_mtime_ns
                except OSError:  # a link that leads nowhere
                    changed = 0
                yield path.relative_to(folder).as_posix(), changed


def _look(folder: Path, name: str, whole: bool) -> Seen:
    try:
        with opened(read_file(folder / name)) as image:
            seen = Seen(
                name, *image.size, image.getexif().get(ORIENTATION, 1), str(image.format),
                image.has_transparency_data, is_deep(image),
            )  # fmt: skip
            if whole:
                load(image)
    except PictureError as error:
        return Seen(name, why=str(error))
    except OSError as error:
        return Seen(name, why=error.strerror or str(error))
    return seen


def _pieces(caption: str) -> int:
    return len(PIECES.findall(caption))


def _tokenizer(base: Path) -> Callable[[str], int]:
    """CLIP's own count, without its begin and end, by the vocabulary in a model's folder."""
    folder = next((one for one in (base / "tokenizer", base) if (one / "vocab.json").is_file()), None)
    if folder is None:
        raise DatasetError(f"{base}: has no tokenizer/vocab.json; give the folder of a diffusers model")
    try:
        from transformers import CLIPTokenizer
    except ImportError:
        raise MissingExtra("train", "counting a model's tokens") from None
    tokenizer = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
    return lambda caption: len(tokenizer(caption, truncation=False, verbose=False).input_ids) - 2
