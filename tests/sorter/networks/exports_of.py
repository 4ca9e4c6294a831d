"""Exports of one sorter in every format, and what is said of them."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sorter.classify.askers import load_asked
from sorter.errors import ModelError
from sorter.networks.load import Sorter
from sorter.networks.run import Runners

LABELS = ("left", "right", "front", "nobody")


def views(count: int = 4, size: int = 32) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (count, size, size, 3), np.uint8)


def ours(sorter: Sorter, pictures: np.ndarray) -> np.ndarray:
    runners = Runners()
    return np.concatenate([sorter.head(runners(sorter.backbone, view)[None]) for view in pictures])


def sentence(folder: Path) -> str:
    with pytest.raises(ModelError) as found:
        load_asked(folder)
    assert "\n" not in str(found.value)
    assert str(folder) in str(found.value)
    assert len(str(found.value)) < 300 + 2 * len(str(folder))
    return str(found.value)


def write_tfjs(h5: Path, folder: Path, shards: int = 1) -> Path:
    """What the browser keeps: the .h5's own description, and its weights in one heap, cut anywhere."""
    import h5py

    folder.mkdir(parents=True)
    heap, entries = b"", []
    with h5py.File(h5) as file:
        topology = json.loads(file.attrs["model_config"])
        for group in file["model_weights"].values():
            for name in group.attrs["weight_names"]:
                array = np.asarray(group[name])
                entry = {"name": str(name).removesuffix(":0"), "shape": list(array.shape), "dtype": "float32"}
                entries.append(entry)
                heap += array.astype("<f4").tobytes()
    names = ["weights.bin"] if shards == 1 else [f"group1-shard{n + 1}of{shards}" for n in range(shards)]
    step = -(-len(heap) // shards)
    for number, name in enumerate(names):
        (folder / name).write_bytes(heap[number * step : (number + 1) * step])
    manifest = [{"paths": names, "weights": entries}]
    (folder / "model.json").write_text(json.dumps({"modelTopology": topology, "weightsManifest": manifest}))
    known = {"packageName": "@teachablemachine/image", "labels": list(LABELS), "imageSize": 32}
    (folder / "metadata.json").write_text(json.dumps(known))
    return folder


def quantised(model: Any, answers_in_float: bool = False) -> bytes:
    """As Teachable Machine's converter makes model.tflite: uint8 in, int8 within, uint8 out."""
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    pictures = np.concatenate([views(16), np.broadcast_to(views(8)[:, :1, :1], (8, 32, 32, 3))])
    converter.representative_dataset = lambda: ([view[None].astype(np.float32) / 127.5 - 1] for view in pictures)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.uint8
    converter.inference_output_type = tf.float32 if answers_in_float else tf.uint8
    with warnings.catch_warnings():  # the converter's, about statistics that only its older version used
        warnings.simplefilter("ignore")
        return bytes(converter.convert())


def edge_tpu() -> bytes:
    """A file whose network is one operator of Google's accelerator."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT()
    model.version, code = 3, schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    code.customCode = "edgetpu-custom-op"
    model.operatorCodes = [code]
    builder = flatbuffers.Builder(1 << 10)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def edit_json(path: Path, change: Callable[[Any], Any]) -> None:
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
