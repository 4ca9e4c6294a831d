"""model.json with weights.bin and metadata.json: Export Model, Tensorflow.js."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from sorter.errors import ModelError
from sorter.networks.export_files import Files
from sorter.networks.graph import MOST_NUMBERS, Weights
from sorter.networks.keras import graph_of, other_project
from sorter.networks.parts import Labels, Parts, find_labels, from_graph, named_labels


def find(files: Files) -> str | None:
    """model.json, if there is one."""
    return files.find("model.json")


def load(files: Files, name: str) -> Parts:
    """Read it. Raises ModelError: another kind of project, damaged, not allowed, or labels that do not fit."""
    where = f"{files.where}{name}"
    labels = _labels(files)
    model = files.json(name)
    topology = model.get("modelTopology")
    if not isinstance(topology, dict) or model.get("format") == "graph-model":
        raise ModelError(f"{where}: holds no Keras layers (a layers-model); export it from Teachable Machine again")
    shards: dict[str, bytes] = {}
    weights = _weights(files, model.get("weightsManifest"), where, shards)
    graph = graph_of(topology.get("model_config", topology), weights, where)
    return from_graph(graph, labels, [files.read(name), *shards.values()], where)


def _labels(files: Files) -> Labels:
    name = files.find("metadata.json")
    if name is None:
        return find_labels(files)
    where, known = f"{files.where}{name}", files.json(name)
    package, settings = str(known.get("packageName", "")), known.get("modelSettings")
    if package.endswith("/pose") or (isinstance(settings, dict) and "posenet" in settings):
        raise other_project(where, "pose")
    if package.endswith("/audio") or "wordLabels" in known:  # the second is the browser's speech commands
        raise other_project(where, "sound")
    return named_labels(known.get("labels"), where, files.read(name))


def _weights(files: Files, manifest: Any, where: str, shards: dict[str, bytes]) -> Weights:
    """Layer name -> its arrays, in the order of the manifest. Fills `shards` with what was read."""
    found: Weights = {}
    for group in _objects(manifest, where):
        data = b"".join(_shard(files, path, where, shards) for path in _list(group.get("paths"), where))
        entries = _objects(group.get("weights"), where)
        counts = [_numbers(entry, where) for entry in entries]
        if 4 * sum(counts) != len(data):
            sizes = f"its weights have {4 * sum(counts)} bytes and its manifest's files {len(data)}"
            raise ModelError(f"{where}: {sizes}; take all files from one export")
        numbers, start = np.frombuffer(data, "<f4").astype(np.float32), 0
        for entry, count in zip(entries, counts, strict=True):
            array = numbers[start : start + count].reshape(entry["shape"])
            found.setdefault(_layer(entry, where), []).append(array)
            start += count
    return found


def _shard(files: Files, path: object, where: str, shards: dict[str, bytes]) -> bytes:
    if not isinstance(path, str) or "/" in path or "\\" in path:
        raise ModelError(f"{where}: its weights are in {str(path)[:60]!r}, which is not a file of the same folder")
    name = files.find(path)
    if name is None:
        raise ModelError(f"{where}: needs {path[:60]!r}, which is not beside it; export again; {files.held()}")
    if name in shards or sum(map(len, shards.values())) > 4 * MOST_NUMBERS:
        raise ModelError(f"{where}: names its files of weights twice, or over {MOST_NUMBERS:,} weights")
    shards[name] = files.read(name)
    return shards[name]


def _numbers(entry: dict[str, Any], where: str) -> int:
    name = str(entry.get("name"))[:60]
    if entry.get("dtype") != "float32" or "quantization" in entry:
        raise ModelError(f"{where}: the weights {name!r} are not plain float32; export without quantisation")
    shape = entry.get("shape")
    if not isinstance(shape, list) or len(shape) > 8 or not all(type(side) is int and side >= 0 for side in shape):
        raise ModelError(f"{where}: the weights {name!r} have the shape {str(shape)[:60]}; export again")
    if math.prod(shape) > MOST_NUMBERS:
        raise ModelError(f"{where}: holds over {MOST_NUMBERS:,} weights; a sorter has far fewer")
    return math.prod(shape)


def _layer(entry: dict[str, Any], where: str) -> str:
    parts = str(entry.get("name")).split("/")
    if len(parts) < 2:
        raise ModelError(f"{where}: the weights {parts[0][:60]!r} belong to no layer")
    return parts[-2]


def _objects(value: Any, where: str) -> list[dict[str, Any]]:
    found = _list(value, where)
    if not all(isinstance(one, dict) for one in found):
        raise ModelError(f"{where}: its weightsManifest is not laid out as TensorFlow.js does")
    return found


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list) or len(value) > 10_000:
        raise ModelError(f"{where}: its weightsManifest is not laid out as TensorFlow.js does")
    return value
