"""The other formats of an export: that they answer as the .h5 does, and what of them is refused."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import textwrap
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from sorter.classify.askers import load_asked
from sorter.errors import ModelError
from sorter.library.names import folder_names
from sorter.networks.bundle import Bundle
from sorter.networks.convert import convert
from sorter.networks.flatbuffer import OPERATORS, read_network
from sorter.networks.keras import read_graph
from sorter.networks.load import FORMATS, Sorter, load_sorter
from sorter.networks.run import Backbone, Ready, Runners

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


# --- the same sorter in every format


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


@pytest.fixture(scope="module")
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


@pytest.fixture(scope="module")
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


@pytest.mark.parametrize("name", ["tfjs", "savedmodel"])
def test_keras_layers_are_the_same_sorter_in_whatever_format(formats: Path, exports: Path, name: str) -> None:
    sorter, h5 = load_sorter(formats / name), load_sorter(exports / "direction")
    assert sorter.labels == h5.labels == LABELS
    assert sorter.backbone.key == h5.backbone.key
    assert sorter.sha256 != h5.sha256
    assert np.array_equal(ours(sorter, views()), ours(h5, views()))


@pytest.mark.parametrize("name", ["float", "uint8"])
def test_a_tflite_file_answers_as_the_h5_does(formats: Path, exports: Path, name: str) -> None:
    sorter, h5 = load_sorter(formats / name), load_sorter(exports / "direction")
    assert sorter.labels == LABELS
    answers, theirs = ours(sorter, views()), ours(h5, views())
    assert answers.shape == theirs.shape and answers.dtype == np.float32
    assert np.abs(answers - theirs).max() < (1e-5 if name == "float" else 0.05)


@pytest.mark.parametrize("name", ["float", "uint8", "lobe"])
def test_a_tflite_file_is_run_as_litert_runs_it(formats: Path, name: str) -> None:
    from ai_edge_litert.interpreter import Interpreter

    (path,) = (formats / name).glob("*.tflite")
    engine = Interpreter(model_path=str(path))
    engine.allocate_tensors()
    (entry,), (end,) = engine.get_input_details(), engine.get_output_details()
    theirs = []
    for view in views():
        wanted = {"float": view.astype(np.float32) / 127.5 - 1, "uint8": view, "lobe": view.astype(np.float32) / 255}
        engine.set_tensor(entry["index"], wanted[name][None].astype(entry["dtype"]))
        engine.invoke()
        found = engine.get_tensor(end["index"])[0].astype(np.float32)
        scale, zero = end["quantization"]
        theirs.append((found - zero) * scale if name == "uint8" else found)
    assert np.abs(ours(load_sorter(formats / name), views()) - np.stack(theirs)).max() < 1e-6


def test_lobes_scaling_is_another_backbone_than_the_vendors(formats: Path) -> None:
    lobe, vendors = load_sorter(formats / "lobe"), load_sorter(formats / "float")
    assert lobe.labels == vendors.labels
    assert lobe.backbone.key != vendors.backbone.key
    assert not np.allclose(ours(lobe, views()), ours(vendors, views()))


def test_a_tflite_file_lies_whole_in_the_cache(formats: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MODELSHEET_CACHE", str(tmp_path))
    backbone = load_sorter(formats / "float").backbone
    assert backbone.key.startswith("tflite-") and not backbone.is_compiled()
    assert not list(tmp_path.rglob("*.tflite"))  # loading tries it, and leaves nothing
    assert backbone.compiled().read_bytes() == (formats / "float" / "model_unquant.tflite").read_bytes()
    assert backbone.is_compiled() and load_sorter(formats / "float").backbone.is_compiled()
    assert isinstance(backbone.network, Ready) and backbone.size == 32
    with pytest.raises(ModelError, match=r"run whole and cannot be built upon; take the Keras \(\.h5\) export"):
        _ = backbone.graph


def test_nothing_of_these_formats_needs_tensorflow(formats: Path) -> None:
    code = f"""
    import sys
    from pathlib import Path
    from sorter.networks.load import load_sorter
    for name in ("tfjs", "savedmodel", "float", "uint8", "lobe"):
        assert load_sorter(Path({str(formats)!r}, name)).labels == {LABELS!r}
    assert not {{"tensorflow", "tf_keras"}} & set(sys.modules)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)


# --- where they may lie


def test_the_order_of_preference(formats: Path, exports: Path, tmp_path: Path) -> None:
    """From the last to the first, each put beside those before it: the newest one is taken."""
    folder = tmp_path / "all"
    folder.mkdir()
    (folder / "model_edgetpu.tflite").write_bytes(edge_tpu())
    shutil.copy(exports / "direction" / "labels.txt", folder)
    assert "is made for an Edge TPU" in sentence(folder)
    seen = []
    for name in ("uint8", "float", "tfjs", "savedmodel"):
        shutil.copytree(formats / name, folder, dirs_exist_ok=True)
        assert load_sorter(folder).sha256 == load_sorter(formats / name).sha256
        seen.append(name)
    shutil.copytree(exports / "direction", folder, dirs_exist_ok=True)
    assert load_sorter(folder).sha256 == load_sorter(exports / "direction").sha256
    assert len(seen) == 4 and len(FORMATS) == 5


def test_a_renamed_float_file_is_told_from_a_uint8_one(formats: Path, tmp_path: Path, copy: Any) -> None:
    folder = copy("float")
    (folder / "model_unquant.tflite").rename(folder / "z.tflite")
    shutil.copy(formats / "uint8" / "model.tflite", folder / "a.tflite")
    (folder / "0.tflite").write_bytes(b"damaged")
    assert load_sorter(folder).backbone.key == load_sorter(formats / "float").backbone.key


ALL = ("tfjs", "savedmodel", "float", "uint8", "lobe")


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("prefix", ["", "converted/"])
def test_every_format_may_lie_in_a_zip(formats: Path, tmp_path: Path, name: str, prefix: str) -> None:
    (tmp_path / "only").mkdir()
    path = tmp_path / "only" / "converted.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted((formats / name).rglob("*")):
            archive.write(file, prefix + file.relative_to(formats / name).as_posix())
    wanted = load_sorter(formats / name).sha256
    assert load_sorter(path).sha256 == load_sorter(path.parent).sha256 == wanted


@pytest.mark.parametrize("name", ALL)
def test_every_format_may_lie_one_folder_deeper(formats: Path, tmp_path: Path, name: str) -> None:
    shutil.copytree(formats / name, tmp_path / "x" / "my_model")
    (tmp_path / "x" / "pictures").mkdir()
    (tmp_path / "x" / "SOURCE.txt").write_text("from a friend")
    assert load_sorter(tmp_path / "x").sha256 == load_sorter(formats / name).sha256


@pytest.mark.parametrize("name", ALL)
def test_names_may_be_in_any_case(formats: Path, tmp_path: Path, name: str) -> None:
    shutil.copytree(formats / name, tmp_path / "x")
    for path in sorted((tmp_path / "x").rglob("*"), key=lambda path: -len(path.parts)):
        path.rename(path.with_name(path.name.upper()))
    assert load_sorter(tmp_path / "x").sha256 == load_sorter(formats / name).sha256


def test_several_exports_in_folders_are_not_guessed_between(formats: Path) -> None:
    assert "holds several exports: float, lobe, savedmodel, tfjs, uint8; name one" in sentence(formats)


def test_labels_may_lie_in_the_savedmodel(copy: Any, formats: Path) -> None:
    folder = copy("savedmodel")
    (folder / "labels.txt").rename(folder / "model.savedmodel" / "labels.txt")
    wanted = load_sorter(formats / "savedmodel").sha256
    assert load_sorter(folder).sha256 == load_sorter(folder / "model.savedmodel").sha256 == wanted


@pytest.mark.parametrize("name", ["savedmodel", "float"])
def test_missing_labels_are_a_sentence(copy: Any, name: str) -> None:
    folder = copy(name)
    (folder / "labels.txt").unlink()
    assert "has no labels.txt file; take it from the same export" in sentence(folder)


def test_what_was_looked_for_and_what_is_there_is_said(tmp_path: Path) -> None:
    (tmp_path / "x" / "y").mkdir(parents=True)
    (tmp_path / "x" / "y" / "weights.pt").write_text("")
    said = sentence(tmp_path / "x")
    for name in ("keras_model.h5", "model.savedmodel", "model.json", ".tflite", "signature.json", "holds y/"):
        assert name in said


def test_a_pipe_is_not_waited_for(copy: Any) -> None:
    import os

    folder = copy("float")
    os.mkfifo(folder / "keras_model.h5")
    assert load_sorter(folder).labels == LABELS


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("count", [3, 5])
def test_labels_that_do_not_fit_the_outputs_are_refused(copy: Any, name: str, count: int) -> None:
    folder = copy(name)
    labels = [f"c{number}" for number in range(count)]
    if name == "tfjs":
        (folder / "metadata.json").write_text(json.dumps({"labels": labels}))
    elif name == "lobe":
        known = json.loads((folder / "signature.json").read_text())
        (folder / "signature.json").write_text(json.dumps(known | {"classes": {"Label": labels}}))
    else:
        (folder / "labels.txt").write_text("\n".join(labels))
    assert f"{count} labels for 4 outputs of" in sentence(folder)


def test_labels_that_are_paths_do_no_harm(copy: Any) -> None:
    folder = copy("tfjs")
    labels = ["../../etc", "/etc/passwd", "a\nb", "..", "0 left"]
    (folder / "metadata.json").write_text(json.dumps({"labels": labels[:4]}))
    loaded = load_sorter(folder).labels
    assert loaded == ("../../etc", "/etc/passwd", "a b", "..")
    names = folder_names((*loaded, labels[4]))
    assert len(set(names.values())) == 5
    assert not any(set("/\\") & set(name) or name.strip(".") == "" for name in names.values())


# --- TensorFlow.js


def edit_json(path: Path, change: Callable[[Any], Any]) -> None:
    path.write_text(json.dumps(change(json.loads(path.read_text()))))


def test_weights_may_lie_in_several_files(formats: Path, exports: Path, tmp_path: Path) -> None:
    folder = write_tfjs(exports / "direction" / "keras_model.h5", tmp_path / "x", shards=3)
    assert load_sorter(folder).backbone.key == load_sorter(formats / "tfjs").backbone.key


def test_a_wrapped_topology_is_the_same(copy: Any, formats: Path) -> None:
    folder = copy("tfjs")
    edit_json(folder / "model.json", lambda one: one | {"modelTopology": {"model_config": one["modelTopology"]}})
    assert load_sorter(folder).backbone.key == load_sorter(formats / "tfjs").backbone.key


def test_labels_of_tfjs_may_be_a_text_file(copy: Any) -> None:
    folder = copy("tfjs")
    (folder / "metadata.json").unlink()
    assert "has no labels.txt file" in sentence(folder)
    (folder / "labels.txt").write_text("a\nb\nc\nd\n")
    assert load_sorter(folder).labels == ("a", "b", "c", "d")


def spoil_first(key: str, value: object) -> Callable[[Any], Any]:
    def change(model: Any) -> Any:
        model["weightsManifest"][0]["weights"][0][key] = value
        return model

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (spoil_first("dtype", "int32"), "are not plain float32"),
        (spoil_first("quantization", {"dtype": "uint8", "scale": 1, "min": 0}), "are not plain float32"),
        (spoil_first("shape", [3, 3, 3, 7]), "its weights have"),
        (spoil_first("shape", [3, 3, 3, -6]), "have the shape"),
        (spoil_first("shape", [float("nan")]), "have the shape"),
        (spoil_first("shape", [1e99]), "have the shape"),
        (spoil_first("shape", [True]), "have the shape"),
        (spoil_first("shape", [1] * 100), "have the shape"),
        (spoil_first("shape", "3"), "have the shape"),
        (spoil_first("shape", [10**6, 10**6]), "holds over 100,000,000 weights"),
        (spoil_first("shape", [48]), "has no weights of its kind"),
        (spoil_first("name", "kernel"), "belong to no layer"),
        (spoil_first("name", "Conv2/kernel"), "has no weights of its kind"),
        (spoil_first("name", "bn_Conv1/kernel"), "has no weights of its kind"),
        (lambda one: one | {"weightsManifest": None}, "its weightsManifest is not laid out"),
        (lambda one: one | {"weightsManifest": [3]}, "its weightsManifest is not laid out"),
        (lambda one: one | {"weightsManifest": []}, "has no weights of its kind"),
        (lambda one: one | {"modelTopology": None}, "holds no Keras layers"),
        (lambda one: one | {"modelTopology": {}}, "is not laid out as Keras does"),
        (lambda one: one | {"format": "graph-model"}, "holds no Keras layers"),
        (lambda one: [one], "holds no JSON object"),
    ],
)
def test_a_spoilt_tfjs_model_is_refused(copy: Any, change: Callable[[Any], Any], said: str) -> None:
    folder = copy("tfjs")
    edit_json(folder / "model.json", change)
    assert said in sentence(folder)


def spoil_layer(kind: str, **options: object) -> Callable[[Any], Any]:
    """Claim something else of every layer of a kind; the weights stay as they are."""

    def walk(entry: Any) -> None:
        if entry["class_name"] == kind:
            entry["config"].update(options)
        for inner in entry["config"].get("layers", ()):
            walk(inner)

    def change(model: Any) -> Any:
        walk(model["modelTopology"])
        return model

    return change


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("Conv2D", {"filters": 10**9}),
        ("Conv2D", {"kernel_size": [10**6, 10**6]}),
        ("Conv2D", {"groups": 2}),
        ("DepthwiseConv2D", {"depth_multiplier": 10**9}),
        ("Dense", {"units": 10**9}),
    ],
)
def test_a_layer_that_claims_more_than_its_weights_is_refused(copy: Any, kind: str, options: Any) -> None:
    """Building it would ask for that much memory."""
    folder = copy("tfjs")
    edit_json(folder / "model.json", spoil_layer(kind, **options))
    assert f"has a {kind} layer whose weights (" in sentence(folder)


def test_weights_that_do_not_fit_what_they_read_are_refused(copy: Any) -> None:
    folder = copy("tfjs")
    turned = {(6, 8): [8, 6], (8, 4): [16, 2]}

    def change(model: Any) -> Any:
        for entry in model["weightsManifest"][0]["weights"]:
            entry["shape"] = turned.get(tuple(entry["shape"]), entry["shape"])
        return model

    edit_json(folder / "model.json", change)
    assert "do not fit it or what it reads" in sentence(folder)


@pytest.mark.parametrize("path", ["../weights.bin", "/etc/passwd", "a/../weights.bin", "..\\weights.bin", 3, "..", ""])
def test_weights_lie_in_the_same_folder(copy: Any, path: object) -> None:
    folder = copy("tfjs")
    shutil.copy(folder / "weights.bin", folder.parent / "weights.bin")

    def change(model: Any) -> Any:
        model["weightsManifest"][0]["paths"] = [path]
        return model

    edit_json(folder / "model.json", change)
    assert "is not a file of the same folder" in sentence(folder) or "is not beside it" in sentence(folder)


def test_a_file_of_weights_named_twice_is_refused(copy: Any) -> None:
    folder = copy("tfjs")

    def change(model: Any) -> Any:
        model["weightsManifest"][0]["paths"] *= 2
        return model

    edit_json(folder / "model.json", change)
    assert "names its files of weights twice" in sentence(folder)


@pytest.mark.parametrize("size", [-4, -1, 4])
def test_weights_that_are_cut_off_are_refused(copy: Any, size: int) -> None:
    folder = copy("tfjs")
    data = (folder / "weights.bin").read_bytes()
    (folder / "weights.bin").write_bytes(data[:size] if size < 0 else data + bytes(size))
    assert "take all files from one export" in sentence(folder)


def test_a_layer_that_is_not_allowed_is_refused_in_tfjs_too(copy: Any) -> None:
    folder = copy("tfjs")
    text = (folder / "model.json").read_text()
    (folder / "model.json").write_text(text.replace('"ReLU"', '"Lambda"'))
    assert 'has a layer of kind "Lambda", which is not allowed' in sentence(folder)


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, '{"a": 1e9999', "\xff"])
def test_what_is_no_json_is_refused(copy: Any, text: str) -> None:
    for name in ("model.json", "metadata.json"):
        folder = copy("tfjs")
        (folder / name).write_bytes(text.encode("latin-1"))
        assert "is not JSON that can be read" in sentence(folder) or "is not UTF-8" in sentence(folder)
        shutil.rmtree(folder)


def test_a_huge_json_is_refused_unread(copy: Any) -> None:
    folder = copy("tfjs")
    with (folder / "model.json").open("r+b") as file:
        file.truncate(2**30)  # of no bytes on most disks
    assert "has over 16 MB" in sentence(folder)


@pytest.mark.parametrize("labels", [None, "left", [1, 2, 3, 4], {}, []])
def test_labels_that_are_no_names_are_refused(copy: Any, labels: object) -> None:
    folder = copy("tfjs")
    (folder / "metadata.json").write_text(json.dumps({"labels": labels}))
    assert "labels" in sentence(folder)


@pytest.mark.parametrize(
    ("known", "project"),
    [
        ({"packageName": "@teachablemachine/pose"}, "pose"),
        ({"modelSettings": {"posenet": {"multiplier": 0.75}}}, "pose"),
        ({"packageName": "@teachablemachine/audio"}, "sound"),
        ({"tfjsSpeechCommandsVersion": "0.4.0", "wordLabels": ["a"]}, "sound"),
    ],
)
def test_pose_and_sound_projects_are_refused(copy: Any, known: Any, project: str) -> None:
    folder = copy("tfjs")
    (folder / "metadata.json").write_text(json.dumps(known | {"labels": list(LABELS)}))
    said = sentence(folder)
    assert f"is a {project} project, which judges" in said
    assert "and not pictures; make an image project in Teachable Machine and export that" in said


# --- SavedModel


def metadata_of(folder: Path) -> str:
    """Keras's description, as TensorFlow 2.5 and later write it beside the graph."""
    from tf_keras.protobuf import saved_metadata_pb2

    found = saved_metadata_pb2.SavedMetadata()
    found.ParseFromString((folder / "keras_metadata.pb").read_bytes())
    return str(next(node.metadata for node in found.nodes if node.node_id == 0))


def test_the_description_may_lie_in_the_graph_itself(copy: Any, formats: Path) -> None:
    """TensorFlow 2.0 to 2.4."""
    from tensorflow.core.protobuf import saved_model_pb2

    folder = copy("savedmodel")
    inner = folder / "model.savedmodel"
    model = saved_model_pb2.SavedModel()
    model.ParseFromString((inner / "saved_model.pb").read_bytes())
    model.meta_graphs[0].object_graph_def.nodes[0].user_object.metadata = metadata_of(inner)
    (inner / "saved_model.pb").write_bytes(model.SerializeToString())
    (inner / "keras_metadata.pb").unlink()
    assert load_sorter(folder).backbone.key == load_sorter(formats / "savedmodel").backbone.key


def test_the_description_may_lie_in_the_assets(copy: Any, formats: Path) -> None:
    """TensorFlow 1.15: Teachable Machine's exports of 2019 and 2020."""
    folder = copy("savedmodel")
    inner = folder / "model.savedmodel"
    config = json.loads(metadata_of(inner))["model_config"]
    (inner / "keras_metadata.pb").unlink()
    (inner / "assets").mkdir(exist_ok=True)
    (inner / "assets" / "saved_model.json").write_text("")
    assert "is not laid out as Keras does" in sentence(folder)  # not taken for one without a description
    (inner / "assets" / "saved_model.json").write_text(json.dumps(config))
    assert load_sorter(folder).backbone.key == load_sorter(formats / "savedmodel").backbone.key


def test_the_checkpoint_is_read_as_tensorflow_reads_it(formats: Path) -> None:
    import tensorflow as tf

    folder = formats / "savedmodel" / "model.savedmodel" / "variables"
    theirs = tf.train.load_checkpoint(str(folder / "variables"))
    shapes = theirs.get_variable_to_shape_map()
    read = Bundle((folder / "variables.index").read_bytes(), lambda *_: next(folder.glob("*.data-*")).read_bytes())
    assert set(read.entries) == set(shapes) and len(shapes) == 10
    for key in shapes:
        if shapes[key]:
            assert np.array_equal(read.array(key), theirs.get_tensor(key))
        else:
            assert read.string(key) == theirs.get_tensor(key)


@pytest.mark.parametrize("name", ["saved_model.pb", "keras_metadata.pb", "variables/variables.index",
                                  "variables/variables.data-00000-of-00001"])  # fmt: skip
def test_a_damaged_savedmodel_is_refused(copy: Any, name: str, formats: Path) -> None:
    """Cut off or changed anywhere, it is a sentence, or loads where nothing of use was hit."""
    path = copy("savedmodel") / "model.savedmodel" / name
    whole, chance, refused = path.read_bytes(), np.random.default_rng(3), 0
    path.unlink()
    if name != "keras_metadata.pb":
        assert name in sentence(path.parents[name.count("/") + 1]) or "holds no sorter" in sentence(path.parents[1])
    for number in range(60):
        data = bytearray(whole)
        if number < 20:
            del data[len(data) * number // 20 :]
        else:
            for place in chance.integers(0, len(data), 8):
                data[place] = chance.integers(0, 256)
        path.write_bytes(data)
        try:
            load_sorter(path.parents[name.count("/") + 1])
        except ModelError as found:
            refused += 1
            assert "\n" not in str(found)
    assert refused > (10 if name != "saved_model.pb" else -1)  # of that file nothing is needed but that it is there


def test_a_savedmodel_that_claims_much_is_refused_unread(copy: Any) -> None:
    from sorter.networks.bundle import varint

    folder = copy("savedmodel")
    path = folder / "model.savedmodel" / "variables" / "variables.index"
    data = path.read_bytes()
    dimension = b"\x12\x02\x08\x06"  # of a row of 6
    assert data.count(b"\x12\x04" + dimension) >= 4 and varint(b"\x06", 0) == (6, 1)
    path.write_bytes(data.replace(b"\x12\x04" + dimension, b"\x12\x04\x12\x02\x08\x7f"))
    assert "is not plain float32 of its shape" in sentence(folder)


def test_a_layer_that_is_not_allowed_is_refused_in_a_savedmodel_too(copy: Any) -> None:
    folder = copy("savedmodel")
    path = folder / "model.savedmodel" / "keras_metadata.pb"
    path.write_bytes(path.read_bytes().replace(b'"ReLU"', b'"LSTM"'))
    assert 'has a layer of kind "LSTM", which is not allowed' in sentence(folder)


# --- SavedModel without a description of its layers


def test_without_a_description_it_is_refused_and_says_what_to_export(copy: Any) -> None:
    folder = copy("savedmodel")
    next(folder.rglob("keras_metadata.pb")).unlink()
    assert "has no description of its layers" in sentence(folder)
    assert "export it from Teachable Machine as Keras (.h5)" in sentence(folder)


# --- TensorFlow Lite


def changed(data: bytes, change: Callable[[Any, Any], None]) -> bytes:
    """A .tflite file with something changed in its tables: change(model, its one network)."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(data, 0)
    change(model, model.subgraphs[0])
    builder = flatbuffers.Builder(1 << 16)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


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


def set_code(number: int, custom: str | None = None) -> Callable[[Any, Any], None]:
    def change(model: Any, net: Any) -> None:
        code = model.operatorCodes[0]
        code.builtinCode, code.deprecatedBuiltinCode, code.customCode = number, min(number, 127), custom

    return change


def set_entry(**values: Any) -> Callable[[Any, Any], None]:
    return lambda model, net: [setattr(net.tensors[net.inputs[0]], key, value) for key, value in values.items()]  # type: ignore[return-value]


def set_first(**values: Any) -> Callable[[Any, Any], None]:
    """Of the first operator with a window that moves."""

    def change(model: Any, net: Any) -> None:
        operator = next(one for one in net.operators if hasattr(one.builtinOptions, "strideW"))
        for key, value in values.items():
            setattr(operator.builtinOptions, key, value)

    return change


def set_operator(place: int, **values: Any) -> Callable[[Any, Any], None]:
    return lambda model, net: [setattr(net.operators[place], key, value) for key, value in values.items()]  # type: ignore[return-value]


REFUSED: dict[str, tuple[Callable[[Any, Any], None], str]] = {
    "a custom operator": (set_code(32, "FlexDelegate"), "has an operator of its own, b'FlexDelegate'"),
    "an operator that is not allowed": (set_code(118), "has an operator IF, which is not allowed"),
    "an operator that there is not": (set_code(9999), "has an operator 9999, which is not allowed"),
    "two networks": (lambda model, net: model.subgraphs.append(net), "has 2 networks in one file"),
    "no network": (lambda model, net: model.subgraphs.clear(), "has 0 networks in one file"),
    "two inputs": (lambda model, net: setattr(net, "inputs", [0, 1]), "not just one input and one output"),
    "an input that there is not": (lambda model, net: setattr(net, "inputs", [9999]), "has no input or no output"),
    "a negative output": (lambda model, net: setattr(net, "outputs", [-1]), "has no input or no output"),
    "grey pictures": (set_entry(shape=[1, 32, 32, 1]), "reads float32 of 1x32x32x1"),
    "oblong pictures": (set_entry(shape=[1, 32, 16, 3]), "reads float32 of 1x32x16x3"),
    "tiny pictures": (set_entry(shape=[1, 8, 8, 3]), "reads float32 of 1x8x8x3"),
    "many pictures": (set_entry(shape=[2, 32, 32, 3]), "reads float32 of 2x32x32x3"),
    "sound": (set_entry(shape=[1, 44032]), "is a sound project"),
    "a negative side": (set_entry(shape=[1, 32, -32, 3]), "has a tensor of the shape"),
    "a huge side": (set_entry(shape=[1, 2**31 - 1, 2**31 - 1, 3]), "has a tensor of the shape"),
    "another kind of numbers": (set_entry(type=10), "has a tensor of FLOAT64"),
    "a kind that there is not": (set_entry(type=77), "has a tensor of 77"),
    "whole numbers without a scale": (set_entry(type=3), "has whole numbers without a scale"),
    "a buffer that there is not": (set_entry(buffer=9999), "has a tensor that lies in no buffer"),
    "a variable": (set_entry(isVariable=True), "sparse or variable"),
    "strides of 0": (set_first(strideW=0, strideH=0), "does not fit what it reads"),
    "negative strides": (set_first(strideH=-1), "does not fit what it reads"),
    "a huge dilation": (set_first(dilationWFactor=2**30), "does not fit what it reads"),
    "an activation that is not allowed": (set_first(fusedActivationFunction=5), "activation that is not allowed"),
    "no options": (set_operator(1, builtinOptions=None, builtinOptionsType=0), "with the options of another"),
    "what is not written": (set_operator(0, inputs=[5, 6, 7]), "cannot be run by LiteRT"),
    "an input before the first": (set_operator(0, inputs=[-5, -6]), "cannot be run by LiteRT"),
    "two writers": (set_operator(1, outputs=[0]), "writes to what is written already"),
    "no output": (set_operator(1, outputs=[]), "writes to what is written already"),
    "an operator of no kind": (set_operator(0, opcodeIndex=77), "has an operator of no kind"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_a_tflite_file_may_not_hold(copy: Any, what: str) -> None:
    folder = copy("float")
    path = folder / "model_unquant.tflite"
    change, said = REFUSED[what]
    path.write_bytes(changed(path.read_bytes(), change))
    assert said in sentence(folder)


def test_unchanged_tables_load(copy: Any) -> None:
    """So that the tests above refuse for the reason they give."""
    for name, file in (("float", "model_unquant.tflite"), ("uint8", "model.tflite")):
        folder = copy(name)
        data = (folder / file).read_bytes()
        (folder / file).write_bytes(changed(data, lambda model, net: None))
        assert load_sorter(folder).labels == LABELS
        assert {one.kind for one in read_network(data, "x").operators} <= set(OPERATORS)


def test_every_operator_that_is_allowed_can_be_run(every: Path, tmp_path: Path) -> None:
    known = set()
    for name in ("float.tflite", "uint8.tflite"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "labels.txt").write_text("\n".join(LABELS))
        shutil.copy(every / name, folder)
        assert np.abs(ours(load_sorter(folder), views()).sum(1) - 1).max() < 0.02
        known |= {one.kind for one in read_network((every / name).read_bytes(), "x").operators}
    assert known == set(OPERATORS)


def test_scales_too_far_apart_are_refused(copy: Any, formats: Path) -> None:
    """LiteRT would end the process: its multiplier of a sum must be below 1."""
    folder = copy("uint8")
    path = folder / "model.tflite"
    place = [one.kind for one in read_network(path.read_bytes(), "x").operators].index("ADD")

    def change(model: Any, net: Any) -> None:
        net.tensors[net.operators[place].outputs[0]].quantization.scale = [1e-12]

    path.write_bytes(changed(path.read_bytes(), change))
    assert "an operator ADD has scales too far apart" in sentence(folder)


def test_numbers_outside_of_the_network_are_refused(copy: Any) -> None:
    folder = copy("float")
    path = folder / "model_unquant.tflite"

    def change(model: Any, net: Any) -> None:
        model.buffers[net.tensors[net.operators[0].inputs[1]].buffer].offset = 1000

    path.write_bytes(changed(path.read_bytes(), change))
    assert "keeps numbers outside of its buffers" in sentence(folder)


def test_margins_cannot_make_a_map_huge(copy: Any) -> None:
    folder = copy("float")
    path = folder / "model_unquant.tflite"

    def change(model: Any, net: Any) -> None:
        (pad,) = [one for one in net.operators if type(one.builtinOptions).__name__ == "PadOptionsT"]
        margins = np.array([[0, 0], [0, 2**30], [0, 2**30], [0, 0]], "<i4")
        model.buffers[net.tensors[pad.inputs[1]].buffer].data = np.frombuffer(margins.tobytes(), np.uint8)

    path.write_bytes(changed(path.read_bytes(), change))
    assert "an operator PAD does not fit what it reads: its margins" in sentence(folder)


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf"), 1e-30, 1e30])
def test_scales_that_cannot_be_are_refused(copy: Any, scale: float) -> None:
    folder = copy("uint8")
    path = folder / "model.tflite"

    def change(model: Any, net: Any) -> None:
        net.tensors[net.operators[2].outputs[0]].quantization.scale = [scale]

    path.write_bytes(changed(path.read_bytes(), change))
    assert "has whole numbers with scales that cannot be" in sentence(folder)


def test_an_edge_tpu_file_is_refused_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("0 a\n1 b\n")
    (tmp_path / "model.tflite").write_bytes(edge_tpu())
    said = sentence(tmp_path)
    assert "is made for an Edge TPU, and only that accelerator of Google's can run it" in said
    assert "take model.tflite or model_unquant.tflite of the same export" in said


@pytest.mark.parametrize("data", [b"", b"TFL3", bytes(7) + b"TFL3", b"\x1c\0\0\0TFL3", b"<html>404</html>"])
def test_what_is_no_tflite_file_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "labels.txt").write_text("0 a\n1 b\n")
    (tmp_path / "model.tflite").write_bytes(data)
    assert "does not begin as one" in sentence(tmp_path) or "is not a whole .tflite file" in sentence(tmp_path)


FUZZ = """
import random, sys
from pathlib import Path
import flatbuffers
from ai_edge_litert import schema_py_generated as schema
from sorter.networks.load import load_sorter
from sorter.errors import ModelError

source, folder, seed, rounds = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
whole, chance = source.read_bytes(), random.Random(seed)
ODD = (-(2**31), -77, -1, 0, 1, 2, 7, 100, 2**20, 2**31 - 1)
FRACTIONS = (-1.0, 0.0, 1e-30, 1e-19, 1e-9, 1e-5, 0.3, 10.0, 1e3, 1e6, 1e9, 1e30, float("inf"), float("nan"))


def cut(number):
    return whole[: len(whole) * number // rounds]


def flip(number):
    data = bytearray(whole)
    for _ in range(chance.choice((1, 3, 20))):
        place = chance.randrange(min(len(data), 4096))
        data[chance.choice((place, -1 - place))] = chance.randrange(256)
    return data


def numbers(thing, met):
    # every place of a table tree that holds a number: (holder, key)
    if isinstance(thing, list):
        for place, one in enumerate(thing):
            yield from [(thing, place)] if type(one) in (int, float) else numbers(one, met)
    elif hasattr(thing, "__dict__") and id(thing) not in met:
        met.add(id(thing))
        for key, one in vars(thing).items():
            if type(one) in (int, bool, float):
                yield thing, key
            elif type(one).__name__ == "ndarray":
                setattr(thing, key, one if key == "data" else one.tolist())
                yield from numbers(getattr(thing, key), met)
            else:
                yield from numbers(one, met)


def odd(number):
    # a sound file of unsound values: only what the values mean can be wrong
    model = schema.ModelT.InitFromPackedBuf(whole, 0)
    places = list(numbers(model, set()))
    for _ in range(chance.choice((1, 1, 2, 5))):
        holder, key = chance.choice(places)
        now = holder[key] if isinstance(holder, list) else getattr(holder, key)
        value = chance.choice(FRACTIONS if type(now) is float else ODD)
        if isinstance(holder, list):
            holder[key] = value
        else:
            setattr(holder, key, value)
    builder = flatbuffers.Builder(1 << 16)
    try:
        builder.Finish(model.Pack(builder), b"TFL3")
    except Exception:  # a value that the table cannot hold
        return whole
    return builder.Output()


loaded = 0
for make in (cut, flip, odd):
    for number in range(rounds):
        (folder / "model.tflite").write_bytes(make(number))
        try:
            load_sorter(folder)
            loaded += 1
        except ModelError as found:
            assert "\\n" not in str(found) and len(str(found)) < 500, found
print(loaded)
"""


def fuzz(source: Path, folder: Path, seed: int, rounds: int, labels: str) -> int:
    """How many of 3 * rounds spoilt copies still loaded. The process must end well: no signal, no traceback."""
    folder.mkdir()
    (folder / "labels.txt").write_text(labels)
    command = [sys.executable, "-c", FUZZ, str(source), str(folder), str(seed), str(rounds)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr[-2000:]
    return int(done.stdout)


@pytest.mark.parametrize("name", ["float.tflite", "uint8.tflite"])
def test_no_damage_to_a_tflite_file_ends_the_process(every: Path, tmp_path: Path, name: str) -> None:
    assert 20 < fuzz(every / name, tmp_path / "x", seed=5, rounds=100, labels="\n".join(LABELS)) < 150


# --- Lobe


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": "tf"}, "is Lobe's export as 'tf'; export the project as TensorFlow Lite"),
        ({"format": None}, "is Lobe's export as 'None'"),
        ({"filename": "../saved_model.tflite"}, "is not a file beside it"),
        ({"filename": "/etc/passwd"}, "is not a file beside it"),
        ({"filename": None}, "is not a file beside it"),
        ({"filename": "other.tflite"}, "is not a file beside it"),
        ({"classes": ["a"]}, "its labels are not a list of names"),
        ({"classes": {"Label": "a"}}, "its labels are not a list of names"),
    ],
)
def test_a_spoilt_signature_is_refused(copy: Any, change: Any, said: str) -> None:
    folder = copy("lobe")
    edit_json(folder / "signature.json", lambda one: one | change)
    assert said in sentence(folder)


# --- real material


def test_every_format_of_the_vendors_own_loads(shared: Path) -> None:
    tm = shared / "tm"
    h5, tfjs = load_sorter(tm / "arrows-2023-h5"), load_sorter(tm / "posture-2025-tfjs")
    assert tfjs.labels == ("Good posture", "Bad posture", "Neutral postion/Undetected")
    assert tfjs.backbone.key == h5.backbone.key
    assert load_sorter(tm / "korean-pattern-2022-tflite").labels == ("체크 무늬", "꽃 무늬", "줄 무늬", "민 무늬")
    assert load_sorter(tm / "mask-2021-tflite").labels == ("Mask", "No Mask")


def test_what_the_vendor_has_besides_is_refused(shared: Path, tmp_path: Path) -> None:
    assert "is a pose project" in sentence(shared / "tm" / "pose-project-2024" / "my-pose-model")
    assert "is a pose project" in sentence(shared / "tm" / "pose-project-2024")
    for name in ("model_edgetpu.tflite", "labels.txt"):
        shutil.copyfile(shared / "tm" / "mask-2021-tflite" / name, tmp_path / name)
    assert "is made for an Edge TPU" in sentence(tmp_path)


@pytest.fixture
def vendors(shared: Path, tmp_path: Path) -> Path:
    """Teachable Machine's SavedModel of 2020 without the .h5 beside it."""
    source, to = shared / "tm" / "multiclass-2020-savedmodel", tmp_path / "vendors"
    shutil.copytree(source, to, copy_function=shutil.copyfile, ignore=shutil.ignore_patterns("*.h5"))
    for folder in (to, *to.rglob("*")):
        folder.chmod(0o755)
    return to


def test_a_savedmodel_of_2020_is_refused_where_its_h5_is_gone(shared: Path, vendors: Path) -> None:
    """This copy has no description of its layers; the .h5 lies beside every one that was found."""
    assert len(load_sorter(shared / "tm" / "multiclass-2020-savedmodel").labels) == 4
    assert "has no description of its layers" in sentence(vendors)


@pytest.mark.parametrize("name", ["model_unquant.tflite", "model.tflite"])
def test_the_vendors_tflite_files_answer_as_its_recipe(shared: Path, tmp_path: Path, name: str) -> None:
    """Teachable Machine's: ImageOps.fit with Lanczos; x / 127.5 - 1 for float32, x itself for uint8."""
    from ai_edge_litert.interpreter import Interpreter

    source = shared / "tm" / "mask-2021-tflite"
    for file in (name, "labels.txt"):
        shutil.copyfile(source / file, tmp_path / file)
    paths = sorted((shared / "frames").glob("*.jpg"))[::4][:5]
    assert len(paths) == 5
    seen = np.stack([
        np.asarray(ImageOps.fit(Image.open(path).convert("RGB"), (224, 224), Image.Resampling.LANCZOS))
        for path in paths
    ])  # fmt: skip
    engine = Interpreter(model_path=str(source / name))
    engine.allocate_tensors()
    (entry,), (end,) = engine.get_input_details(), engine.get_output_details()
    theirs = []
    for view in seen:
        x = view if name == "model.tflite" else view.astype(np.float32) / 127.5 - 1
        engine.set_tensor(entry["index"], x[None])
        engine.invoke()
        theirs.append(engine.get_tensor(end["index"])[0] * (1 / 256 if name == "model.tflite" else 1))
    assert np.abs(ours(load_sorter(tmp_path), seen) - np.stack(theirs)).max() < 1e-4


@pytest.mark.parametrize("name", ["model_unquant.tflite", "model.tflite"])
def test_no_damage_to_a_real_tflite_file_ends_the_process(shared: Path, tmp_path: Path, name: str) -> None:
    assert fuzz(shared / "tm" / "mask-2021-tflite" / name, tmp_path / "x", 7, 12, "0 Mask\n1 No Mask\n") < 36


def test_a_ready_backbone_is_equal_by_its_key_only() -> None:
    one, other = Ready(b"a", 32), Ready(b"a", 32)
    assert one.key() == other.key() != Ready(b"b", 32).key()
    assert Backbone(one.key(), one).size == 32
