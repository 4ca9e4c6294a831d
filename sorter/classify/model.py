"""A sorter on disk -> its labels, its backbone and its head. Never runs anything that a model file brings."""

from __future__ import annotations

import hashlib
import tomllib
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sorter.classify import head as heads
from sorter.classify.backbone import Backbone
from sorter.classify.graph import Graph, read_graph
from sorter.classify.head import Head
from sorter.classify.labels import parse_labels
from sorter.classify.measures import Measure, read_measure
from sorter.errors import ModelError

LARGEST = 400 * 2**20
"""Bytes; a larger model file is refused unread. The vendor's exports have 2.5 MB."""
SUPPORTED = "keras_model.h5 with labels.txt (Teachable Machine: Export Model, Tensorflow, Keras)"


@dataclass(frozen=True, eq=False)
class Sorter:
    """An exported classifier: one answer of `labels` for each view, by a backbone that others may share."""

    labels: tuple[str, ...]
    sha256: str
    """Of the model file and labels.txt together: the source in its labels."""
    backbone: Backbone
    head: Head
    card: dict[str, Any]
    """What card.toml says; empty for a stranger's export."""


Asked = Sorter | Measure
"""Whatever can answer an axis: a trained sorter, or a measure."""


def load_asked(folder: Path) -> Asked:
    """The sorter or the fitted measure in a folder (or a zip of one). Raises ModelError."""
    card = read_card(folder)
    if "measure" in card:
        return read_measure(card["measure"], str(folder / "card.toml"))
    return load_sorter(folder)


def load_sorter(folder: Path) -> Sorter:
    """The sorter in a folder or a zip with `keras_model.h5` and `labels.txt`, in any case of letters.

    Raises ModelError: missing, damaged, not allowed, or labels that do not fit the outputs.
    """
    read, names, inside = _reader(folder)
    model_name, labels_name = _pick(names, ".h5", folder), _pick(names, "labels.txt", folder)
    data, text = read(model_name), read(labels_name)
    where = f"{inside}{model_name}"
    backbone, head = split(read_graph(data, where), where)
    labels = parse_labels(_decode(text, f"{inside}{labels_name}"), f"{inside}{labels_name}")
    if head.outputs and len(labels) != head.outputs:
        counts = f"{len(labels)} labels for {head.outputs} outputs of {model_name}"
        raise ModelError(f"{inside}{labels_name}: {counts}; take both files from one export")
    digest = hashlib.sha256(data + b"\0" + text).hexdigest()
    return Sorter(labels, digest, backbone, head, read_card(folder))


def split(graph: Graph, where: str) -> tuple[Backbone, Head]:
    """Cut a classifier where its last map ends: what is before can be shared. Raises ModelError."""
    cut = len(graph.layers)
    while cut > 1 and graph.layers[cut - 1].kind in heads.KINDS and graph.layers[cut - 1].inputs == (cut - 2,):
        cut -= 1
    if graph.layers[cut - 1].kind == heads.WEIGHED and graph.layers[cut].kind == "Flatten":
        cut -= 1
    if not any(layer.kind == "Dense" for layer in graph.layers[cut:]):
        raise ModelError(f"{where}: does not end in a Dense layer with one output a class, so it is not a sorter")
    trunk = Graph(graph.size, graph.layers[:cut])
    return Backbone(trunk.key(), trunk), Head(graph.layers[cut:])


def read_card(folder: Path) -> dict[str, Any]:
    """card.toml, or nothing where there is none. Raises ModelError where it is not TOML."""
    path = folder / "card.toml"
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as found:
        raise ModelError(f"{path}: cannot be read: {found}") from None


def _reader(folder: Path) -> tuple[Callable[[str], bytes], list[str], str]:
    """How to read a member, the members, and what to put before their names in messages."""
    if folder.is_dir():
        zips = sorted(folder.glob("*.zip"))
        if not any(folder.glob("*.[hH]5")) and len(zips) == 1:
            return _zip_reader(zips[0])
        names = [path.name for path in sorted(folder.iterdir()) if path.is_file()]
        return lambda name: _bounded(folder / name), names, f"{folder}/"
    if zipfile.is_zipfile(folder):
        return _zip_reader(folder)
    what = "is not a folder" if folder.exists() else "does not exist"
    raise ModelError(f"{folder}: {what}; there should be a folder with {SUPPORTED}")


def _zip_reader(path: Path) -> tuple[Callable[[str], bytes], list[str], str]:
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as found:
        raise ModelError(f"{path}: is not a whole zip file: {found}") from None
    sizes = {info.filename: info.file_size for info in archive.infolist() if not info.is_dir()}

    def read(name: str) -> bytes:
        if sizes[name] > LARGEST:
            raise ModelError(f"{path}: {name} unfolds to over {LARGEST // 2**20} MB, far more than a sorter has")
        try:
            return archive.read(name)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError) as found:
            raise ModelError(f"{path}: {name} cannot be unpacked: {found}") from None

    return read, sorted(sizes), f"{path}/"


def _bounded(path: Path) -> bytes:
    try:
        if path.stat().st_size > LARGEST:
            raise ModelError(f"{path}: has over {LARGEST // 2**20} MB, far more than a sorter has")
        return path.read_bytes()
    except OSError as found:
        raise ModelError(f"{path}: cannot be read: {found.strerror}") from None


def _pick(names: list[str], ending: str, folder: Path) -> str:
    shown = [name for name in names if not name.rsplit("/", 1)[-1].startswith(".")]  # a Mac adds ._keras_model.h5
    fitting = [name for name in shown if name.lower().endswith(ending)]
    for name in fitting:  # keras_model.h5 and keras_Model.h5 side by side: the vendor's own spelling first
        if name.rsplit("/", 1)[-1] in ("keras_model.h5", "labels.txt"):
            return name
    if not fitting:
        found = ", ".join(names[:5]) or "nothing"
        raise ModelError(f"{folder}: has no {ending.lstrip('.')} file; there should be {SUPPORTED}; it holds {found}")
    return fitting[0]


def _decode(data: bytes, where: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ModelError(f"{where}: is not UTF-8 text; save it again as UTF-8") from None
