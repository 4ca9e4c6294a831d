"""Exports on disk -> sorters: what is taken, what is refused, and that the answers are Teachable Machine's."""

from __future__ import annotations

import json
import os
import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from sorter.classify.ask import Questions
from sorter.classify.askers import load_asked
from sorter.errors import ModelError
from sorter.networks import run as backbones
from sorter.networks.convert import build
from sorter.networks.keras import KINDS, read_graph
from sorter.networks.load import load_sorter
from sorter.networks.run import Runners, normalise
from sorter.pictures import images
from tests.sorter.networks.exports_of import ours, sentence, views

Edit = Callable[[Path, Callable[[Any], Any]], None]


@pytest.fixture
def export(tmp_path: Path, exports: Path) -> Path:
    """A copy of a good export, to be spoilt."""
    return Path(shutil.copytree(exports / "direction", tmp_path / "direction"))


def test_an_export_answers_as_keras_does(exports: Path, keras: Any) -> None:
    sorter = load_sorter(exports / "direction")
    assert sorter.labels == ("left", "right", "front", "nobody")
    whole = keras.models.load_model(exports / "direction" / "keras_model.h5", compile=False)
    assert np.abs(ours(sorter, views()) - np.asarray(whole(normalise(views())))).max() < 1e-5


def test_both_config_generations_are_the_same_sorter(exports: Path, old_exports: Path) -> None:
    import h5py

    with h5py.File(old_exports / "direction" / "keras_model.h5") as file:
        text = str(file.attrs["model_config"])
    assert '"class_name": "Functional"' not in text and '"class_name": "Model"' in text
    old, new = load_sorter(old_exports / "direction"), load_sorter(exports / "direction")
    assert old.backbone.key == new.backbone.key == load_sorter(exports / "mood").backbone.key
    assert np.array_equal(ours(old, views()), ours(new, views()))


def test_backbone_and_head_together_are_the_whole_model(exports: Path) -> None:
    sorter = load_sorter(exports / "direction")
    graph = read_graph((exports / "direction" / "keras_model.h5").read_bytes(), "x")
    assert len(graph.layers) == len(sorter.backbone.graph.layers) + len(sorter.head.layers)
    assert [layer.kind for layer in sorter.head.layers] == ["GlobalAveragePooling2D", "Dense", "Dense"]
    whole = np.asarray(build(graph)(normalise(views())))
    split = sorter.head(np.asarray(build(sorter.backbone.graph)(normalise(views()))))
    assert np.abs(whole - split).max() < 1e-5


def test_another_weight_is_another_backbone(export: Path, exports: Path) -> None:
    import h5py

    with h5py.File(export / "keras_model.h5", "r+") as file:
        names: list[str] = []
        file.visit(lambda name: names.append(name) if name.endswith("gamma:0") else None)
        assert len(names) == 1
        file[names[0]][0] += 1e-6
    assert load_sorter(export).backbone.key != load_sorter(exports / "direction").backbone.key


def test_a_backbone_is_converted_once(exports: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MODELSHEET_CACHE", str(tmp_path))
    converted: list[object] = []
    monkeypatch.setattr(backbones, "convert", lambda graph, outputs: converted.append(graph) or b"bytes")
    questions = Questions({name: load_sorter(exports / name) for name in ("direction", "mood")})
    (one,) = questions.unprepared()
    assert one.compiled().read_bytes() == one.compiled().read_bytes() == b"bytes"
    assert len(converted) == 1
    assert questions.unprepared() == []
    assert load_sorter(exports / "mood").backbone.is_compiled()
    assert [path.suffix for path in tmp_path.rglob("*") if path.is_file()] == [".tflite"]


def test_one_backbone_pass_serves_all_axes(exports: Path, tmp_path: Path, draw: Any) -> None:
    questions = Questions({name: load_sorter(exports / name) for name in ("direction", "mood")})
    passes: list[str] = []
    maps = questions._runners.maps
    questions._runners.maps = lambda backbone, view: passes.append(backbone.key) or maps(backbone, view)  # type: ignore[method-assign]
    draw("right", "sad").save(tmp_path / "a.png")
    seen = questions(tmp_path / "a.png")
    assert {label.axis: label.name for label in seen.labels} == {"direction": "right", "mood": "sad"}
    assert all(label.score > 0.99 for label in seen.labels)
    assert len(passes) == 1


# --- what is refused


def test_a_lambda_layer_is_refused_and_nothing_runs(tmp_path: Path, keras: Any) -> None:
    proof = tmp_path / "it ran"
    code = f"__import__('pathlib').Path({str(proof)!r}).write_text('')"
    model = keras.Sequential([keras.layers.Lambda(eval(f"lambda x: (x, {code})[0]"), input_shape=(32, 32, 3)),
                              keras.layers.Flatten(), keras.layers.Dense(2)])  # fmt: skip
    assert proof.exists()  # so the code works; now only a loader could run it again
    proof.unlink()
    folder = tmp_path / "model"
    folder.mkdir()
    model.save(folder / "keras_model.h5", save_format="h5", include_optimizer=False)
    (folder / "labels.txt").write_text("0 a\n1 b\n")
    assert 'has a layer of kind "Lambda", which is not allowed' in sentence(folder)
    assert not proof.exists()


@pytest.mark.parametrize("kind", ["TFOpLambda", "SlicingOpLambda", "Custom>Mine", "LSTM", "../x", "Bidirectional"])
def test_any_other_kind_of_layer_is_refused(export: Path, edit_config: Edit, kind: str) -> None:
    assert kind not in KINDS

    def change(config: Any) -> Any:
        config["config"]["layers"][-1]["config"]["layers"][-1]["class_name"] = kind
        return config

    edit_config(export / "keras_model.h5", change)
    assert f'has a layer of kind "{kind}"' in sentence(export)


def test_objects_in_the_config_are_passed_over(export: Path, exports: Path, edit_config: Edit) -> None:
    """Initialisers, regularisers and constraints mean nothing at prediction, so they are not even looked at."""

    def change(config: Any) -> Any:
        dense = config["config"]["layers"][-1]["config"]["layers"][-1]["config"]
        dense["kernel_initializer"] = {"module": "os", "class_name": "system", "config": {"command": "false"}}
        dense["kernel_regularizer"] = {"class_name": "Lambda", "config": {"function": ["4wA=", None, None]}}
        return config

    edit_config(export / "keras_model.h5", change)
    assert np.array_equal(ours(load_sorter(export), views()), ours(load_sorter(exports / "direction"), views()))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("activation", {"class_name": "Lambda", "config": {}}),
        ("activation", "gelu"),
        ("units", {"class_name": "int"}),
        ("units", "8"),
        ("use_bias", "yes"),
    ],
)
def test_an_option_that_is_no_plain_value_is_refused(export: Path, edit_config: Edit, key: str, value: object) -> None:
    def change(config: Any) -> Any:
        config["config"]["layers"][-1]["config"]["layers"][-1]["config"][key] = value
        return config

    edit_config(export / "keras_model.h5", change)
    assert f"{key} = " in sentence(export) and "of a Dense layer is not a plain value" in sentence(export)


def first_conv(config: Any) -> Any:
    """The settings of Conv1 in the drawn exports."""
    trunk = config["config"]["layers"]
    while True:
        trunk = [one for one in trunk if one["class_name"] in ("Sequential", "Functional")][0]["config"]["layers"]
        for layer in trunk:
            if layer["config"].get("name") == "Conv1":
                return layer["config"]


@pytest.mark.parametrize(
    ("key", "value"), [("groups", 7), ("strides", [0, 0]), ("kernel_size", [-1, 3]), ("filters", 0), ("filters", 1e99),
                       ("kernel_size", [64, 64]), ("kernel_size", None)]
)  # fmt: skip
def test_options_that_cannot_be_built_are_a_sentence(export: Path, edit_config: Edit, key: str, value: object) -> None:
    def change(config: Any) -> Any:
        first_conv(config)[key] = value
        return config

    edit_config(export / "keras_model.h5", change)
    with pytest.raises(ModelError) as found:
        load_sorter(export).backbone.compiled()
    assert "\n" not in str(found.value)


@pytest.mark.parametrize("shape", [[None, 32, 16, 3], [None, 32, 32, 1], [None, 8, 8, 3], [None, 9999, 9999, 3], [None],
                                   [None, None, None, 3]])  # fmt: skip
def test_another_input_than_square_colour_pictures_is_refused(export: Path, edit_config: Edit, shape: Any) -> None:
    edit_config(export / "keras_model.h5", lambda config: json.loads(
        json.dumps(config).replace("[null, 32, 32, 3]", json.dumps(shape))))  # fmt: skip
    assert "reads pictures of" in sentence(export) or "not laid out" in sentence(export)


@pytest.mark.parametrize(
    "config",
    [
        [],
        3,
        {},
        {"class_name": "Sequential"},
        {"class_name": "Sequential", "config": []},
        {"class_name": "Model", "config": {"layers": [], "output_layers": []}},
    ],
)
def test_a_config_that_is_laid_out_otherwise_is_refused(export: Path, edit_config: Edit, config: Any) -> None:
    edit_config(export / "keras_model.h5", lambda _: config)
    sentence(export)


def nested(depth: int) -> Any:
    config: Any = []
    for _ in range(depth):
        config = {"class_name": "Sequential", "config": [config]}
    return config


def test_a_bottomless_config_is_refused(export: Path, edit_config: Edit) -> None:
    edit_config(export / "keras_model.h5", lambda _: nested(200))
    sentence(export)
    path = export / "keras_model.h5"
    import h5py

    with h5py.File(path, "r+") as file:
        file.attrs["model_config"] = "[" * 20000
    sentence(export)


def test_labels_that_do_not_fit_the_outputs_are_refused(export: Path) -> None:
    (export / "labels.txt").write_text("".join(f"{n} c{n}\n" for n in range(20)))
    assert "20 labels for 4 outputs of keras_model.h5; take both files from one export" in sentence(export)


@pytest.mark.parametrize("keep", [0, 100, 4096, -2000])
def test_a_truncated_h5_is_refused(export: Path, keep: int) -> None:
    path = export / "keras_model.h5"
    path.write_bytes(path.read_bytes()[:keep])
    assert ("is not a whole Keras .h5 file" if keep else "is empty") in sentence(export)


def test_a_text_called_h5_is_refused(export: Path) -> None:
    for text, said in (("hello", "is not a whole Keras file"), ("<html>404</html>", "is a web page")):
        (export / "keras_model.h5").write_text(text)
        assert said in sentence(export)


@pytest.mark.parametrize("name", ["keras_model.h5", "labels.txt"])
def test_what_was_saved_in_place_of_a_file_is_called_what_it_is(export: Path, name: str) -> None:
    for data, said in (
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 2453432\n", "is a Git LFS pointer"),
        (b"\xef\xbb\xbf\r\n<!DOCTYPE html>\n<html>", "is a web page"),
        (b"", "is empty"),
    ):
        (export / name).write_bytes(data)
        assert f"{name}: {said}" in sentence(export)


def test_of_two_models_one_is_not_taken_in_silence(export: Path) -> None:
    shutil.copy(export / "keras_model.h5", export / "old.h5")
    assert load_sorter(export).labels  # that which Teachable Machine's name says
    (export / "keras_model.h5").rename(export / "z_new.h5")
    assert "holds several models, old.h5, z_new.h5; keep one, or call it keras_model.h5" in sentence(export)


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such pipes")
@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: os.mkfifo(path), "no file, but a pipe"),
        (lambda path: path.write_bytes(b"a = 1\n" * 9_000_000), "larger than 1 MB"),
        (lambda path: path.write_text("a = " + "[" * 50_000), "nested too deeply"),
        (lambda path: path.write_text("a = " + "9" * 5000), "a number of thousands of digits"),
        (lambda path: path.write_bytes(b'a = "\0"'), "is not TOML"),
        (lambda path: path.write_bytes(b"\xff"), "is not UTF-8"),
        (lambda path: path.symlink_to("/proc/self/environ"), "card.toml"),
        (lambda path: path.symlink_to("/dev/zero"), "card.toml"),
        (lambda path: path.mkdir(), "cannot be read"),
        (lambda path: path.write_text("unfinished = true"), "a fit of it was cut off"),
    ],
)
def test_whatever_is_in_place_of_a_card_is_a_sentence(export: Path, make: Callable[[Path], object], said: str) -> None:
    make(export / "card.toml")
    assert said in sentence(export)


def test_an_h5_of_weights_only_is_refused(export: Path, keras: Any) -> None:
    keras.models.load_model(export / "keras_model.h5", compile=False).save_weights(export / "keras_model.h5")
    assert "holds weights but no model_config; export the whole model" in sentence(export)


def test_an_h5_without_the_weights_is_refused(export: Path) -> None:
    import h5py

    with h5py.File(export / "keras_model.h5", "r+") as file:
        for group in file["model_weights"].values():
            group.attrs["weight_names"] = []
    sentence(export)


def test_an_h5_with_too_many_weights_is_refused_unread(export: Path) -> None:
    import h5py

    with h5py.File(export / "keras_model.h5", "r+") as file:
        group = next(iter(file["model_weights"].values()))
        name = str(group.attrs["weight_names"][0])
        del group[name]
        group.create_dataset(name, (40_000_000_000,), "f4", compression="gzip")  # a few bytes, until it is read
    assert (export / "keras_model.h5").stat().st_size < 10_000_000
    assert "holds over 100,000,000 weights" in sentence(export)


def test_missing_files_say_what_should_be_there(export: Path, tmp_path: Path) -> None:
    assert "does not exist; there should be a folder with keras_model.h5 with labels.txt" in sentence(tmp_path / "gone")
    (export / "labels.txt").unlink()
    assert "has no labels.txt file" in sentence(export) and "it holds keras_model.h5" in sentence(export)
    (export / "keras_model.h5").unlink()
    assert "holds no sorter; looked for keras_model.h5 with labels.txt, model.savedmodel" in sentence(export)
    assert "it holds nothing" in sentence(export)
    (tmp_path / "file").write_text("")
    assert "is not a folder" in sentence(tmp_path / "file")


def test_an_h5_that_takes_weights_from_other_files_is_refused(export: Path, tmp_path: Path) -> None:
    """HDF5 can name any file of the machine as the place of a dataset."""
    import h5py

    (tmp_path / "secret").write_bytes(bytes(range(96)))
    with h5py.File(export / "keras_model.h5", "r+") as file:
        group = next(iter(file["model_weights"].values()))
        name = str(group.attrs["weight_names"][0])
        del group[name]
        group.create_dataset(name, (24,), "f4", external=[(str(tmp_path / "secret"), 0, 96)])
    assert "keeps weights in other files" in sentence(export)


@pytest.mark.parametrize(("shape", "project"), [([None, 14739], "pose"), ([None, 43, 232, 1], "sound")])
def test_another_kind_of_project_is_refused(export: Path, edit_config: Edit, shape: Any, project: str) -> None:
    edit_config(export / "keras_model.h5", lambda config: json.loads(
        json.dumps(config).replace("[null, 32, 32, 3]", json.dumps(shape))))  # fmt: skip
    assert f"is a {project} project" in sentence(export) and "make an image project" in sentence(export)


def test_labels_that_are_no_text_are_refused(export: Path) -> None:
    (export / "labels.txt").write_bytes("0 이름\n".encode("cp949"))
    assert "is not UTF-8 text; save it again" in sentence(export)


@pytest.mark.parametrize(
    "card", ["[", "measure = 3", '[measure]\nuse = "sharpnes"', '[measure]\nuse = "sharpness"\nx = 1']
)
def test_a_spoilt_card_is_refused(export: Path, card: str) -> None:
    (export / "card.toml").write_text(card)
    with pytest.raises(Exception, match=r"card\.toml") as found:
        load_asked(export)
    assert type(found.value).__name__ in ("ModelError", "OptionsError")


# --- spellings and zips


def test_keras_model_in_another_case_is_found_and_teachable_machines_own_spelling_wins(export: Path) -> None:
    good = (export / "keras_model.h5").read_bytes()
    (export / "keras_Model.h5").write_bytes(b"another one")
    assert load_sorter(export).labels[0] == "left"
    (export / "keras_model.h5").unlink()
    (export / "keras_Model.h5").write_bytes(good)
    (export / "Labels.TXT").write_text((export / "labels.txt").read_text())
    (export / "labels.txt").unlink()
    assert load_sorter(export).labels[0] == "left"


def zipped(folder: Path, path: Path, prefix: str = "") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, prefix + file.name)
    return path


@pytest.mark.parametrize("prefix", ["", "converted_keras/"])
def test_a_zip_is_a_sorter_alone_or_in_a_folder(export: Path, tmp_path: Path, prefix: str) -> None:
    folder = tmp_path / "zip"
    folder.mkdir()
    path = zipped(export, folder / "converted_keras.zip", prefix)
    assert load_asked(path).sha256 == load_asked(folder).sha256 == load_asked(export).sha256


def test_what_a_mac_adds_to_a_zip_is_passed_over(export: Path, tmp_path: Path) -> None:
    (export / "keras_model.h5").rename(export / "keras_Model.h5")
    path = zipped(export, tmp_path / "a.zip", "converted_keras/")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("__MACOSX/converted_keras/._keras_Model.h5", b"\0\5\26\7")
        archive.writestr("__MACOSX/converted_keras/._labels.txt", b"\0\5\26\7")
    assert load_sorter(path).labels[0] == "left"


def test_a_zip_with_a_huge_member_is_refused_unread(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("labels.txt", "0 a\n")
        with archive.open("keras_model.h5", "w", force_zip64=True) as member:
            for _ in range(401):
                member.write(bytes(2**20))
    assert "unfolds to over 400 MB" in sentence(tmp_path / "a.zip")


def test_a_damaged_zip_is_refused(export: Path, tmp_path: Path) -> None:
    path = zipped(export, tmp_path / "a.zip")
    whole = path.read_bytes()
    middle = len(whole) // 2
    path.write_bytes(whole[:middle] + bytes(50) + whole[middle + 50 :])
    sentence(path)
    path.write_bytes(whole[: len(whole) - 100] + b"\0" * 60 + whole[-40:])
    sentence(path)
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a.zip").write_text("no zip")
    sentence(folder)


# --- real material


@pytest.fixture(scope="module")
def real(shared: Path) -> list[Path]:
    """Every folder or zip with a real Keras export."""
    found = sorted({path.parent for path in (shared / "tm").rglob("*.h5")} | set((shared / "tm").rglob("*.zip")))
    assert len(found) >= 6
    return found


@pytest.fixture(scope="module")
def real_pictures(shared: Path) -> list[Path]:
    found = sorted((shared / "frames").glob("*.jpg"))[::4][:5] + sorted((shared / "cmu_faces").rglob("*.png"))[::90][:5]
    assert len(found) == 10
    return found


def test_every_real_export_loads_and_shares_one_backbone(real: list[Path]) -> None:
    sorters = [load_sorter(path) for path in real]
    assert len({sorter.backbone.key for sorter in sorters}) == 1
    assert all(len(sorter.labels) == sorter.head.outputs for sorter in sorters)
    assert sorted(len(sorter.labels) for sorter in sorters)[-1] == 22


def test_every_real_export_answers_as_teachable_machines_recipe(
    real: list[Path], real_pictures: list[Path], keras: Any, tmp_path: Path
) -> None:
    """Teachable Machine's: full decode, ImageOps.fit with Lanczos, x / 127.5 - 1, the model."""
    seen = np.stack([
        np.asarray(ImageOps.fit(Image.open(path).convert("RGB"), (224, 224), Image.Resampling.LANCZOS))
        for path in real_pictures
    ])  # fmt: skip
    for path, view in zip(real_pictures, seen, strict=True):
        opened = images.open_picture(path.read_bytes())
        assert np.array_equal(images.exact_view(opened, 224), view)
    maps = None
    for folder in real:
        sorter = load_sorter(folder)
        if maps is None:  # they share it, as the test above proves
            runners = Runners()
            maps = np.stack([runners(sorter.backbone, view) for view in seen])
        path = folder / "keras_model.h5"
        if folder.suffix == ".zip":
            with zipfile.ZipFile(folder) as archive:
                path = Path(archive.extract("keras_model.h5", tmp_path))
        model = keras.models.load_model(path, compile=False)
        theirs = np.asarray(model(seen.astype(np.float32) / 127.5 - 1))  # as predict, without its seconds of tracing
        assert np.abs(sorter.head(maps) - theirs).max() < 1e-4
        keras.backend.clear_session()
