"""The questions of a scheme, written and added to from a page."""

from __future__ import annotations

from pathlib import Path

import pytest

from sorter.commands.questions import SUGGESTED, add_axis, add_class, begin
from sorter.errors import SchemeError
from sorter.scheme import load_scheme


def test_a_scheme_is_begun_with_the_questions(tmp_path: Path) -> None:
    path = tmp_path / "scheme.toml"
    begin(path, "Lantern Bay", "lbay", {"character": ("mira", "tobo"), "direction": ("left", "right", "front")})
    scheme = load_scheme(path)
    assert (scheme.name, scheme.trigger) == ("Lantern Bay", "lbay")
    assert list(scheme.axes) == ["character", "direction"]
    assert scheme.axes["direction"].canonical == "left"
    assert scheme.axes["direction"].classes["left"].mirror == "right"
    assert scheme.axes["character"].threshold == "auto"


def test_all_that_is_suggested_makes_a_scheme(tmp_path: Path) -> None:
    scheme = begin(tmp_path / "scheme.toml", "x", "", {**SUGGESTED, "place": ("inside", "outside")})
    assert list(scheme.axes) == [*SUGGESTED, "place"]


def test_classes_that_say_nothing_are_begun_silent(tmp_path: Path) -> None:
    path = tmp_path / "scheme.toml"
    begin(path, "x", "", {"who": ("mira", "nobody", "Other"), "mood": ("happy", "unknown")})
    assert "adds no words to captions" in path.read_text(encoding="utf-8")
    add_class(path, "mood", "no_one")
    axes = add_class(path, "mood", "another").axes
    silent = {name for axis in axes.values() for name in axis.classes if not axis.tag(name)}
    assert silent == {"nobody", "Other", "unknown", "no_one"}


def test_blur_is_measured_and_needs_no_answers(tmp_path: Path) -> None:
    path = tmp_path / "scheme.toml"
    scheme = begin(path, "x", "", {"pose": ("a", "b"), "blur": ("sharp", "blurry")})
    assert (scheme.axes["blur"].measure, scheme.axes["blur"].model) == ("sharpness", None)
    assert scheme.axes["blur"].classes["blurry"].drop
    assert add_axis(tmp_path / "scheme.toml", "camera", ("near", "far")).axes["camera"].measure is None
    other = begin(tmp_path / "other.toml", "x", "", {"blur": ("sharp", "blurry", "grainy")})
    assert other.axes["blur"].measure is None  # a third class is none that is measured


def test_a_class_is_added_and_comments_stay(tmp_path: Path) -> None:
    path = tmp_path / "scheme.toml"
    begin(path, "x", "", {"pose": ("a", "b")})
    path.write_text("# mine\n" + path.read_text(encoding="utf-8"), encoding="utf-8")
    add_class(path, "pose", "upside_down")
    assert path.read_text(encoding="utf-8").startswith("# mine\n")
    assert load_scheme(path).axes["pose"].classes["upside_down"].tag == "upside down"
    add_axis(path, "mood", ("happy", "sad"))
    add_class(path, "mood", "très content")
    assert "très content" in load_scheme(path).axes["mood"].classes


@pytest.mark.parametrize(
    ("axes", "sentence"),
    [
        ({}, "needs at least one question"),
        ({"pose 1": ("a", "b")}, '"pose 1" is not a name for a question'),
        ({"caption": ("a", "b")}, '"caption" is not a name for a question'),
        ({"pose": ("A", "a")}, "differ in nothing but their case"),
        ({"pose": tuple(map(str, range(101)))}, "at most 100"),
    ],
)
def test_what_cannot_be_a_question_is_a_sentence_and_writes_nothing(
    tmp_path: Path, axes: dict[str, tuple[str, ...]], sentence: str
) -> None:
    with pytest.raises(SchemeError, match=sentence):
        begin(tmp_path / "scheme.toml", "x", "", axes)
    assert list(tmp_path.iterdir()) == []


def test_a_scheme_that_is_there_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "scheme.toml"
    begin(path, "x", "", {"pose": ("a", "b")})
    before = path.read_bytes()
    for act, sentence in (
        (lambda: begin(path, "y", "", {"mood": ("a", "b")}), "is there already"),
        (lambda: add_axis(path, "pose", ("c", "d")), "already"),
        (lambda: add_class(path, "mood", "c"), 'does not ask for "mood"'),
        (lambda: add_class(path, "pose", "A"), "case"),
    ):
        with pytest.raises(SchemeError, match=sentence):
            act()
    assert path.read_bytes() == before
