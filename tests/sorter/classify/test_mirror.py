"""The mirror check: a picture and its mirror image are asked about, and a sorter that contradicts itself is doubted."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from sorter.classify.ask import Questions, load_questions
from sorter.classify.askers import both_ways, mirror_places
from sorter.commands.check import ENOUGH, FEWEST, MOST, MirrorCheck, _agreement, describe, mirror_check, spread
from sorter.commands.job import Job, load_job
from sorter.commands.sort import sort
from sorter.errors import LibraryError
from sorter.library.decide import decide, mirrored
from sorter.library.store.manifest import Manifest
from sorter.networks.load import Sorter
from sorter.records import HUMAN, Label, Picture, Unreadable
from sorter.scheme import Axis, Class, Scheme

CLASSES = ("left", "front", "right", "up", "down")
AXIS = Axis(
    canonical="left",
    classes={"left": Class(mirror="right"), "right": Class(mirror="left"), "front": Class(),
             "up": Class(mirror="down"), "down": Class(mirror="up")},
)  # fmt: skip
SCHEME = Scheme(folders="{direction}", axes={"direction": AXIS})
PICTURE = Picture("ab" * 32, "frames/one.png", 640, 360, "PNG")
MIRROR = mirror_places(AXIS, CLASSES)
SIDES = Image.new("RGB", (8, 6), (200, 0, 0))
SIDES.paste((0, 0, 200), (4, 0, 8, 6))
"""Red on its left, blue on its right."""


def scores(numbers: list[int]) -> np.ndarray:
    return np.array(numbers, np.float32) / np.float32(max(1, sum(numbers)))


ANSWERS = st.lists(st.integers(0, 4), min_size=len(CLASSES), max_size=len(CLASSES)).map(scores)
"""Few different numbers, so that ties come up."""


@st.composite
def labels(draw: Any) -> Label:
    """An answer on the axis, by a sorter that agrees with itself or does not, or by a person."""
    name, looks, back = (draw(st.sampled_from(CLASSES)) for _ in range(3))
    if draw(st.booleans()):
        return Label("direction", name, draw(st.floats(0, 1)), draw(st.sampled_from(["model", HUMAN])))
    return Label("direction", name, draw(st.floats(0, 1)), "model", looks, back)


# --- two answers into one


def test_each_class_has_the_place_of_its_mirror_class() -> None:
    assert MIRROR == (2, 1, 0, 4, 3)
    assert mirror_places(AXIS, ("left", "up")) == (0, 1)  # a mirror class that the sorter does not know
    assert mirror_places(Axis(), CLASSES) == (0, 1, 2, 3, 4)


@given(ANSWERS, ANSWERS)
def test_asking_about_the_mirror_image_gives_the_mirrored_answer(plain: np.ndarray, turned: np.ndarray) -> None:
    answer = both_ways("direction", CLASSES, "model", plain, turned, MIRROR)
    other = both_ways("direction", CLASSES, "model", turned, plain, MIRROR)
    assert other.score == answer.score
    assert (other.taken_for, other.mirror_taken_for) == (answer.mirror_taken_for, answer.taken_for)
    combined = (plain + turned[list(MIRROR)]) / 2
    if not answer.taken_for or np.sum(combined == combined.max()) == 1:  # two that are level may be taken either way
        expected = mirrored(answer, AXIS)
        if np.sum(combined == np.sort(combined)[-2]) > 1:  # so may two that are level for the second place
            expected = expected._replace(runner_up=other.runner_up)
        assert other == expected


@given(ANSWERS, ANSWERS)
def test_a_sorter_that_contradicts_itself_says_what_each_view_looked_like(
    plain: np.ndarray, turned: np.ndarray
) -> None:
    answer = both_ways("direction", CLASSES, "model", plain, turned, MIRROR)
    seen, seen_mirrored = CLASSES[plain.argmax()], CLASSES[turned.argmax()]
    if AXIS.mirrored(seen) == seen_mirrored:
        assert (answer.name, answer.taken_for, answer.mirror_taken_for) == (seen, "", "")
    else:
        assert (answer.taken_for, answer.mirror_taken_for) == (seen, seen_mirrored)
    combined = (plain + turned[list(MIRROR)]) / 2
    assert answer.score == combined.max() == combined[CLASSES.index(answer.name)]


@given(labels())
def test_mirroring_an_answer_twice_is_the_identity(label: Label) -> None:
    assert mirrored(mirrored(label, AXIS), AXIS) == label


@given(labels())
def test_a_picture_and_its_mirror_image_come_to_stand_alike(label: Label) -> None:
    """Verdicts and their tags: of the two, one is turned to the canonical side, or neither has one."""
    one, other = (decide(PICTURE, (found,), SCHEME) for found in (label, mirrored(label, AXIS)))
    assert one.unsure == other.unsure
    (stands,), (stands_other) = one.labels, other.labels[0]
    if one.mirror or other.mirror:
        assert stands == stands_other and one.mirror != other.mirror
        assert AXIS.tag(stands.name) == AXIS.tag(stands_other.name)
    else:
        assert stands == label and stands_other == mirrored(label, AXIS)


# --- what a person reads


@pytest.mark.parametrize(
    ("looks", "back", "sentence"),
    [
        ("left", "left", 'direction: looks "left", but its mirror image looks "left" too, so one of the two is wrong'),
        ("left", "front", 'direction: looks "left", but its mirror image looks "front", so one of the two is wrong'),
        ("front", "left", 'direction: looks "front", but its mirror image looks "left", so one of the two is wrong'),
    ],
)
@pytest.mark.parametrize("score", [0.1, 1.0])
def test_a_contradiction_is_a_doubt_whatever_the_score(looks: str, back: str, sentence: str, score: float) -> None:
    verdict = decide(PICTURE, (Label("direction", "right", score, "m", looks, back),), SCHEME)
    assert verdict.doubts == (sentence,)
    assert verdict.unsure == {"direction"} and not verdict.mirror


def test_a_turned_picture_says_what_it_looks_like_as_it_stands() -> None:
    scheme = SCHEME.model_copy(update={"axes": {"direction": AXIS, "arm": AXIS}})
    given = Label("direction", "right", 1.0, "m"), Label("arm", "left", 0.9, "m", "left", "front")
    verdict = decide(PICTURE, given, scheme)
    assert verdict.mirror and verdict.unsure == {"arm"}
    assert verdict.labels == (
        Label("direction", "left", 1.0, "m"), Label("arm", "right", 0.9, "m", "front", "left"),
    )  # fmt: skip


# --- asking


class Sided:
    """A backbone that sees how red each half of a picture is, and heads on top of it."""

    key, network = "sided", SimpleNamespace(size=8)

    def __init__(self) -> None:
        self.passes = 0

    def maps(self, _: Any, view: np.ndarray) -> tuple[np.ndarray]:
        assert view.flags.c_contiguous and view.shape == (8, 8, 3)
        self.passes += 1
        red = view[..., 0].astype(np.float32) / 255
        return (np.array([[[red[:, :4].mean(), red[:, 4:].mean()]]], np.float32),)

    def sorter(self, head: Callable[[np.ndarray], list[float]], name: str = "sided") -> Sorter:
        labels = ("left", "front", "right")
        whole = lambda maps: np.array([head(one[0, 0]) for one in maps], np.float32)  # noqa: E731
        backbone: Any = self if name == "sided" else SimpleNamespace(key=name, network=self.network)
        return Sorter(labels, f"hash of {name}", backbone, whole, {})  # type: ignore[arg-type]

    def questions(self, *arguments: Any) -> Questions:
        questions = Questions(*arguments)
        questions._runners = self  # type: ignore[assignment]
        return questions


def tells(red: np.ndarray) -> list[float]:
    """The red side is where it looks to."""
    return [red[0], 0.1, red[1]]


def blind(red: np.ndarray) -> list[float]:
    """Sees that something is red, and calls that left."""
    return [red.sum(), 0.1, 0.0]


@pytest.fixture
def sided() -> Sided:
    return Sided()


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    SIDES.save(tmp_path / "picture.png")
    ImageOps.mirror(SIDES).save(tmp_path / "mirrored.png")
    return tmp_path / "picture.png"


PAIR = {"direction": (2, 1, 0)}


def only(seen: Any) -> Label:
    (label,) = seen.labels
    return label


def test_a_mirrored_picture_gets_the_mirrored_label(sided: Sided, picture: Path) -> None:
    questions = sided.questions({"direction": sided.sorter(tells)}, PAIR)
    one, other = only(questions(picture)), only(questions(picture.with_name("mirrored.png")))
    assert (one.name, one.taken_for) == ("left", "")
    assert other == mirrored(one, Axis(classes=AXIS.classes))


def test_a_sorter_that_is_blind_to_sides_is_found_out(sided: Sided, picture: Path) -> None:
    label = only(sided.questions({"direction": sided.sorter(blind)}, PAIR)(picture))
    assert (label.taken_for, label.mirror_taken_for) == ("left", "left")
    assert only(sided.questions({"direction": sided.sorter(blind)})(picture)).taken_for == ""


def test_the_mirrored_view_costs_a_pass_only_where_it_is_needed(sided: Sided, picture: Path) -> None:
    one, alone = sided.sorter(tells), sided.sorter(tells, "other")
    for askers, axes, passes in [
        ({"direction": one, "mood": one}, None, 2),
        ({"direction": one, "mood": one}, ["mood"], 1),
        ({"direction": one, "mood": alone}, None, 3),
        ({"mood": one}, None, 1),
    ]:
        sided.passes = 0
        sided.questions(askers, {axis: PAIR["direction"] for axis in askers if axis == "direction"})(picture, axes)
        assert sided.passes == passes, (askers, axes)


def test_the_way_of_asking_is_part_of_the_source(sided: Sided, picture: Path) -> None:
    sorter = sided.sorter(tells)
    ways = [Questions({"direction": sorter}, {"direction": way} if way else {}) for way in (None, (2, 1, 0), (0, 1, 2))]
    sources = [way.sources()["direction"] for way in ways]
    assert sources[0] == sorter.sha256
    assert len(set(sources)) == 3
    again = sided.questions({"direction": sorter}, PAIR)
    assert again.sources()["direction"] == sources[1] == only(again(picture)).source


def test_only_an_axis_with_a_canonical_class_is_asked_twice(project: Path) -> None:
    job = load_job(project / "scheme.toml")
    assert job.questions.mirrors == {"direction": (1, 0, 2, 3)}
    text = (project / "scheme.toml").read_text()
    (project / "scheme.toml").write_text(text.replace('canonical = "left"\n', ""))
    assert load_job(project / "scheme.toml").questions.mirrors == {}


def test_a_measure_is_not_asked_about_a_mirror_image() -> None:
    turned = Axis(measure="sharpness", canonical="sharp",
                  classes={"sharp": Class(mirror="blurry"), "blurry": Class(mirror="sharp")})  # fmt: skip
    questions = load_questions(Scheme(folders="{blur}", axes={"blur": turned}))
    assert questions.mirrors == {}
    assert questions.sources() == {"blur": questions.asked["blur"].sha256}


# --- in a library


BLIND = """\
folders = "{side}/{mood}"
[axes.side]
model = "models/mood"
canonical = "happy"
[axes.side.classes]
happy = { mirror = "sad" }
sad = { mirror = "happy" }
[axes.mood]
"""
"""The export tells white from black, which no mirror changes: as an answer to "which side" it is wrong."""


@pytest.fixture
def blind_job(project: Path) -> Job:
    (project / "scheme.toml").write_text(BLIND, encoding="utf-8")
    return load_job(project / "scheme.toml")


def test_an_export_that_cannot_see_sides_turns_nothing_and_says_why(
    tmp_path: Path, blind_job: Job, draw: Any, grow: Any
) -> None:
    source = grow(tmp_path / "heap", {"a.png": draw(mood="happy"), "b.png": draw(mood="sad")})
    report, _ = sort(source, tmp_path / "library", blind_job)
    assert (report.counts["turned"], report.counts["in doubt"]) == (0, 2)
    assert report.folders == {"_unsure/happy": 1, "_unsure/sad": 1}
    with Manifest(tmp_path / "library") as manifest:
        known = list(manifest.pictures(blind_job.questions.sources()))
    doubts = {doubt for pair in known for doubt in blind_job.decide(*pair).doubts}
    assert doubts == {
        f'side: looks "{name}", but its mirror image looks "{name}" too, so one of the two is wrong'
        for name in ("happy", "sad")
    }


# --- sorter check --on


@given(st.lists(st.integers(), max_size=50), st.integers(1, 20))
def test_pictures_are_spread_evenly(items: list[int], most: int) -> None:
    numbered = list(enumerate(items))
    chosen = spread(numbered, most)
    assert len(chosen) == min(most, len(items)) and sorted(set(chosen)) == chosen
    gaps = [later[0] - sooner[0] for sooner, later in itertools.pairwise(chosen)]
    assert not gaps or max(gaps) - min(gaps) <= 1
    assert most >= len(items) or not items or chosen[0] == numbered[0]


def heap(tmp_path: Path, grow: Any, draw: Any, count: int = 12, **extra: Any) -> Path:
    moods = ("happy", "sad")
    return grow(tmp_path / "heap", {f"{n:03}.png": draw("left", moods[n % 2], n) for n in range(count)} | extra)


def by_axis(found: MirrorCheck) -> dict[str, Any]:
    return {row.axis: row for row in found.axes}


def test_a_check_finds_the_axis_that_cannot_see_sides(tmp_path: Path, blind_job: Job, draw: Any, grow: Any) -> None:
    found = mirror_check(heap(tmp_path, grow, draw), blind_job)
    assert (found.report.counts["pictures"], found.report.failures) == (12, [])
    side, mood = by_axis(found)["side"], by_axis(found)["mood"]
    assert (side.agreement, side.sided, side.sided_agreement, side.fine) == (0.0, 12, 0.0, False)
    assert side.advice == (
        "it hardly tells happy from sad, so pictures would be turned the wrong way; fit one that does: "
        'sorter fit EXAMPLES --to models/side --mirror "happy=sad"'
    )
    assert (mood.agreement, mood.sided, mood.sided_agreement, mood.fine) == (1.0, 0, None, True)


def test_a_check_asks_every_sorter_whatever_is_canonical(tmp_path: Path, project: Path, draw: Any, grow: Any) -> None:
    text = BLIND.replace('canonical = "happy"\n', "") + '[axes.blur]\nmeasure = "sharpness"\n'
    (project / "scheme.toml").write_text(text, encoding="utf-8")
    found = mirror_check(heap(tmp_path, grow, draw), load_job(project / "scheme.toml"))
    assert set(by_axis(found)) == {"side", "mood"}
    assert not by_axis(found)["side"].fine


def answering(job: Job, plain: dict[str, str], turned: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every axis answer so, about a picture and about its mirror image."""

    def answer(self: Questions, path: Path, axes: Any = None) -> Any:
        return SimpleNamespace(labels=tuple(
            Label(axis, plain[axis], 1.0, "m") if places[asked.labels.index(plain[axis])]
            == asked.labels.index(turned[axis]) else Label(axis, plain[axis], 1.0, "m", plain[axis], turned[axis])
            for axis, asked in self.asked.items() for places in [self.mirrors[axis]]
        ))  # fmt: skip

    monkeypatch.setattr(Questions, "__call__", answer)


@pytest.mark.parametrize(
    ("plain", "turned", "fine", "said"),
    [
        ("left", "right", True, "left and right change places in a mirror, as they should"),
        ("left", "left", False, "it hardly tells left from right, so pictures would be turned the wrong way; "
         "fit one that does: sorter fit EXAMPLES --to models/direction"),
        ("front", "front", True, "none of these pictures were taken for left or right, so it cannot be said whether it "
         "tells them apart; give a folder with more of them"),
        ("front", "nobody", False, "mirroring changes its answer: its examples may face one way only; "
         "fit it with mirrored copies of them, as sorter fit does: sorter fit EXAMPLES --to models/direction"),
    ],
)  # fmt: skip
def test_a_check_says_what_to_do_about_a_pair(
    tmp_path: Path, job: Job, draw: Any, grow: Any, monkeypatch: pytest.MonkeyPatch, plain: str, turned: str,
    fine: bool, said: str,
) -> None:  # fmt: skip
    answering(job, {"direction": plain, "mood": "sad"}, {"direction": turned, "mood": "happy"}, monkeypatch)
    rows = by_axis(mirror_check(heap(tmp_path, grow, draw), job))
    assert (rows["direction"].fine, rows["direction"].advice) == (fine, said)
    assert rows["mood"].agreement == 0 and not rows["mood"].fine
    assert rows["mood"].advice == (
        "mirroring changes its answer: its examples may face one way only; fit it with mirrored copies of them, as "
        "sorter fit does: sorter fit EXAMPLES --to models/mood; or, if two of its classes are each other's mirror "
        "image, say so in the scheme with mirror"
    )


@pytest.mark.parametrize(
    ("sided", "fine", "said"),
    [
        (FEWEST - 1, True, "only 9 of these pictures were taken for left or right or up or down, so it cannot be said"),
        (FEWEST, False, "it hardly tells left from right and up from down, so pictures would be turned the wrong way; "
         'fit one that does: sorter fit EXAMPLES --to models/direction --mirror "left=right" --mirror "up=down"'),
    ],
)  # fmt: skip
def test_a_check_looks_at_the_classes_with_a_mirror_by_themselves(sided: int, fine: bool, said: str) -> None:
    """Many pictures of another class do not hide that the sides are confused, and few are too few to say so."""
    labels = [Label("direction", "left", 1.0, "m", "left", "left")] * sided
    labels += [Label("direction", "front", 1.0, "m")] * (200 - sided)
    row = _agreement("direction", AXIS, CLASSES, labels)
    assert row.agreement > ENOUGH and row.sided_agreement == 0
    assert (row.sided, row.fine) == (sided, fine) and row.advice.startswith(said)


def test_a_check_looks_at_some_pictures_of_a_large_folder(
    tmp_path: Path, blind_job: Job, draw: Any, grow: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sorter.commands.check.MOST", 5)
    found = mirror_check(heap(tmp_path, grow, draw), blind_job)
    assert found.report.counts["pictures"] == 5
    assert (MOST, ENOUGH) == (300, 0.9)


def test_a_check_counts_what_cannot_be_read(tmp_path: Path, blind_job: Job, draw: Any, grow: Any) -> None:
    folder = heap(tmp_path, grow, draw, 3, **{"empty.png": b""})
    found = mirror_check(folder, blind_job)
    assert found.report.counts == {"pictures": 3, "unreadable": 1}
    assert [(one.path.name, one.reason) for one in found.report.failures] == [("empty.png", "the file is empty")]
    assert all(row.pictures == 3 for row in found.axes)
    (tmp_path / "bad").mkdir()
    shutil.copy(folder / "empty.png", tmp_path / "bad")
    found = mirror_check(tmp_path / "bad", blind_job)
    assert found.axes == () and isinstance(found.report.failures[0], Unreadable)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("gone", "gone: does not exist; give the folder that holds the pictures"),
        ("bare", "bare: holds no pictures; give a folder of the pictures that are to be sorted"),
    ],
)
def test_a_folder_without_pictures_is_a_sentence(tmp_path: Path, blind_job: Job, name: str, said: str) -> None:
    (tmp_path / "bare").mkdir()
    with pytest.raises(LibraryError) as found:
        mirror_check(tmp_path / name, blind_job)
    assert str(found.value).endswith(said)


def test_check_on_a_folder_prints_each_axis_with_its_number(
    tmp_path: Path, blind_job: Job, draw: Any, grow: Any, run_cli: Any, project: Path
) -> None:
    folder, scheme = heap(tmp_path, grow, draw), ("--scheme", project / "scheme.toml")
    code, out, err = run_cli("check", "--on", folder, *scheme)
    assert (code, err) == (0, "")
    assert f"{folder}: 12 pictures\n" in out
    assert (
        "  side: 0% of 12 pictures and their mirror images agree, 0% of the 12 taken for happy or sad: "
        "it hardly tells happy from sad" in out
    )
    assert "  mood: 100% of 12 pictures and their mirror images agree: a mirror does not change its answer" in out
    (folder / "empty.png").write_bytes(b"")
    code, out, err = run_cli("check", "--on", folder, *scheme)
    assert code == 1 and "1 failed:" in out and "empty.png" in out
    code, out, err = run_cli("check", "--on", folder, *scheme, "--json")
    found = json.loads(out)
    assert code == 1 and err == ""
    assert found["counts"] == {"pictures": 12, "unreadable": 1}
    side = found["mirror"][0]
    assert (side["axis"], side["agreement"], side["sided"], side["fine"]) == ("side", 0.0, 12, False)
    assert [Path(one["path"]).name for one in found["failures"]] == ["empty.png"]
    code, out, err = run_cli("check", "--on", tmp_path / "gone", *scheme)
    assert (code, out) == (2, "") and err.count("\n") == 1 and "gone: does not exist" in err


def test_check_says_which_axes_are_asked_twice(job: Job) -> None:
    notes = {row["axis"]: row["notes"] for row in describe(job)}
    said = "asked twice, of the picture and of its mirror image, since pictures are turned by its answer"
    assert said in notes["direction"] and said not in notes["mood"]


def test_a_real_export_that_cannot_see_sides_is_called_out(tmp_path: Path, shared: Path) -> None:
    text = BLIND.replace('"models/mood"', json.dumps(str(shared / "tm" / "arrows-2023-h5")))
    text = (
        text.replace("happy", "left")
        .replace("sad", "right")
        .replace("{side}/{mood}", "{side}")
        .partition("[axes.mood]")
    )
    (tmp_path / "scheme.toml").write_text(text[0], encoding="utf-8")
    job = load_job(tmp_path / "scheme.toml")
    faces = sorted((shared / "cmu_faces").rglob("*.png"))[::8]
    for path in faces:
        shutil.copy(path, tmp_path / path.name)
    (side,) = mirror_check(tmp_path, job).axes
    assert side.agreement < 0.8 and side.sided >= 10 and side.sided_agreement < 0.2
    assert side.advice.startswith("it hardly tells right from left, so pictures would be turned the wrong way")
