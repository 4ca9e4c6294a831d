"""What is written is what strangers read: networks of every shape in .h5 and .tflite; and passes that are shared."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sorter.classify.ask import Questions
from sorter.fit.write_h5 import WEIGHTS, write_h5
from sorter.fit.write_tflite import write_tflite
from sorter.networks.convert import build, convert
from sorter.networks.graph import Graph, Layer
from sorter.networks.head import Head
from sorter.networks.keras import KINDS, read_graph
from sorter.networks.load import Sorter
from sorter.networks.run import TEACHABLE_MACHINE, Backbone, Ready, Runners, normalise, share, start

SIZE = 16


class Net:
    """Layers, one by one, with weights of its own draw: no two are alike."""

    def __init__(self, seed: int = 0) -> None:
        self.layers = [Layer("InputLayer", (), {})]
        self.draw = np.random.default_rng(seed)

    def add(self, kind: str, *inputs: int, weights: Sequence[tuple[int, ...]] = (), **options: Any) -> int:
        arrays = tuple(
            self.draw.uniform(0.1, 1, shape).astype(np.float32) - 0.4 * (len(shape) > 1) for shape in weights
        )
        self.layers.append(Layer(kind, inputs, options, arrays))
        return len(self.layers) - 1

    def conv(self, read: int, channels: int = 2, reads: int = 2, **options: Any) -> int:
        bias = [] if options.get("use_bias") is False else [(channels,)]
        own = {"filters": channels, "kernel_size": [3, 3], "strides": [1, 1], "padding": "same"}
        return self.add("Conv2D", read, weights=[(3, 3, reads, channels), *bias], **own | options)

    def graph(self) -> Graph:
        return Graph(SIZE, tuple(self.layers))


def residual() -> Graph:
    net = Net()
    start = net.conv(0, reads=3, use_bias=False)
    x = net.add("BatchNormalization", start, weights=[(2,)] * 4, epsilon=0.001)
    x = net.add("ReLU", x, max_value=6.0)
    x = net.add("DepthwiseConv2D", x, weights=[(3, 3, 2, 1)], kernel_size=[3, 3], strides=[1, 1], padding="same",
                depth_multiplier=1, use_bias=False)  # fmt: skip
    x = net.add("BatchNormalization", x, weights=[(2,)] * 4, epsilon=0.01)
    net.conv(net.add("Add", start, x))
    return net.graph()


def equal_branches(order: int = 1) -> Graph:
    """Two branches of one depth with weights of one shape; they join in the order in which they are, or the other."""
    net = Net()
    x = net.conv(0, reads=3)
    one, other = net.conv(x), net.conv(x)
    one, other = net.add("ReLU", one), net.add("ReLU", other)
    one, other = net.conv(one), net.conv(other)
    net.add("Concatenate", *(one, other)[::order])
    return net.graph()


def other_depths() -> Graph:
    """A short branch that is listed between the layers of a long one, and a fork within it."""
    net = Net()
    x = net.conv(0, reads=3)
    long = net.conv(x)
    short = net.conv(x)
    long = net.conv(long)
    left, right = net.conv(long), net.conv(long)
    long = net.conv(net.add("Add", right, left))
    net.add("Add", short, long)
    return net.graph()


def three_ways() -> Graph:
    net = Net()
    x = net.conv(0, reads=3)
    ends = [net.conv(x), net.conv(x), net.conv(x)]
    ends = [net.add("BatchNormalization", end, weights=[(2,)] * 4) for end in ends]
    net.conv(net.add("Concatenate", ends[1], ends[2], ends[0]), reads=6)
    return net.graph()


def every_normalisation() -> Graph:
    net = Net()
    x = net.add("Rescaling", 0, scale=[0.5, 1.0, 2.0], offset=0.25)
    x = net.add("Normalization", x, weights=[(3,), (3,), ()], axis=[-1])
    x = net.add("BatchNormalization", x, weights=[(3,)] * 3, scale=False)
    x = net.add("BatchNormalization", x, weights=[(3,)] * 3, center=False)
    x = net.add("BatchNormalization", x, weights=[(3,)] * 2, scale=False, center=False, epsilon=0.1)
    net.conv(net.conv(x, reads=3, activation="tanh"), use_bias=False, activation="swish")
    return net.graph()


def squeeze() -> Graph:
    """Squeeze and excitation, dense layers and all that changes a map's size."""
    net = Net()
    x = net.add("ZeroPadding2D", net.conv(0, reads=3), padding=[[0, 1], [1, 0]])
    x = net.add("MaxPooling2D", x, pool_size=[2, 2], strides=[2, 2], padding="same")
    x = net.add("SeparableConv2D", x, weights=[(3, 3, 2, 2), (1, 1, 4, 2), (2,)], filters=2, depth_multiplier=2,
                kernel_size=[3, 3], strides=[1, 1], padding="valid")  # fmt: skip
    few = net.add("GlobalAveragePooling2D", x, keepdims=True)
    few = net.conv(few, kernel_size=[3, 3], activation="swish")
    few = net.add("Dense", few, weights=[(2, 2)], units=2, use_bias=False, activation="sigmoid")
    x = net.add("Multiply", x, few)
    x = net.add("Cropping2D", x, cropping=[[1, 1], [0, 1]])
    x = net.add("AveragePooling2D", x, pool_size=[2, 2], strides=[1, 1], padding="valid")
    x = net.add("Reshape", x, target_shape=[4, 5, 2])
    net.add("Activation", net.conv(x), activation="swish")
    return net.graph()


def wild(seed: int) -> Graph:
    """Convolutions that read any earlier layers at random; whatever is read by none is joined at the end."""
    net, draw = Net(seed), np.random.default_rng(seed)
    places = [net.conv(0, reads=3)]
    for _ in range(7):
        reads = draw.choice(places, size=min(len(places), int(draw.integers(1, 4))), replace=False)
        joined = net.add("Add", *map(int, reads)) if len(reads) > 1 else int(reads[0])
        places.append(net.conv(joined) if draw.random() < 0.7 else net.add("ReLU", joined))
    read = {place for layer in net.layers for place in layer.inputs}
    loose = [place for place in places if place not in read]
    net.conv(
        net.add("Concatenate", *map(int, draw.permutation(loose))) if len(loose) > 1 else loose[0], reads=2 * len(loose)
    )
    return net.graph()


GRAPHS: dict[str, Callable[[], Graph]] = {
    "residual": residual,
    "equal branches": equal_branches,
    "equal branches, the other way round": lambda: equal_branches(-1),
    "other depths": other_depths,
    "three ways": three_ways,
    "every normalisation": every_normalisation,
    "squeeze": squeeze,
    **{f"wild {seed}": lambda seed=seed: wild(seed) for seed in range(3)},  # type: ignore[misc]
}


def head_on(graph: Graph, kind: str = "average", units: int = 0) -> tuple[Layer, ...]:
    """A head of three classes for the last map of a graph, to which no two pictures are alike."""
    draw = np.random.default_rng(9)
    maps = np.asarray(build(graph)(views(8)))
    rows = maps.mean(axis=(1, 2)) if kind == "average" else maps.reshape(8, -1)
    spread = np.maximum(rows.std(axis=0), 1e-3 * rows.std()) * np.sqrt(rows.shape[1])
    made = [Layer("GlobalAveragePooling2D" if kind == "average" else "Flatten", (), {})]
    kernel = draw.normal(0, 2, (rows.shape[1], units or 3)) / spread[:, None]
    made.append(dense(kernel, 0.1 - rows.mean(axis=0) @ kernel, "relu" if units else "softmax"))
    return (*made, *([dense(draw.normal(0, 1, (units, 3)), draw.normal(0, 1, 3), "softmax")] if units else []))


@functools.cache
def made(name: str) -> tuple[Graph, tuple[Layer, ...]]:
    graph = GRAPHS[name]()
    return graph, head_on(graph)


def dense(kernel: np.ndarray, bias: np.ndarray, activation: str) -> Layer:
    weights = kernel.astype(np.float32), bias.astype(np.float32)
    return Layer("Dense", (), {"units": kernel.shape[1], "activation": activation}, weights)


def views(count: int) -> np.ndarray:
    return normalise(np.random.default_rng(3).integers(0, 256, (count, SIZE, SIZE, 3), np.uint8))


def assert_same(one: Sequence[Layer], other: Sequence[Layer]) -> None:
    assert [(layer.kind, layer.inputs, layer.options) for layer in one] == [
        (layer.kind, layer.inputs, layer.options) for layer in other
    ]
    for first, second in zip(one, other, strict=True):
        assert len(first.weights) == len(second.weights)
        assert all(np.array_equal(*pair) for pair in zip(first.weights, second.weights, strict=True))


# --- .h5


@pytest.mark.parametrize("name", GRAPHS)
def test_keras_loads_what_is_written_and_computes_the_same(name: str, tmp_path: Path, keras: Any) -> None:
    graph, head = made(name)
    path = tmp_path / "keras_model.h5"
    path.write_bytes(write_h5(graph, head))
    theirs = np.asarray(keras.models.load_model(path, compile=False)(views(4)))
    ours = Head(head)(np.asarray(build(graph)(views(4))))
    assert np.abs(theirs - ours).max() < 1e-5
    assert np.ptp(ours, axis=0).max() > 1e-3  # the pictures are not all the same to it


@pytest.mark.parametrize("name", GRAPHS)
def test_reading_gives_back_what_was_written(name: str) -> None:
    graph, head = made(name)
    read = read_graph(write_h5(graph, head), "x")
    assert (read.size, read.keys[len(graph.layers) - 1]) == (SIZE, graph.key())
    assert_same(read.layers[: len(graph.layers)], graph.layers)
    assert_same(
        [Layer(one.kind, (), one.options, one.weights) for one in read.layers[len(graph.layers) :]],
        [Layer(one.kind, (), {k: v for k, v in one.options.items() if v != "linear"}, one.weights) for one in head],
    )


@pytest.mark.parametrize("units", [0, 7])
@pytest.mark.parametrize("kind", ["average", "grid"])
def test_every_head_is_written(kind: str, units: int, tmp_path: Path, keras: Any) -> None:
    graph, _ = made("residual")
    head = head_on(graph, kind, units)
    path = tmp_path / "keras_model.h5"
    path.write_bytes(write_h5(graph, head))
    loaded = keras.models.load_model(path, compile=False)
    ours = Head(head)(np.asarray(build(graph)(views(4))))
    assert np.abs(np.asarray(loaded(views(4))) - ours).max() < 1e-5
    assert [type(one).__name__ for one in loaded.layers] == [
        "Sequential",
        "Sequential",
    ]  # nested as Teachable Machine's
    data = write_tflite(backbone(graph).compiled().read_bytes(), 0, head)
    assert np.abs(asked(data, views(4)) - ours).max() < 1e-5


def test_the_same_sorter_is_the_same_bytes() -> None:
    assert write_h5(residual(), head_on(residual())) == write_h5(*made("residual"))


def test_every_kind_with_weights_can_be_written() -> None:
    written = {layer.kind for make in GRAPHS.values() for layer in make().layers if layer.weights}
    assert written == set(WEIGHTS) & set(KINDS)


# --- .tflite


def asked(data: bytes, pictures: np.ndarray) -> np.ndarray:
    """A stranger's way of asking a .tflite file."""
    from ai_edge_litert.interpreter import Interpreter

    engine = Interpreter(model_content=data, num_threads=1)
    engine.allocate_tensors()
    (entry,), (end,) = engine.get_input_details(), engine.get_output_details()
    assert entry["dtype"] == np.float32 and entry["shape"].tolist() == [1, *pictures.shape[1:]]
    assert end["dtype"] == np.float32
    answers = []
    for picture in pictures:
        engine.set_tensor(entry["index"], picture[None])
        engine.invoke()
        answers.append(engine.get_tensor(end["index"])[0])
    return np.array(answers)


@pytest.mark.parametrize("output", [0, 1])
def test_a_tflite_holds_what_its_head_reads_and_nothing_else(output: int) -> None:
    net = Net()
    x = net.conv(0, reads=3)
    last = net.conv(x, 64, dilation_rate=[1, 1])
    graph = Graph(SIZE, (*net.layers[:last], Layer("Conv2D", (x,), {**net.layers[last].options, "filters": 2000},
                  (np.ones((3, 3, 2, 2000), np.float32), np.ones(2000, np.float32)))))  # fmt: skip
    places = (x, last)
    head = head_on(graph.upto(places[output]))
    data = write_tflite(convert(graph, places), output, head)
    ours = Head(head)(np.asarray(build(graph.upto(places[output]))(views(2))))
    assert np.abs(asked(data, views(2)) - ours).max() < 1e-5
    assert (len(data) > 4 * 3 * 3 * 2 * 2000) == (output == 1)


def test_outputs_come_in_the_order_asked_for() -> None:
    graph = other_depths()
    wanted = (5, 2, len(graph.layers) - 1, 4)
    run = start(TEACHABLE_MACHINE, model_content=convert(graph, wanted))
    view = np.random.default_rng(3).integers(0, 256, (SIZE, SIZE, 3), np.uint8)
    maps = run(view)
    assert len(maps) == 4
    for place, found in zip(wanted, maps, strict=True):
        assert np.abs(found - np.asarray(build(graph.upto(place))(normalise(view)[None]))[0]).max() < 1e-4


# --- one pass for several


def backbone(graph: Graph) -> Backbone:
    return Backbone(graph.key(), graph)


def test_a_network_that_begins_another_needs_no_pass_of_its_own() -> None:
    whole, other = residual(), other_depths()
    ends = [3, 5, len(whole.layers) - 1]
    parts = [whole.upto(end) for end in ends]
    ready = Ready(b"whatever", SIZE)
    alone = Backbone(ready.key(), ready)
    found = share([backbone(parts[0]), alone, backbone(parts[2]), backbone(other), backbone(parts[1])])
    assert set(found) == {*(part.key() for part in parts), other.key(), ready.key()}
    runs = [found[part.key()] for part in parts]
    assert {run.key for run, _ in runs} == {whole.key()}
    assert [run.outputs[place] for run, place in runs] == ends
    assert found[other.key()][0].key == other.key() and found[other.key()][0].outputs == ()
    assert found[ready.key()][0].network is ready and found[ready.key()][0].outputs == ()


def test_a_network_alone_is_run_for_its_last_map() -> None:
    graph = residual()
    ((run, place),) = share([backbone(graph), backbone(residual())]).values()
    assert (run.key, run.outputs, place) == (graph.key(), (), 0)


def test_another_weight_or_size_is_another_network() -> None:
    one = residual()
    first = one.layers[1]
    changed = Layer(first.kind, first.inputs, first.options, (first.weights[0] + 1e-6,))
    others = [Graph(SIZE, (one.layers[0], changed, *one.layers[2:])), Graph(32, one.layers)]
    found = share(map(backbone, [one.upto(4), *others]))
    assert len({run.key for run, _ in found.values()}) == 3
    assert all(run.outputs == () for run, _ in found.values())


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys of the networks that are run, as they are."""
    found: list[str] = []
    maps = Runners.maps
    monkeypatch.setattr(Runners, "maps", lambda self, one, view: found.append(one.key) or maps(self, one, view))
    return found


def test_sorters_that_share_a_pass_answer_as_each_alone(tmp_path: Path, draw: Any, passes: list[str]) -> None:
    """A part, the whole, another network and a .tflite file; one of them asked about the mirror image too."""
    whole, other = residual(), other_depths()
    part = whole.upto(3)
    ready = Ready(write_tflite(backbone(other).compiled().read_bytes(), 0, head_on(other)), SIZE)
    labels = ("a", "b", "c")

    def sorter(graph: Graph, kind: str) -> Sorter:
        return Sorter(labels, f"{graph.key()}{kind}", backbone(graph), Head(head_on(graph, kind)), {})

    sorters = {"whole": sorter(whole, "average"), "part": sorter(part, "grid"), "other": sorter(other, "average"),
               "ready": Sorter(labels, "ready", Backbone(ready.key(), ready), Head(()), {})}  # fmt: skip
    mirrors = {"part": (1, 0, 2)}
    together = Questions(sorters, mirrors)
    alone = {axis: Questions({axis: one}, {key: value for key, value in mirrors.items() if key == axis})
             for axis, one in sorters.items()}  # fmt: skip
    for number, side in enumerate(("left", "right", "front")):
        path = tmp_path / f"{number}.png"
        draw(side, "sad", number).save(path)
        passes.clear()
        answers: Any = together(path)
        assert sorted(passes) == sorted([whole.key(), whole.key(), other.key(), ready.key()])  # the mirror image, once
        found = {label.axis: label for label in answers.labels}
        assert list(found) == list(sorters)
        for axis, one in alone.items():
            single: Any = one(path)
            (label,) = single.labels
            assert (found[axis].name, found[axis].taken_for, found[axis].source) == (
                label.name,
                label.taken_for,
                label.source,
            )
            assert found[axis].score == pytest.approx(label.score, abs=1e-5)
        assert found["ready"].score == pytest.approx(found["other"].score, abs=1e-4)
        passes.clear()
        only: Any = together(path, names=["other"])
        assert [label.axis for label in only.labels] == ["other"] and passes == [other.key()]
