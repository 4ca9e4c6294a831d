"""The same sorter in every format: that each answers as the .h5 does, and where it may lie."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sorter.errors import ModelError
from sorter.library.names import folder_names
from sorter.networks.load import FORMATS, load_sorter
from sorter.networks.run import Ready
from tests.sorter.networks.exports_of import LABELS, edge_tpu, ours, sentence, views


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


def test_lobes_scaling_is_another_backbone_than_teachable_machines(formats: Path) -> None:
    lobe, theirs = load_sorter(formats / "lobe"), load_sorter(formats / "float")
    assert lobe.labels == theirs.labels
    assert lobe.backbone.key != theirs.backbone.key
    assert not np.allclose(ours(lobe, views()), ours(theirs, views()))


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


def test_every_format_of_teachable_machine_loads(shared: Path) -> None:
    tm = shared / "tm"
    h5, tfjs = load_sorter(tm / "arrows-2023-h5"), load_sorter(tm / "posture-2025-tfjs")
    assert tfjs.labels == ("Good posture", "Bad posture", "Neutral postion/Undetected")
    assert tfjs.backbone.key == h5.backbone.key
    assert load_sorter(tm / "korean-pattern-2022-tflite").labels == ("체크 무늬", "꽃 무늬", "줄 무늬", "민 무늬")
    assert load_sorter(tm / "mask-2021-tflite").labels == ("Mask", "No Mask")


def test_what_teachable_machine_has_besides_is_refused(shared: Path, tmp_path: Path) -> None:
    assert "is a pose project" in sentence(shared / "tm" / "pose-project-2024" / "my-pose-model")
    assert "is a pose project" in sentence(shared / "tm" / "pose-project-2024")
    for name in ("model_edgetpu.tflite", "labels.txt"):
        shutil.copyfile(shared / "tm" / "mask-2021-tflite" / name, tmp_path / name)
    assert "is made for an Edge TPU" in sentence(tmp_path)
