"""The header of a .safetensors: what tensors it holds, of which shapes, and what it says of itself. Reads no tensor."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer.errors import BaseModelError

LONGEST = 100_000_000
"""Bytes; a longer header is refused, as the library of the format does."""

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Header:
    """Tensors by their names, and texts by theirs."""

    shapes: Shapes
    about: Mapping[str, str]


def read_header(path: Path) -> Header:
    """Raises BaseModelError where the file is not whole, or no .safetensors."""
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            length = int.from_bytes(file.read(8), "little")
            values = json.loads(file.read(length)) if 8 + length <= min(size, LONGEST) else None
    except OSError as error:
        raise BaseModelError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        raise BaseModelError(f"{path}: is no .safetensors file, or is damaged; download it again")
    about = values.pop("__metadata__", {})
    try:
        shapes = {name: tuple(map(int, one["shape"])) for name, one in values.items()}
        end = max((int(one["data_offsets"][1]) for one in values.values()), default=0)
    except (KeyError, TypeError, ValueError, IndexError):
        raise BaseModelError(f"{path}: is damaged: its header makes no sense; download it again") from None
    if 8 + length + end != size:
        raise BaseModelError(f"{path}: is {size} bytes and should be {8 + length + end}; download it again")
    return Header(shapes, _texts(about))


def _texts(about: Any) -> dict[str, str]:
    return {key: value for key, value in about.items() if isinstance(value, str)} if isinstance(about, dict) else {}
