"""The pure core, by its properties: labels -> verdict -> outputs -> steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sorter.errors import LibraryError
from sorter.library.apply import inside
from sorter.library.caption import captioner_of, tidy
from sorter.library.decide import decide
from sorter.library.layout import ClassFolders, class_folders
from sorter.library.names import file_stem
from sorter.library.plan import steps_between
from sorter.library.store.contents import content_from, content_text
from sorter.records import (
    CAPTION,
    HUMAN,
    LIBRARY,
    REMOVED,
    Box,
    Drop,
    Label,
    Output,
    Picture,
    Put,
    Render,
    Text,
    Unreadable,
    Verdict,
)  # fmt: skip
from sorter.scheme import Axis, CaptionUse, Class, Scheme
from sorter.tally import Report

CLASSES: dict[str, tuple[str, ...]] = {
    "direction": ("left", "right", "front"),
    "mood": ("happy", "con", "a/b", "Happy", "_unsure"),
    "who": ("anna", "emblem", "nobody"),
}
SCHEME = Scheme(
    folders="{who}/all {mood}/{direction}",
    trigger="mira",
    axes={
        "direction": Axis(
            canonical="left",
            classes={"left": Class(mirror="right", tag="to the left"), "right": Class(mirror="left"), "front": Class()},
        ),
        "mood": Axis(threshold=0.8, classes={"con": Class(tag="")}),
        "who": Axis(classes={"emblem": Class(turn=False), "nobody": Class(drop=True)}),
    },
)
PICTURE = Picture("ab" * 32, "frames/one.png", 640, 360, "PNG")
LAYOUT = class_folders(SCHEME, CLASSES, captioner_of(SCHEME))


@st.composite
def labelled(draw: Any) -> tuple[Label, ...]:
    """Labels in force on a picture: of each axis one answer of a sorter or a person, or none."""
    labels = []
    for axis, classes in CLASSES.items():
        if source := draw(st.sampled_from(["model", HUMAN, ""])):
            score = 1.0 if source == HUMAN else draw(st.floats(0, 1))
            contradiction = ("", "")
            if source != HUMAN and draw(st.integers(0, 3)) == 0:
                contradiction = draw(st.tuples(st.sampled_from(classes), st.sampled_from(classes)))
            labels.append(Label(axis, draw(st.sampled_from(classes)), score, source, *contradiction))
    if draw(st.booleans()):
        labels.append(Label(CAPTION, draw(st.sampled_from(["my own words", ""])), 1.0, HUMAN))
    if draw(st.integers(0, 9)) == 0:
        labels.append(Label(LIBRARY, REMOVED, 1.0, HUMAN))
    return tuple(labels)


def by_axis(labels: tuple[Label, ...]) -> dict[str, Label]:
    return {label.axis: label for label in labels}


@given(labelled())
def test_no_picture_faces_the_wrong_way_unless_doubted_or_forbidden(labels: tuple[Label, ...]) -> None:
    verdict = decide(PICTURE, labels, SCHEME)
    facing = by_axis(verdict.labels).get("direction")
    forbidden = by_axis(labels).get("who", Label("who", "", 1, "")).name == "emblem"
    if facing and facing.name == "right":
        assert "direction" in verdict.unsure or forbidden
    if forbidden or "direction" in verdict.unsure:
        assert not verdict.mirror


@given(labelled())
def test_mirroring_swaps_labels_and_nothing_else(labels: tuple[Label, ...]) -> None:
    before, verdict = by_axis(labels), decide(PICTURE, labels, SCHEME)
    swap = {"left": "right", "right": "left"} if verdict.mirror else {}
    for label in verdict.labels:
        was = before[label.axis]
        assert label.name == (swap.get(was.name, was.name) if label.axis == "direction" else was.name)
        assert (label.score, label.source) == (was.score, was.source)
    assert verdict.mirror == (verdict.mirror and before["direction"].name == "right")


@given(st.sampled_from(CLASSES["direction"]))
def test_mirroring_twice_is_the_identity_on_classes(name: str) -> None:
    axis = SCHEME.axes["direction"]
    assert axis.mirrored(axis.mirrored(name)) == name


@given(labelled())
def test_a_persons_answer_is_never_in_doubt(labels: tuple[Label, ...]) -> None:
    verdict = decide(PICTURE, labels, SCHEME)
    people = {label.axis for label in labels if label.source == HUMAN}
    assert not verdict.unsure & people
    assert verdict.unsure == {name for name, one in by_axis(labels).items() if name in SCHEME.axes
                              and one.source != HUMAN
                              and (one.taken_for or one.score < float(SCHEME.axes[name].threshold))} | (
        set(SCHEME.axes) - set(by_axis(labels)))  # fmt: skip
    assert len(verdict.doubts) == len(verdict.unsure)


@pytest.mark.parametrize(("score", "doubted"), [(0.79, True), (0.8, False), (1.0, False)])
def test_a_score_below_the_threshold_is_a_doubt(score: float, doubted: bool) -> None:
    verdict = decide(PICTURE, (Label("mood", "happy", score, "m"),), SCHEME)
    assert ("mood" in verdict.unsure) == doubted
    if doubted:
        assert 'mood: "happy" with 79%, below 80%' in verdict.doubts


@pytest.mark.parametrize(
    ("name", "score", "doubts"),
    [
        ("happy", 0.6, ('mood: "happy" with 60%, below 70%',)),
        ("happy", 0.7, ()),
        ("con", 0.6, ()),
        ("con", 0.2, ('mood: "con" with 20%, below 50%',)),
    ],
)
def test_an_automatic_threshold_is_that_of_the_class(name: str, score: float, doubts: tuple[str, ...]) -> None:
    scheme = Scheme(folders="{mood}", axes={"mood": Axis(threshold="auto")})
    labels = (Label("mood", name, score, "m"),)
    assert decide(PICTURE, labels, scheme, {"mood": {"happy": 0.7, "con": 0.5}}).doubts == doubts
    assert decide(PICTURE, (Label("mood", name, 1.0, HUMAN),), scheme, {"mood": {}}).doubts == ()


def test_only_a_certain_class_drops_a_picture() -> None:
    sure, unsure = Label("who", "nobody", 0.9, "m"), Label("who", "nobody", 0.4, "m")
    assert decide(PICTURE, (sure,), SCHEME).unwanted == "who: nobody"
    assert not decide(PICTURE, (unsure,), SCHEME).unwanted
    assert list(LAYOUT(decide(PICTURE, (sure,), SCHEME))) == []
    assert decide(PICTURE, (Label(LIBRARY, REMOVED, 1.0, HUMAN),), SCHEME).unwanted == "removed by hand"


@given(labelled())
def test_outputs_lie_in_the_library_and_a_caption_lies_beside_its_picture(labels: tuple[Label, ...]) -> None:
    verdict = decide(PICTURE, labels, SCHEME)
    outputs = list(LAYOUT(verdict))
    assert len(outputs) == (0 if verdict.unwanted else 1 if verdict.caption == "" else 2)
    for output in outputs:
        assert inside(Path("/library"), output.path).is_relative_to("/library")
        assert output.path.rsplit(".", 1)[0] == f"{LAYOUT.folder(verdict)}/{file_stem(PICTURE)}"


@given(labelled())
def test_reading_a_folder_inverts_naming_it(labels: tuple[Label, ...]) -> None:
    verdict = decide(PICTURE, labels, SCHEME)
    assert LAYOUT.folders.read(LAYOUT.folder(verdict)) == verdict.sure()
    assert LAYOUT.folders.read(LAYOUT.folder(verdict).upper()) == verdict.sure()


@pytest.mark.parametrize("folder", ["", ".", "anna", "anna/all happy", "anna/happy/left", "anna/all happy/left/more"])
def test_another_folder_is_none_of_the_scheme(folder: str) -> None:
    assert LAYOUT.folders.read(folder) is None


def test_an_axis_in_doubt_has_a_folder_of_its_own() -> None:
    verdict = decide(PICTURE, (Label("who", "anna", 0.9, "m"), Label("mood", "con", 0.5, "m")), SCHEME)
    assert LAYOUT.folder(verdict) == "anna/all _unsure/_unsure"


def test_an_axis_named_twice_must_say_the_same_twice() -> None:
    scheme = Scheme(folders="{mood}/{mood} faces", axes={"mood": Axis()})
    layout = class_folders(scheme, {"mood": ("happy", "sad")}, captioner_of(scheme))
    assert layout.folders.read("happy/happy faces") == {"mood": "happy"}
    assert layout.folders.read("happy/sad faces") is None


@given(labelled())
def test_captions_are_one_line_without_empty_parts(labels: tuple[Label, ...]) -> None:
    verdict = decide(PICTURE, labels, SCHEME)
    caption = LAYOUT.captioner(verdict)
    assert caption.startswith("mira")
    assert len(caption.splitlines()) == 1
    assert all(part == part.strip() != "" for part in caption.split(", "))
    for output in LAYOUT(verdict):
        if isinstance(output.content, Text):
            assert output.content.text == (verdict.caption or caption) + "\n"


@given(st.text())
def test_tidy_is_one_line_without_empty_parts_and_settles(text: str) -> None:
    tidied = tidy(text)
    assert len(tidied.splitlines()) <= 1
    assert tidied == "" or all(part.strip() for part in tidied.split(","))
    assert tidy(tidied) == tidied


def test_a_caption_says_the_tags_of_what_is_certain_after_the_turn() -> None:
    labels = tuple(Label(*one) for one in [("direction", "right", 0.9, "m"), ("mood", "a/b", 0.9, "m"),
                                           ("who", "anna", 0.1, "m")])  # fmt: skip
    assert LAYOUT.caption(decide(PICTURE, labels, SCHEME)) == "mira, to the left, a/b"
    own = SCHEME.model_copy(
        update={"caption": CaptionUse.model_validate({"use": "template", "text": "{who},, {mood} {{x}} {mood}"})}
    )
    assert captioner_of(own)(decide(PICTURE, labels, own)) == "a/b {x} a/b"


def test_an_empty_caption_makes_no_file() -> None:
    scheme = Scheme(folders="{mood}", axes={"mood": Axis(classes={"happy": Class(tag="")})})
    layout = class_folders(scheme, {"mood": ("happy",)}, captioner_of(scheme))
    (only,) = layout(decide(PICTURE, (Label("mood", "happy", 1, "m"),), scheme))
    assert only.path == f"happy/{file_stem(PICTURE)}.png"


@pytest.mark.parametrize(("form", "ending"), [("JPEG", ".jpg"), ("WEBP", ".webp"), ("GIF", ".png"), ("AVIF", ".png")])
def test_a_format_that_trainers_do_not_read_becomes_png(form: str, ending: str) -> None:
    verdict = Verdict(Picture("cd" * 32, "a.gif", 8, 8, form), ())
    assert LAYOUT(verdict)[0].path.endswith(ending)


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("frame 01.final.png", "frame_01_final-abababababab"[:-2]),
        ("../up.png", "up-ababababab"),
        ("...png", "picture-ababababab"),
        ("그림 1.jpg", "그림_1-ababababab"),
        ("x" * 200 + ".png", "x" * 48 + "-ababababab"),
        ("con.png", "con-ababababab"),
    ],
)
def test_file_stems_are_readable_unique_and_without_dots(name: str, stem: str) -> None:
    assert file_stem(Picture("ab" * 32, name, 8, 8, "PNG")) == stem


@given(st.text(max_size=255))
def test_any_name_gives_a_stem_that_every_system_takes(name: str) -> None:
    stem = file_stem(Picture("ab" * 32, f"heap/{name}", 8, 8, "PNG"))
    assert len(f".{stem}.webp.1f3a0c77.modelsheet-part".encode("utf-8", "surrogatepass")) <= 255
    assert not set(stem) & set('<>:"/\\|?*. ')


DIGITS = ("1" * 10, "2" * 10)
PATHS = st.sampled_from([f"{folder}/x-{ten}{end}" for folder in "abc" for ten in DIGITS for end in (".png", ".txt")])
FILES = st.dictionaries(PATHS, st.booleans())


def outputs(files: dict[str, Any]) -> list[Output]:
    """One of two contents at each path: turned or not, one text or the other."""
    return [
        Output(path, Render(path[4] * 64, mirror=which) if path.endswith(".png") else Text(f"{which}\n"))
        for path, which in files.items()
    ]


@given(FILES, FILES, st.frozensets(st.sampled_from(DIGITS)))
def test_carrying_out_the_plan_gives_what_is_wanted(
    wanted: dict[str, Any], placed: dict[str, Any], held: frozenset[str]
) -> None:
    now = dict(outputs(placed))
    for step in steps_between(outputs(wanted), outputs(placed), held):
        if isinstance(step, Put):
            now[step.output.path] = step.output.content
        else:
            assert now.pop(step.output.path) == step.output.content
    kept = {path: content for path, content in outputs(placed) if path[4:14] in held}
    assert now == {path: content for path, content in outputs(wanted) if path[4:14] not in held} | kept
    assert steps_between(outputs(wanted), [Output(*one) for one in now.items()], held) == ()


def test_what_was_copied_away_is_dropped_even_where_its_picture_is_in_hand() -> None:
    here, there = (Output(f"{folder}/x-{DIGITS[0]}.png", Render("1" * 64)) for folder in "ab")
    assert steps_between([here], [here, there], frozenset(DIGITS)) == ()
    assert steps_between([here], [here, there], frozenset(DIGITS), frozenset([there.path])) == (Drop(there),)


@given(FILES, FILES)
def test_every_put_comes_before_every_drop_and_no_step_is_idle(wanted: dict[str, Any], placed: dict[str, Any]) -> None:
    steps = steps_between(outputs(wanted), outputs(placed))
    kinds = [type(step) for step in steps]
    assert kinds == sorted(kinds, key=[Put, Drop].index)
    assert len(steps) == len({step.output.path for step in steps})
    assert not {step.output for step in steps if isinstance(step, Put)} & set(outputs(placed))


@given(
    st.one_of(
        st.builds(Text, st.text(st.characters(codec="utf-8"))),
        st.builds(Render, st.just("ab" * 32), st.none() | st.builds(Box, *[st.integers(-9, 9)] * 4), st.booleans(),
                  st.none() | st.tuples(st.integers(1, 9), st.integers(1, 9)), st.just("#102030")),
        st.builds(lambda boxes: Render("ab" * 32, mask=True, window=boxes[0], hidden=tuple(boxes[1:])),
                  st.lists(st.builds(Box, *[st.integers(-9, 9)] * 4), min_size=1, max_size=3)),
    )
)  # fmt: skip
def test_contents_are_read_back_as_they_were_written(content: Render | Text) -> None:
    assert content_from(content_text(content)) == content
    assert "\n" not in content_text(content)


@pytest.mark.parametrize("path", ["", "/etc/passwd", "../x.png", "a/../../x.png", "a\\..\\x.png", "C:/x.png", "a/b:c"])
def test_no_output_lies_outside_the_library(path: str) -> None:
    with pytest.raises(LibraryError, match="would lie outside"):
        inside(Path("/library"), path)


def test_a_census_counts_reasons_most_frequent_first() -> None:
    failures = [Unreadable(Path(name), reason) for name, reason in [("a", "x"), ("b", "y"), ("c", "y")]]
    assert Report(failures=failures).reasons().most_common() == [("y", 2), ("x", 1)]


def test_the_layout_is_a_plain_value() -> None:
    assert isinstance(LAYOUT, ClassFolders)
    assert LAYOUT.folders.names["mood"] == {
        "happy": "happy", "con": "_con", "a/b": "a_b", "Happy": "Happy-2", "_unsure": "_unsure-2",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("score", "threshold", "said"),
    [
        (0.41, 0.5, "41%, below 50%"),
        (0.4996, 0.5, "49.96%, below 50.00%"),
        (0.7, 1.0, "70%, and no score"),
    ],
)
def test_a_doubt_says_numbers_that_differ(score: float, threshold: float, said: str) -> None:
    labels = (Label("mood", "happy", score, "model"),)
    verdict = decide(PICTURE, labels, SCHEME.model_copy(update={"axes": {"mood": Axis(threshold=threshold)}}))
    assert said in verdict.doubts[0]
