"""A fit reads what it wrote with Keras and LiteRT before it replaces anything, and the folder afterwards."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from sorter.errors import ModelError
from sorter.fit import fit as fitting
from sorter.fit import readback
from sorter.fit.fit import Recipe, fit


@pytest.fixture(scope="module")
def moods(tmp_path_factory: pytest.TempPathFactory, draw: Any, grow: Any) -> Path:
    tree = {mood: {f"{n}.png": draw("left", mood, n) for n in range(8)} for mood in ("sad", "happy")}
    return grow(tmp_path_factory.mktemp("moods") / "moods", tree)


def spoil_weight(written: bytes) -> bytes:
    """One number of the last layer by a tenth."""
    with h5py.File(io.BytesIO(written), "r+") as file:
        names: list[str] = []
        file["model_weights/classes"].visititems(
            lambda name, one: names.append(name) if hasattr(one, "shape") else None
        )
        kernel = file[f"model_weights/classes/{sorted(names)[-1]}"]
        kernel[..., 0] = kernel[..., 0] + 0.1
        file.flush()
        return file.id.get_file_image()  # type: ignore[no-any-return]


def upside_down(head: Any) -> Any:
    """The classes in the reverse order."""
    return [*head[:-1], replace(head[-1], weights=tuple(np.flip(array, -1) for array in head[-1].weights))]


SPOILT: dict[str, tuple[str, Callable[[Any], Any], str]] = {
    "a weight of the h5": (
        "write_h5", lambda honest: lambda *given: spoil_weight(honest(*given)), r"keras_model\.h5.*weights are not",
    ),
    "another head in the h5": (
        "write_h5", lambda honest: lambda net, head: honest(net, upside_down(head)), r"keras_model\.h5.*weights are",
    ),
    "another head in the tflite": (
        "write_tflite", lambda honest: lambda data, which, head: honest(data, which, upside_down(head)),
        r"model_unquant\.tflite.*answers otherwise, by 0\.",
    ),
    "labels in another order": (
        "format_labels", lambda honest: lambda classes: honest(classes[::-1]), r"labels\.txt.*read as sad, happy",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", SPOILT)
def test_a_sorter_that_is_not_the_fitted_one_is_an_error(
    moods: Path, exports: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    name, change, sentence = SPOILT[what]
    monkeypatch.setattr(fitting, name, change(getattr(fitting, name)))
    recipe = Recipe(backbone=str(exports / "direction"), head="linear")
    with pytest.raises(ModelError, match=sentence) as found:
        fit(moods, tmp_path / "to", recipe, lambda items, *_: items)
    assert "\n" not in str(found.value)
    if name != "format_labels":
        assert not (tmp_path / "to").exists()  # nothing was replaced


def test_keras_reads_what_is_built_on_a_backbone_once(
    moods: Path, exports: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELSHEET_CACHE", str(tmp_path / "cache"))
    asked: list[int] = []
    honest = readback._by_keras
    monkeypatch.setattr(readback, "_by_keras", lambda *given: (asked.append(1), honest(*given))[1])
    for seed in range(2):
        recipe = Recipe(backbone=str(exports / "direction"), seed=seed)
        fit(moods, tmp_path / "to", recipe, lambda items, *_: items)
    assert len(asked) == 1


def test_what_keras_reads_otherwise_is_an_error_each_time(
    moods: Path, exports: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELSHEET_CACHE", str(tmp_path / "cache"))
    honest = readback._by_keras
    monkeypatch.setattr(readback, "_by_keras", lambda *given: (1 - honest(*given)[0], honest(*given)[1]))
    for _ in range(2):
        with pytest.raises(ModelError, match=r"keras_model\.h5: was written and read back.* answers otherwise"):
            fit(moods, tmp_path / "to", Recipe(backbone=str(exports / "direction")), lambda items, *_: items)
