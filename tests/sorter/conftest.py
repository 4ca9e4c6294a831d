"""Tiny drawn pictures, and real Keras exports that can tell them apart.

A picture's upper half says its direction and its lower half its mood, each by a pure colour; what faces left or right
has the colour of that side there, and a mirror makes it face the other way. The exports have weights set by hand, so
that the whole real path runs - h5, conversion, LiteRT, head - and the answers are known.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
from PIL import Image, ImageOps

from sorter.commands.job import Job, load_job
from sorter.networks.convert import import_keras

hypothesis.settings.register_profile("sorter", deadline=None, database=None, max_examples=60)
hypothesis.settings.load_profile("sorter")

COLOURS = {
    "red": (255, 0, 0),
    "blue": (0, 0, 255),
    "green": (0, 255, 0),
    "magenta": (255, 0, 255),
    "white": (255, 255, 255),
    "black": (0, 0, 0),
}
DIRECTIONS = {"left": "red", "right": "blue", "front": "green", "nobody": "magenta"}
MOODS = {"happy": "white", "sad": "black"}
NOBODY = 65534
"""The user who owns nothing, on Linux and macOS."""
UNKNOWN = (128, 128, 128)
"""No detector answers to it: every class gets the same score."""
SCHEME = """\
name = "test"
trigger = "mira"
folders = "{mood}/{direction}"
[axes.direction]
canonical = "left"
[axes.direction.classes]
left = { mirror = "right", tag = "facing left" }
right = { mirror = "left", tag = "facing right" }
front = { tag = "facing the viewer" }
nobody = { drop = true }
[axes.mood]
threshold = 0.8
"""


def _draw(
    direction: str = "left", mood: str = "happy", number: int = 0, size: tuple[int, int] = (40, 32)
) -> Image.Image:
    """A picture of a known direction and mood ("?" for neither); `number` makes it one of its own."""
    width, height = size
    image = Image.new("RGB", size, COLOURS.get(DIRECTIONS.get(direction, ""), UNKNOWN))
    if direction in ("left", "right"):  # three fifths red on the left, or the mirror image of that
        image.paste(COLOURS["red"], (0, 0, width, height))
        image.paste(COLOURS["blue"], (width * 3 // 5, 0, width, height))
        image = ImageOps.mirror(image) if direction == "right" else image
    image.paste(COLOURS.get(MOODS.get(mood, ""), UNKNOWN), (0, height // 2, width, height))
    for bit in range(12):  # in the left margin, which a sorter's square view does not see: mirroring moves it
        if number >> bit & 1:
            image.putpixel((bit % 3, bit // 3), (90, 160, 30))
    image.putpixel((0, height - 1), (250, 250, 10))
    return image


@pytest.fixture(scope="session")
def draw() -> Callable[..., Image.Image]:
    return _draw


@pytest.fixture(scope="session")
def grow() -> Callable[[Path, Mapping[str, Any]], Path]:
    """Writes a tree of files: name -> a picture, bytes, a text, or a folder's own tree."""

    def make(root: Path, tree: Mapping[str, Any]) -> Path:
        root.mkdir(parents=True, exist_ok=True)
        for name, content in tree.items():
            path = root / name
            if isinstance(content, Mapping):
                make(path, content)
            elif isinstance(content, Image.Image):
                content.save(path, **({"quality": 95, "subsampling": 0} if path.suffix == ".jpg" else {}))
            else:
                path.write_bytes(content.encode() if isinstance(content, str) else content)
        return root

    return make


@pytest.fixture(scope="session")
def tree_of() -> Callable[..., dict[str, str]]:
    """Every file below a folder with its hash; folders end in "/". The manifest is left out unless `hidden`."""

    def look(root: Path, hidden: bool = False) -> dict[str, str]:
        found = {}
        for path in sorted(root.rglob("*")):
            name = path.relative_to(root).as_posix()
            if hidden or not name.startswith(".modelsheet"):
                found[f"{name}/" if path.is_dir() else name] = (
                    "" if path.is_dir() else hashlib.sha256(path.read_bytes()).hexdigest()
                )
        return found

    return look


def detector(keras: Any, size: int = 32) -> Any:
    """A backbone whose map has one channel a colour: 1 where a pixel is of that colour, 0 for every other of them.

    Of red and blue there is more, the more of it lies to the left: the mean tells a picture from its mirror image.
    """
    layers = keras.layers
    entry = keras.Input((size, size, 3))
    x = layers.ZeroPadding2D(((0, 1), (0, 1)), name="Conv1_pad")(entry)
    x = layers.Conv2D(len(COLOURS), 3, strides=1, padding="valid", use_bias=False, name="Conv1")(x)
    x = layers.BatchNormalization(name="bn_Conv1")(x)
    x = layers.ReLU(6.0, name="Conv1_relu")(x)
    y = layers.DepthwiseConv2D((1, size - 1), padding="same", use_bias=False, name="expanded_depthwise")(x)
    x = layers.Add(name="add")([x, y])
    model = keras.Model(entry, layers.ReLU(6.0, name="out_relu")(x), name="detector")
    kernel = np.zeros((3, 3, 3, len(COLOURS)), np.float32)
    for channel, colour in enumerate(COLOURS.values()):
        kernel[0, 0, :, channel] = np.array(colour) / 127.5 - 1
    many = np.ones(len(COLOURS), np.float32)
    model.get_layer("Conv1").set_weights([kernel])
    model.get_layer("bn_Conv1").set_weights([many, -2 * many, 0 * many, many - 1e-3])
    sides = np.zeros((1, size - 1, len(COLOURS), 1), np.float32)
    sides[0, :, [list(COLOURS).index(DIRECTIONS[side]) for side in ("left", "right")], 0] = -0.4 * np.sign(
        np.arange(size - 1) - (size // 2 - 1)
    )
    model.get_layer("expanded_depthwise").set_weights([sides])
    return model


def _export(keras: Any, folder: Path, classes: Mapping[str, str], sharpness: float = 20.0) -> Path:
    """Teachable Machine's nesting with Teachable Machine's head: Dense relu with bias, Dense softmax without."""
    layers = keras.layers
    trunk = keras.Sequential([detector(keras), layers.GlobalAveragePooling2D()], name="trunk")
    head = keras.Sequential(
        [
            layers.Dense(8, activation="relu", input_shape=(len(COLOURS),), name="dense_Dense1"),
            layers.Dense(len(classes), activation="softmax", use_bias=False, name="dense_Dense2"),
        ]
    )
    model = keras.Sequential([trunk, head])
    first = np.zeros((len(COLOURS), 8), np.float32)
    np.fill_diagonal(first, 1)
    second = np.zeros((8, len(classes)), np.float32)
    for place, colour in enumerate(classes.values()):
        second[list(COLOURS).index(colour), place] = sharpness
    head.layers[0].set_weights([first, np.zeros(8, np.float32)])
    head.layers[1].set_weights([second])
    folder.mkdir(parents=True)
    model.save(folder / "keras_model.h5", save_format="h5", include_optimizer=False)
    labels = "".join(f"{number} {name}\n" for number, name in enumerate(classes))
    (folder / "labels.txt").write_text(labels, encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def keras() -> Any:
    return import_keras()


@pytest.fixture(scope="session")
def exports(tmp_path_factory: pytest.TempPathFactory, keras: Any) -> Path:
    """models/direction and models/mood, as Teachable Machine exports them today."""
    folder = tmp_path_factory.mktemp("exports")
    _export(keras, folder / "direction", DIRECTIONS)
    _export(keras, folder / "mood", MOODS)
    _export(keras, folder / "mood-2", {"sad": "black", "happy": "white"})
    return folder


@pytest.fixture(scope="session")
def edit_config() -> Callable[[Path, Callable[[Any], Any]], None]:
    """Rewrites the model_config of an .h5 in place."""
    import h5py

    def edit(path: Path, change: Callable[[Any], Any]) -> None:
        with h5py.File(path, "r+") as file:
            text = file.attrs["model_config"]
            config = json.loads(text if isinstance(text, str) else text.decode())
            file.attrs["model_config"] = json.dumps(change(config))

    return edit


@pytest.fixture(scope="session")
def old_exports(tmp_path_factory: pytest.TempPathFactory, exports: Path, edit_config: Any) -> Path:
    """The same in Teachable Machine's older config generation: class `Model`, and no InputLayer entry in a
    Sequential."""

    def older(entry: Any) -> Any:
        if isinstance(entry, list):
            return [older(one) for one in entry]
        if not isinstance(entry, dict):
            return entry
        entry = {key: older(value) for key, value in entry.items()}
        if entry.get("class_name") == "Functional":
            entry["class_name"] = "Model"
        if entry.get("class_name") == "Sequential":
            layers = entry["config"]["layers"]
            entry["config"]["layers"] = [one for one in layers if one["class_name"] != "InputLayer"]
        return entry

    folder = tmp_path_factory.mktemp("old") / "models"
    shutil.copytree(exports, folder)
    for path in folder.glob("*/keras_model.h5"):
        edit_config(path, older)
    return folder


@pytest.fixture
def project(tmp_path: Path, exports: Path) -> Path:
    """A folder with scheme.toml and models/, as a user has it."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "scheme.toml").write_text(SCHEME, encoding="utf-8")
    for name in ("direction", "mood"):
        shutil.copytree(exports / name, folder / "models" / name)
    return folder


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """Where a library will be."""
    return tmp_path / "library"


@pytest.fixture
def job(project: Path) -> Job:
    return load_job(project / "scheme.toml")


@pytest.fixture(scope="session")
def scheme_text() -> str:
    return SCHEME


@pytest.fixture
def frames(tmp_path: Path, grow: Any) -> Path:
    """A small heap of every kind: turned, not turned, in doubt, unwanted, a copy, and two that are no pictures."""
    return grow(
        tmp_path / "frames",
        {
            "left happy.png": _draw("left", "happy"),
            "right happy.png": _draw("right", "happy"),
            "sad.jpg": _draw("right", "sad"),
            "front.png": _draw("front", "sad"),
            "doubtful.png": _draw("left", "?"),
            "empty.png": b"",
            "zoo": {
                "copy of left.png": _draw("left", "happy"),
                "nobody.png": _draw("nobody", "sad"),
                "text.png": "this is no picture",
                "notes.txt": "left alone",
            },
        },
    )


@pytest.fixture
def nobody(cache: Path) -> Callable[..., AbstractContextManager[None]]:
    """As somebody who is not root, whom no permission stops; the folders that are named become theirs."""

    @contextmanager
    def become(*folders: Path) -> Iterator[None]:
        if os.geteuid() != 0:
            yield
            return
        for path in {cache, *cache.rglob("*"), *(above for folder in folders for above in folder.parents)}:
            path.chmod(path.stat().st_mode | (0o077 if path.is_relative_to(cache) else 0o055))  # which are root's alone
        for folder in folders:
            for path in (folder, *folder.rglob("*")):
                os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
        os.seteuid(NOBODY)
        try:
            yield
        finally:
            os.seteuid(0)

    return become


@pytest.fixture
def run_cli(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Runs the console script in this process: (exit code, standard output, standard error)."""
    import signal

    from sorter.cli import main

    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["sorter", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        for number, handler in handlers.items():  # watch takes them
            signal.signal(number, handler)
        out, err = capfd.readouterr()
        return int(ended.value.code or 0), out, err

    return call
