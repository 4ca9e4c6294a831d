"""A sorter on disk -> its labels, its backbone and its head. Never runs anything that a model file brings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sorter.errors import ModelError
from sorter.networks import keras_h5, lobe, savedmodel, tfjs, tflite
from sorter.networks.export_files import SUPPORTED, Files, only_zip, open_files
from sorter.networks.head import Head
from sorter.networks.parts import Parts
from sorter.networks.run import Backbone
from sorter.toml import read_toml

UNFINISHED = "unfinished"
"""The key of a card.toml while the files beside it are being replaced: they may not belong together."""


@dataclass(frozen=True, eq=False)
class Format:
    """A way in which a sorter can lie on disk."""

    find: Callable[[Files], str | None]
    """The main file, if there is an export of this format right in this folder."""
    load: Callable[[Files, str], Parts]


FORMATS = (
    Format(keras_h5.find, keras_h5.load),  # keras_model.h5
    Format(lobe.find, lobe.load),  # signature.json: before the files that it names
    Format(savedmodel.find, savedmodel.load),  # model.savedmodel/, saved_model.pb
    Format(tfjs.find, tfjs.load),  # model.json
    Format(tflite.find, tflite.load),  # model_unquant.tflite, model.tflite
)
"""What is looked for, in this order: where several lie side by side, the first is taken."""


@dataclass(frozen=True, eq=False)
class Sorter:
    """An exported classifier: one answer of `labels` for each view, by a backbone that others may share."""

    labels: tuple[str, ...]
    sha256: str
    """Of the model's files and its labels together: the source in its answers."""
    backbone: Backbone
    head: Head
    card: dict[str, Any]
    """What card.toml says; empty for a stranger's export."""


def load_sorter(folder: Path) -> Sorter:
    """The sorter in a folder or a zip with an export of one of FORMATS, in any case of letters, or one folder below.

    Raises ModelError: missing, damaged, not allowed, or labels that do not fit the outputs.
    """
    card, files = read_card(folder), open_files(folder)
    parts = _load_here(files)
    if parts is None and (inner := only_zip(folder)):
        files, parts = inner, _load_here(inner)
    parts = parts or _load_below(files)
    return Sorter(parts.labels, parts.sha256, parts.backbone, parts.head, card)


def _load_here(files: Files) -> Parts | None:
    for one in FORMATS:
        name = one.find(files)
        if name is not None:
            return one.load(files, name)
    return None


def _load_below(files: Files) -> Parts:
    """What lies in the one folder that holds an export, as zips and downloads often have it."""
    holding = [inner for inner in files.folders() if any(one.find(inner) for one in FORMATS)]
    if len(holding) > 1:
        names = ", ".join(inner.where.removeprefix(files.where).rstrip("/") for inner in holding)
        raise ModelError(f"{files.where.rstrip('/')}: holds several exports: {names}; name one of these folders")
    parts = _load_here(holding[0]) if holding else None
    if parts is None:
        looked = f"looked for {SUPPORTED} there and in the folders in it"
        raise ModelError(f"{files.where.rstrip('/')}: holds no sorter; {looked}; {files.held()}")
    return parts


def read_card(folder: Path) -> dict[str, Any]:
    """card.toml, or nothing where there is none. Raises ModelError where it is no TOML, or says it is unfinished."""
    path = folder / "card.toml"
    try:
        card = read_toml(path, ModelError)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as found:
        raise ModelError(f"{path}: cannot be read: {found.strerror}") from None
    if UNFINISHED in card:
        raise ModelError(f"{folder}: is being fitted now, or a fit of it was cut off; fit it again")
    return card
