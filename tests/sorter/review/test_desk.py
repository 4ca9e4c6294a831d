"""What the page does to a library, without a browser."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sorter.errors import LibraryError
from sorter.records import CAPTION, LIBRARY
from sorter.review.catalogue import Query
from sorter.review.desk import Desk
from sorter.review.refitting import is_of_answers


@pytest.fixture
def desk(project: Path, frames: Path, library: Path, run_cli: Any) -> Iterator[Desk]:
    assert run_cli("sort", frames, "--to", library, "--scheme", project / "scheme.toml")[0] in (0, 1)
    made = Desk(library, project / "scheme.toml", None)
    made.open()
    assert made.trouble == ""
    yield made
    made.close()


def listed(desk: Desk, *query: str) -> list[str]:
    return desk.lists[desk.find(Query(*query))].hashes


def given(desk: Desk, sha256: str, axis: str) -> str | None:
    assert desk.manifest is not None
    return desk.manifest.given(sha256, axis)


def test_doubts_come_with_the_least_margin_first(desk: Desk) -> None:
    assert desk.catalogue is not None
    found = listed(desk, "doubts", "mood")
    margins = [desk.catalogue.margin(desk.catalogue.verdicts[one], "mood") for one in found]
    assert found
    assert margins == sorted(margins)


def test_each_act_is_answered_and_taken_back_one_by_one(desk: Desk) -> None:
    first, second = listed(desk, "all")[:2]
    desk.act("answer", [first, second], "mood", "happy")
    desk.act("drop", [first])
    desk.act("caption", [second], value="mine, <b>bold</b>")
    desk.act("turn", [second])
    assert given(desk, first, "mood") == "happy"
    assert given(desk, first, LIBRARY) == "removed"
    assert given(desk, second, CAPTION) == "mine, <b>bold</b>"
    turned = given(desk, second, "direction")
    assert turned in ("left", "right")
    assert desk.undo() == [second]
    assert given(desk, second, "direction") is None
    assert desk.undo() == [second]
    assert desk.undo() == [first]
    assert given(desk, first, LIBRARY) is None
    assert sorted(desk.undo()) == sorted([first, second])
    assert given(desk, first, "mood") is None
    assert desk.undo() == []


def test_an_answer_wants_a_dropped_picture_again(desk: Desk) -> None:
    sha256 = listed(desk, "all")[0]
    desk.act("drop", [sha256])
    assert sha256 in listed(desk, "left out")
    desk.act("answer", [sha256], "mood", "happy")
    assert given(desk, sha256, LIBRARY) is None


def test_a_turned_picture_is_answered_as_it_stands(desk: Desk) -> None:
    turned = listed(desk, "turned")[0]
    assert desk.catalogue is not None
    seen = desk.catalogue.row(turned, standing=True)["answers"]["direction"]["name"]
    found = desk.catalogue.row(turned)["answers"]["direction"]["name"]
    assert {seen, found} == {"left", "right"}
    desk.act("answer", [turned], "direction", seen, standing=True)
    assert given(desk, turned, "direction") == found


def test_wrong_acts_are_sentences_and_change_nothing(desk: Desk) -> None:
    sha256 = listed(desk, "all")[0]
    for what, axis, value in (("answer", "mood", "nobody"), ("answer", "moood", "happy"), ("explode", "", "")):
        with pytest.raises(LibraryError):
            desk.act(what, [sha256], axis, value)
    assert desk.act("answer", ["0" * 64], "mood", "happy") == []
    assert desk.acts in ([], [[]])


def test_search_finds_names_classes_and_captions_whatever_their_case(desk: Desk) -> None:
    everything = listed(desk, "all")
    assert set(listed(desk, "all", "", "", "HAPPY")) < set(everything)
    assert desk.catalogue is not None
    name = desk.catalogue.row(everything[0])["name"]
    assert everything[0] in listed(desk, "all", "", "", name.upper())
    assert listed(desk, "all", "", "", "no such words") == []


def test_rows_name_no_folder_of_the_machine(desk: Desk) -> None:
    name = desk.find(Query("all"))
    for row in desk.rows(name, 0, 500):
        assert str(desk.folder) not in str(row)


def test_others_changes_are_seen(desk: Desk, project: Path, run_cli: Any) -> None:
    sha256 = listed(desk, "all")[0]
    before = desk.revision
    desk.look()
    assert desk.revision == before
    desk.act("answer", [sha256], "mood", "happy")
    # In a process of its own, as a second page or a command is: this one may not open the manifest twice.
    import subprocess
    import sys

    subprocess.run([sys.executable, "-m", "sorter", "undo", str(desk.library)], check=True, capture_output=True)
    before = desk.revision
    desk.look()
    assert desk.revision == before + 1
    assert given(desk, sha256, "mood") is None


def test_a_sorter_of_a_persons_is_not_ours_to_replace(desk: Desk, project: Path) -> None:
    assert not is_of_answers(desk, "mood")  # an export
    shutil.rmtree(project / "models" / "mood")
    desk.open()
    assert is_of_answers(desk, "mood")  # nothing is there


def test_a_broken_scheme_is_said(project: Path, library: Path) -> None:
    (project / "scheme.toml").write_text("folders = 3", encoding="utf-8")
    desk = Desk(library, project / "scheme.toml", None)
    desk.open()
    assert "scheme.toml" in desk.trouble
    with pytest.raises(LibraryError, match=r"scheme\.toml"):
        desk.find(Query("all"))
    desk.close()
