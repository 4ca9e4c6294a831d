"""TensorFlow.js: what is read of it, and what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sorter.networks.load import load_sorter
from tests.sorter.networks.exports_of import LABELS, edit_json, sentence, write_tfjs


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
        said = sentence(folder)
        assert any(words in said for words in ("is not JSON that can be read", "is not UTF-8", "is empty"))
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
