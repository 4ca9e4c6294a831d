"""Class folders -> a sorter. The backbone is the drawn exports' but for one test, so that nothing takes long."""

from __future__ import annotations

import base64
import datetime
import gc
import io
import json
import os
import re
import shutil
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageFilter, ImageOps

from sorter.classify.ask import Questions
from sorter.classify.askers import load_asked
from sorter.classify.measures import Measure
from sorter.commands.job import load_job
from sorter.errors import ExamplesError, LibraryError, ModelError
from sorter.fit import report
from sorter.fit.features import FILE
from sorter.fit.fit import Recipe, fit
from sorter.fit.report import WORST
from sorter.fit.sharpness import fit_sharpness
from sorter.networks import efficientnet
from sorter.networks.convert import build
from sorter.networks.labels import format_labels, parse_labels
from sorter.networks.load import Sorter, load_sorter
from sorter.networks.run import Runners, normalise
from sorter.pictures import images
from sorter.pictures.images import fit_view
from sorter.text import clean

FILES = ["card.toml", "keras_model.h5", "labels.txt", "model_unquant.tflite", "report.html"]
HEADS = [(features, head) for features in ("average", "grid") for head in ("linear", "dense")]
SWAP = {"looking_left": "looking_right", "looking_right": "looking_left", "front": "front"}


def track(items: Iterable[Any], what: str, total: int | None) -> Iterable[Any]:
    return items


def facing(side: str, number: int) -> Image.Image:
    """A figure, red, that looks to one side of a green picture: only where it is red tells them apart."""
    image = Image.new("RGB", (32, 32), (0, 255, 0))
    image.paste((255, 0, 0), (2, 4, 12, 28))
    image.putpixel((20, number), (0, 0, 0))
    return image if side == "left" else image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def still(mood: str, scene: int, frame: int) -> Image.Image:
    """A frame of a film: each scene has its own scenery, and below it the colour of the mood."""
    scenery = np.random.default_rng([scene, mood == "sad"]).integers(40, 200, (6, 8, 3), np.uint8)
    image = Image.fromarray(scenery).resize((64, 64), Image.Resampling.NEAREST)
    image.paste((0, 0, 0) if mood == "sad" else (255, 255, 255), (0, 48, 64, 64))
    image.putpixel((frame, 0), (255, 255, 0))
    return image


Fit = Callable[..., Any]


@pytest.fixture(scope="module")
def quick(exports: Path) -> Fit:
    """`fit` on the drawn exports' backbone, without the hidden layer, which takes the longest."""

    def run(folder: Path, to: Path, **options: Any) -> Any:
        return fit(folder, to, Recipe(**{"backbone": str(exports / "direction"), "head": "linear", **options}), track)

    return run


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For what several tests read and none changes."""
    return tmp_path_factory.mktemp("fit")


@pytest.fixture(scope="module")
def moods(place: Path, draw: Any, grow: Any) -> Path:
    """Twelve pictures a class."""
    tree = {mood: {f"{n}.png": draw(("left", "right", "front")[n % 3], mood, n) for n in range(12)}
            for mood in ("sad", "happy")}  # fmt: skip
    return grow(place / "moods", tree)


@pytest.fixture(scope="module")
def sides(place: Path, grow: Any) -> Path:
    """Of each side eight drawn pictures, none a mirror image of another, and eight that face the viewer."""
    left, right = (
        {f"{n}.png": facing(side, n + start) for n in range(8)} for side, start in (("left", 0), ("right", 12))
    )
    front = {f"{n}.png": Image.new("RGB", (32, 32), (0, 0, 200 + n)) for n in range(8)}
    return grow(place / "sides", {"looking_left": left, "looking_right": right, "front": front})


@pytest.fixture(scope="module")
def films(place: Path, grow: Any) -> Path:
    """Six scenes a class, four frames a scene; the first scene of the sad ones lies in the wrong folder."""
    frames = {mood: {f"{mood}{scene}_{n}.png": still(mood, scene, n) for scene in range(6) for n in range(4)}
              for mood in ("sad", "happy")}  # fmt: skip
    for name in [name for name in frames["sad"] if name.startswith("sad0")]:
        frames["happy"][name] = frames["sad"].pop(name)
    return grow(place / "films", frames)


@pytest.fixture(scope="module")
def fitted(moods: Path, place: Path, quick: Fit) -> dict[tuple[str, str], Path]:
    """A sorter with each kind of head."""
    for features, head in HEADS:
        quick(moods, place / f"{features} {head}", features=features, head=head)
    return {which: place / " ".join(which) for which in HEADS}


@pytest.fixture(scope="module")
def sided(sides: Path, place: Path, quick: Fit) -> Path:
    quick(sides, place / "sided", head="auto", group="none")  # each class is one scene
    return place / "sided"


@pytest.fixture(scope="module")
def filmed(films: Path, place: Path, quick: Fit) -> Path:
    quick(films, place / "filmed", head="auto")
    return place / "filmed"


def copy(folder: Path, tmp_path: Path) -> Path:
    """Of pictures that a test changes."""
    return Path(shutil.copytree(folder, tmp_path / "examples"))


def ours(sorter: Sorter, views: np.ndarray) -> np.ndarray:
    runners = Runners()
    return np.concatenate([sorter.head(runners(sorter.backbone, view)[None]) for view in views])


def views_of(folder: Path) -> np.ndarray:
    return np.stack(
        [fit_view(np.asarray(Image.open(path).convert("RGB")), 32) for path in sorted(folder.rglob("*.png"))]
    )


def asked(axis: Any, path: Path, mirror: tuple[int, ...] | None = None) -> Any:
    seen: Any = Questions({"axis": axis}, {"axis": mirror} if mirror else None)(path)
    (label,) = seen.labels
    return label


# --- the export


@pytest.mark.parametrize("which", HEADS)
def test_keras_and_litert_answer_as_we_do(
    which: tuple[str, str], fitted: dict[tuple[str, str], Path], moods: Path, keras: Any
) -> None:
    """A stranger's script, as Teachable Machine's page has it, for either file."""
    from ai_edge_litert.interpreter import Interpreter

    folder, views = fitted[which], views_of(moods)
    assert sorted(path.name for path in folder.iterdir()) == FILES
    scores = ours(load_sorter(folder), views)
    assert (scores.argmax(axis=1) == [0] * 12 + [1] * 12).all()
    theirs = np.asarray(keras.models.load_model(folder / "keras_model.h5", compile=False)(views / 127.5 - 1))
    assert np.abs(scores - theirs).max() < 1e-5
    engine = Interpreter(model_path=str(folder / "model_unquant.tflite"), num_threads=1)
    engine.allocate_tensors()
    (entry,) = engine.get_input_details()
    assert entry["dtype"] == np.float32 and entry["shape"].tolist() == [1, 32, 32, 3]
    for view, score in zip(views, scores, strict=True):
        engine.set_tensor(entry["index"], np.float32(view / 127.5 - 1)[None])
        engine.invoke()
        assert np.abs(engine.get_tensor(engine.get_output_details()[0]["index"])[0] - score).max() < 1e-5
    assert (folder / "labels.txt").read_bytes() == b"0 happy\n1 sad\n"


@pytest.mark.parametrize("which", HEADS)
def test_the_tflite_alone_is_a_sorter(
    which: tuple[str, str], fitted: dict[tuple[str, str], Path], moods: Path, tmp_path: Path
) -> None:
    for name in ("model_unquant.tflite", "labels.txt"):
        shutil.copy(fitted[which] / name, tmp_path)
    for mood in ("happy", "sad"):
        alone, whole = (asked(load_sorter(folder), moods / mood / "7.png") for folder in (tmp_path, fitted[which]))
        assert alone.name == whole.name == mood and alone.score == pytest.approx(whole.score, abs=1e-5)


def test_fitted_sorters_share_the_pass_of_the_export_they_were_built_upon(
    fitted: dict[tuple[str, str], Path], exports: Path, draw: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sorters = {"direction": load_sorter(exports / "direction")}
    sorters |= {f"{features}_{head}": load_sorter(folder) for (features, head), folder in fitted.items()}
    for (features, head), folder in fitted.items():
        sorter = sorters[f"{features}_{head}"]
        assert tomllib.loads((folder / "card.toml").read_text())["backbone"]["sha256"] == sorter.backbone.key
    assert sorters["average_linear"].backbone.key == sorters["direction"].backbone.key
    assert sorters["grid_linear"].backbone.key != sorters["direction"].backbone.key
    passes: list[str] = []
    maps = Runners.maps
    monkeypatch.setattr(Runners, "maps", lambda self, one, view: passes.append(one.key) or maps(self, one, view))
    draw("right", "sad", 99).save(tmp_path / "new.png")
    seen: Any = Questions(sorters)(tmp_path / "new.png")
    assert [label.name for label in seen.labels] == ["right", "sad", "sad", "sad", "sad"]
    assert passes == [sorters["direction"].backbone.key]


def test_a_fit_can_be_repeated(moods: Path, tmp_path: Path, quick: Fit) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        quick(moods, tmp_path / name, head="dense", seed=seed)
    written = {name: [(tmp_path / name / file).read_bytes() for file in FILES[1:4]] for name in "abc"}
    assert written["a"] == written["b"]
    assert all(one != other for one, other in zip(written["a"][::2], written["c"][::2], strict=True))
    cards = [{**load_sorter(tmp_path / name).card, "made": ""} for name in "abc"]
    assert cards[0] == cards[1] and cards[0]["data"] == cards[2]["data"]


def test_head_and_features_can_be_given(fitted: dict[tuple[str, str], Path]) -> None:
    for (features, head), folder in fitted.items():
        sorter = load_sorter(folder)
        dense = [layer for layer in sorter.head.layers if layer.kind == "Dense"]
        assert sorter.head.layers[0].kind == {"average": "GlobalAveragePooling2D", "grid": "Flatten"}[features]
        assert len(dense) == {"linear": 1, "dense": 2}[head]
        assert (sorter.card["head"]["features"], sorter.card["head"]["units"] > 0) == (features, head == "dense")
        assert (sorter.card["recipe"]["features"], sorter.card["recipe"]["head"]) == (features, head)


def test_the_export_beside_it_is_built_upon(moods: Path, exports: Path, tmp_path: Path) -> None:
    shutil.copytree(exports / "mood", tmp_path / "models" / "mood-2023")
    for name in ("mood", "mood again"):
        fitted = fit(moods, tmp_path / "models" / name, Recipe(features="average"), track)
        assert fitted.card["backbone"]["name"] == "that of mood-2023"
        assert fitted.card["backbone"]["sha256"] == load_sorter(exports / "mood").backbone.key


# --- both ways round


def noise(draw: Any) -> Image.Image:
    """Any picture of the very size that the sorters read: nothing is scaled."""
    small = draw(st.binary(min_size=48, max_size=48))
    return Image.frombytes("RGB", (4, 4), small).resize((32, 32), Image.Resampling.NEAREST)


@given(st.data())
def test_of_two_sides_each_is_the_others_mirror_image(sided: Path, place: Path, data: Any) -> None:
    """Asked both ways, the mirrored picture gets the mirrored answer: exactly, whatever is on it."""
    sorter = load_sorter(sided)
    mirror = tuple(sorter.labels.index(SWAP[name]) for name in sorter.labels)
    picture, side = noise(data.draw), data.draw(st.sampled_from(["left", "right", ""]))
    picture.paste(facing(side, 5).crop((0, 0, 32, 20)) if side else picture, (0, 0))
    picture.save(place / "one.png")
    ImageOps.mirror(picture).save(place / "other.png")
    one, other = (asked(sorter, place / f"{name}.png", mirror) for name in ("one", "other"))
    assert other.score == one.score
    assert (other.taken_for, other.mirror_taken_for) == (one.mirror_taken_for, one.taken_for)
    if not one.taken_for:
        assert other.name == SWAP[one.name]


def test_where_no_class_has_a_mirror_both_views_get_the_same_answer(
    fitted: dict[tuple[str, str], Path], moods: Path
) -> None:
    """Since the mirror images were examples too: the same class, and scores within 0.05."""
    views = views_of(moods)
    for folder in fitted.values():
        sorter = load_sorter(folder)
        plain, turned = ours(sorter, views), ours(sorter, np.ascontiguousarray(views[:, :, ::-1]))
        assert (plain.argmax(axis=1) == turned.argmax(axis=1)).all()
        assert np.abs(plain - turned).max() < 0.05


def test_classes_that_mirror_into_each_other_are_told_apart(sided: Path, tmp_path: Path) -> None:
    sorter = load_sorter(sided)
    assert sorter.card["head"]["mirror"] == {name: other for name, other in SWAP.items() if name != other}
    scores = sorter.card["scores"]
    assert scores["accuracy"] == scores["accuracy_mirrored"] == scores["accuracy_both_views"] == 1.0
    for side in ("left", "right"):
        for row in (3, 15):  # each only ever looked to one side
            facing(side, row).save(tmp_path / "a.png")
            assert asked(sorter, tmp_path / "a.png").name == f"looking_{side}"


def test_two_classes_that_mirror_into_each_other(sides: Path, tmp_path: Path, quick: Fit) -> None:
    shutil.rmtree(copy(sides, tmp_path) / "front")
    card = quick(tmp_path / "examples", tmp_path / "to").card
    assert card["scores"]["accuracy_both_views"] == 1.0
    facing("right", 3).save(tmp_path / "a.png")
    assert asked(load_sorter(tmp_path / "to"), tmp_path / "a.png", (1, 0)).name == "looking_right"


def test_mirror_classes_can_be_named_or_denied(moods: Path, sides: Path, tmp_path: Path, quick: Fit) -> None:
    denied = quick(sides, tmp_path / "a", mirror={}).card
    assert denied["head"]["mirror"] == {} and "accuracy_both_views" not in denied["scores"]
    assert denied["scores"]["accuracy_mirrored"] < 0.9  # it is told that a mirror changes nothing
    named = quick(moods, tmp_path / "b", mirror={"sad": "happy", "happy": "sad"}).card
    assert named["head"]["mirror"] == {"sad": "happy", "happy": "sad"}
    without = quick(sides, tmp_path / "c", copies=False).card
    assert without["head"]["mirrored_copies"] is False and without["head"]["mirror"] == {}
    assert set(without["scores"]) & {"accuracy_mirrored", "accuracy_both_views"} == set()


@pytest.mark.parametrize(
    ("mirror", "said"),
    [
        ({"looking_lefft": "front", "front": "looking_lefft"},
         'has no class "looking_lefft" to mirror; did you mean "looking_left"'),
        ({"looking_left": "looking_rihgt"}, 'has no class "looking_rihgt" to mirror; did you mean "looking_right"'),
        ({"": "front", "front": ""}, 'has no class "" to mirror; there is front, looking_left, looking_right'),
        ({"looking_left": "front"}, '"looking_left" mirrors into "front", but not "front" into "looking_left" alone'),
        ({"looking_left": "front", "front": "looking_right", "looking_right": "front"}, '"looking_left" mirrors into'),
    ],
)  # fmt: skip
def test_mirror_classes_that_do_not_fit_are_a_sentence(
    sides: Path, tmp_path: Path, quick: Fit, mirror: dict[str, str], said: str
) -> None:
    with pytest.raises(ExamplesError) as found:
        quick(sides, tmp_path / "to", mirror=mirror)
    assert said in str(found.value) and not (tmp_path / "to").exists()


# --- the card


def test_the_card_says_what_it_was_made_from_and_how_good_it_is(films: Path, filmed: Path, exports: Path) -> None:
    card = load_sorter(filmed).card
    assert set(card) == {"made", "classes", "pictures", "data", "versions", "scores", "thresholds", "backbone",
                         "head", "recipe", "examples"}  # fmt: skip
    age = datetime.datetime.now(datetime.UTC) - datetime.datetime.fromisoformat(card["made"])
    assert 0 <= age.total_seconds() < 300
    assert card["classes"] == ["happy", "sad"]
    assert card["pictures"] == {"happy": 28, "sad": 20}
    assert re.fullmatch("[0-9a-f]{64}", card["data"])
    assert set(card["versions"]) == {"modelsheet", "numpy", "scikit-learn", "ai-edge-litert"}
    assert card["backbone"] == {"name": "that of direction", "sha256": load_sorter(filmed).backbone.key}
    assert set(card["head"]) == {"features", "units", "regularisation", "temperature", "mirror", "mirrored_copies"}
    assert card["recipe"] == {"backbone": str(exports / "direction"), "features": "auto", "head": "auto",
                              "group": "scene", "error": 0.02, "seed": 0}  # fmt: skip

    scores = card["scores"]
    assert set(scores) == {
        "accuracy",
        "accuracy_mirrored",
        "pictures",
        "split",
        "leaks",
        "largest_class",
        "classes",
        "confusion",
    }
    confusion = np.array(scores["confusion"])
    assert confusion.sum(axis=1).tolist() == [28, 20] and scores["pictures"] == 48
    assert confusion.tolist() == [[24, 4], [0, 20]]  # but for the scene in the wrong folder
    assert scores["accuracy"] == pytest.approx(44 / 48)
    assert scores["classes"] == {"happy": {"precision": 1.0, "recall": pytest.approx(24 / 28)},
                                 "sad": {"precision": pytest.approx(20 / 24), "recall": 1.0}}  # fmt: skip
    thresholds = card["thresholds"]
    assert set(thresholds) == {"error", "coverage", "classes"} and thresholds["error"] == 0.02
    assert set(thresholds["classes"]) == {"happy", "sad"} and thresholds["classes"]["sad"] > 0.5
    assert 0 <= thresholds["coverage"] <= 1


def test_the_data_is_known_again_by_its_pictures_and_classes(moods: Path, tmp_path: Path, quick: Fit) -> None:
    folder = copy(moods, tmp_path)
    first = quick(folder, tmp_path / "to").card["data"]
    (folder / "sad" / "3.png").rename(folder / "sad" / "elsewhere.png")
    assert quick(folder, tmp_path / "to").card["data"] == first
    (folder / "sad" / "elsewhere.png").rename(folder / "happy" / "elsewhere.png")
    assert quick(folder, tmp_path / "to").card["data"] != first


def test_the_cards_thresholds_are_those_of_a_scheme(
    project: Path, sided: Path, blurs: Path, tmp_path: Path, scheme_text: str
) -> None:
    shutil.rmtree(project / "models" / "direction")
    shutil.copytree(sided, project / "models" / "direction")
    fit_sharpness(blurs, project / "models" / "mood", Recipe(), track)
    text = scheme_text.replace("threshold = 0.8", 'threshold = "auto"')
    text = text.replace('canonical = "left"', 'canonical = "looking_left"\nthreshold = "auto"')
    text = re.sub(r"\b(left|right) = {", r"looking_\1 = {", re.sub(r'mirror = "', 'mirror = "looking_', text))
    (project / "scheme.toml").write_text(text.replace("nobody = { drop = true }\n", ""))
    job = load_job(project / "scheme.toml")
    cards = {axis: load_asked(project / "models" / axis).card for axis in ("direction", "mood")}
    assert job.thresholds == {axis: card["thresholds"]["classes"] for axis, card in cards.items()}
    assert set(job.thresholds["direction"]) == set(SWAP) and set(job.thresholds["mood"]) == {"soft", "clear"}


# --- how the pictures are held out


@pytest.mark.parametrize(
    ("group", "said", "leaks"),
    [
        ("scene", "in 5 parts; by scene, runs of near-identical frames: 12 scenes", 0),
        ("{group}_*", 'in 5 parts; by --group "{group}_*": 12 groups', 0),
        (r"([a-z]+)\d", r'in 2 parts; by --group "([a-z]+)\d": 2 groups', 0),
        ("none", "in 5 parts; at random, picture by picture", 48),
    ],
)
def test_what_is_held_out_together_is_said(
    films: Path, tmp_path: Path, quick: Fit, group: str, said: str, leaks: int
) -> None:
    fitted = quick(films, tmp_path / "to", group=group)
    scores = fitted.card["scores"]
    assert scores["split"] == f"each picture held out once, {said}" and leaks * 0.8 <= scores["leaks"] <= leaks
    assert f"How they were held out: {scores['split']}." in fitted.said
    page = (tmp_path / "to" / "report.html").read_text()
    for words in (*fitted.said, f"{scores['split']}"):
        assert words.replace('"', "&#34;") in page
    assert ("Too good to be true" in page) == bool(leaks)


def test_a_scene_in_the_wrong_folder_shows_only_where_scenes_are_held_out(
    films: Path, filmed: Path, tmp_path: Path, quick: Fit
) -> None:
    quick(films, tmp_path / "to", group="none", features="grid")
    at_random = load_sorter(tmp_path / "to").card["scores"]["accuracy"]
    assert at_random > load_sorter(filmed).card["scores"]["accuracy"]


def test_one_scene_a_class_leaves_nothing_to_judge_by(tmp_path: Path, grow: Any, quick: Fit) -> None:
    tree = {mood: {f"{mood}_{n}.png": still(mood, 0, n) for n in range(5)} for mood in ("sad", "happy")}
    fitted = quick(grow(tmp_path / "examples", tree), tmp_path / "to")
    assert fitted.card["scores"]["accuracy"] == 0 and fitted.card["thresholds"]["coverage"] == 0
    assert asked(load_sorter(tmp_path / "to"), tmp_path / "examples" / "sad" / "sad_1.png").name == "sad"


# --- the report


def test_the_report_is_one_page_that_needs_nothing_else(filmed: Path) -> None:
    text = (filmed / "report.html").read_text(encoding="utf-8")
    sources = re.findall(r"src=.(.{11})", text)
    assert sources == ["data:image/"] * 4  # the worst mistakes: each frame of the scene in the wrong folder
    assert text.replace('xmlns="http://www.w3.org/2000/svg"', "").count("http") == 0
    assert not re.search(r"href|<script|<link|<iframe|@import|url\(", text)
    assert text.count("<svg") == 1
    for said in ("<title>The sorter filmed</title>", "In short", "Class by class", "The worst mistakes",
                 "What a threshold costs", "What was tried", "hidden layer of 100", "(chosen)"):  # fmt: skip
        assert said in text
    for frame in range(4):
        assert re.search(rf"lies in happy, taken for sad \([\d.]+%\): sad0_{frame}\.png", text)
    card = load_sorter(filmed).card
    for name, at in card["thresholds"]["classes"].items():
        counts = rf'<td class="number">{card["pictures"][name]}</td><td>[\d.]+%</td><td>[\d.]+%</td>'
        assert re.search(rf"<td>{name}</td>{counts}<td>{at:.3f}</td>", text)
    for name, row in zip(("happy", "sad"), card["scores"]["confusion"], strict=True):
        squares = "".join(rf"<rect[^>]*/>(?:<text[^>]*>{count}</text>)" if count else "<rect[^>]*/>" for count in row)
        assert re.search(rf">{name}</text><text [^>]*>{name}</text>{squares}", text)


def test_no_more_than_the_worst_mistakes_are_shown(tmp_path: Path, grow: Any, quick: Fit) -> None:
    """Where nothing can be learnt: class and colour have nothing to do with each other."""
    tree = {name: {f"{n}.png": still(("sad", "happy")[n % 2], n + 50 * (name == "b"), 0) for n in range(40)}
            for name in "ab"}  # fmt: skip
    fitted = quick(grow(tmp_path / "examples", tree), tmp_path / "to")
    assert fitted.card["scores"]["accuracy"] < 0.8
    text = (tmp_path / "to" / "report.html").read_text()
    shares = [float(share) for share in re.findall(r"taken for . \(([\d.]+)%\)", text)]
    assert len(shares) == WORST and shares == sorted(shares, reverse=True)
    assert "No score of a, b is safe enough to be accepted" in text


def test_a_page_without_mistakes_says_so(fitted: dict[tuple[str, str], Path]) -> None:
    text = (fitted["average", "linear"] / "report.html").read_text()
    assert "None: every held-out picture was taken for what it is." in text and "<img" not in text


def test_mistakes_of_any_format_are_shown_upright(moods: Path, tmp_path: Path, quick: Fit, draw: Any) -> None:
    folder, one = copy(moods, tmp_path), draw("left", "sad", 50)
    one.save(folder / "happy" / "moving.gif", save_all=True, append_images=[draw("left", "sad", 51)])
    exif = one.getexif()
    exif[0x0112] = 6
    one.rotate(90, expand=True).save(folder / "happy" / "lying.jpg", exif=exif, quality=95)
    quick(folder, tmp_path / "to", group="none")
    gc.collect()  # a file that was left open would be told now
    text = (tmp_path / "to" / "report.html").read_text()
    for name in ("moving.gif", "lying.jpg"):
        (data,) = re.findall(rf'base64,([^"]+)"[^>]*>\s*<figcaption>\s*<span>[^<]*{name}', text)
        with Image.open(io.BytesIO(base64.b64decode(data))) as image:
            assert image.size == one.size


# --- names of strangers

HOSTILE = ('<img src="x" onerror=alert(1)>', "<!-- <script>", "quo\"te'd & {{ 7 * 7 }}", "very long " * 20)


def test_hostile_names_are_only_names(tmp_path: Path, draw: Any, grow: Any, run_cli: Any, exports: Path) -> None:
    tree = {name: {f"<i>{n}.png": draw("left", ("sad", "happy")[n % 2], 10 * i + n) for n in range(4)}
            for i, name in enumerate((*HOSTILE, "line\nfeed", " two  spaces ", "bell\a"))}  # fmt: skip
    folder = grow(tmp_path / "<b>examples", tree)
    before = set(tmp_path.rglob("*"))
    code, _, err = run_cli("fit", folder, "--to", tmp_path / "<u>to", "--backbone", exports / "direction")
    assert (code, err) == (0, "")
    assert {path.name for path in set(tmp_path.rglob("*")) - before} == {"<u>to", *FILES}
    sorter = load_sorter(tmp_path / "<u>to")
    assert set(sorter.labels) == {*(clean(name) for name in HOSTILE), "line feed", "two spaces", "bell"}
    assert sorter.labels == tuple(sorter.card["classes"]) and set(sorter.labels) == set(sorter.card["pictures"])
    assert (tmp_path / "<u>to" / "labels.txt").read_text().count("\n") == len(tree)
    text = (tmp_path / "<u>to" / "report.html").read_text()
    assert not re.search(r"<script|<img src=.x|<i>|<u>|<b>|</style><", text.split("</style>", 1)[1])
    assert "&lt;img src=" in text and "{{ 7 * 7 }}" in text and "&lt;i&gt;" in text


@given(st.lists(st.text(min_size=1).map(clean), min_size=1, max_size=5, unique=True))
def test_clean_names_come_back_from_labels_txt(names: list[str]) -> None:
    assert parse_labels(format_labels(tuple(names)), "x") == tuple(names)


def test_two_folders_of_one_name_are_a_sentence(tmp_path: Path, moods: Path, quick: Fit) -> None:
    folder = copy(moods, tmp_path)
    (folder / "happy").rename(folder / "sad\n")
    with pytest.raises(ExamplesError, match=r'examples: has several folders whose names are both read as "sad"'):
        quick(folder, tmp_path / "to")


@pytest.mark.skipif(os.name == "nt", reason="names are text there")
def test_a_file_whose_name_is_no_text_is_listed(tmp_path: Path, moods: Path, quick: Fit) -> None:
    folder = copy(moods, tmp_path)
    (folder / "sad" / os.fsdecode(b"\xff.png")).write_bytes(b"")
    (one,) = quick(folder, tmp_path / "to").unreadable
    assert one.reason == "its name is not UTF-8; rename it"
    assert "its name is not UTF-8" in (tmp_path / "to" / "report.html").read_text()


# --- the cache of features


@pytest.fixture
def own_cache(tmp_path: Path, cache: Path, filmed: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of this test's own, with the networks that have been converted, such as that of the fitted ones."""
    folder = tmp_path / "cache"
    shutil.copytree(cache / "backbones", folder / "backbones")
    monkeypatch.setenv("MODELSHEET_CACHE", str(folder))
    return folder


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[Image.Image]:
    """The pictures that are decoded."""
    found: list[Image.Image] = []
    load = images.load_small

    def counting(data: bytes, image: Image.Image, at_least: int) -> np.ndarray:
        found.append(image)
        return load(data, image, at_least)

    monkeypatch.setattr(images, "load_small", counting)
    return found


def same(one: Path, other: Path) -> bool:
    return (one / "keras_model.h5").read_bytes() == (other / "keras_model.h5").read_bytes()


def test_a_picture_is_looked_at_once_and_again_when_it_has_changed(
    moods: Path, tmp_path: Path, quick: Fit, draw: Any, own_cache: Path, decoded: list[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    folder = copy(moods, tmp_path)
    quick(folder, tmp_path / "a")
    assert len(decoded) == 24
    with monkeypatch.context() as patch:
        patch.setattr(Runners, "maps", lambda *_: 1 / 0)
        patch.setattr(images, "open_picture", lambda *_: 1 / 0)
        patch.setattr(report, "leaking", lambda _: [])  # what the page shows is opened once more
        quick(folder, tmp_path / "b", head="dense", group="none")  # whatever is fitted
        (folder / "sad" / "4.png").rename(folder / "sad" / "moved.png")
        quick(folder, tmp_path / "b")
    before = load_sorter(tmp_path / "b").card["data"]
    draw("left", "sad", 77).save(folder / "sad" / "5.png")
    assert quick(folder, tmp_path / "b").card["data"] != before


def test_only_what_is_new_is_decoded(
    moods: Path, tmp_path: Path, quick: Fit, draw: Any, own_cache: Path, decoded: list[Any]
) -> None:
    folder = copy(moods, tmp_path)
    quick(folder, tmp_path / "a")
    decoded.clear()
    draw("left", "sad", 77).save(folder / "sad" / "5.png")
    (folder / "sad" / "new.png").write_bytes((folder / "sad" / "6.png").read_bytes())
    quick(folder, tmp_path / "b")
    assert len(decoded) == 1
    (own_cache / FILE).unlink()
    for left in own_cache.glob(f"{FILE}-*"):
        left.unlink()
    quick(folder, tmp_path / "c")
    assert len(decoded) == 26 and same(tmp_path / "b", tmp_path / "c")


@pytest.mark.parametrize("begins", [0, 4096])
def test_a_damaged_cache_is_begun_anew(
    moods: Path, tmp_path: Path, quick: Fit, own_cache: Path, decoded: list[Any], begins: int
) -> None:
    """Of random bytes from its first one on, or from its second page on."""
    quick(moods, tmp_path / "a")
    data = (own_cache / FILE).read_bytes()
    (own_cache / FILE).write_bytes(data[:begins] + np.random.default_rng(0).bytes(len(data) - begins))
    decoded.clear()
    quick(moods, tmp_path / "b")
    again = len(decoded)
    assert again >= 24 and same(tmp_path / "a", tmp_path / "b")  # some may be on their way when the damage is met
    quick(moods, tmp_path / "c")
    assert len(decoded) == again


def test_another_backbone_has_features_of_its_own(
    moods: Path, tmp_path: Path, quick: Fit, exports: Path, own_cache: Path, decoded: list[Any]
) -> None:
    quick(moods, tmp_path / "a")
    quick(moods, tmp_path / "b", backbone=str(exports / "mood"))  # the same network
    assert len(decoded) == 24
    folder = Path(shutil.copytree(exports / "mood", tmp_path / "other"))
    import h5py

    with h5py.File(folder / "keras_model.h5", "r+") as file:
        names: list[str] = []
        file.visit(lambda name: names.append(name) if name.endswith("gamma:0") else None)
        file[names[0]][0] += 1e-3
    quick(moods, tmp_path / "c", backbone=str(folder))
    assert len(decoded) == 48


# --- what cannot be learnt from


def sentence(run_cli: Any, tree_of: Any, where: Path, *arguments: object) -> str:
    """What a wrong command says: one line, exit code 2, the same with --json, and nothing was written."""
    before = tree_of(where, hidden=True)
    code, out, err = run_cli("fit", *arguments)
    assert (code, out) == (2, "") and err.startswith("sorter: ") and err.count("\n") == 1, err
    code, out, _ = run_cli("fit", *arguments, "--json")
    assert code == 2 and json.loads(out)["error"] == err.removeprefix("sorter: ").rstrip("\n")
    assert tree_of(where, hidden=True) == before
    return str(err)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--mirror", "sad=glad"), 'has no class "glad" to mirror; there is happy, sad'),
        (("--mirror", "="), 'has no class "" to mirror'),
        (("--mirror", "sad=happy", "--mirror", "sad=sad"), 'but not "'),
        (("--error", "0"), 'sorter fit: "error": input should be greater than 0, not 0'),
        (("--error", "2"), 'sorter fit: "error": input should be less than 0.5, not 2'),
        (("--error", "nan"), 'sorter fit: "error": '),
        (("--seed", "-1"), 'sorter fit: "seed": input should be greater than or equal to 0, not -1'),
        (("--seed", 2**32), 'sorter fit: "seed": input should be less than 4294967296'),
        (("--group", "{group}/..."), '--group "{group}/..." does not fit "0.png"'),
        (("--group", "("), '--group "(" is not a regular expression'),
        (("--group", "png"), "all pictures are of one group; at least two are needed"),
        (("--backbone", "models/gone"), "gone"),
        (("--backbone", "."), "holds no sorter"),
        (("--backbone", "MobilNet"), 'did you mean "MobileNet"?'),
        (("--measure", "sharpness", "--group", "("), '--group "(" is not a regular expression'),
    ],
)
def test_wrong_options_are_one_line_and_exit_code_2(
    moods: Path, exports: Path, run_cli: Any, tree_of: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    options: tuple[object, ...], said: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    backbone = () if "--backbone" in options else ("--backbone", exports / "direction")
    assert said in sentence(run_cli, tree_of, tmp_path, moods, "--to", tmp_path / "to", *backbone, *options)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--mirror", "sad"), "'sad' is not a pair; write left=right"),
        (("--mirror", "sad=happy", "--no-mirror"), "contradict each other"),
        (("--features", "mean"), "'mean' is not one of"),
        (("--head", "deep"), "'deep' is not one of"),
        (("--error", "few"), "'few' is not a valid float"),
        (("--measure", "blur"), "'blur' is not"),
    ],
)
def test_wrong_arguments_are_exit_code_2(moods: Path, run_cli: Any, tmp_path: Path, options: Any, said: str) -> None:
    code, out, err = run_cli("fit", moods, "--to", tmp_path / "to", *options)
    assert (code, out) == (2, "") and "Error: " in err and said in err
    assert not (tmp_path / "to").exists()


def test_folders_that_cannot_be_learnt_from_are_one_line_and_exit_code_2(
    moods: Path, exports: Path, run_cli: Any, tree_of: Any, tmp_path: Path
) -> None:
    folder, rest = copy(moods, tmp_path), ("--to", tmp_path / "to", "--backbone", exports / "direction")

    def said(*options: object) -> str:
        return sentence(run_cli, tree_of, tmp_path, folder, *rest, *options)

    (folder / "happy" / "again.png").write_bytes((folder / "sad" / "3.png").read_bytes())
    for measure in ((), ("--measure", "sharpness")):
        assert re.search(r"sad.3\.png is the same picture as .*again\.png: keep each in one class only", said(*measure))
    (folder / "happy" / "again.png").unlink()
    for path in sorted((folder / "sad").iterdir())[1:]:
        path.write_bytes(b"")
    for measure in ((), ("--measure", "sharpness")):
        assert "sad: has 1 readable picture; a class needs at least 2, better 30" in said(*measure)
    for path in (folder / "sad").iterdir():
        path.unlink()
    assert "sad: has 0 readable pictures; a class needs at least 2" in said()
    (folder / "sad").rmdir()
    assert "needs a folder for each of at least two classes; found happy" in said()
    shutil.rmtree(folder / "happy")
    assert "needs a folder for each of at least two classes; found none" in said()
    folder.rmdir()
    assert "examples: does not exist; give the folder that holds one folder a class" in said()
    folder.write_text("")
    assert "examples: is a file; give the folder that holds one folder a class" in said()


def test_a_tflite_is_no_backbone(
    fitted: dict[tuple[str, str], Path], moods: Path, run_cli: Any, tree_of: Any, tmp_path: Path
) -> None:
    (tmp_path / "lite").mkdir()
    for name in ("model_unquant.tflite", "labels.txt"):
        shutil.copy(fitted["grid", "linear"] / name, tmp_path / "lite")
    arguments = (moods, "--to", tmp_path / "to", "--backbone", tmp_path / "lite")
    assert "run whole and cannot be built upon; take the Keras (.h5) export" in sentence(
        run_cli, tree_of, tmp_path, *arguments
    )


@pytest.mark.parametrize("to", ["file", "file/below"])
def test_a_sorter_that_cannot_be_written_is_a_sentence(
    moods: Path, exports: Path, run_cli: Any, tree_of: Any, tmp_path: Path, to: str
) -> None:
    (tmp_path / "file").write_text("mine")
    arguments = (moods, "--to", tmp_path / to, "--backbone", exports / "direction")
    assert "cannot be written" in sentence(run_cli, tree_of, tmp_path, *arguments)


def test_examples_that_cannot_be_read_are_listed_and_not_counted(
    moods: Path, exports: Path, run_cli: Any, tmp_path: Path
) -> None:
    folder, good = copy(moods, tmp_path), (moods / "sad" / "3.png").read_bytes()
    for name, data in (("empty", b""), ("text", b"no picture"), ("cut", good[: len(good) // 2])):
        (folder / "sad" / f"{name}.png").write_bytes(data)
    arguments = ("fit", folder, "--to", tmp_path / "to", "--backbone", exports / "direction")
    code, out, err = run_cli(*arguments, "--json")
    found = json.loads(out)
    assert (code, err, out.count("\n")) == (1, "", 1)
    reasons = {Path(one["path"]).name: one["reason"] for one in found["failures"]}
    assert reasons["empty.png"] == "the file is empty" and reasons["cut.png"].startswith("damaged: ")
    assert set(reasons) == {"empty.png", "text.png", "cut.png"}
    assert found["to"] == str(tmp_path / "to") and found["card"]["pictures"] == {"happy": 12, "sad": 12}
    assert found["card"] == load_sorter(tmp_path / "to").card
    code, out, err = run_cli(*arguments)
    assert (code, err) == (1, "") and out.count("  not used: ") == 3 and "empty.png: the file is empty" in out
    page = (tmp_path / "to" / "report.html").read_text()
    assert "Pictures that could not be used" in page and page.count("the file is empty") == 1


def test_a_fit_tells_a_person_how_good_it_is(films: Path, exports: Path, run_cli: Any, tmp_path: Path) -> None:
    code, out, err = run_cli("fit", films, "--to", tmp_path / "to", "--backbone", exports / "direction")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == f"{tmp_path / 'to'}: written" and lines[-1] == f"  look at {tmp_path / 'to' / 'report.html'}"
    assert "  Right on 91.7% of 48 pictures that it was not fitted on, and on " in lines[2]
    assert lines[1] == "  Good enough: of a hundred pictures it sorts 92 by itself, and asks you about the others."
    assert "Always answering happy, the largest class, would be right on 58.3%" in lines[2]
    assert [line.split()[:3] for line in lines[-3:-1]] == [["happy", "100%", "86%"], ["sad", "83%", "100%"]]


def test_every_option_reaches_the_fit(sides: Path, exports: Path, run_cli: Any, tmp_path: Path) -> None:
    options = ("--features", "grid", "--head", "dense", "--group", "none", "--error", "0.2", "--seed", 7, "--mirror",
               "front=looking_left", "--backbone", exports / "mood")  # fmt: skip
    code, out, _ = run_cli("fit", sides, "--to", tmp_path / "to", *options, "--json")
    card = json.loads(out)["card"]
    assert code == 0 and card["head"]["mirror"] == {"front": "looking_left", "looking_left": "front"}
    assert card["recipe"] == {"backbone": str(exports / "mood"), "features": "grid", "head": "dense", "group": "none",
                              "error": 0.2, "seed": 7}  # fmt: skip
    assert card["head"]["features"] == "grid" and card["head"]["units"] == 100 and card["thresholds"]["error"] == 0.2
    code, out, _ = run_cli(
        "fit", sides, "--to", tmp_path / "to", "--backbone", exports / "mood", "--no-mirror", "--json"
    )
    card = json.loads(out)["card"]
    assert code == 0 and card["head"]["mirrored_copies"] is False and card["head"]["mirror"] == {}


def test_one_picture_twice_in_one_class_is_two_pictures(moods: Path, tmp_path: Path, quick: Fit) -> None:
    folder = copy(moods, tmp_path)
    (folder / "sad" / "again.png").write_bytes((folder / "sad" / "3.png").read_bytes())
    assert quick(folder, tmp_path / "to").card["pictures"] == {"happy": 12, "sad": 13}


def test_only_the_sorters_own_folder_is_written(
    moods: Path, exports: Path, quick: Fit, tmp_path: Path, tree_of: Any
) -> None:
    folder = copy(moods, tmp_path)
    before = tree_of(tmp_path, hidden=True)
    for _ in range(2):  # the second one over the first
        quick(folder, tmp_path / "models" / "mood")
        after = tree_of(tmp_path, hidden=True)
        assert {name: value for name, value in after.items() if not name.startswith("models")} == before
        assert sorted(path.name for path in (tmp_path / "models" / "mood").iterdir()) == FILES


def test_a_fit_that_ends_early_leaves_no_sorter(
    moods: Path, quick: Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The card is written last, so that a folder with a finished card is whole."""
    (tmp_path / "to" / "labels.txt").mkdir(parents=True)
    with pytest.raises(LibraryError, match="to: cannot be written: "):
        quick(moods, tmp_path / "to")
    with pytest.raises(ModelError, match="a fit of it was cut off"):
        load_sorter(tmp_path / "to")


# --- sharpness


@pytest.fixture(scope="module")
def blurs(place: Path, grow: Any) -> Path:
    def picture(number: int, radius: float) -> Image.Image:
        draw = np.random.default_rng(number)
        blocks = Image.fromarray(draw.integers(0, 255, (9, 12, 3), np.uint8))
        return blocks.resize((192, 144), Image.Resampling.NEAREST).filter(ImageFilter.GaussianBlur(radius))

    tree = {name: {f"{n}.png": picture(n, radius) for n in range(8)} for name, radius in (("soft", 4), ("clear", 0))}
    return grow(place / "blurs", tree)


def test_sharpness_is_fitted_to_a_persons_own_pictures(blurs: Path, tmp_path: Path, run_cli: Any) -> None:
    fitted = fit_sharpness(blurs, tmp_path / "blur", Recipe(), track)
    measure = load_asked(tmp_path / "blur")
    assert isinstance(measure, Measure)
    assert measure.labels == ("soft", "clear")  # the blurry one first, whatever they are called
    for name in ("soft", "clear"):
        assert asked(measure, blurs / name / "3.png").name == name
    assert sorted(path.name for path in (tmp_path / "blur").iterdir()) == ["card.toml", "labels.txt", "report.html"]
    card = fitted.card
    assert card == measure.card == tomllib.loads((tmp_path / "blur" / "card.toml").read_text())
    assert set(card) == {"made", "classes", "pictures", "data", "versions", "scores", "thresholds", "measure"}
    assert card["scores"]["accuracy"] == 1.0 and card["scores"]["confusion"] == [[8, 0], [0, 8]]
    assert card["pictures"] == {"clear": 8, "soft": 8} == dict.fromkeys(card["classes"], 8)
    assert card["measure"]["classes"] == ["soft", "clear"]
    assert set(card["thresholds"]["classes"]) == {"soft", "clear"}
    page = (tmp_path / "blur" / "report.html").read_text()
    assert "The sorter blur" in page and "What was tried" not in page
    code, out, err = run_cli("fit", blurs, "--to", tmp_path / "again", "--measure", "sharpness", "--json")
    assert (code, err) == (0, "") and json.loads(out)["card"] | {"made": ""} == card | {"made": ""}


def test_sharpness_is_judged_scene_by_scene_too(blurs: Path, tmp_path: Path, grow: Any) -> None:
    """A sharp picture and its blurry copy look alike; where all of a class is held out, nothing is known."""
    names = {path.name: path.read_bytes() for path in (blurs / "soft").iterdir()}
    tree = {"soft": {f"a_{name}": data for name, data in names.items()},
            "clear": {f"b_{path.name}": path.read_bytes() for path in (blurs / "clear").iterdir()}}  # fmt: skip
    folder = grow(tmp_path / "examples", tree)
    fitted = fit_sharpness(folder, tmp_path / "to", Recipe(group="{group}_*"), track)
    assert fitted.card["scores"]["split"].endswith('in 2 parts; by --group "{group}_*": 2 groups')
    assert fitted.card["scores"]["accuracy"] == 0.5 and fitted.card["thresholds"]["coverage"] == 0


def test_sharpness_has_two_classes(blurs: Path, tmp_path: Path, grow: Any) -> None:
    folder = copy(blurs, tmp_path)
    grow(folder / "third", {f"{n}.png": Image.new("RGB", (20, 20 + n)) for n in range(3)})
    with pytest.raises(
        ExamplesError, match="sharpness has two classes, such as blurry and sharp; found clear, soft, third"
    ):
        fit_sharpness(folder, tmp_path / "blur", Recipe(), track)


def test_a_measure_replaces_a_network_in_the_same_folder(moods: Path, blurs: Path, tmp_path: Path, quick: Fit) -> None:
    quick(moods, tmp_path / "x")
    fit_sharpness(blurs, tmp_path / "x", Recipe(), track)
    assert load_asked(tmp_path / "x").labels == ("soft", "clear")
    quick(moods, tmp_path / "x")
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
