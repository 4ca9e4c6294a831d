"""TensorFlow Lite: what is checked before LiteRT sees it, and what is refused."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from sorter.networks.flatbuffer import OPERATORS, read_network
from sorter.networks.load import load_sorter
from sorter.networks.run import Backbone, Ready
from tests.sorter.networks.exports_of import LABELS, edge_tpu, ours, sentence, views


def changed(data: bytes, change: Callable[[Any, Any], None]) -> bytes:
    """A .tflite file with something changed in its tables: change(model, its one network)."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(data, 0)
    change(model, model.subgraphs[0])
    builder = flatbuffers.Builder(1 << 16)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def set_code(number: int, custom: str | None = None) -> Callable[[Any, Any], None]:
    def change(model: Any, net: Any) -> None:
        code = model.operatorCodes[0]
        code.builtinCode, code.deprecatedBuiltinCode, code.customCode = number, min(number, 127), custom

    return change


def set_entry(**values: Any) -> Callable[[Any, Any], None]:
    return lambda model, net: [setattr(net.tensors[net.inputs[0]], key, value) for key, value in values.items()]  # type: ignore[return-value]


def set_first(**values: Any) -> Callable[[Any, Any], None]:
    """Of the first operator with a window that moves."""

    def change(model: Any, net: Any) -> None:
        operator = next(one for one in net.operators if hasattr(one.builtinOptions, "strideW"))
        for key, value in values.items():
            setattr(operator.builtinOptions, key, value)

    return change


def set_operator(place: int, **values: Any) -> Callable[[Any, Any], None]:
    return lambda model, net: [setattr(net.operators[place], key, value) for key, value in values.items()]  # type: ignore[return-value]


REFUSED: dict[str, tuple[Callable[[Any, Any], None], str]] = {
    "a custom operator": (set_code(32, "FlexDelegate"), "has an operator of its own, b'FlexDelegate'"),
    "an operator that is not allowed": (set_code(118), "has an operator IF, which is not allowed"),
    "an operator that there is not": (set_code(9999), "has an operator 9999, which is not allowed"),
    "two networks": (lambda model, net: model.subgraphs.append(net), "has 2 networks in one file"),
    "no network": (lambda model, net: model.subgraphs.clear(), "has 0 networks in one file"),
    "two inputs": (lambda model, net: setattr(net, "inputs", [0, 1]), "not just one input and one output"),
    "an input that there is not": (lambda model, net: setattr(net, "inputs", [9999]), "has no input or no output"),
    "a negative output": (lambda model, net: setattr(net, "outputs", [-1]), "has no input or no output"),
    "grey pictures": (set_entry(shape=[1, 32, 32, 1]), "reads float32 of 1x32x32x1"),
    "oblong pictures": (set_entry(shape=[1, 32, 16, 3]), "reads float32 of 1x32x16x3"),
    "tiny pictures": (set_entry(shape=[1, 8, 8, 3]), "reads float32 of 1x8x8x3"),
    "many pictures": (set_entry(shape=[2, 32, 32, 3]), "reads float32 of 2x32x32x3"),
    "sound": (set_entry(shape=[1, 44032]), "is a sound project"),
    "a negative side": (set_entry(shape=[1, 32, -32, 3]), "has a tensor of the shape"),
    "a huge side": (set_entry(shape=[1, 2**31 - 1, 2**31 - 1, 3]), "has a tensor of the shape"),
    "another kind of numbers": (set_entry(type=10), "has a tensor of FLOAT64"),
    "a kind that there is not": (set_entry(type=77), "has a tensor of 77"),
    "whole numbers without a scale": (set_entry(type=3), "has whole numbers without a scale"),
    "a buffer that there is not": (set_entry(buffer=9999), "has a tensor that lies in no buffer"),
    "a variable": (set_entry(isVariable=True), "sparse or variable"),
    "strides of 0": (set_first(strideW=0, strideH=0), "does not fit what it reads"),
    "negative strides": (set_first(strideH=-1), "does not fit what it reads"),
    "a huge dilation": (set_first(dilationWFactor=2**30), "does not fit what it reads"),
    "an activation that is not allowed": (set_first(fusedActivationFunction=5), "activation that is not allowed"),
    "no options": (set_operator(1, builtinOptions=None, builtinOptionsType=0), "with the options of another"),
    "what is not written": (set_operator(0, inputs=[5, 6, 7]), "cannot be run by LiteRT"),
    "an input before the first": (set_operator(0, inputs=[-5, -6]), "cannot be run by LiteRT"),
    "two writers": (set_operator(1, outputs=[0]), "writes to what is written already"),
    "no output": (set_operator(1, outputs=[]), "writes to what is written already"),
    "an operator of no kind": (set_operator(0, opcodeIndex=77), "has an operator of no kind"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_a_tflite_file_may_not_hold(copy: Any, what: str) -> None:
    folder = copy("float")
    path = folder / "model_unquant.tflite"
    change, said = REFUSED[what]
    path.write_bytes(changed(path.read_bytes(), change))
    assert said in sentence(folder)


def test_unchanged_tables_load(copy: Any) -> None:
    """So that the tests above refuse for the reason they give."""
    for name, file in (("float", "model_unquant.tflite"), ("uint8", "model.tflite")):
        folder = copy(name)
        data = (folder / file).read_bytes()
        (folder / file).write_bytes(changed(data, lambda model, net: None))
        assert load_sorter(folder).labels == LABELS
        assert {one.kind for one in read_network(data, "x").operators} <= set(OPERATORS)


def test_every_operator_that_is_allowed_can_be_run(every: Path, tmp_path: Path) -> None:
    known = set()
    for name in ("float.tflite", "uint8.tflite"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "labels.txt").write_text("\n".join(LABELS))
        shutil.copy(every / name, folder)
        assert np.abs(ours(load_sorter(folder), views()).sum(1) - 1).max() < 0.02
        known |= {one.kind for one in read_network((every / name).read_bytes(), "x").operators}
    assert known == set(OPERATORS)


def test_scales_too_far_apart_are_refused(copy: Any, formats: Path) -> None:
    """LiteRT would end the process: its multiplier of a sum must be below 1."""
    folder = copy("uint8")
    path = folder / "model.tflite"
    place = [one.kind for one in read_network(path.read_bytes(), "x").operators].index("ADD")

    def change(model: Any, net: Any) -> None:
        net.tensors[net.operators[place].outputs[0]].quantization.scale = [1e-12]

    path.write_bytes(changed(path.read_bytes(), change))
    assert "an operator ADD has scales too far apart" in sentence(folder)


def test_numbers_outside_of_the_network_are_refused(copy: Any) -> None:
    folder = copy("float")
    path = folder / "model_unquant.tflite"

    def change(model: Any, net: Any) -> None:
        model.buffers[net.tensors[net.operators[0].inputs[1]].buffer].offset = 1000

    path.write_bytes(changed(path.read_bytes(), change))
    assert "keeps numbers outside of its buffers" in sentence(folder)


def test_margins_cannot_make_a_map_huge(copy: Any) -> None:
    folder = copy("float")
    path = folder / "model_unquant.tflite"

    def change(model: Any, net: Any) -> None:
        (pad,) = [one for one in net.operators if type(one.builtinOptions).__name__ == "PadOptionsT"]
        margins = np.array([[0, 0], [0, 2**30], [0, 2**30], [0, 0]], "<i4")
        model.buffers[net.tensors[pad.inputs[1]].buffer].data = np.frombuffer(margins.tobytes(), np.uint8)

    path.write_bytes(changed(path.read_bytes(), change))
    assert "an operator PAD does not fit what it reads: its margins" in sentence(folder)


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf"), 1e-30, 1e30])
def test_scales_that_cannot_be_are_refused(copy: Any, scale: float) -> None:
    folder = copy("uint8")
    path = folder / "model.tflite"

    def change(model: Any, net: Any) -> None:
        net.tensors[net.operators[2].outputs[0]].quantization.scale = [scale]

    path.write_bytes(changed(path.read_bytes(), change))
    assert "has whole numbers with scales that cannot be" in sentence(folder)


def test_an_edge_tpu_file_is_refused_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("0 a\n1 b\n")
    (tmp_path / "model.tflite").write_bytes(edge_tpu())
    said = sentence(tmp_path)
    assert "is made for an Edge TPU, and only that accelerator of Google's can run it" in said
    assert "take model.tflite or model_unquant.tflite of the same export" in said


@pytest.mark.parametrize("data", [b"", b"TFL3", bytes(7) + b"TFL3", b"\x1c\0\0\0TFL3", b"<html>404</html>"])
def test_what_is_no_tflite_file_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "labels.txt").write_text("0 a\n1 b\n")
    (tmp_path / "model.tflite").write_bytes(data)
    said = sentence(tmp_path)
    assert any(
        words in said for words in ("does not begin as one", "is not a whole .tflite", "is a web page", "is empty")
    )


FUZZ = """
import random, sys
from pathlib import Path
import flatbuffers
from ai_edge_litert import schema_py_generated as schema
from sorter.networks.load import load_sorter
from sorter.errors import ModelError

source, folder, seed, rounds = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
whole, chance = source.read_bytes(), random.Random(seed)
ODD = (-(2**31), -77, -1, 0, 1, 2, 7, 100, 2**20, 2**31 - 1)
FRACTIONS = (-1.0, 0.0, 1e-30, 1e-19, 1e-9, 1e-5, 0.3, 10.0, 1e3, 1e6, 1e9, 1e30, float("inf"), float("nan"))


def cut(number):
    return whole[: len(whole) * number // rounds]


def flip(number):
    data = bytearray(whole)
    for _ in range(chance.choice((1, 3, 20))):
        place = chance.randrange(min(len(data), 4096))
        data[chance.choice((place, -1 - place))] = chance.randrange(256)
    return data


def numbers(thing, met):
    # every place of a table tree that holds a number: (holder, key)
    if isinstance(thing, list):
        for place, one in enumerate(thing):
            yield from [(thing, place)] if type(one) in (int, float) else numbers(one, met)
    elif hasattr(thing, "__dict__") and id(thing) not in met:
        met.add(id(thing))
        for key, one in vars(thing).items():
            if type(one) in (int, bool, float):
                yield thing, key
            elif type(one).__name__ == "ndarray":
                setattr(thing, key, one if key == "data" else one.tolist())
                yield from numbers(getattr(thing, key), met)
            else:
                yield from numbers(one, met)


def odd(number):
    # a sound file of unsound values: only what the values mean can be wrong
    model = schema.ModelT.InitFromPackedBuf(whole, 0)
    places = list(numbers(model, set()))
    for _ in range(chance.choice((1, 1, 2, 5))):
        holder, key = chance.choice(places)
        now = holder[key] if isinstance(holder, list) else getattr(holder, key)
        value = chance.choice(FRACTIONS if type(now) is float else ODD)
        if isinstance(holder, list):
            holder[key] = value
        else:
            setattr(holder, key, value)
    builder = flatbuffers.Builder(1 << 16)
    try:
        builder.Finish(model.Pack(builder), b"TFL3")
    except Exception:  # a value that the table cannot hold
        return whole
    return builder.Output()


loaded = 0
for make in (cut, flip, odd):
    for number in range(rounds):
        (folder / "model.tflite").write_bytes(make(number))
        try:
            load_sorter(folder)
            loaded += 1
        except ModelError as found:
            assert "\\n" not in str(found) and len(str(found)) < 500, found
print(loaded)
"""


def fuzz(source: Path, folder: Path, seed: int, rounds: int, labels: str) -> int:
    """How many of 3 * rounds spoilt copies still loaded. The process must end well: no signal, no traceback."""
    folder.mkdir()
    (folder / "labels.txt").write_text(labels)
    command = [sys.executable, "-c", FUZZ, str(source), str(folder), str(seed), str(rounds)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr[-2000:]
    return int(done.stdout)


@pytest.mark.parametrize("name", ["float.tflite", "uint8.tflite"])
def test_no_damage_to_a_tflite_file_ends_the_process(every: Path, tmp_path: Path, name: str) -> None:
    assert 20 < fuzz(every / name, tmp_path / "x", seed=5, rounds=100, labels="\n".join(LABELS)) < 150


@pytest.mark.parametrize("name", ["model_unquant.tflite", "model.tflite"])
def test_teachable_machines_tflite_files_answer_as_its_recipe(shared: Path, tmp_path: Path, name: str) -> None:
    """Teachable Machine's: ImageOps.fit with Lanczos; x / 127.5 - 1 for float32, x itself for uint8."""
    from ai_edge_litert.interpreter import Interpreter

    source = shared / "tm" / "mask-2021-tflite"
    for file in (name, "labels.txt"):
        shutil.copyfile(source / file, tmp_path / file)
    paths = sorted((shared / "frames").glob("*.jpg"))[::4][:5]
    assert len(paths) == 5
    seen = np.stack([
        np.asarray(ImageOps.fit(Image.open(path).convert("RGB"), (224, 224), Image.Resampling.LANCZOS))
        for path in paths
    ])  # fmt: skip
    engine = Interpreter(model_path=str(source / name))
    engine.allocate_tensors()
    (entry,), (end,) = engine.get_input_details(), engine.get_output_details()
    theirs = []
    for view in seen:
        x = view if name == "model.tflite" else view.astype(np.float32) / 127.5 - 1
        engine.set_tensor(entry["index"], x[None])
        engine.invoke()
        theirs.append(engine.get_tensor(end["index"])[0] * (1 / 256 if name == "model.tflite" else 1))
    assert np.abs(ours(load_sorter(tmp_path), seen) - np.stack(theirs)).max() < 1e-4


@pytest.mark.parametrize("name", ["model_unquant.tflite", "model.tflite"])
def test_no_damage_to_a_real_tflite_file_ends_the_process(shared: Path, tmp_path: Path, name: str) -> None:
    assert fuzz(shared / "tm" / "mask-2021-tflite" / name, tmp_path / "x", 7, 12, "0 Mask\n1 No Mask\n") < 36


def test_a_ready_backbone_is_equal_by_its_key_only() -> None:
    one, other = Ready(b"a", 32), Ready(b"a", 32)
    assert one.key() == other.key() != Ready(b"b", 32).key()
    assert Backbone(one.key(), one).size == 32
