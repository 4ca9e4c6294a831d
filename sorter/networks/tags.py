"""Tagging networks as the field shares them: a model.onnx that gives each tag a probability, and the table of its tags.

The form is that of SmilingWolf's wd taggers: selected_tags.csv with the columns name and category. cella110n's
cl_tagger has a tag_mapping.json instead. ONNX is data: no operator of it runs a program.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sorter.errors import MissingExtra, ModelError, first_line
from sorter.files import read_file
from sorter.networks.export_files import LARGEST_TEXT, not_the_file
from sorter.networks.kept_hash import hash_of
from sorter.threads import Batches

MODELS = ("model.onnx", "model_optimized.onnx")
TABLES = ("selected_tags.csv", "tag_mapping.json")
KINDS = (*MODELS, "model*.onnx_data", "model*.onnx.data", *TABLES)
"""The files of a tagger; weights of more than 2 GB lie beside the .onnx."""
CATEGORIES = {"0": "general", "1": "artist", "3": "copyright", "4": "character", "5": "meta", "9": "rating"}
"""Danbooru's numbers of the kinds of tags (danbooru.donmai.us/wiki_pages/api:tags), and the taggers' for ratings."""
USUAL_SIDE = 448
"""Pixels, where a model takes pictures of any size."""
PROVIDERS = (
    "CUDAExecutionProvider",
    "MIGraphXExecutionProvider",
    "DmlExecutionProvider",
    "CoreMLExecutionProvider",
)
"""What runs a network on a graphics card, the first that is there; else the processor does."""
MOST_AT_ONCE = 16
"""Pictures that a graphics card is given at a time."""

Colours = Literal["bgr", "rgb"]
Values = Literal["auto", "0..255", "0..1", "-1..1"]
SCALES = {"0..255": (1.0, 0.0), "0..1": (255.0, 0.0), "-1..1": (127.5, -1.0)}
"""Divisor and offset."""


@dataclass(frozen=True, slots=True)
class Tag:
    """One output of a tagger."""

    name: str
    category: str


@dataclass(frozen=True)
class TaggerFiles:
    """A tagger's folder, its tags read and its model not yet. Equal ones have the same files."""

    model: Path
    sha256: str
    """Of all its files together."""
    tags: tuple[Tag, ...] = field(compare=False, repr=False)


def is_tagger(folder: Path) -> bool:
    """Whether a folder holds a model and a table of tags."""
    return any((folder / name).is_file() for name in MODELS) and any((folder / name).is_file() for name in TABLES)


def read_tagger(folder: Path) -> TaggerFiles:
    """The files of a tagger. Raises ModelError where one is missing or makes no sense."""
    model, table = _one_of(folder, MODELS), _one_of(folder, TABLES)
    weights = sorted({*folder.glob("model*.onnx_data"), *folder.glob("model*.onnx.data")})
    try:
        with open(model, "rb") as file:
            if wrong := not_the_file(file.read(64)):
                raise ModelError(f"{model}: {wrong}")
        data = read_file(table, LARGEST_TEXT)
        hashes = [hash_of(path) for path in (model, *weights)] + [hashlib.sha256(data).hexdigest()]
    except OSError as found:
        raise ModelError(f"{folder}: cannot be read: {found.strerror}") from None
    tags = tuple(_tags_of(table, data))
    if not tags:
        raise ModelError(f"{table}: names no tags")
    return TaggerFiles(model, hashlib.sha256(" ".join(hashes).encode()).hexdigest(), tags)


def _one_of(folder: Path, names: Sequence[str]) -> Path:
    found = next((folder / name for name in names if (folder / name).is_file()), None)
    if found is None:
        held = ", ".join(sorted(path.name for path in folder.iterdir())[:5]) or "nothing"
        raise ModelError(f"{folder}: has no {' or '.join(names)}, which a tagger needs; it holds {held}")
    return found


def _tags_of(table: Path, data: bytes) -> Iterator[Tag]:
    if wrong := not_the_file(data):
        raise ModelError(f"{table}: {wrong}")
    try:
        text = data.decode("utf-8-sig")
        yield from _of_json(json.loads(text)) if table.suffix == ".json" else _of_csv(text)
    except (UnicodeDecodeError, ValueError, KeyError, TypeError, AttributeError, RecursionError, csv.Error):
        what = "numbers, each with a tag and a category" if table.suffix == ".json" else "columns name and category"
        raise ModelError(f"{table}: is no table of tags; it should have {what}") from None


def _of_csv(text: str) -> Iterator[Tag]:
    for row in csv.DictReader(io.StringIO(text)):
        yield Tag(row["name"].strip(), _category(row["category"]))


def _of_json(found: Any) -> Iterator[Tag]:
    for number in range(len(found)):
        row = found[str(number)]
        yield Tag(row["tag"].strip(), _category(row["category"]))


def _category(given: str) -> str:
    return CATEGORIES.get(given.strip(), given.strip().lower())


class TagNetwork:
    """A tagger's model, loaded: from a square picture to the probability of each tag. Any thread may call it."""

    def __init__(self, files: TaggerFiles, colours: Colours = "bgr", values: Values = "auto") -> None:
        """`colours`, `values`: how it reads a picture; "auto": 0..255 where colours come last, else -1..1.

        Raises ModelError where it cannot be loaded or does not fit its tags, and MissingExtra without onnxruntime.
        """
        self._where, self._session = files.model, _session(files.model)
        self.provider: str = self._session.get_providers()[0]
        self._input, shape = self._entry()
        self._channels_first = shape[3] != 3
        self.side = shape[2] if isinstance(shape[2], int) and shape[2] > 0 else USUAL_SIDE
        self._count = len(files.tags)
        self._output = self._output_of(files)
        self._reverse = colours == "bgr"
        self._scale = SCALES[("-1..1" if self._channels_first else "0..255") if values == "auto" else values]
        is_fixed = isinstance(shape[0], int) and shape[0] > 0
        self._together = Batches(self._run, 1 if is_fixed else MOST_AT_ONCE)

    def _entry(self) -> tuple[str, list[Any]]:
        """The name and the shape of what it reads; sides that may be any are no numbers there."""
        entries = self._session.get_inputs()
        shape = entries[0].shape if len(entries) == 1 else []
        if len(shape) != 4 or 3 not in (shape[1], shape[3]) or entries[0].type != "tensor(float)":
            said = "; ".join(f"{one.name}: {one.type} {one.shape}" for one in entries)
            wanted = "a tagger reads float pictures of three colours, [N, H, W, 3]"
            raise ModelError(f"{self._where}: reads {said}; {wanted}")
        height, width = shape[1:3] if shape[3] == 3 else shape[2:]
        if isinstance(height, int) and isinstance(width, int) and height != width:
            raise ModelError(f"{self._where}: reads pictures of {width} x {height}; a tagger's are square")
        return entries[0].name, shape

    def _output_of(self, files: TaggerFiles) -> str:
        """The output with a number a tag, or one that does not say how many; probabilities, if there are logits too."""
        ends: dict[str, Any] = {one.name: one.shape[-1] if one.shape else 0 for one in self._session.get_outputs()}
        fitting = [name for name, length in ends.items() if length == self._count or not isinstance(length, int)]
        if not fitting:
            said = " and ".join(map(str, ends.values()))
            raise ModelError(f"{files.model}: gives {said} numbers, but the table beside it names {self._count} tags")
        return next((name for name in reversed(fitting) if "logit" not in name.lower()), fitting[0])

    def __call__(self, square: NDArray[np.uint8]) -> NDArray[np.float32]:
        """A picture (side, side, 3) in RGB -> a probability of 0..1 for each tag.

        On a processor each thread runs its own picture, so that answers do not depend on which come together.
        """
        if self.provider == "CPUExecutionProvider":
            return self._run([square])[0]
        return self._together(square)

    def _run(self, squares: Sequence[NDArray[np.uint8]]) -> list[NDArray[np.float32]]:
        divisor, offset = self._scale
        given = np.stack(squares).astype(np.float32) / np.float32(divisor) + np.float32(offset)
        given = given[..., ::-1] if self._reverse else given
        given = given.transpose(0, 3, 1, 2) if self._channels_first else given
        try:
            (found,) = self._session.run([self._output], {self._input: np.ascontiguousarray(given)})
        except _faults() as error:
            raise ModelError(f"{self._where}: cannot be run: {first_line(error)}") from None
        found = np.asarray(found, np.float32)
        if found.shape != (len(squares), self._count):
            shape = " x ".join(map(str, found.shape[1:]))
            raise ModelError(f"{self._where}: gives {shape} numbers, but the table beside it names {self._count} tags")
        if not np.isfinite(found).all():
            raise ModelError(f"{self._where}: gives numbers that are none (on {self.provider}); try another model")
        return [as_probabilities(row) for row in found]


def as_probabilities(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """The same numbers, or of logits their logistic function: among thousands of those, some are below 0."""
    if scores.min() >= 0 and scores.max() <= 1:
        return scores
    return np.asarray(1 / (1 + np.exp(-scores.astype(np.float64))), np.float32)


def _session(model: Path) -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise MissingExtra("taggers", "a tagger") from None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what goes wrong is raised as well
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # each of our threads has a picture of its own
    there = onnxruntime.get_available_providers()
    chosen = [name for name in PROVIDERS if name in there][:1]
    options.enable_mem_pattern = "DmlExecutionProvider" not in chosen  # as DirectML wants it
    try:
        return onnxruntime.InferenceSession(str(model), options, providers=[*chosen, "CPUExecutionProvider"])
    except _faults() as error:
        raise ModelError(f"{model}: cannot be loaded as an ONNX model: {first_line(error)}") from None


def _faults() -> tuple[type[Exception], ...]:
    """What onnxruntime raises on a model that makes no sense; its classes have no root of their own."""
    from onnxruntime.capi import onnxruntime_pybind11_state as raised

    kinds = [one for one in vars(raised).values() if isinstance(one, type) and issubclass(one, Exception)]
    return (*kinds, ValueError, RuntimeError)
