"""A person's answers come in through one door, are seen by every reader of a library, and are taken back by undo."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sorter.commands.answer import answer
from sorter.commands.export import export
from sorter.commands.job import Job
from sorter.commands.report import write_report
from sorter.commands.sort import sort
from sorter.commands.undo import undo
from sorter.errors import LibraryError
from sorter.library.names import digits_in
from sorter.library.store.manifest import Manifest
from sorter.records import CAPTION, LIBRARY, REMOVED
from sorter.tally import Report
from tests.sorter.by_hand import move, one

Tree = Callable[..., dict[str, str]]


@pytest.fixture
def sorted_library(frames: Path, library: Path, job: Job) -> Path:
    sort(frames, library, job)
    return library


def picture_of(library: Path, pattern: str) -> str:
    with Manifest(library) as manifest:
        return str(manifest.hash_of(digits_in(one(library, pattern).stem)))


def give(library: Path, job: Job, sha256: str, axis: str, value: str | None) -> None:
    with Manifest(library) as manifest:
        answer(manifest, job, sha256, axis, value, Report())


def test_an_answer_is_what_a_drag_would_have_been(frames: Path, sorted_library: Path, job: Job, tree_of: Tree) -> None:
    before = tree_of(sorted_library)
    sha256 = picture_of(sorted_library, "sad-*.jpg")
    give(sorted_library, job, sha256, "mood", "happy")
    sort(frames, sorted_library, job)
    assert one(sorted_library, "sad-*.jpg").parent.parent.name == "happy"
    assert "happy" in one(sorted_library, "sad-*.txt").read_text()
    undo(sorted_library, 2)
    assert tree_of(sorted_library) == before
    sort(frames, sorted_library, job)
    assert tree_of(sorted_library) == before


def test_an_answer_can_be_taken_back(frames: Path, sorted_library: Path, job: Job, tree_of: Tree) -> None:
    before = tree_of(sorted_library)
    sha256 = picture_of(sorted_library, "sad-*.jpg")
    for value in ("happy", None):
        give(sorted_library, job, sha256, "mood", value)
    assert sort(frames, sorted_library, job)[1] == ()
    assert tree_of(sorted_library) == before


@pytest.mark.parametrize(
    ("axis", "value", "sentence"),
    [
        ("mod", "happy", '"mod" is not asked here; did you mean "mood"'),
        ("mood", "hapy", '"hapy" is not a class of mood; did you mean "happy"'),
        (LIBRARY, "gone", '"gone" is not a class of library'),
    ],
)
def test_a_wrong_answer_is_a_sentence(sorted_library: Path, job: Job, axis: str, value: str, sentence: str) -> None:
    with pytest.raises(LibraryError, match=sentence):
        give(sorted_library, job, picture_of(sorted_library, "sad-*.jpg"), axis, value)
    with pytest.raises(LibraryError, match="has no picture 0000000000"):
        give(sorted_library, job, "0" * 64, "mood", "happy")


@pytest.mark.parametrize("with_caption", [True, False])
def test_undo_takes_a_move_back_whole(
    frames: Path, sorted_library: Path, job: Job, tree_of: Tree, with_caption: bool
) -> None:
    before = tree_of(sorted_library)
    move(sorted_library, "sad-*.jpg", "happy/left", caption=with_caption)
    sort(frames, sorted_library, job)
    assert one(sorted_library, "sad-*.txt").parent == one(sorted_library, "sad-*.jpg").parent
    report = undo(sorted_library)
    assert report.counts["answers taken back"] == 1
    assert tree_of(sorted_library) == before
    assert sort(frames, sorted_library, job)[1] == ()
    assert tree_of(sorted_library) == before


def test_undo_brings_a_deleted_picture_back(frames: Path, sorted_library: Path, job: Job, tree_of: Tree) -> None:
    before = tree_of(sorted_library)
    for path in sorted_library.rglob("sad-*"):
        path.unlink()
    sort(frames, sorted_library, job)
    undo(sorted_library)
    assert tree_of(sorted_library) == before
    with Manifest(sorted_library) as manifest:
        assert manifest.answered(LIBRARY, REMOVED) == frozenset()


def test_a_run_that_only_took_over_a_caption_is_a_run(
    frames: Path, sorted_library: Path, job: Job, tree_of: Tree
) -> None:
    """Undoing it does not take back the one before; and nobody's words are taken from them."""
    path = one(sorted_library, "sad-*.txt")
    path.write_text("my own words")
    before = tree_of(sorted_library)
    sort(frames, sorted_library, job)
    undo(sorted_library)
    assert tree_of(sorted_library) == before
    sort(frames, sorted_library, job)
    assert path.read_text() == "my own words"
    with Manifest(sorted_library) as manifest:
        assert manifest.given(picture_of(sorted_library, "sad-*.jpg"), CAPTION) == "my own words"


def test_every_reader_sees_what_was_done_since_the_last_run(
    frames: Path,
    sorted_library: Path,
    project: Path,
    job: Job,
    tmp_path: Path,
    run_cli: Callable[..., Any],
    tree_of: Tree,
) -> None:
    move(sorted_library, "sad-*.jpg", "happy/front")
    one(sorted_library, "front-*.txt").write_text("my own words")

    def manifest() -> bytes:
        return (sorted_library / ".modelsheet" / "manifest.sqlite").read_bytes()

    before = manifest()
    report = write_report(sorted_library, tmp_path / "page.html", job)
    assert report.corrections.moved == 1
    assert report.corrections.captions == 1
    assert report.folders["happy/front"] == 1
    assert "1 of the answers on mood were given by a person" in (tmp_path / "page.html").read_text()
    assert manifest() == before  # reading changes nothing
    export(sorted_library, tmp_path / "dataset", job)  # which keeps what it found of bars, and nothing else
    before = manifest()
    assert '"mood": "happy", "direction": "front"' in (tmp_path / "dataset" / "metadata.jsonl").read_text().replace(
        '"direction": "front", "mood": "happy"', '"mood": "happy", "direction": "front"'
    )
    assert "my own words" in (tmp_path / "dataset" / "metadata.jsonl").read_text()
    code, out, _ = run_cli("plan", sorted_library, "--scheme", project / "scheme.toml")
    assert code == 0
    assert "happy/front/sad-" in out
    export(sorted_library, tmp_path / "again", job)
    assert manifest() == before
