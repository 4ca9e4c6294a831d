"""Plain layers as today's Keras 3 saves them, as .keras and as .h5, answer as Keras 3 itself does."""

from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from sorter.errors import ModelError
from sorter.networks.load import load_sorter
from sorter.networks.run import TEACHABLE_MACHINE, start

MAKE = """
import os, sys
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import keras, numpy as np
from keras import layers
keras.utils.set_random_seed(0)
to = sys.argv[1]
def network(first):
    entry = keras.Input((32, 32, 3))
    x = layers.Rescaling(1 / 127.5, offset=-1)(entry) if first else entry
    x = layers.Conv2D(4, 3, strides=2, padding="same", use_bias=False)(x)
    x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
    y = layers.ReLU()(layers.BatchNormalization()(layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)))
    x = layers.Conv2D(8, 1)(layers.Add()([x, y]))
    x = layers.Dropout(0.2)(layers.GlobalAveragePooling2D()(x))
    return keras.Model(entry, layers.Dense(3, activation="softmax")(layers.Dense(5, activation="relu")(x)))
nested = keras.Sequential([
    keras.Sequential([keras.Input((32, 32, 3)), layers.Conv2D(4, 3), layers.GlobalAveragePooling2D()]),
    layers.Dense(3, activation="softmax"),
])
views = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3)).astype("float32")
for name, model in {"scaled": network(True), "plain": network(False), "nested": nested}.items():
    for layer in model._flatten_layers():
        if isinstance(layer, layers.BatchNormalization):
            layer.set_weights([w + 0.1 * np.arange(len(w)) for w in layer.get_weights()])
    for ending in ("keras", "h5"):
        os.makedirs(f"{to}/{name}-{ending}")
        model.save(f"{to}/{name}-{ending}/model.{ending}")
        open(f"{to}/{name}-{ending}/labels.txt", "w").write("a\\nb\\nc\\n")
    np.save(f"{to}/{name}.npy", model.predict(views if name == "scaled" else views / 127.5 - 1, verbose=0))
np.save(f"{to}/views.npy", views.astype("uint8"))
"""
NAMES = ("scaled", "plain", "nested")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keras 3 beside tf_keras in one process would only fight over names."""
    folder = tmp_path_factory.mktemp("keras3")
    subprocess.run([sys.executable, "-c", MAKE, str(folder)], check=True, capture_output=True)
    return folder


@pytest.mark.parametrize("ending", ["keras", "h5"])
@pytest.mark.parametrize("name", NAMES)
def test_it_answers_as_keras_does(saved: Path, name: str, ending: str) -> None:
    sorter = load_sorter(saved / f"{name}-{ending}")
    assert sorter.labels == ("a", "b", "c")
    run = start(TEACHABLE_MACHINE, model_path=str(sorter.backbone.compiled()))
    ours = [sorter.head(np.asarray(run(view)[0])[None])[0] for view in np.load(saved / "views.npy")]
    assert np.allclose(ours, np.load(saved / f"{name}.npy"), atol=1e-5)


def test_the_two_files_are_one_network(saved: Path) -> None:
    for name in NAMES:
        one, other = (load_sorter(saved / f"{name}-{ending}") for ending in ("keras", "h5"))
        assert one.backbone.key == other.backbone.key


def test_a_file_is_what_its_bytes_say(saved: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("a\nb\nc\n")
    for source, name in (("plain-keras/model.keras", "model.h5"), ("plain-h5/model.h5", "model.keras")):
        path = tmp_path / name
        path.write_bytes((saved / source).read_bytes())
        assert load_sorter(tmp_path).labels == ("a", "b", "c")
        path.unlink()


def damaged(data: bytes, what: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if what == name:
                continue
            if what == "a layer that runs code" and name == "config.json":
                content = content.replace(b'"Dropout"', b'"Lambda"')
            if what == "config that is no JSON" and name == "config.json":
                content = b"{" * 10
            if what == "other files" and name == "model.weights.h5":
                file = io.BytesIO(content)
                with h5py.File(file, "r+") as weights:
                    del weights["layers/dense/vars/0"]
                    weights["layers/dense/vars"].create_dataset("0", (8, 5), "f4", external=[("/etc/passwd", 0, 160)])
                content = file.getvalue()
            new.writestr(name, content, compress_type=zipfile.ZIP_BZIP2 if what == "bzip2" else zipfile.ZIP_STORED)
    return out.getvalue()[:300] if what == "half" else out.getvalue()


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("config.json", "is a zip without config.json"),
        ("model.weights.h5", "is a zip without config.json and model.weights.h5"),
        ("a layer that runs code", 'a layer of kind "Lambda", which is not allowed'),
        ("config that is no JSON", "is not laid out as Keras does"),
        ("other files", "keeps weights in other files"),
        ("half", "is not a whole Keras file"),
        ("bzip2", "is packed in an unusual way"),
    ],
)
def test_what_is_wrong_with_a_keras_file_is_a_sentence(saved: Path, tmp_path: Path, what: str, said: str) -> None:
    (tmp_path / "labels.txt").write_text("a\nb\nc\n")
    (tmp_path / "model.keras").write_bytes(damaged((saved / "plain-keras" / "model.keras").read_bytes(), what))
    with pytest.raises(ModelError, match=said):
        load_sorter(tmp_path)
