"""Class folders -> a sorter. The backbone is the drawn exports' but for one test, so that nothing takes long."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFilter

from sorter.classify import efficientnet, features, fit_head
from sorter.classify import fit as fitting
from sorter.classify.backbone import Runners, build, normalise
from sorter.classify.examples import split
from sorter.classify.fit import Recipe, fit
from sorter.classify.fit_measure import fit_sharpness
from sorter.classify.images import fit_view
from sorter.classify.measures import Measure
from sorter.classify.model import Sorter, load_asked, load_sorter
from sorter.classify.predict import Questions
from sorter.errors import ExamplesError, LibraryError

QUICK = Recipe(epochs=30, batch_size=4, learning_rate=0.02)


def track(items: Iterable[Any], what: str, total: int | None) -> Iterable[Any]:
    return items


@pytest.fixture(autouse=True)
def small_backbone(exports: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = load_sorter(exports / "direction").backbone.graph
    monkeypatch.setattr(fitting, "efficientnet_lite0", lambda: graph)


@pytest.fixture
def moods(tmp_path: Path, draw: Any, grow: Any) -> Path:
    """Twelve pictures a class."""
    tree = {mood: {f"{n}.png": draw(("left", "right", "front")[n % 3], mood, n) for n in range(12)}
            for mood in ("sad", "happy")}  # fmt: skip
    return grow(tmp_path / "examples", tree)


def facing(side: str, number: int) -> Image.Image:
    """A figure, red, that looks to one side of a green picture: only where it is red tells them apart."""
    image = Image.new("RGB", (32, 32), (0, 255, 0))
    image.paste((255, 0, 0), (2, 4, 12, 28))
    image.putpixel((20, number), (0, 0, 0))
    return image if side == "left" else image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


@pytest.fixture
def sides(tmp_path: Path, grow: Any) -> Path:
    """Of each side five drawn pictures, none a mirror image of another, and five that face the viewer."""
    left, right = (
        {f"{n}.png": facing(side, n + start) for n in range(5)} for side, start in (("left", 0), ("right", 9))
    )
    front = {f"{n}.png": Image.new("RGB", (32, 32), (0, 0, 200 + n)) for n in range(5)}
    return grow(tmp_path / "sides", {"looking_left": left, "looking_right": right, "front": front})


def weights(sorter: Any) -> list[np.ndarray]:
    return [array for layer in sorter.head.layers for array in layer.weights]


def assert_keras_agrees(to: Path, keras: Any, examples: Path) -> Sorter:
    """A stranger's script that loads the .h5 gets the same answers."""
    sorter, runners = load_sorter(to), Runners()
    opened = [Image.open(path).convert("RGB") for path in sorted(examples.rglob("*.png"))]
    views = np.stack([fit_view(image, 32) for image in opened])
    ours = np.concatenate([sorter.head(runners(sorter.backbone, view)[None]) for view in views])
    theirs = np.asarray(keras.models.load_model(to / "keras_model.h5", compile=False)(normalise(views)))
    assert np.abs(ours - theirs).max() < 1e-5
    return sorter


def test_a_fitted_sorter_is_one_that_keras_and_we_load(moods: Path, tmp_path: Path, keras: Any, draw: Any) -> None:
    fitted = fit(moods, tmp_path / "mood", QUICK, track)
    sorter = assert_keras_agrees(tmp_path / "mood", keras, moods)
    assert sorter.labels == ("happy", "sad")
    assert sorter.card == fitted.card == tomllib.loads((tmp_path / "mood" / "card.toml").read_text())
    draw("left", "sad", 99).save(tmp_path / "new.png")
    seen = Questions({"mood": sorter})(tmp_path / "new.png")
    assert [label.name for label in seen.labels] == ["sad"]  # type: ignore[union-attr]


def test_the_card_says_what_it_was_made_from_and_how_good_it_is(moods: Path, tmp_path: Path) -> None:
    card = fit(moods, tmp_path / "mood", QUICK, track).card
    assert card["classes"] == ["happy", "sad"]
    assert card["pictures"] == {"happy": 12, "sad": 12}
    assert card["scores"]["accuracy"] == 1.0
    assert card["scores"]["pictures"] == 4  # 15 % of twelve, rounded up, of each class
    assert card["scores"]["recall"] == {"happy": 1.0, "sad": 1.0}
    assert card["scores"]["confusion"] == [[2, 0], [0, 2]]
    assert card["head"]["kind"] == "average"
    assert card["recipe"]["epochs"] == 30
    assert set(card) >= {"made", "data", "versions", "backbone"}


def test_the_exports_backbone_is_the_one_it_was_fitted_on(moods: Path, sides: Path, tmp_path: Path) -> None:
    """So it is converted once, and all fitted axes share one pass."""
    mood = fit(moods, tmp_path / "mood", QUICK, track)
    fit(sides, tmp_path / "direction", QUICK, track)
    keys = {load_sorter(tmp_path / name).backbone.key for name in ("mood", "direction")}
    assert keys == {mood.card["backbone"]["sha256"]}


def test_a_fit_can_be_repeated(moods: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        fit(moods, tmp_path / name, QUICK.model_copy(update={"seed": seed}), track)
    a, b, c = (weights(load_sorter(tmp_path / name)) for name in "abc")
    assert len(a) == 3
    assert all(np.array_equal(one, other) for one, other in zip(a, b, strict=True))
    assert not all(np.array_equal(one, other) for one, other in zip(a, c, strict=True))
    assert load_sorter(tmp_path / "a").card["data"] == load_sorter(tmp_path / "c").card["data"]


def test_classes_that_mirror_into_each_other_get_a_head_that_sees_sides(
    sides: Path, tmp_path: Path, keras: Any
) -> None:
    card = fit(sides, tmp_path / "direction", QUICK, track).card
    assert card["head"] == {
        "kind": "sides", "mirror": {"looking_left": "looking_right", "looking_right": "looking_left"},
    }  # fmt: skip
    assert card["scores"]["accuracy"] == card["scores"]["accuracy_mirrored"] == 1.0
    sorter = assert_keras_agrees(tmp_path / "direction", keras, sides)
    facing("right", 7).save(tmp_path / "a.png")  # that row only ever looked left
    seen = Questions({"direction": sorter})(tmp_path / "a.png")
    assert [label.name for label in seen.labels] == ["looking_right"]  # type: ignore[union-attr]


def test_two_classes_that_mirror_into_each_other(sides: Path, tmp_path: Path, keras: Any) -> None:
    import shutil

    shutil.rmtree(sides / "front")
    fit(sides, tmp_path / "direction", QUICK, track)
    sorter = assert_keras_agrees(tmp_path / "direction", keras, sides)
    for side in ("left", "right"):
        facing(side, 8).save(tmp_path / "a.png")
        (label,) = Questions({"direction": sorter})(tmp_path / "a.png").labels  # type: ignore[union-attr]
        assert label.name == f"looking_{side}" and label.score > 0.5


def test_mirror_classes_can_be_named_or_denied(sides: Path, tmp_path: Path) -> None:
    denied = fit(sides, tmp_path / "a", QUICK.model_copy(update={"mirror": {}}), track)
    assert denied.card["head"] == {"kind": "average", "mirror": {}}
    with pytest.raises(ExamplesError, match='has no class "looking_lefft" to mirror; did you mean "looking_left"'):
        fit(sides, tmp_path / "b", QUICK.model_copy(update={"mirror": {"looking_lefft": "looking_right"}}), track)
    with pytest.raises(ExamplesError, match='has no class "looking_rihgt" to mirror; did you mean "looking_right"'):
        fit(sides, tmp_path / "b", QUICK.model_copy(update={"mirror": {"looking_left": "looking_rihgt"}}), track)


@pytest.mark.parametrize(
    ("classes", "pairs"),
    [
        (["left", "right", "front"], {"left": "right", "right": "left"}),
        (["Left", "RIGHT"], {"Left": "RIGHT", "RIGHT": "Left"}),
        (["left", "front"], {}),
        (["happy", "bright"], {}),
    ],
)
def test_mirror_classes_are_found_by_their_names(classes: list[str], pairs: dict[str, str]) -> None:
    assert fit_head.mirror_pairs(classes) == pairs


def test_features_are_computed_once(moods: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = fit(moods, tmp_path / "a", QUICK, track)

    def look(*_: object) -> None:
        raise AssertionError("a picture was looked at again")

    monkeypatch.setattr(features.Runners, "__call__", look)
    assert fit(moods, tmp_path / "b", QUICK, track).card["data"] == first.card["data"]


# --- what cannot be learnt from


def test_too_little_to_learn_from_is_a_sentence(moods: Path, tmp_path: Path) -> None:
    with pytest.raises(ExamplesError, match="needs a folder for each of at least two classes; found none"):
        fit(moods / "sad", tmp_path / "a", QUICK, track)
    for path in sorted((moods / "sad").iterdir())[1:]:
        path.unlink()
    with pytest.raises(ExamplesError, match=r"sad: has 1 readable picture; a class needs at least 2"):
        fit(moods, tmp_path / "a", QUICK, track)
    assert not (tmp_path / "a").exists()


def test_one_picture_in_two_classes_is_a_sentence(moods: Path, tmp_path: Path) -> None:
    (moods / "sad" / "again.png").write_bytes((moods / "happy" / "3.png").read_bytes())
    with pytest.raises(ExamplesError, match="is the same picture as .*; keep it in one class only"):
        fit(moods, tmp_path / "a", QUICK, track)


def test_examples_that_cannot_be_read_are_listed(moods: Path, tmp_path: Path, run_cli: Callable[..., Any]) -> None:
    (moods / "sad" / "broken.png").write_bytes(b"")
    code, out, err = run_cli("fit", moods, "--to", tmp_path / "a", "--epochs", 1, "--json")
    found = json.loads(out)
    assert (code, err) == (1, "")
    assert found["failures"] == [{"path": str(moods / "sad" / "broken.png"), "reason": "the file is empty"}]
    assert found["card"]["pictures"] == {"happy": 12, "sad": 12}
    for path in sorted((moods / "sad").glob("*.png")):
        path.write_bytes(b"")
    with pytest.raises(ExamplesError, match="sad: has 0 readable pictures"):
        fit(moods, tmp_path / "b", QUICK, track)


def test_a_sorter_that_cannot_be_written_is_a_sentence(moods: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LibraryError, match="cannot be written"):
        fit(moods, tmp_path / "file", Recipe(epochs=1), track)


def test_the_split_keeps_every_class_on_both_sides() -> None:
    labels = [0] * 20 + [1] * 2 + [2] * 7
    training, validation = split(labels, 0.15, 0)
    assert sorted(training + validation) == list(range(29))
    assert [sum(labels[place] == label for place in validation) for label in (0, 1, 2)] == [3, 1, 2]
    assert split(labels, 0.15, 0) == (training, validation) != split(labels, 0.15, 1)


# --- sharpness


@pytest.fixture
def blurs(tmp_path: Path, grow: Any) -> Path:
    def picture(number: int, radius: float) -> Image.Image:
        draw = np.random.default_rng(number)
        blocks = Image.fromarray(draw.integers(0, 255, (9, 12, 3), np.uint8))
        return blocks.resize((192, 144), Image.Resampling.NEAREST).filter(ImageFilter.GaussianBlur(radius))

    tree = {name: {f"{n}.png": picture(n, radius) for n in range(8)} for name, radius in (("soft", 4), ("clear", 0))}
    return grow(tmp_path / "blurs", tree)


def test_sharpness_is_fitted_to_a_persons_own_pictures(blurs: Path, tmp_path: Path) -> None:
    fitted = fit_sharpness(blurs, tmp_path / "blur", track)
    assert fitted.card["scores"]["accuracy"] == 1.0
    asked = load_asked(tmp_path / "blur")
    assert isinstance(asked, Measure)
    assert asked.labels == ("soft", "clear")  # the blurry one first, whatever they are called
    for name in ("soft", "clear"):
        seen = Questions({"blur": asked})(blurs / name / "3.png")
        assert [label.name for label in seen.labels] == [name]  # type: ignore[union-attr]
    assert not (tmp_path / "blur" / "keras_model.h5").exists()


def test_sharpness_has_two_classes(blurs: Path, tmp_path: Path, grow: Any) -> None:
    grow(blurs / "third", {f"{n}.png": Image.new("RGB", (20, 20 + n)) for n in range(3)})
    with pytest.raises(
        ExamplesError, match="sharpness has two classes, such as blurry and sharp; found clear, soft, third"
    ):
        fit_sharpness(blurs, tmp_path / "blur", track)


def test_a_measure_replaces_a_network_in_the_same_folder(moods: Path, blurs: Path, tmp_path: Path) -> None:
    fit(moods, tmp_path / "x", Recipe(epochs=1), track)
    fit_sharpness(blurs, tmp_path / "x", track)
    assert load_asked(tmp_path / "x").labels == ("soft", "clear")
    fit(moods, tmp_path / "x", Recipe(epochs=1), track)
    assert load_asked(tmp_path / "x").labels == ("happy", "sad")


# --- the real backbone


def test_efficientnet_lite0_computes_what_torch_computes_from_the_same_weights() -> None:
    """The reference: TensorFlow's "same" padding, batch normalisation with epsilon 0.001, ReLU6."""
    import torch
    from torch.nn import functional

    numbers = {name: torch.from_numpy(array) for name, array in efficientnet._weights().items()}

    def conv(x: Any, name: str, stride: int = 1, groups: int = 1) -> Any:
        kernel = numbers[f"{name}.weight"]
        size = kernel.shape[-1]
        over = max((-(-x.shape[-1] // stride) - 1) * stride + size - x.shape[-1], 0)
        x = functional.pad(x, (over // 2, over - over // 2) * 2)
        return functional.conv2d(x, kernel, stride=stride, groups=groups)

    def norm(x: Any, name: str) -> Any:
        parts = (numbers[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
        return functional.batch_norm(x, *parts, eps=1e-3)

    def block(x: Any, prefix: str, stride: int) -> Any:
        y = x
        if f"{prefix}._expand_conv.weight" in numbers:
            y = functional.relu6(norm(conv(y, f"{prefix}._expand_conv"), f"{prefix}._bn0"))
        y = conv(y, f"{prefix}._depthwise_conv", stride, groups=y.shape[1])
        y = functional.relu6(norm(y, f"{prefix}._bn1"))
        y = norm(conv(y, f"{prefix}._project_conv"), f"{prefix}._bn2")
        return x + y if y.shape == x.shape and stride == 1 else y

    views = np.random.default_rng(2).integers(0, 256, (2, 224, 224, 3), np.uint8)
    x = torch.from_numpy(views.astype(np.float32) / 255).permute(0, 3, 1, 2)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    x = (x - mean[:, None, None]) / std[:, None, None]
    with torch.no_grad():
        x = functional.relu6(norm(conv(x, "_conv_stem", 2), "_bn0"))
        strides = [1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1]
        for number, stride in enumerate(strides):
            x = block(x, f"_blocks.{number}", stride)
        x = functional.relu6(norm(conv(x, "_conv_head"), "_bn1"))
    expected = x.permute(0, 2, 3, 1).numpy()
    ours = np.asarray(build(efficientnet.efficientnet_lite0())(normalise(views)))
    assert ours.shape == expected.shape == (2, 7, 7, 1280)
    assert expected.max() > 3
    assert np.abs(ours - expected).max() < 1e-3
