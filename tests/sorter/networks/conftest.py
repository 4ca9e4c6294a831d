"""One sorter in every format, made once."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sorter.networks.convert import convert
from sorter.networks.keras import read_graph
from tests.sorter.networks.exports_of import LABELS, quantised, write_tfjs


@pytest.fixture(scope="session")
def every(tmp_path_factory: pytest.TempPathFactory, keras: Any) -> Path:
    """float.tflite and uint8.tflite, together with every operator that may stand in a sorter."""
    import tensorflow as tf

    layers = keras.layers
    entry = keras.Input((32, 32, 3), batch_size=1)
    x = layers.ZeroPadding2D(1)(layers.ReLU()(entry))
    x = layers.Conv2D(8, 3, strides=2)(x)
    x = layers.Concatenate()([layers.MaxPooling2D(2)(x), layers.AveragePooling2D(2, padding="same")(x)])
    x = layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same")(x)
    y = layers.ReLU(6.0)(keras.activations.sigmoid(x))
    x = layers.Add()([layers.Subtract()([layers.Multiply()([x, y]), y]), y])
    x = x * tf.nn.relu6(x + np.float32(3)) * np.float32(1 / 6)  # the converter knows it: hard swish
    x = layers.Reshape((2, 2, 8))(layers.GlobalAveragePooling2D(keepdims=True)(x))
    x = layers.Flatten()(layers.AveragePooling2D(2)(x))
    x = layers.Dense(len(LABELS), activation="softmax", use_bias=False)(layers.Dense(5, activation="relu")(x))
    folder, model = tmp_path_factory.mktemp("every"), keras.Model(entry, x)
    (folder / "float.tflite").write_bytes(tf.lite.TFLiteConverter.from_keras_model(model).convert())
    (folder / "uint8.tflite").write_bytes(quantised(model, answers_in_float=True))
    return folder


@pytest.fixture(scope="session")
def formats(tmp_path_factory: pytest.TempPathFactory, exports: Path, keras: Any) -> Path:
    """One sorter in a folder for each format."""
    root, h5 = tmp_path_factory.mktemp("formats"), exports / "direction" / "keras_model.h5"
    write_tfjs(h5, root / "tfjs")
    model = keras.models.load_model(h5, compile=False)
    model.save(root / "savedmodel" / "model.savedmodel", save_format="tf", include_optimizer=False)
    for name in ("float", "uint8"):
        (root / name).mkdir()
    (root / "float" / "model_unquant.tflite").write_bytes(convert(read_graph(h5.read_bytes(), "x")))
    (root / "uint8" / "model.tflite").write_bytes(quantised(model))
    for name in ("savedmodel", "float", "uint8"):
        shutil.copy(exports / "direction" / "labels.txt", root / name)
    lobe = {"format": "tf_lite", "filename": "saved_model.tflite", "classes": {"Label": list(LABELS)},
            "inputs": {"Image": {"dtype": "float32", "shape": [None, 32, 32, 3], "name": "Image:0"}}}  # fmt: skip
    (root / "lobe").mkdir()
    (root / "lobe" / "signature.json").write_text(json.dumps(lobe))
    shutil.copy(root / "float" / "model_unquant.tflite", root / "lobe" / "saved_model.tflite")
    return root


@pytest.fixture
def copy(formats: Path, tmp_path: Path) -> Callable[[str], Path]:
    """A copy of the export in one format, to be spoilt."""
    return lambda name: Path(shutil.copytree(formats / name, tmp_path / name))


@pytest.fixture
def theirs(shared: Path, tmp_path: Path) -> Path:
    """Teachable Machine's SavedModel of 2020 without the .h5 beside it."""
    source, to = shared / "tm" / "multiclass-2020-savedmodel", tmp_path / "theirs"
    shutil.copytree(source, to, copy_function=shutil.copyfile, ignore=shutil.ignore_patterns("*.h5"))
    for folder in (to, *to.rglob("*")):
        folder.chmod(0o755)
    return to
