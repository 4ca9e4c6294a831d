"""`use = "tagger"`: wd-style taggers from a folder, through the commands, on a network whose answers are known."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.sorter.tiny_networks import NOTHING, ROWS, csv_of, save_tagger

ASK = """
[ask.tags]
use = "tagger"
model = "models/wd"
[caption]
use = "template"
text = "{trigger}, {direction}, {tags}"
escape = "()"
"""
VOCABULARY = """
[vocabulary]
prune = ["white border"]
groups = { eyes = ["closed eyes"] }
aliases = { "^_^" = "closed eyes" }
"""


@pytest.fixture
def scheme(project: Path) -> Path:
    save_tagger(project / "models" / "wd")
    path = project / "scheme.toml"
    path.write_text(path.read_text(encoding="utf-8") + ASK, encoding="utf-8")
    return path


@pytest.fixture
def run(run_cli: Callable[..., Any], scheme: Path) -> Callable[..., Any]:
    """The JSON of a command with the scheme."""

    def call(*words: object, code: int = 0) -> Any:
        given, out, err = run_cli(*words, "--scheme", scheme, "--json")
        assert given == code, out + err
        return json.loads(out)

    return call


@pytest.fixture
def edit(scheme: Path) -> Callable[[str, str], None]:
    def change(old: str, new: str) -> None:
        text = scheme.read_text(encoding="utf-8")
        assert old in text
        scheme.write_text(text.replace(old, new), encoding="utf-8")

    return change


def texts(folder: Path) -> dict[str, str]:
    return {path.stem.rpartition("-")[0]: path.read_text(encoding="utf-8").strip() for path in folder.rglob("*.txt")}


def test_tags_reach_the_captions(run: Callable[..., Any], frames: Path, library: Path, tmp_path: Path) -> None:
    run("sort", frames, "--to", library, code=1)  # some of the frames are no pictures
    said = texts(library)
    # By the likeliest; a border of white around what is wider than high; brackets escaped; a face as it is.
    assert said["left_happy"] == (
        r"mira, facing left, looking left, ^_^, white border, bright, left shoe, brightness, mira \(rail\)"
    )
    # The same picture mirrored was turned: the tagger saw it look right.
    assert said["right_happy"] == said["left_happy"].replace("left shoe", "right shoe")
    assert said["front"].startswith("mira, facing the viewer, white border") and "^_^" not in said["front"]
    run("export", library, "--to", tmp_path / "kohya", "--as", "kohya")
    exported = texts(tmp_path / "kohya")
    assert exported["left_happy"] == said["left_happy"]


def test_thresholds_order_and_spelling_are_changed_without_asking_again(
    run: Callable[..., Any], edit: Callable[[str, str], None], frames: Path, library: Path, scheme: Path
) -> None:
    from sorter.commands.job import load_job
    from sorter.library.store.manifest import Manifest

    run("sort", frames, "--to", library, code=1)
    edit(
        'model = "models/wd"',
        'model = "models/wd"\ngeneral_threshold = 0.6\ncharacter_threshold = 0.4\nunderscores = true\n'
        'categories = ["rating", "character", "general"]',
    )
    with Manifest(library) as manifest:
        assert manifest.unanswered(load_job(scheme).questions.sources()) == []
    run("apply", library)
    assert texts(library)["left_happy"] == (
        r"mira, facing left, general, mira_\(rail\), tobo_\(rail\), looking_left, ^_^, white_border"
    )
    edit("general_threshold = 0.6", "general_threshold = 0.6\nother_threshold = 0.05")  # less than was kept
    with Manifest(library) as manifest:
        assert manifest.unanswered(load_job(scheme).questions.sources())


def test_a_persons_words_stay_and_the_vocabulary_applies(
    run: Callable[..., Any], edit: Callable[[str, str], None], frames: Path, library: Path
) -> None:
    edit("[caption]", f"{VOCABULARY}[caption]")
    run("sort", frames, "--to", library, code=1)
    (file,) = library.rglob("left_happy-*.txt")
    assert "white border" not in file.read_text() and "closed eyes" in file.read_text()
    file.write_text("my own words\n")
    edit('model = "models/wd"', 'model = "models/wd"\ngeneral_threshold = 0.9')
    run("sort", frames, "--to", library, code=1)
    assert texts(library)["left_happy"] == "my own words"
    assert "brightness" not in texts(library)["right_happy"]
    by = {
        Path(one["file"]).name.rpartition("-")[0]: one["by"] for one in run("captions", library, "--each")["captions"]
    }
    assert by["left_happy"] == "human" and by["right_happy"] == "template + tags"


def test_new_pictures_are_asked_about_and_a_new_model_asks_all(
    run: Callable[..., Any], frames: Path, library: Path, project: Path, draw: Callable[..., Image.Image]
) -> None:
    run("sort", frames, "--to", library, code=1)
    draw("left", "happy", 5).save(frames / "one more.png")
    assert run("sort", frames, "--to", library, code=1)["counts"]["pictures"] == 7
    assert "looking left" in texts(library)["one_more"]
    save_tagger(project / "models" / "wd", [("another_tag", "0", NOTHING, 2.0)])
    run("classify", library)
    run("apply", library)
    assert texts(library)["left_happy"] == "mira, facing left, another tag"


def test_a_model_of_the_other_layout_says_the_same(tmp_path: Path, draw: Callable[..., Image.Image]) -> None:
    from sorter.networks.tags import TagNetwork, read_tagger

    square = np.asarray(draw("left", "happy").resize((8, 8)))
    last = TagNetwork(read_tagger(save_tagger(tmp_path / "last")))
    first = read_tagger(save_tagger(tmp_path / "first", shape=(1, 3, 8, 8), logits=True))
    assert last.side == 8 and len(set(last(square))) == len(set(last(square[..., ::-1]))) == 9
    np.testing.assert_allclose(TagNetwork(first, values="0..255")(square), last(square), atol=1e-6)
    np.testing.assert_allclose(TagNetwork(first, "rgb", "0..255")(square[..., ::-1]), last(square), atol=1e-6)
    # -1..1, unless it is said otherwise: grey values become almost nothing, and what is left is the bias.
    biases = 1 / (1 + np.exp(-np.array([one for *_, one in ROWS])))
    np.testing.assert_allclose(TagNetwork(first)(np.full((8, 8, 3), 128, np.uint8)), biases, atol=1e-3)


def test_pictures_are_prepared_as_the_taggers_own_page_does(shared: Path) -> None:
    """Against the recipe written out: a white square as large as the picture's longer side, scaled down."""
    from sorter.classify.view import squared

    checked = 0
    for path in sorted((shared / "frames").rglob("*.jpg"))[:6] + sorted((shared / "quality").rglob("*.jpg"))[:6]:
        with Image.open(path) as opened:
            image = opened.convert("RGB")
        longer = max(image.size)
        whole = Image.new("RGB", (longer, longer), (255, 255, 255))
        whole.paste(image, ((longer - image.width) // 2, (longer - image.height) // 2))
        wanted = np.asarray(whole.resize((448, 448), Image.Resampling.BICUBIC), np.int16)
        found = squared(image, 448).astype(np.int16)
        # But at the edge of the border, where half a pixel may be of the other.
        assert np.quantile(np.abs(found - wanted), 0.97) <= 8 and np.abs(found - wanted).mean() < 2.5, path
        checked += 1
    assert checked >= 6


def test_a_worker_of_a_cluster_asks_the_same_or_says_what_it_lacks(scheme: Path, frames: Path) -> None:
    from sorter.classify.cluster.worker import lacks, pack
    from sorter.commands.job import load_job

    questions = load_job(scheme).questions
    here = questions(frames / "front.png")  # with the network loaded, which does not travel
    there = pickle.loads(pickle.dumps(pack(questions))).unpack()
    assert lacks(there) == "" and there(frames / "front.png") == here
    model = save_tagger(scheme.parent / "models" / "other")
    scheme.write_text(scheme.read_text().replace("models/wd", "models/other"))
    parcel = pickle.dumps(pack(load_job(scheme).questions))
    (model / "model.onnx").unlink()
    said = lacks(pickle.loads(parcel).unpack())
    assert "the worker" in said and "model.onnx: cannot be loaded" in said


def test_numbers_that_are_none_stop_the_run_before_anything_is_kept(
    run_cli: Callable[..., Any], scheme: Path, frames: Path, library: Path, tree_of: Callable[..., Any]
) -> None:
    save_tagger(scheme.parent / "models" / "wd", [*ROWS[:-1], ("tobo", "4", NOTHING, float("nan"))])
    library.mkdir()
    code, out, err = run_cli("sort", frames, "--to", library, "--scheme", scheme)
    assert code == 2 and "model.onnx: gives numbers that are none (on CPU" in err, out + err
    assert tree_of(library) == {}


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "no model": (lambda folder: (folder / "model.onnx").unlink(), "has no model.onnx"),
    "no table": (lambda folder: (folder / "selected_tags.csv").unlink(), "has no selected_tags.csv"),
    "a row less": (
        lambda folder: (folder / "selected_tags.csv").write_text(csv_of(ROWS[:-1])),
        "gives 10 numbers, but the table beside it names 9 tags",
    ),
    "as many as it likes": (
        lambda folder: save_tagger(folder, outputs=-1, table=csv_of(ROWS[:-1])),
        "gives 10 numbers, but the table beside it names 9 tags",
    ),
    "no such columns": (
        lambda folder: (folder / "selected_tags.csv").write_text("a,b\n1,2\n"), "should have columns name and category",
    ),
    "a row cut off": (lambda folder: (folder / "selected_tags.csv").write_text(csv_of(ROWS)[:-15]), "is no table"),
    "no text": (lambda folder: (folder / "selected_tags.csv").write_bytes(b"name\xff"), "is no table of tags"),
    "no tags": (lambda folder: (folder / "selected_tags.csv").write_text("name,category\n"), "names no tags"),
    "no ONNX": (lambda folder: (folder / "model.onnx").write_bytes(b"no model" * 20), "cannot be loaded as an ONNX"),
    "a pointer": (
        lambda folder: (folder / "model.onnx").write_text("version https://git-lfs.github.com/spec/v1\n"),
        "is a Git LFS pointer",
    ),
    "four colours": (lambda folder: save_tagger(folder, shape=("batch", 6, 8, 4)), "reads float pictures of three"),
    "a vector": (lambda folder: save_tagger(folder, shape=("batch", 192)), "reads float pictures of three"),
    "not square": (lambda folder: save_tagger(folder, shape=(1, 16, 4, 3)), "reads pictures of 4 x 16"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_tagger_that_does_not_fit_is_one_sentence(
    name: str, run_cli: Callable[..., Any], scheme: Path, frames: Path, library: Path, tree_of: Callable[..., Any]
) -> None:
    break_it, sentence = BAD[name]
    break_it(scheme.parent / "models" / "wd")
    library.mkdir()
    for words in (("check",), ("sort", frames, "--to", library)):
        code, out, err = run_cli(*words, "--scheme", scheme)
        assert code == 2 and sentence in err and len(err.strip().splitlines()) == 1, out + err
        assert str(Path("models") / "wd") in err
    assert tree_of(library) == {}


OPTIONS = {
    "general_threshold = 1.5": '[ask.tags]: "general_threshold": input should be less than or equal to 1, not 1.5',
    "character_threshold = -1": '"character_threshold": input should be greater than or equal to 0',
    "threshold = 0.3": '"threshold" is not a key; did you mean',
    'categories = ["charcter"]': 'it has no tags of "charcter"; did you mean "character"?',
    'colours = "cmyk"': "\"colours\": input should be 'bgr' or 'rgb'",
}


@pytest.mark.parametrize("option", OPTIONS)
def test_an_option_that_makes_no_sense_is_one_sentence(
    option: str, run_cli: Callable[..., Any], scheme: Path, edit: Callable[[str, str], None]
) -> None:
    edit('model = "models/wd"', f'model = "models/wd"\n{option}')
    code, out, err = run_cli("check", "--scheme", scheme)
    assert code == 2 and OPTIONS[option] in err and len(err.strip().splitlines()) == 1, out + err


def test_check_says_what_a_tagger_knows_and_whether_captions_say_it(
    run: Callable[..., Any], edit: Callable[[str, str], None]
) -> None:
    (row,) = run("check")["askers"]
    assert row["notes"] == ["knows 2 rating, 6 general, 2 character tags; looks at 8 x 8 pixels; runs on: CPU"]
    edit("{tags}", "{mood}")
    (row,) = run("check")["askers"]
    assert row["notes"][1] == "no caption says its words; write {tags} where they should stand in [caption] text"


AXIS = """
[axes.look]
asker = "tags"
canonical = "left"
[axes.look.classes]
left = { mirror = "right", when = ["Looking left"], tag = "looking left" }
right = { mirror = "left", when = ["looking_right"], tag = "looking right" }
away = { tag = "" }
"""


@pytest.fixture
def by_tags(scheme: Path) -> Path:
    """The scheme with the direction told by the tagger instead of a sorter."""
    text = scheme.read_text(encoding="utf-8")
    start, end = text.index("[axes.direction]"), text.index("[axes.mood]")
    text = text.replace("{direction}", "{look}").replace(text[start:end], AXIS)
    scheme.write_text(text, encoding="utf-8")
    return scheme


def test_an_axis_may_be_answered_by_a_taggers_tags(
    by_tags: Path, run: Callable[..., Any], edit: Callable[[str, str], None], frames: Path, library: Path
) -> None:
    run("sort", frames, "--to", library, code=1)
    places = {path.stem.rpartition("-")[0]: path.parent.name for path in library.rglob("*.png")}
    assert places["left_happy"] == places["right_happy"] == "left" and places["front"] == "away"
    assert texts(library)["right_happy"].startswith("mira, looking left, ^_^")
    with Image.open(next(library.rglob("right_happy-*.png"))) as turned:
        assert turned.convert("RGB").getpixel((2, 5)) == (255, 0, 0)
    edit("{look}, {tags}", "{look}")
    checked = run("check")
    (axis,) = [one for one in checked["axes"] if one["axis"] == "look"]
    assert len(checked["askers"][0]["notes"]) == 1  # that no caption says its tags is as it should be
    assert axis["classes"] == ["left", "right", "away"]
    assert axis["notes"][0] == "told by the tags of [ask.tags], whose pass over a picture it shares"


def test_a_tagger_is_run_once_a_picture_and_once_for_its_mirror_image(
    by_tags: Path, frames: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sorter.commands.job import load_job
    from sorter.networks.tags import TagNetwork

    ran, run = [], TagNetwork.__call__
    monkeypatch.setattr(TagNetwork, "__call__", lambda self, square: ran.append(1) or run(self, square))
    seen = load_job(by_tags).questions(frames / "left happy.png")
    look = next(label for label in seen.labels if label.axis == "look")  # type: ignore[union-attr]
    assert (look.name, look.taken_for) == ("left", "") and len(ran) == 2


WRONG = {
    'asker = "tags"|asker = "tag"': '[axes.look] asker = "tag" is no table of [ask]; did you mean "tags"?',
    'asker = "tags"|asker = "tags"\nmeasure = "sharpness"': "[axes.look] has both measure and asker",
    '"Looking left"|"loking left"': 'look]: left: when: "loking left" is no tag of [ask.tags]',
    ', when = ["looking_right"]|': 'each class but one needs when = ["a tag"], and right and away have none',
    'asker = "tags"|measure = "sharpness"': "when, at left, is for an axis that a tagger answers",
    'asker = "tags"|asker = "tags"\nthreshold = "auto"': "a tagger has no [thresholds.classes]",
}


@pytest.mark.parametrize("change", WRONG)
def test_tags_that_no_class_can_be_known_by_are_one_sentence(
    change: str, by_tags: Path, run_cli: Callable[..., Any], edit: Callable[[str, str], None]
) -> None:
    edit(*change.split("|"))
    code, out, err = run_cli("check", "--scheme", by_tags)
    assert code == 2 and WRONG[change] in err and len(err.strip().splitlines()) == 1, out + err
