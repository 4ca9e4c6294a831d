"""A PyTorch .pth file of the older layout (before 1.6) -> arrays, without torch, and without running what it says.

The file is a row of pickles (a magic number, the layout's version, about the machine, the tensors, the order of the
storages) and then the storages' numbers (torch/serialization.py, _legacy_load). Of a pickle only the few names below
are taken; any other is refused, so that nothing of the file is ever called.
"""

from __future__ import annotations

import io
import math
import pickle
import struct
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sorter.errors import ModelError

MAGIC, VERSION = 0x1950A86A20F9469CFC6C, 1001
KINDS = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}
"""The storages of torch that are read, little-endian."""
DAMAGE = (
    OSError, ValueError, LookupError, TypeError, AttributeError, EOFError, OverflowError, MemoryError, struct.error,
    pickle.UnpicklingError,
)  # fmt: skip
"""What bytes that make no sense come to: numbers that claim too much among them, of which nothing is kept."""


@dataclass(frozen=True)
class _Storage:
    """Numbers that come later in the file."""

    key: str
    kind: np.dtype[Any]


@dataclass(frozen=True)
class _Tensor:
    """A view of a storage, in numbers rather than bytes."""

    storage: _Storage
    start: int
    shape: Sequence[int]
    strides: Sequence[int]

    def array(self, storages: dict[str, NDArray[Any]]) -> NDArray[Any]:
        """The numbers. Raises ValueError where it reaches beyond its storage."""
        numbers = storages[self.storage.key]
        last = self.start + sum((side - 1) * step for side, step in zip(self.shape, self.strides, strict=True))
        if self.start < 0 or min((*self.strides, 0)) < 0 or min((*self.shape, 1)) < 1 or last >= len(numbers):
            raise ValueError("a tensor reaches beyond its numbers")
        if math.prod(self.shape) > len(numbers):  # with a stride of 0, four numbers could fill the memory
            raise ValueError("a tensor is larger than its numbers")
        steps = [step * numbers.itemsize for step in self.strides]
        return np.lib.stride_tricks.as_strided(numbers[self.start :], self.shape, steps).copy()


def read_pth(path: Path) -> dict[str, NDArray[Any]]:
    """Name -> array, of a state dict that torch saved. Raises ModelError."""
    try:
        file = io.BytesIO(path.read_bytes())
        if [_Reader(file).load() for _ in range(2)] != [MAGIC, VERSION]:
            raise ValueError("it is of another layout")
        _Reader(file).load()
        tensors, keys = _Reader(file).load(), _Reader(file).load()
        kinds = {tensor.storage.key: tensor.storage.kind for tensor in tensors.values()}
        storages = {key: _numbers(file, kinds[key]) for key in keys}
        return {str(name): tensor.array(storages) for name, tensor in tensors.items()}
    except DAMAGE as error:
        why = str(error) or type(error).__name__
        raise ModelError(f"{path}: cannot be read as weights of torch's: {why}; reinstall the package") from None


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, start, shape, strides, *unused: _Tensor(storage, start, shape, strides)
        if module == "torch" and name in KINDS:
            return KINDS[name]
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is no tensor")

    def persistent_load(self, pid: Any) -> _Storage:
        word, kind, key, *_ = pid
        if word != "storage" or not isinstance(kind, np.dtype):
            raise pickle.UnpicklingError("it asks for something else than stored numbers")
        return _Storage(str(key), kind)


def _numbers(file: io.BytesIO, kind: np.dtype[Any]) -> NDArray[Any]:
    (count,) = struct.unpack("<q", file.read(8))
    if not 0 <= count <= len(file.getbuffer()) // kind.itemsize:
        raise ValueError("it claims more numbers than it holds")
    data = file.read(count * kind.itemsize)
    return np.frombuffer(data, kind, count)
