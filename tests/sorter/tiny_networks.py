"""Networks of a few thousand weights in the form of those that people download, whose answers are known.

A tagger's tag is a weight a pixel of an 8 x 8 picture, so that a tag can mean any place and any colour.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIDE = 8
Floats = NDArray[np.float32]
Row = tuple[str, str, Floats, float]
"""A tag, its category's number, its weights (8, 8, 3) in the order blue, green, red, and its bias."""


def where(rows: slice, columns: slice, blue: float = 0, green: float = 0, red: float = 0) -> Floats:
    """Weights of the mean colour of a part of the picture, in 0..255."""
    weights = np.zeros((SIDE, SIDE, 3), np.float32)
    weights[rows, columns] = (blue, green, red)
    return np.asarray(weights / max(1, np.count_nonzero(weights.any(axis=2))), np.float32)


ALL = slice(None)
NOTHING = np.zeros((SIDE, SIDE, 3), np.float32)
ROWS: tuple[Row, ...] = (
    ("general", "9", NOTHING, 0.5),
    ("explicit", "9", NOTHING, -3.0),
    # Of the pictures of conftest: red on the left of the upper half, beside blue, and a lower half of white or black.
    ("looking_left", "0", where(slice(1, 4), slice(0, 4), blue=-0.1, red=0.1), 0.0),
    ("looking_right", "0", where(slice(1, 4), slice(0, 4), blue=0.1, red=-0.1), 0.0),
    ("brightness", "0", where(ALL, ALL, 1 / 400, 1 / 400, 1 / 400), -1.6),
    ("^_^", "0", where(slice(5, 7), ALL, 0.02, 0.02, 0.02), -7.0),
    ("white_border", "0", where(slice(0, 1), ALL, 0.02, 0.02, 0.02), -7.0),
    ("bright,_left_shoe", "0", NOTHING, 0.0),  # a name that means harm to whoever splits at commas
    ("mira_(rail)", "4", NOTHING, 3.0),
    ("tobo_(rail)", "4", NOTHING, 0.0),
)
"""Of "general" it says 0.62, of "mira (rail)" 0.95, of "tobo (rail)" 0.5, of "bright, left shoe" 0.5."""


def save_tagger(
    folder: Path,
    rows: Sequence[Row] = ROWS,
    shape: Sequence[Any] = ("batch", SIDE, SIDE, 3),
    table: str | None = None,
    outputs: int | None = None,
    logits: bool = False,
) -> Path:
    """model.onnx and selected_tags.csv, as a download has them. `shape`: of what the model reads."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    folder.mkdir(parents=True, exist_ok=True)
    is_last = shape[-1] == 3
    kernels = np.stack([weights if is_last else weights.transpose(2, 0, 1) for _, _, weights, _ in rows])
    kernel = np.ascontiguousarray(kernels.reshape(len(rows), -1).T)
    bias = np.array([one for *_, one in rows], np.float32)
    nodes = [
        helper.make_node("Flatten", ["input"], ["flat"]),
        helper.make_node("Gemm", ["flat", "kernel", "bias"], ["logits" if not logits else "output"]),
    ]
    if not logits:
        nodes.append(helper.make_node("Sigmoid", ["logits"], ["output"]))
    graph = helper.make_graph(
        nodes,
        "tagger",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, list(shape))],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [shape[0], outputs or len(rows)])],
        [numpy_helper.from_array(kernel, "kernel"), numpy_helper.from_array(bias, "bias")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, str(folder / "model.onnx"))
    (folder / "selected_tags.csv").write_text(csv_of(rows) if table is None else table, encoding="utf-8")
    return folder


def csv_of(rows: Sequence[Row]) -> str:
    """The table, with the columns that wd's has."""
    lines = [f'{number},"{name}",{category},{1000 - number}' for number, (name, category, *_) in enumerate(rows)]
    return "\n".join(["tag_id,name,category,count", *lines]) + "\n"
