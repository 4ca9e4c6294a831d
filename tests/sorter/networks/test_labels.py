from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sorter.errors import ModelError
from sorter.library.names import LONGEST, UNSURE, folder_names
from sorter.networks.labels import format_labels, parse_labels
from sorter.text import RESERVED, clean

HOSTILE = ["../../etc", "con", "CON.txt", "com¹", "a/b", "a\\b", "C:", "..", ".", "", " ", "a\nb", "😀" * 40, "x" * 300,
           "Happy", "happy", "HAPPY", "_unsure", "trailing.", " leading", "nul", ".modelsheet", "ﬁ", "fi"]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("0 left\n1 right\n", ("left", "right")),
        ("0 left\n1 right", ("left", "right")),
        ("0 left\r\n1 right\r\n\r\n", ("left", "right")),
        ("\ufeff0 left\n1 right\n", ("left", "right")),
        ("left\nright\n", ("left", "right")),
        ("0  left  hand \n1 right\t hand\n", ("left hand", "right hand")),
        ("0 웃는 얼굴\n1 슬픈 얼굴\n", ("웃는 얼굴", "슬픈 얼굴")),
        ("0 with/without\n1 none\n", ("with/without", "none")),
        ("0 a very long n...\n1 a very long n...\n", ("a very long n... 0", "a very long n... 1")),
        ("".join(f"{n} class {n}\n" for n in range(22)), tuple(f"class {n}" for n in range(22))),
        ("0 Class 1\n1 Class 2\n", ("Class 1", "Class 2")),
        ("2 apples\n3 pears\n", ("2 apples", "3 pears")),
        ("0 \n1 b\n", ("0", "b")),
        ("0\n1\n", ("0", "1")),
        ("0 a\n1 a\n2 a 1\n", ("a 0", "a 1 1", "a 1 2")),
        ("a\x00b\nc\x1b[31m\n", ("a b", "c [31m")),
    ],
)
def test_labels_as_they_are_met_in_the_wild(text: str, names: tuple[str, ...]) -> None:
    assert parse_labels(text, "labels.txt") == names


@pytest.mark.parametrize("text", ["", "\n\n  \n", "\ufeff"])
def test_no_labels_are_refused(text: str) -> None:
    with pytest.raises(ModelError, match=r"labels.txt: holds no labels"):
        parse_labels(text, "labels.txt")


@given(st.lists(st.text(max_size=8), min_size=1, max_size=6))
def test_labels_are_distinct_lines_of_visible_text(lines: list[str]) -> None:
    try:
        names = parse_labels("\n".join(lines), "labels.txt")
    except ModelError:
        return
    assert len(set(names)) == len(names)
    assert all(name == clean(name) for name in names)


@given(st.lists(st.text(min_size=1, max_size=20).map(clean), min_size=1, max_size=12, unique=True))
def test_written_labels_are_read_back(names: list[str]) -> None:
    assert parse_labels(format_labels(tuple(names)), "labels.txt") == tuple(names)


def assert_legal(folder: str) -> None:
    assert folder.strip(" .") == folder != ""
    assert len(folder) <= LONGEST + 4
    assert len(folder.encode()) <= 255
    assert not set(folder) & set('<>:"/\\|?*') and folder.isprintable()
    assert folder.split(".")[0].strip().casefold() not in RESERVED
    assert folder.casefold() != UNSURE


def test_hostile_classes_become_legal_distinct_folders() -> None:
    folders = folder_names(HOSTILE)
    assert set(folders) == set(HOSTILE) and len(HOSTILE) == 24
    assert len({folder.casefold() for folder in folders.values()}) == 24
    for folder in folders.values():
        assert_legal(folder)


@given(st.lists(st.text(max_size=70), max_size=8, unique=True))
def test_any_classes_become_legal_distinct_folders(names: list[str]) -> None:
    folders = folder_names(names)
    assert len({folder.casefold() for folder in folders.values()}) == len(names)
    for folder in folders.values():
        assert_legal(folder)


def test_a_plain_class_is_its_own_folder() -> None:
    assert folder_names(["happy", "웃는 얼굴", "a-b_c"]) == {name: name for name in ("happy", "웃는 얼굴", "a-b_c")}
