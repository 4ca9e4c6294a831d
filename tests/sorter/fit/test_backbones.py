"""Which network a sorter is built upon, and that a network of Keras's own is told the same of a picture as by Keras."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sorter.errors import ModelError, ModelsheetError, OptionsError
from sorter.fit import backbones
from sorter.fit.backbones import AUTO, OFFLINE, application, find_backbone, from_keras, map_places
from sorter.networks.convert import build
from sorter.networks.graph import Graph, Layer
from sorter.networks.load import load_sorter
from sorter.networks.run import normalise

OFFLINES = Graph(32, (Layer("InputLayer", (), {}), Layer("Flatten", (0,), {})))


@pytest.fixture(autouse=True)
def quick_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backbones, "efficientnet_lite0", lambda: OFFLINES)


def key_of(export: Path) -> str:
    return load_sorter(export).backbone.graph.key()


@pytest.fixture
def models(tmp_path: Path) -> Path:
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


# --- which one


def test_alone_it_is_the_offline_one(tmp_path: Path, models: Path) -> None:
    assert find_backbone(AUTO, models / "new") == (OFFLINE, OFFLINES)
    assert find_backbone(AUTO, tmp_path / "no" / "folder" / "yet") == (OFFLINE, OFFLINES)
    assert find_backbone("EfficientNet-Lite0", models / "new") == (OFFLINE, OFFLINES)


def test_a_strangers_export_beside_it_is_shared(models: Path, exports: Path) -> None:
    shutil.copytree(exports / "direction", models / "pose")
    name, graph = find_backbone(AUTO, models / "new")
    assert (name, graph.key()) == ("that of pose", key_of(exports / "direction"))
    shutil.copytree(exports / "direction", models / "a pose")
    assert find_backbone(AUTO, models / "new")[0] == "that of a pose"  # the first by name
    assert find_backbone(OFFLINE, models / "new") == (OFFLINE, OFFLINES)


def test_a_zip_beside_it_is_shared(models: Path, exports: Path) -> None:
    shutil.make_archive(str(models / "converted"), "zip", exports / "mood")
    name, graph = find_backbone(AUTO, models / "new")
    assert (name, graph.key()) == ("that of converted.zip", key_of(exports / "mood"))


def test_neither_its_own_former_self_nor_a_sorter_made_here_nor_a_heap_of_files_is_taken(
    models: Path, exports: Path
) -> None:
    for name in ("new", "made here"):
        shutil.copytree(exports / "direction", models / name)
    (models / "made here" / "card.toml").write_text('classes = ["left"]\n')
    (models / "heap").mkdir()
    (models / "heap" / "notes.txt").write_text("")
    (models / "broken.zip").write_bytes(b"PK")
    (models / "spoilt").mkdir()
    (models / "spoilt" / "card.toml").write_text("[[[")
    (models / "keras_model.h5").write_bytes(b"")
    assert find_backbone(AUTO, models / "new") == (OFFLINE, OFFLINES)
    shutil.copytree(exports / "mood", models / "stranger")
    assert find_backbone(AUTO, models / "new")[0] == "that of stranger"


def test_an_export_that_is_run_whole_cannot_be_built_upon(models: Path, tmp_path: Path) -> None:
    from sorter.fit.write_tflite import write_tflite
    from sorter.networks.convert import convert
    from sorter.networks.head import Head

    graph = Graph(16, (Layer("InputLayer", (), {}), scaled()))
    dense = Layer(
        "Dense", (), {"units": 2, "activation": "softmax"}, (np.eye(3, 2, dtype=np.float32), np.zeros(2, "f4"))
    )
    head = (Layer("GlobalAveragePooling2D", (), {}), dense)
    folder = models / "lite"
    folder.mkdir()
    (folder / "model_unquant.tflite").write_bytes(write_tflite(convert(graph), 0, head))
    (folder / "labels.txt").write_text("0 a\n1 b\n")
    assert load_sorter(folder).labels == ("a", "b") and Head(head).outputs == 2
    with pytest.raises(ModelError, match="run whole and cannot be built upon; take the Keras"):
        find_backbone(str(folder), models / "new")
    assert find_backbone(AUTO, models / "new") == (OFFLINE, OFFLINES)


@pytest.mark.parametrize("suffix", ["", ".zip"])
def test_an_export_is_named_by_its_path(tmp_path: Path, exports: Path, suffix: str) -> None:
    path = exports / "direction"
    if suffix:
        path = Path(shutil.make_archive(str(tmp_path / "direction"), "zip", path))
    name, graph = find_backbone(str(path), tmp_path / "new")
    assert (name, graph.key()) == (f"that of direction{suffix}", key_of(exports / "direction"))


@pytest.mark.parametrize(
    ("which", "said"),
    [
        ("models/gone", "gone"),
        ("", "holds no sorter"),
        (".", "holds no sorter"),
        ("MobileNetV9", '--backbone "MobileNetV9" is neither a folder with an export, nor "efficientnet-lite0", nor a '
         'name of tf_keras.applications such as MobileNetV2; did you mean "MobileNetV'),
        ("mobilenetv2", 'did you mean "MobileNetV2"?'),
        ("imagenet_utils", "nor a name of tf_keras.applications such as MobileNetV2"),
        ("__name__", "nor a name of tf_keras.applications such as MobileNetV2"),
    ],
)  # fmt: skip
def test_what_is_no_backbone_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, which: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelsheetError) as found:
        find_backbone(which, tmp_path / "new")
    assert said in str(found.value) and "\n" not in str(found.value)
    assert isinstance(found.value, OptionsError if "Net" in said else ModelError)


# --- the two maps


def conv(*reads: int) -> Layer:
    return Layer("Conv2D", reads, {})


def graph_of(*layers: Layer) -> Graph:
    return Graph(32, (Layer("InputLayer", (), {}), *layers))


def test_the_maps_are_what_the_last_convolution_reads_and_the_last() -> None:
    relu = [Layer("ReLU", (place,), {}) for place in range(9)]
    assert map_places(graph_of(conv(0), relu[1], conv(2), relu[3])) == (2, 4)
    assert map_places(graph_of(conv(0), relu[1], Layer("SeparableConv2D", (2,), {}))) == (2, 3)
    assert map_places(graph_of(conv(0))) == (0, 1)
    with pytest.raises(ModelError, match="has no convolution"):
        map_places(graph_of(relu[0]))


def test_convolutions_in_parallel_branches_are_passed_over() -> None:
    """What one in a branch reads does not rest on the other branch: as a network of its own it could not be written."""
    relu = [Layer("ReLU", (place,), {}) for place in range(9)]
    join = Layer("Concatenate", (6, 7), {})
    branches = graph_of(conv(0), conv(1), conv(1), relu[2], relu[3], conv(4), conv(5), join)
    assert map_places(branches) == (1, 8)
    assert map_places(graph_of(*branches.layers[1:], conv(8))) == (8, 9)


# --- Keras's own networks


def scaled() -> Layer:
    weights = np.eye(3, dtype=np.float32).reshape(1, 1, 3, 3), np.zeros(3, np.float32)
    return Layer("Conv2D", (0,), {"filters": 3, "kernel_size": [1, 1], "strides": [1, 1], "padding": "valid"}, weights)


def assert_same_maps(model: Any, name: str, keras: Any) -> Graph:
    """Asked as Keras's documentation says, and as we ask every network."""
    draw = np.random.default_rng(0)
    weights = []
    for array in model.get_weights():  # such that what is in a picture is still seen at the end
        fan = np.prod(array.shape[:2]) * (array.shape[2] if array.ndim == 4 and array.shape[3] > 1 else 1)
        weights.append(draw.uniform(0.5, 1, array.shape) if array.ndim == 1 else
                       draw.normal(0, 1.5 / np.sqrt(fan), array.shape))  # fmt: skip
    model.set_weights(weights)
    graph = from_keras(model, name)
    size = graph.size
    views = draw.integers(0, 256, (3, size, size, 3), np.uint8)
    prepare = sys.modules[getattr(keras.applications, name).__module__].preprocess_input
    theirs = np.asarray(model(prepare(views.astype(np.float32)), training=False))
    ours = np.asarray(build(graph)(normalise(views), training=False))
    assert np.ptp(theirs, axis=0).max() > 1e-3 * np.abs(theirs).max() > 0
    assert np.abs(ours - theirs).max() < 1e-4 * np.abs(theirs).max()
    return graph


def test_a_real_network_of_keras_is_taken_over(keras: Any) -> None:
    model = keras.applications.MobileNet(weights=None, include_top=False, input_shape=(32, 32, 3), alpha=0.25)
    graph = assert_same_maps(model, "MobileNet", keras)
    assert [layer.kind for layer in graph.layers[:3]] == ["InputLayer", "Conv2D", "Conv2D"]
    narrow, last = map_places(graph)
    assert (graph.layers[narrow + 1].kind, last) == ("Conv2D", len(graph.layers) - 1)


@pytest.mark.parametrize(
    "name",
    ["MobileNetV2", "ResNet50", "DenseNet121", "EfficientNetB0"],  # to -1..1, BGR less a mean, each its own scale, none
)
def test_each_networks_own_scaling_is_folded_in(name: str, keras: Any) -> None:
    """On a small network in its place, with layers named as in DenseNet, where a "/" is no folder."""
    layers = keras.layers
    entry = keras.Input((16, 16, 3))
    x = layers.Conv2D(4, 3, name="conv1/conv", padding="same")(entry)
    y = layers.Conv2D(4, 3, name="conv2/conv", padding="same", use_bias=False)(x)
    x = layers.Concatenate(name="conv2/concat")([layers.ReLU(name="relu/1")(y), x])
    assert_same_maps(keras.Model(entry, layers.BatchNormalization(name="bn/2", epsilon=1.0)(x)), name, keras)


def test_a_network_with_layers_of_its_own_is_a_sentence(keras: Any) -> None:
    class Scale(keras.layers.Layer):  # type: ignore[misc]
        pass

    entry = keras.Input((16, 16, 3))
    for made in (Scale()(entry), keras.layers.PReLU()(entry)):
        with pytest.raises(
            ModelError, match=r"--backbone VGG16: cannot be exported in Teachable Machine's format \(.*ResNet50"
        ):
            from_keras(keras.Model(entry, made), "VGG16")


@pytest.mark.parametrize(
    "error", [Exception("URL fetch failure on https://x: None\n -- [Errno -2]"), OSError("disk full"), ValueError("no")]
)
def test_weights_that_cannot_be_fetched_are_a_sentence(
    keras: Any, monkeypatch: pytest.MonkeyPatch, error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    def fetch(**_: Any) -> None:
        print("Downloading data from afar")
        raise error

    monkeypatch.setattr(keras.applications, "MobileNetV2", fetch)
    with pytest.raises(ModelError) as found:
        application("MobileNetV2")
    said = " ".join(str(error).split())
    assert str(found.value) == f"--backbone MobileNetV2: its weights could not be fetched: {said}"
    out, err = capsys.readouterr()
    assert out == "" and "Downloading" in err  # --json prints one object and nothing else


def test_what_else_goes_wrong_in_keras_keeps_its_traceback(keras: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras.applications, "MobileNetV2", lambda **_: {}["x"])
    with pytest.raises(KeyError):
        application("MobileNetV2")
