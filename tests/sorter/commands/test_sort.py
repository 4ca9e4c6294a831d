"""A folder of pictures into a library and back, by way of real exports."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageOps

from sorter.classify.ask import Questions
from sorter.commands import scan as scanning
from sorter.commands.job import Job, load_job
from sorter.commands.sort import sort
from sorter.commands.undo import undo
from sorter.errors import LibraryError
from sorter.library.store.manifest import Manifest
from sorter.library.store.schema import MIGRATIONS
from sorter.records import HUMAN, Label, Picture
from sorter.tally import Report
from tests.sorter.by_hand import move, one

Tree = Callable[..., dict[str, str]]


def stems(tree: dict[str, str]) -> set[str]:
    """The files of a library without the hashes in their names."""
    return {f"{name.rpartition('-')[0]}{Path(name).suffix}" for name in tree if not name.endswith("/")}


EVERYTHING = {
    f"{name}{suffix}"
    for name, ending in {
        "happy/left/left_happy": ".png",
        "happy/left/right_happy": ".png",
        "sad/left/sad": ".jpg",
        "sad/front/front": ".png",
        "_unsure/left/doubtful": ".png",
    }.items()
    for suffix in (ending, ".txt")
}


@pytest.fixture
def sorted_library(frames: Path, library: Path, job: Job) -> Path:
    sort(frames, library, job)
    return library


# --- sorting


def test_every_picture_comes_to_its_folder_with_its_caption(
    frames: Path, library: Path, job: Job, tree_of: Tree
) -> None:
    report, steps = sort(frames, library, job)
    assert stems(tree_of(library)) == EVERYTHING
    assert not steps and report.counts["pictures placed"] == report.counts["captions placed"] == 5
    counts = report.counts
    assert (counts["pictures"], counts["wanted"], counts["turned"], counts["in doubt"], counts["copies"]) == (
        6,
        5,
        2,
        1,
        1,
    )
    assert (counts["pictures placed"], counts["captions placed"], counts["files"]) == (5, 5, 9)
    assert report.unwanted == {"direction: nobody": 1}
    assert report.doubts == {"mood": 1}
    assert report.folders == {"happy/left": 2, "sad/left": 1, "sad/front": 1, "_unsure/left": 1}
    assert one(library, "sad-*.txt").read_text() == "mira, facing left, sad\n"
    assert one(library, "doubtful-*.txt").read_text() == "mira, facing left\n"


def test_a_picture_that_faces_the_other_way_is_turned_and_no_other_is_touched(
    frames: Path, sorted_library: Path
) -> None:
    original = Image.open(frames / "right happy.png")
    turned = Image.open(one(sorted_library, "right_happy-*.png"))
    assert turned.tobytes() == ImageOps.mirror(original).tobytes() != original.tobytes()
    assert one(sorted_library, "left_happy-*.png").read_bytes() == (frames / "left happy.png").read_bytes()
    assert one(sorted_library, "front-*.png").read_bytes() == (frames / "front.png").read_bytes()


def test_originals_are_untouched(frames: Path, library: Path, job: Job, tree_of: Tree) -> None:
    def look() -> dict[str, Any]:
        return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in sorted(frames.rglob("*"))}

    before = look(), tree_of(frames, hidden=True)
    sort(frames, library, job)
    undo(library)
    assert (look(), tree_of(frames, hidden=True)) == before


def test_a_second_sort_does_nothing_and_reads_nothing(
    frames: Path, sorted_library: Path, job: Job, tree_of: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tree_of(sorted_library)

    def read(*_: object) -> None:
        raise AssertionError("a file was read again")

    monkeypatch.setattr(Questions, "answer", read)
    monkeypatch.setattr(scanning, "prepare", lambda *_: None)
    report, steps = sort(frames, sorted_library, job)
    assert steps == ()
    assert report.counts["pictures"] == 6
    assert [str(failure.path.name) for failure in report.failures] == ["empty.png", "text.png"]
    assert tree_of(sorted_library) == before


def test_a_changed_original_is_read_again(
    frames: Path, sorted_library: Path, job: Job, draw: Any, tree_of: Tree
) -> None:
    draw("front", "happy", 7).save(frames / "front.png")
    report, _ = sort(frames, sorted_library, job)
    assert report.counts["pictures placed"] == 1
    assert "happy/front/front.png" in stems(tree_of(sorted_library))


def test_a_dry_run_changes_nothing_at_all(frames: Path, library: Path, job: Job, tree_of: Tree) -> None:
    report, steps = sort(frames, library, job, dry_run=True)
    assert len(steps) == 10 and report.counts["wanted"] == 5 and report.run is None
    assert not library.exists()
    sort(frames, library, job)
    (frames / "front.png").unlink()
    move(library, "sad-*.jpg", "happy/left")
    before = tree_of(library, hidden=True)
    _, steps = sort(frames, library, job, dry_run=True)
    undo(library, dry_run=True)
    assert len(steps) == 1  # the caption says something else now
    assert tree_of(library, hidden=True) == before


def test_what_cannot_be_used_is_in_the_census(frames: Path, library: Path, job: Job) -> None:
    report, _ = sort(frames, library, job)
    assert {failure.path.name: failure.reason.split(":")[0] for failure in report.failures} == {
        "empty.png": "the file is empty",
        "text.png": "not a picture",
    }
    assert report.counts["unreadable"] == 2
    assert report.reasons().total() == 2


def test_a_picture_found_twice_is_placed_once(tmp_path: Path, library: Path, job: Job, draw: Any, grow: Any) -> None:
    source = grow(tmp_path / "two", {"a.png": draw(), "b.png": draw(), "c": {"a.png": draw()}})
    report, _ = sort(source, library, job)
    assert report.counts["pictures placed"] == 1
    assert report.counts["copies"] == 2


def test_new_pictures_join_and_old_ones_stay(
    frames: Path, sorted_library: Path, job: Job, draw: Any, tree_of: Tree
) -> None:
    before = tree_of(sorted_library)
    draw("left", "sad", 9).save(frames / "later.png")
    report, _ = sort(frames, sorted_library, job)
    assert report.counts["pictures placed"] == 1
    after = tree_of(sorted_library)
    assert before.items() <= after.items() and len(after) == len(before) + 2


def test_an_original_that_is_gone_leaves_its_picture_in_place(
    frames: Path, sorted_library: Path, job: Job, tree_of: Tree
) -> None:
    before = tree_of(sorted_library)
    for path in frames.rglob("*.png"):
        path.unlink()
    sort(frames, sorted_library, job)
    assert tree_of(sorted_library) == before


def test_two_heaps_share_a_library(
    tmp_path: Path, library: Path, job: Job, draw: Any, grow: Any, tree_of: Tree
) -> None:
    for number in (1, 2):
        sort(grow(tmp_path / str(number), {"same name.png": draw(number=number)}), library, job)
    assert len([name for name in tree_of(library) if name.endswith(".png")]) == 2


@pytest.mark.parametrize("where", ["library", "library/deeper", "library/.modelsheet"])
def test_a_source_in_the_library_is_refused(tmp_path: Path, job: Job, where: str) -> None:
    (tmp_path / where).mkdir(parents=True)
    with pytest.raises(LibraryError, match="lies in the library"):
        sort(tmp_path / where, tmp_path / "library", job)


def test_a_library_in_the_source_is_passed_over(frames: Path, job: Job, tree_of: Tree) -> None:
    sort(frames, frames / "library", job)
    before = tree_of(frames / "library")
    report, steps = sort(frames, frames / "library", job)
    assert steps == () and report.counts["files"] == 9
    assert tree_of(frames / "library") == before
    assert [name for name in before if name.startswith("zoo")] == []


def test_a_source_that_is_not_there_makes_no_library(tmp_path: Path, library: Path, job: Job) -> None:
    with pytest.raises(LibraryError, match="does not exist; give the folder that holds the pictures"):
        sort(tmp_path / "gone", library, job)
    assert not library.exists()


def test_a_library_knows_its_originals_wherever_the_next_command_runs(
    frames: Path, library: Path, project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tree_of: Tree
) -> None:
    path = project / "scheme.toml"
    monkeypatch.chdir(tmp_path)
    sort(Path("frames"), library, load_job(path))
    monkeypatch.chdir(project)
    path.write_text(path.read_text().replace('canonical = "left"', 'canonical = "right"'))
    report, _ = sort(frames, library, load_job(path))
    assert len(report.failures) == 2  # the two that are no pictures
    assert one(library, "right_happy-*.png").read_bytes() == (frames / "right happy.png").read_bytes()


# --- folders are labels


def test_a_moved_picture_is_an_answer(frames: Path, sorted_library: Path, job: Job) -> None:
    moved = move(sorted_library, "sad-*.jpg", "happy/left")
    report, steps = sort(frames, sorted_library, job)
    assert report.corrections.moved == 1
    assert moved.exists()
    assert moved.with_suffix(".txt").read_text() == "mira, facing left, happy\n"
    assert len(steps) == 1
    assert sort(frames, sorted_library, job)[1] == ()
    with Manifest(sorted_library) as manifest:
        labels = {label.name for _, found in manifest.pictures({}) for label in found if label.source == "human"}
    assert labels == {"happy"}


def test_a_picture_moved_without_its_caption_gets_it_back(
    frames: Path, sorted_library: Path, job: Job, tree_of: Tree
) -> None:
    moved = move(sorted_library, "sad-*.jpg", "happy/left", caption=False)
    sort(frames, sorted_library, job)
    assert moved.with_suffix(".txt").read_text() == "mira, facing left, happy\n"
    assert not (sorted_library / "sad/left").exists()
    assert len(tree_of(sorted_library)) == len(EVERYTHING) + 6  # with the folders


def test_a_picture_in_doubt_is_certain_once_it_was_moved(frames: Path, sorted_library: Path, job: Job) -> None:
    moved = move(sorted_library, "doubtful-*.png", "happy/left")
    report, _ = sort(frames, sorted_library, job)
    assert report.counts["in doubt"] == 0
    assert moved.with_suffix(".txt").read_text() == "mira, facing left, happy\n"


@pytest.mark.parametrize("folder", ["happy/right", "happy/front"])
def test_a_turned_picture_that_is_moved_says_how_it_stands_now(
    frames: Path, sorted_library: Path, job: Job, folder: str, tree_of: Tree
) -> None:
    """It was turned by mistake: to the right as it stands is to the left as it was found, so it is turned back."""
    move(sorted_library, "right_happy-*.png", folder)
    sort(frames, sorted_library, job)
    place = one(sorted_library, "right_happy-*.png")
    assert place.parent.relative_to(sorted_library).as_posix() == ("happy/left" if folder == "happy/right" else folder)
    assert place.read_bytes() == (frames / "right happy.png").read_bytes()
    expected = {"happy/right": "facing left", "happy/front": "facing the viewer"}[folder]
    assert place.with_suffix(".txt").read_text() == f"mira, {expected}, happy\n"
    before = tree_of(sorted_library)
    assert sort(frames, sorted_library, job)[1] == ()
    assert tree_of(sorted_library) == before


def test_an_untouched_picture_that_is_moved_to_the_other_side_is_turned(
    frames: Path, sorted_library: Path, job: Job
) -> None:
    move(sorted_library, "left_happy-*.png", "happy/right")
    sort(frames, sorted_library, job)
    place = one(sorted_library, "left_happy-*.png")
    assert place.parent.name == "left"
    assert Image.open(place).tobytes() == ImageOps.mirror(Image.open(frames / "left happy.png")).tobytes()


def test_a_deleted_picture_stays_away_until_it_is_restored(
    frames: Path, sorted_library: Path, job: Job, tree_of: Tree
) -> None:
    before = tree_of(sorted_library)
    one(sorted_library, "sad-*.jpg").unlink()
    report, steps = sort(frames, sorted_library, job)
    assert report.corrections.removed == 1
    assert report.unwanted["removed by hand"] == 1
    assert len(steps) == 1  # its caption goes, too
    assert not list(sorted_library.rglob("sad-*"))
    assert sort(frames, sorted_library, job)[1] == ()
    sort(frames, sorted_library, job, restore=True)
    assert tree_of(sorted_library) == before


def test_a_deleted_caption_comes_back(frames: Path, sorted_library: Path, job: Job, tree_of: Tree) -> None:
    before = tree_of(sorted_library)
    one(sorted_library, "sad-*.txt").unlink()
    report, _ = sort(frames, sorted_library, job)
    assert report.corrections.removed == 0
    assert tree_of(sorted_library) == before


def test_an_edited_picture_is_left_alone(frames: Path, sorted_library: Path, job: Job, draw: Any) -> None:
    path = one(sorted_library, "sad-*.jpg")
    draw("front", "happy", 5).save(path)
    edited = path.read_bytes()
    for _ in range(2):
        report, steps = sort(frames, sorted_library, job)
        assert report.corrections.edited == 1
        assert steps == ()
        assert path.read_bytes() == edited


def test_an_edited_picture_survives_undo(frames: Path, sorted_library: Path) -> None:
    path = one(sorted_library, "sad-*.jpg")
    path.write_bytes(b"by hand")
    report = undo(sorted_library)
    assert [(failure.path, failure.reason) for failure in report.failures] == [
        (path, "changed by hand, so it was left")
    ]
    assert path.read_bytes() == b"by hand"


def test_a_caption_by_hand_is_kept_and_travels(frames: Path, sorted_library: Path, job: Job) -> None:
    path = one(sorted_library, "sad-*.txt")
    path.write_text("mira,  my own words\nand more\n")
    report, steps = sort(frames, sorted_library, job)
    assert report.corrections.captions == 1
    assert steps == ()
    assert path.read_text() == "mira,  my own words\nand more\n"
    moved = move(sorted_library, "sad-*.jpg", "happy/front", caption=False)
    sort(frames, sorted_library, job)
    assert moved.with_suffix(".txt").read_text() == "mira, my own words, and more\n"
    assert not path.exists()


@pytest.mark.parametrize("data", [b"\xff\xfe", b""])
def test_a_caption_that_says_nothing_does_no_harm(frames: Path, sorted_library: Path, job: Job, data: bytes) -> None:
    one(sorted_library, "sad-*.txt").write_bytes(data)
    sort(frames, sorted_library, job)
    sort(frames, sorted_library, job)
    assert one(sorted_library, "sad-*.jpg").exists()


def test_a_picture_moved_to_no_class_folder_is_left_alone(
    frames: Path, sorted_library: Path, job: Job, tree_of: Tree
) -> None:
    path = move(sorted_library, "sad-*.jpg", "best of")
    report, _ = sort(frames, sorted_library, job)
    assert report.corrections.misplaced == (path.relative_to(sorted_library).as_posix(),)
    before = tree_of(sorted_library)
    sort(frames, sorted_library, job)
    assert tree_of(sorted_library) == before
    moved = move(sorted_library, "sad-*.jpg", "happy/left")
    sort(frames, sorted_library, job)
    assert moved.with_suffix(".txt").read_text() == "mira, facing left, happy\n"


def test_a_strangers_file_in_the_library_is_left_alone(frames: Path, sorted_library: Path, job: Job, draw: Any) -> None:
    stranger = sorted_library / "happy" / "left" / "mine.png"
    draw("front", "sad", 11).save(stranger)
    bytes_before = stranger.read_bytes()
    assert sort(frames, sorted_library, job)[1] == ()
    undo(sorted_library)
    assert stranger.read_bytes() == bytes_before


def test_a_strangers_file_in_the_way_is_not_overwritten(frames: Path, library: Path, job: Job) -> None:
    sort(frames, library, job)
    place = one(library, "sad-*.jpg")
    undo(library)
    place.parent.mkdir(parents=True)
    place.write_bytes(b"a stranger's")
    report, _ = sort(frames, library, job)
    assert (place, "a file that is not ours stands there, so it was left") in [
        (f.path, f.reason) for f in report.failures
    ]
    assert place.read_bytes() == b"a stranger's"


# --- undo


def test_undo_empties_a_library_and_sorting_fills_it_again(
    frames: Path, sorted_library: Path, job: Job, tree_of: Tree
) -> None:
    before = tree_of(sorted_library)
    report = undo(sorted_library)
    assert tree_of(sorted_library) == {}
    assert report.counts["pictures removed"] == 5
    sort(frames, sorted_library, job)
    assert tree_of(sorted_library) == before


def test_undo_of_the_last_run_and_of_an_older_one(
    frames: Path, sorted_library: Path, job: Job, tree_of: Tree, draw: Any
) -> None:
    first = tree_of(sorted_library)
    draw("left", "sad", 21).save(frames / "second.png")
    second_run = sort(frames, sorted_library, job)[0].run
    second = tree_of(sorted_library)
    draw("left", "sad", 22).save(frames / "third.png")
    sort(frames, sorted_library, job)
    undo(sorted_library)
    assert tree_of(sorted_library) == second
    undo(sorted_library)
    assert tree_of(sorted_library) == first
    sort(frames, sorted_library, job)
    assert len(tree_of(sorted_library)) == len(second) + 2
    undo(sorted_library, second_run)
    assert tree_of(sorted_library) == first
    undo(sorted_library)
    assert tree_of(sorted_library) == {}
    with pytest.raises(LibraryError, match="runs that changed it: none"):
        undo(sorted_library)


def test_undo_of_a_resort_puts_turned_pictures_back_as_they_were(
    frames: Path, sorted_library: Path, project: Path, tree_of: Tree
) -> None:
    before = tree_of(sorted_library)
    path = project / "scheme.toml"
    path.write_text(path.read_text().replace('canonical = "left"', 'canonical = "right"'))
    sort(frames, sorted_library, load_job(path))
    assert "happy/right/left_happy.png" in stems(tree_of(sorted_library))
    undo(sorted_library)
    assert tree_of(sorted_library) == before


def test_undo_of_a_run_that_is_none_says_which_there_are(sorted_library: Path, tmp_path: Path) -> None:
    with pytest.raises(LibraryError, match=r"no such thing as run 77 to undo; runs that changed it: 1"):
        undo(sorted_library, 77)
    with pytest.raises(LibraryError, match="is not a library"):
        undo(tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()


def test_undo_of_the_first_run_takes_back_what_was_moved_by_hand(
    frames: Path, sorted_library: Path, job: Job, tree_of: Tree
) -> None:
    move(sorted_library, "sad-*.jpg", "happy/left")
    sort(frames, sorted_library, job)
    undo(sorted_library, 1)
    assert [name for name in tree_of(sorted_library) if not name.endswith("/")] == []


# --- take


def test_take_moves_originals_and_undo_brings_the_same_bytes_back(
    frames: Path, library: Path, job: Job, tree_of: Tree
) -> None:
    before = tree_of(frames)
    report, _ = sort(frames, library, job, take=True)
    assert report.counts["originals taken"] == 6  # five pictures, one of them found twice
    left = {name for name in tree_of(frames) if not name.endswith("/")}
    assert left == {"empty.png", "zoo/nobody.png", "zoo/text.png", "zoo/notes.txt"}
    placed = tree_of(library)
    assert sort(frames, library, job)[1] == ()
    assert tree_of(library) == placed
    undo(library)
    assert tree_of(frames) == before
    assert tree_of(library) == {}


def test_a_taken_picture_can_still_be_turned_back(frames: Path, library: Path, job: Job) -> None:
    original = (frames / "right happy.png").read_bytes()
    sort(frames, library, job, take=True)
    move(library, "right_happy-*.png", "happy/front")
    sort(frames, library, job)
    assert one(library, "right_happy-*.png").read_bytes() == original


def test_undo_of_take_does_not_overwrite_another_file(frames: Path, library: Path, job: Job, draw: Any) -> None:
    sort(frames, library, job, take=True)
    (frames / "front.png").write_bytes(b"a new one")
    report = undo(library)
    assert [failure.path.name for failure in report.failures] == ["front.png"]
    assert (frames / "front.png").read_bytes() == b"a new one"
    assert (frames / "sad.jpg").exists()


def test_take_leaves_the_pictures_of_another_heap(
    tmp_path: Path, library: Path, job: Job, draw: Any, grow: Any
) -> None:
    other = grow(tmp_path / "other", {"a.png": draw(number=1)})
    sort(other, library, job)
    sort(grow(tmp_path / "heap", {"b.png": draw(number=2)}), library, job, take=True)
    assert (other / "a.png").exists()


# --- another sorter, another scheme


def test_a_new_sorter_is_asked_again_on_its_own_axis_only(
    frames: Path, sorted_library: Path, project: Path, exports: Path, monkeypatch: pytest.MonkeyPatch, tree_of: Tree
) -> None:
    before = tree_of(sorted_library)
    shutil.rmtree(project / "models" / "mood")
    shutil.copytree(exports / "mood-2", project / "models" / "mood")
    asked: list[tuple[str, ...]] = []
    answer = Questions.answer

    def spy(self: Questions, path: Path, data: bytes, names: Any = None, sha256: str = "") -> Any:
        asked.append(tuple(names))
        return answer(self, path, data, names, sha256)

    monkeypatch.setattr(Questions, "answer", spy)
    sort(frames, sorted_library, load_job(project / "scheme.toml"))
    assert set(asked) == {("mood",)}
    assert len(asked) == 6  # once a picture, however many files hold it
    assert tree_of(sorted_library) == before


@pytest.mark.parametrize("asked_before", [True, False])
def test_another_way_of_asking_asks_again_on_its_own_axis_only(
    frames: Path, library: Path, project: Path, monkeypatch: pytest.MonkeyPatch, asked_before: bool
) -> None:
    path = project / "scheme.toml"
    once = path.read_text().replace('canonical = "left"\n', "")
    texts = [path.read_text(), once]
    path.write_text(texts[not asked_before])
    sort(frames, library, load_job(path))
    path.write_text(texts[asked_before])
    asked: list[tuple[str, ...]] = []
    answer = Questions.answer

    def spy(self: Questions, path: Path, data: bytes, names: Any = None, sha256: str = "") -> Any:
        asked.append(tuple(names))
        return answer(self, path, data, names, sha256)

    monkeypatch.setattr(Questions, "answer", spy)
    sort(frames, library, load_job(path))
    assert set(asked) == {("direction",)} and len(asked) == 6
    asked.clear()
    sort(frames, library, load_job(path))
    assert asked == []


def test_an_older_library_is_brought_up_to_date_without_loss(library: Path) -> None:
    """As the first version wrote it: no word of what a mirror image looked like."""
    path = library / ".modelsheet" / "manifest.sqlite"
    path.parent.mkdir(parents=True)
    picture = Picture("ab" * 32, "/frames/one.png", 8, 6, "PNG")
    with sqlite3.connect(path, isolation_level=None) as db:
        db.executescript(f"{MIGRATIONS[0]} PRAGMA user_version = 1;")
        db.execute("INSERT INTO picture VALUES (?, ?, 8, 6, 'PNG')", (picture.sha256, picture.path))
        rows = [("direction", "m", "left", 0.7), ("mood", HUMAN, "sad", 1.0)]
        db.executemany("INSERT INTO label VALUES (?, ?, ?, ?, ?)", [(picture.sha256, *row) for row in rows])
    db.close()
    old = (Label("direction", "left", 0.7, "m"), Label("mood", "sad", 1.0, HUMAN))
    new = Label("direction", "left", 0.6, "m2", "right", "front")
    before = path.read_bytes()
    with Manifest(library, dry_run=True) as manifest:
        assert list(manifest.pictures({"direction": "m"})) == [(picture, old)]
    assert path.read_bytes() == before
    for _ in range(2):
        with Manifest(library) as manifest:
            assert list(manifest.pictures({"direction": "m"})) == [(picture, old)]
            assert manifest.picture(picture.sha256, {"direction": "m"}) == (picture, old)
            manifest.add_labels(picture.sha256, [new])
            assert list(manifest.pictures({"direction": "m2"})) == [(picture, (new, old[1]))]


def test_other_folders_in_the_scheme_move_everything(
    frames: Path, sorted_library: Path, project: Path, tree_of: Tree
) -> None:
    path = project / "scheme.toml"
    path.write_text(path.read_text().replace('"{mood}/{direction}"', '"all {direction}"'))
    report, _ = sort(frames, sorted_library, load_job(path))
    assert {name for name in tree_of(sorted_library) if name.endswith("/")} == {"all left/", "all front/"}
    assert not report.corrections.misplaced
    assert report.counts["pictures placed"] == report.counts["pictures removed"] == 5


def test_scan_classify_plan_apply_come_to_the_same_as_sort(
    frames: Path, tmp_path: Path, project: Path, job: Job, tree_of: Tree, run_cli: Any
) -> None:
    sort(frames, tmp_path / "at once", job)
    staged, scheme = tmp_path / "staged", ("--scheme", project / "scheme.toml")
    assert run_cli("scan", frames, "--to", staged)[0] == 1
    assert tree_of(staged) == {}
    assert run_cli("classify", staged, *scheme)[0] == 0
    assert tree_of(staged) == {}
    code, out, _ = run_cli("plan", staged, *scheme)
    assert code == 0 and len(out.splitlines()) == 10
    assert tree_of(staged) == {}
    assert run_cli("apply", staged, *scheme)[0] == 0
    assert tree_of(staged) == tree_of(tmp_path / "at once")
    assert run_cli("plan", staged, *scheme)[1] == "nothing to do\n"


def test_a_report_of_nothing_is_empty() -> None:
    assert Report().reasons() == {}
