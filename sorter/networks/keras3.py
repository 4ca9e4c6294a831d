"""A model that Keras 3 has saved as .keras: a zip with config.json and model.weights.h5. Keras is handed nothing of it.

Layout: keras/src/saving/saving_lib.py, version 3.15.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from sorter.errors import ModelError
from sorter.networks.export_files import LARGEST, LARGEST_TEXT, unpacked
from sorter.networks.graph import MOST_NUMBERS, Graph, Weights
from sorter.networks.keras import graph_of

if TYPE_CHECKING:
    import h5py

CONFIG, WEIGHTS = "config.json", "model.weights.h5"


def read_graph(data: bytes, where: str) -> Graph:
    """The layers of a .keras file. Raises ModelError where anything is not plainly a sorter."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if not {CONFIG, WEIGHTS} <= set(archive.namelist()):
                raise ModelError(f"{where}: is a zip without {CONFIG} and {WEIGHTS}, so it is no Keras model")
            config = json.loads(unpacked(archive, CONFIG, LARGEST_TEXT, where))
            weights = _weights(unpacked(archive, WEIGHTS, LARGEST, where), where)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError, KeyError) as found:
        raise ModelError(f"{where}: is not a whole Keras file: {found}") from None
    except (ValueError, RecursionError, TypeError, AttributeError) as found:
        raise ModelError(f"{where}: its config is not laid out as Keras does: {str(found)[:80]!r}") from None
    return graph_of(config, weights, where)


def _weights(data: bytes, where: str) -> Weights:
    """Layer name -> its arrays, in the order in which Keras saved them."""
    import h5py

    found: Weights = {}
    total = 0

    def look(_: str, group: h5py.Group) -> None:
        nonlocal total
        name = group.attrs.get("name") if isinstance(group, h5py.Group) else None
        if name is None:
            return
        for number in sorted(group, key=int):
            array: Any = group[number]
            if array.external or array.is_virtual:  # HDF5 would read any file of the person's as weights
                raise ModelError(f"{where}: keeps weights in other files; a sorter's file holds all of them itself")
            total += array.size
            if total > MOST_NUMBERS:  # checked before reading: a compressed array can unfold to any size
                raise ModelError(f"{where}: holds over {MOST_NUMBERS:,} weights; a sorter has far fewer")
            key = name if isinstance(name, str) else bytes(name).decode()
            found.setdefault(key, []).append(np.asarray(array[()], np.float32))

    with h5py.File(io.BytesIO(data), "r") as file:
        file.visititems(look)
    return found
