"""A manifest that is damaged or gone, and the library that it belongs to."""

from __future__ import annotations

import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageOps

from sorter.commands.export import export
from sorter.commands.job import Job, load_job
from sorter.commands.rescan import rescan
from sorter.commands.sort import sort
from sorter.commands.undo import undo
from sorter.errors import DamagedManifest, DatasetError, LibraryError
from sorter.files import Found
from sorter.library.repair.recognise import NO_ORIGINAL, how_it_stands
from sorter.library.repair.rescue import damage, rescue
from sorter.library.store.database import has_log
from sorter.library.store.lock import locked
from sorter.library.store.manifest import FILE, FOLDER, Manifest
from sorter.records import HUMAN, Label, Picture
from tests.sorter.by_hand import move, one

Tree = Callable[..., dict[str, str]]
PAGE = 4096


@pytest.fixture
def heap(tmp_path: Path, draw: Any, grow: Any) -> Path:
    """Of every kind: to be turned or not, PNG and JPEG, in doubt, unwanted, found twice."""
    moods, directions = ("happy", "sad"), ("left", "right", "front")
    tree = {
        f"frame {n:02}.{'jpg' if n % 4 == 3 else 'png'}": draw(directions[n % 3], moods[n % 2], n) for n in range(12)
    }
    tree |= {"doubtful.png": draw("right", "?", 12), "nobody.png": draw("nobody", "sad", 13)}
    return grow(tmp_path / "heap", tree | {"zoo": {"copy.png": draw("left", "happy", 0)}})


@pytest.fixture
def lived_in(heap: Path, library: Path, job: Job) -> Path:
    """A library that a person has worked on, and that was sorted again since: the next sort has nothing to do."""
    sort(heap, library, job)
    by_hand(library)
    sort(heap, library, job)
    assert sort(heap, library, job)[1] == ()
    return library


def by_hand(library: Path) -> None:
    move(
        library, "frame_01-*.png", "sad/right"
    )  # was turned: it looks to the left as it was found, so it is turned back
    move(library, "frame_02-*.png", "happy/left")
    move(library, "frame_06-*.png", "happy/right")  # was not turned, and is now
    move(library, "doubtful-*.png", "happy/left")
    move(library, "frame_08-*.png", "best of")
    one(library, "frame_04-*.txt").write_text("mira,  in my own words\nand more\n", encoding="utf-8")


def times_of(library: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in library.rglob("*-*.*") if FOLDER not in path.parts}


def manifest_of(library: Path) -> Path:
    return library / FOLDER / FILE


def spoil(library: Path, how: str) -> None:
    path = manifest_of(library)
    data = path.read_bytes()
    if how == "gone":
        path.unlink()
    elif how == "folder gone":
        shutil.rmtree(path.parent)
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "another file":
        path.write_bytes(b"no database" * 500)
    elif how == "no header":
        path.write_bytes(bytes(100) + data[100:])
    elif how.startswith("cut at"):
        os.truncate(path, len(data) * int(how.split()[-1]) // 100)
    elif how == "zeroes":
        path.write_bytes(
            data[:PAGE] + b"".join(data[at : at + PAGE] + bytes(PAGE) for at in range(PAGE, len(data), 2 * PAGE))
        )
    elif how == "noise":
        noise = random.Random(1)
        path.write_bytes(
            data[:PAGE]
            + b"".join(data[at : at + 100] + noise.randbytes(PAGE - 100) for at in range(PAGE, len(data), PAGE))
        )
    else:
        table = how.removeprefix("no ")
        with sqlite3.connect(path) as db:
            (page,) = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,)).fetchone()
        db.close()
        path.write_bytes(data[: (page - 1) * PAGE] + bytes(PAGE) + data[page * PAGE :])


HOW = ["gone", "folder gone", "empty", "another file", "no header", "cut at 1", "cut at 20", "cut at 60", "cut at 95",
       "zeroes", "noise", "no source", "no label", "no placed", "no picture"]  # fmt: skip


@pytest.mark.parametrize("how", HOW)
def test_a_library_in_order_is_in_order_again(
    heap: Path, lived_in: Path, job: Job, project: Path, tree_of: Tree, run_cli: Any, how: str
) -> None:
    before, times = tree_of(lived_in), times_of(lived_in)
    spoil(lived_in, how)
    code, _, err = run_cli("sort", heap, "--to", lived_in, "--scheme", project / "scheme.toml")
    assert (code, err.count("\n")) == (2, 1)
    assert f'"sorter rescan {lived_in}" rebuilds it from the files that stand there' in err
    found = rescan(lived_in, job, [heap])
    assert found.damage and (found.steps, found.returning, found.report.failures) == ((), 0, [])
    assert sort(heap, lived_in, job)[1] == ()
    assert tree_of(lived_in) == before
    assert times_of(lived_in) == times
    with Manifest(lived_in) as manifest:
        assert manifest.answered("mood", "happy") and manifest.answered("caption", "mira, in my own words, and more")
    assert damage(lived_in) == ""


# --- damage is found


def test_wherever_a_manifest_is_cut_off_it_is_noticed_when_it_is_opened(lived_in: Path) -> None:
    data = manifest_of(lived_in).read_bytes()
    for length in [1, 15, 16, 99, 100, 4095, *range(PAGE, len(data), 1021), len(data) - 1]:
        manifest_of(lived_in).write_bytes(data[:length])
        for dry_run in (True, False):
            with pytest.raises(DamagedManifest, match="rebuilds it"):
                Manifest(lived_in, dry_run=dry_run)
        assert damage(lived_in)
        assert manifest_of(lived_in).read_bytes() == data[:length]


@pytest.mark.parametrize("seed", range(20))
def test_noise_anywhere_is_a_sentence_or_does_no_harm(
    heap: Path, lived_in: Path, job: Job, tree_of: Tree, seed: int
) -> None:
    before, chance, path = tree_of(lived_in), random.Random(seed), manifest_of(lived_in)
    with open(path, "r+b") as file:
        for _ in range(chance.choice([1, 3])):
            file.seek(chance.randrange(path.stat().st_size))
            file.write(chance.randbytes(chance.choice([1, 20, 300])))
    with suppress(DamagedManifest):
        sort(heap, lived_in, job)
    assert tree_of(lived_in) == before
    rescan(lived_in, job, [heap])
    assert sort(heap, lived_in, job)[1] == ()
    assert tree_of(lived_in) == before


def test_every_command_says_it_in_one_sentence(
    heap: Path, lived_in: Path, project: Path, tmp_path: Path, run_cli: Any, tree_of: Tree
) -> None:
    scheme, to = ("--scheme", project / "scheme.toml"), ("--to", tmp_path / "out")
    spoil(lived_in, "no placed")
    before = tree_of(lived_in)
    for name, *rest in (
        ("sort", heap, "--to", lived_in, *scheme),
        ("sort", heap, "--to", lived_in, "--dry-run", *scheme),
        ("plan", lived_in, *scheme),
        ("apply", lived_in, *scheme),
        ("classify", lived_in, *scheme),
        ("undo", lived_in),
        ("watch", heap, "--to", lived_in, *scheme),
        ("report", lived_in, *to, *scheme),
        ("export", lived_in, *to, *scheme),
    ):
        code, out, err = run_cli(name, *rest)
        said = [line for line in err.splitlines() if not line.startswith("watching")]
        assert (code, out, len(said)) == (2, "", 1), (name, err)
        assert "is damaged" in err and f'"sorter rescan {lived_in}"' in err
    assert tree_of(lived_in) == before
    assert not (tmp_path / "out").exists()


def test_a_manifest_that_another_program_holds_is_not_damaged(lived_in: Path, job: Job, monkeypatch: Any) -> None:
    before = manifest_of(lived_in).read_bytes()
    with closing(sqlite3.connect(manifest_of(lived_in), isolation_level=None)) as db:
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        db.execute("BEGIN EXCLUSIVE")
        monkeypatch.setattr("sorter.library.store.database.PATIENCE", 0.1)
        with pytest.raises(LibraryError, match="cannot be used: database is locked"):
            rescan(lived_in, job)
    assert manifest_of(lived_in).read_bytes() == before
    assert not list(lived_in.rglob("*.damaged-*"))


def test_a_new_library_among_other_pictures_is_no_lost_one(heap: Path, library: Path, job: Job, draw: Any) -> None:
    library.mkdir()
    draw("left").save(library / "IMG-1699999999.png")  # ten digits, but of the time
    assert sort(heap, library, job)[0].counts["pictures placed"] == 13


@pytest.mark.parametrize("log_only", [True, False])
@pytest.mark.parametrize("later", [True, False])
def test_a_log_that_is_lost_with_what_it_held(
    heap: Path, library: Path, tmp_path: Path, job: Job, tree_of: Tree, later: bool, log_only: bool
) -> None:
    """As after a power cut and a tidy-up, or a copy of the one file that looks important."""
    if later:
        sort(heap, library, job)
    else:
        Manifest(library, create=True).close()
    with closing(sqlite3.connect(manifest_of(library))) as reader:  # keeps SQLite from clearing the log up
        reader.execute("SELECT 1 FROM picture").fetchone()
        sort(heap, library, job)
        by_hand(library)
        sort(heap, library, job)
        assert has_log(manifest_of(library))
        shutil.copytree(
            library, tmp_path / "copy", ignore=shutil.ignore_patterns("*-wal", *([] if log_only else ["*-shm"]))
        )
    copy, before = tmp_path / "copy", tree_of(library)
    noticed = log_only or not later  # SQLite leaves no trace of a log that it took with everything that was in it
    if noticed:
        with pytest.raises(DamagedManifest, match="-wal is gone" if log_only else "is empty"):
            sort(heap, copy, job)
    assert bool(rescan(copy, job, [heap]).damage) == noticed
    assert sort(heap, copy, job)[1] == ()
    assert tree_of(copy) == before


# --- what a rescan does and leaves


def test_the_damaged_manifest_is_kept_whole(heap: Path, lived_in: Path, job: Job) -> None:
    for number in (1, 2):
        spoil(lived_in, "noise")
        log = manifest_of(lived_in).with_name(f"{FILE}-wal")
        log.write_bytes(b"")
        damaged = manifest_of(lived_in).read_bytes()
        found = rescan(lived_in, job, [heap])
        assert found.kept == lived_in / FOLDER / f"{FILE}.damaged-{number}"
        assert found.kept.read_bytes() == damaged
        assert found.kept.with_name(f"{found.kept.name}-wal").exists() and not log.exists()


@pytest.mark.parametrize("how", ["gone", "folder gone", "empty", "noise", "in order"])
def test_a_dry_run_changes_nothing(
    heap: Path, lived_in: Path, job: Job, project: Path, run_cli: Any, tree_of: Tree, how: str
) -> None:
    if how != "in order":
        spoil(lived_in, how)
    before = tree_of(lived_in, hidden=True)
    found = rescan(lived_in, job, [heap], dry_run=True)
    assert found.kept is None and found.steps == ()
    assert tree_of(lived_in, hidden=True) == before
    code, out, _ = run_cli("rescan", lived_in, "--from", heap, "--dry-run", "--scheme", project / "scheme.toml")
    assert (code, "its manifest is in order" in out, "nothing was changed" in out) == (0, *(
        (True, False) if how == "in order" else (False, True))
    )  # fmt: skip
    assert tree_of(lived_in, hidden=True) == before


def test_paths_may_be_relative(
    heap: Path, lived_in: Path, job: Job, tree_of: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tree_of(lived_in)
    spoil(lived_in, "gone")
    monkeypatch.chdir(lived_in.parent)
    assert rescan(Path("library"), job, [Path("heap")]).steps == ()
    assert sort(heap, lived_in, job)[1] == ()
    assert tree_of(lived_in) == before


def test_a_manifest_in_order_is_kept(heap: Path, lived_in: Path, job: Job, tree_of: Tree) -> None:
    with Manifest(lived_in) as manifest:
        before, runs = [list(manifest.pictures({})), list(manifest.placed())], manifest.journal.runs()
    tree = tree_of(lived_in)
    found = rescan(lived_in, job)
    assert (found.damage, found.kept, found.steps) == ("", None, ())
    with Manifest(lived_in) as manifest:
        assert [list(manifest.pictures({})), list(manifest.placed())] == before and manifest.journal.runs() == runs
    assert tree_of(lived_in) == tree
    undo(lived_in)  # which a rescan of a damaged one costs


def test_it_says_what_was_wrong_and_what_comes_next(
    heap: Path, lived_in: Path, project: Path, run_cli: Any, tree_of: Tree
) -> None:
    for path in lived_in.rglob("frame_05-*"):
        path.unlink()
    scheme = ("--scheme", project / "scheme.toml")
    assert run_cli("sort", heap, "--to", lived_in, *scheme)[0] == 0
    shutil.copytree(lived_in, lived_in.with_name("second"))
    for library, options in ((lived_in, ()), (lived_in.with_name("second"), ("--json",))):
        spoil(library, "another file")
        code, out, err = run_cli("rescan", library, "--from", heap, *scheme, *options)
        assert (code, err) == (0, "")
        if options:
            found = json.loads(out)
            assert found["damage"] == "file is not a database" and found["kept"].endswith(f"{FILE}.damaged-1")
            assert (found["planned"], found["returning"], found["counts"]["known again"]) == (2, 1, 12)
        else:
            for said in ("was damaged (file is not a database) and is rebuilt", "damaged-1", "cannot be undone",
                         "1 known pictures stand nowhere in it", "you had deleted come back", "12 known again",
                         "4 moved, 0 deleted, 1 captions written"):  # fmt: skip
                assert said in out
    code, _, err = run_cli("undo", lived_in)
    assert code == 2 and "runs that changed it: none" in err
    assert run_cli("sort", heap, "--to", lived_in, *scheme)[0] == 0
    assert len(list(lived_in.rglob("frame_05-*"))) == 2


@pytest.mark.parametrize("how", ["no source", "no placed", "no picture", "no step"])
def test_what_a_damaged_manifest_still_tells_is_believed(
    heap: Path, lived_in: Path, job: Job, tree_of: Tree, how: str
) -> None:
    """A picture that was deleted stays away, and where the originals lie need not be said again."""
    for path in lived_in.rglob("frame_05-*"):
        path.unlink()
    sort(heap, lived_in, job)
    before = tree_of(lived_in)
    spoil(lived_in, how)
    found = rescan(lived_in, job, [heap] if how == "no source" else [])
    assert found.damage and (found.steps, found.report.failures) == ((), [])
    assert found.report.counts["answers rescued"] >= 5
    assert sort(heap, lived_in, job)[1] == ()
    assert tree_of(lived_in) == before


def test_the_journal_tells_what_a_turned_picture_was_made_from(
    heap: Path, lived_in: Path, job: Job, tree_of: Tree
) -> None:
    before = tree_of(lived_in)
    spoil(lived_in, "no placed")
    shutil.rmtree(heap)
    found = rescan(lived_in, job)
    assert (found.steps, found.report.failures, found.report.counts["known again"]) == ((), [], 13)
    assert (
        found.report.corrections.moved == 0
    )  # the sorters said of what was turned back what they said of the originals
    assert tree_of(lived_in) == before


def test_an_answer_that_the_sorters_do_not_know_any_more_is_passed_over(
    heap: Path, lived_in: Path, job: Job, tree_of: Tree
) -> None:
    with Manifest(lived_in) as manifest, manifest.change():
        for picture, _ in list(manifest.pictures({})):
            manifest.add_labels(picture.sha256, [Label("mood", "angry", 1.0, HUMAN)])
    before = tree_of(lived_in)
    spoil(lived_in, "no placed")
    assert rescan(lived_in, job).steps == ()
    assert sort(heap, lived_in, job)[1] == ()
    assert tree_of(lived_in) == before
    with Manifest(lived_in) as manifest:
        assert not manifest.answered("mood", "angry")


def test_a_deleted_picture_that_was_put_back_stays(
    heap: Path, lived_in: Path, job: Job, tmp_path: Path, tree_of: Tree
) -> None:
    before, path = tree_of(lived_in), one(lived_in, "frame_05-*.png")
    shutil.copytree(path.parent, tmp_path / "bin")
    for gone in (path, path.with_suffix(".txt")):
        gone.unlink()
    sort(heap, lived_in, job)
    for back in (path, path.with_suffix(".txt")):
        shutil.copy2(tmp_path / "bin" / back.name, back)
    spoil(lived_in, "no placed")
    assert rescan(lived_in, job).steps == ()
    assert sort(heap, lived_in, job)[1] == ()
    assert tree_of(lived_in) == before


def test_rows_on_both_sides_of_a_hole_are_read(library: Path) -> None:
    paths = [Path(f"/frames/{number:04}.png") for number in range(1000)]
    with Manifest(library, create=True) as manifest, manifest.change():
        for path in paths:
            manifest.add_all([(Found(path, 1, 1), Picture(f"{path.stem}{'ab' * 30}", "one", 1, 1, "PNG"), [])])
    data = manifest_of(library).read_bytes()
    pages = [data[at : at + PAGE] for at in range(0, len(data), PAGE)]
    holed = [bytes(PAGE) if str(paths[500]).encode() in page else page for page in pages]
    manifest_of(library).write_bytes(b"".join(holed))
    assert damage(library)
    found = set(rescue(library).sources)
    assert 900 < len(found) < 1000 and {paths[0], paths[999]} < found < set(paths)


def test_without_its_original_a_turned_picture_is_left_until_that_is_given(
    heap: Path, lived_in: Path, job: Job, tree_of: Tree
) -> None:
    before = tree_of(lived_in)
    spoil(lived_in, "gone")
    first = rescan(lived_in, job)
    turned = {failure.path for failure in first.report.failures}
    assert {failure.reason for failure in first.report.failures} == {NO_ORIGINAL}
    assert len(turned) + first.report.counts["known again"] == 13 and len(turned) >= 4
    assert (first.steps, first.report.corrections.edited) == ((), 0)
    assert sort(heap, lived_in, job)[1] == ()  # though it knows now what they should look like and where
    assert tree_of(lived_in) == before
    second = rescan(lived_in, job, [heap])
    assert (second.damage, second.steps, second.report.failures) == ("", (), [])
    assert second.report.counts["known again"] == len(turned)
    assert sort(heap, lived_in, job)[1] == ()
    assert tree_of(lived_in) == before
    with Manifest(lived_in) as manifest:
        assert manifest.answered("direction", "left")  # that of the picture which was turned back


def test_originals_in_keeping_are_found_there(heap: Path, library: Path, job: Job, tree_of: Tree) -> None:
    sort(heap, library, job, take=True)
    by_hand(library)
    sort(heap, library, job)
    before = tree_of(library)
    spoil(library, "gone")
    found = rescan(library, job)
    assert (found.steps, found.report.failures, found.report.counts["known again"]) == ((), [], 13)
    assert sort(heap, library, job)[1] == ()
    assert tree_of(library) == before
    move(library, "frame_02-*.png", "happy/right")
    sort(heap, library, job)
    assert tree_of(library) != before  # it could be turned


def test_a_move_that_no_sort_has_seen_yet_is_taken_over(heap: Path, library: Path, job: Job, tree_of: Tree) -> None:
    sort(heap, library, job)
    shutil.copytree(library, library.with_name("twin"))
    twin = library.with_name("twin")
    for root in (library, twin):
        by_hand(root)
        move(root, "frame_10-*.png", "happy/front", caption=False)
    sort(heap, twin, job)
    spoil(library, "gone")
    found = rescan(library, job, [heap])
    assert (found.report.corrections.moved, found.report.corrections.captions) == (5, 1)
    sort(heap, library, job)
    assert tree_of(library) == tree_of(twin)  # none of the captions that had not followed was taken for a person's own


def test_an_edited_picture_is_left_alone(heap: Path, lived_in: Path, job: Job, draw: Any, tree_of: Tree) -> None:
    for pattern in ("frame_00-*.png", "frame_04-*.png", "frame_07-*.jpg"):
        path = one(lived_in, pattern)
        with Image.open(path) as image:
            edited = image.copy()
        edited.paste((20, 200, 120), (10, 10, 16, 16))
        edited.save(path)
    sort(heap, lived_in, job)
    before = tree_of(lived_in)
    spoil(lived_in, "gone")
    found = rescan(lived_in, job, [heap])
    assert (found.steps, found.report.corrections.edited) == ((), 3)
    report, steps = sort(heap, lived_in, job)
    assert (steps, report.corrections.edited) == ((), 3)
    assert tree_of(lived_in) == before


def test_captions_of_every_kind(heap: Path, lived_in: Path, job: Job, tree_of: Tree) -> None:
    one(lived_in, "frame_00-*.txt").write_bytes(b"\xff\xfe no text")
    one(lived_in, "frame_03-*.txt").write_bytes(one(lived_in, "frame_03-*.txt").read_bytes().replace(b"\n", b"\r\n"))
    one(lived_in, "frame_09-*.txt").unlink()
    stray = one(lived_in, "frame_10-*.txt")
    shutil.copy(stray, lived_in / stray.name)
    (lived_in / "notes-0123456789.txt").write_text("of a picture that nobody knows")
    before = tree_of(lived_in)
    spoil(lived_in, "gone")
    assert rescan(lived_in, job, [heap]).report.corrections.captions == 1
    sort(heap, lived_in, job)
    after = tree_of(lived_in)
    back = one(lived_in, "frame_09-*.txt").relative_to(lived_in).as_posix()
    assert {name: sha256 for name, sha256 in after.items() if name != back} == before
    assert sort(heap, lived_in, job)[1] == ()


def test_of_copies_by_hand_one_is_ours(heap: Path, lived_in: Path, job: Job, draw: Any, tree_of: Tree) -> None:
    for pattern, folder in (("frame_00-*.png", "aaa"), ("frame_04-*.png", "bbb"), ("frame_05-*.png", "aaa")):
        path = one(lived_in, pattern)
        (lived_in / folder).mkdir(exist_ok=True)
        shutil.copy(path, lived_in / folder / path.name)
    draw("left", "sad").save(lived_in / "aaa" / one(lived_in, "happy/left/frame_00-*.png").name)  # an edited copy
    before = tree_of(lived_in)
    spoil(lived_in, "gone")
    found = rescan(lived_in, job, [heap])
    assert (found.report.counts["known again"], found.report.counts["copies left alone"]) == (13, 3)
    assert [Path(path).parent.name for path in found.report.corrections.misplaced] == ["best of"]
    assert found.report.corrections.edited == 0
    assert sort(heap, lived_in, job)[1] == ()
    assert tree_of(lived_in) == before


@pytest.mark.parametrize("name", ["x" * 47 + " y.png", "!!!.png", "zwölf ü.png", "a.b.c.png", "名前.png"])
def test_files_keep_their_names(tmp_path: Path, library: Path, job: Job, draw: Any, tree_of: Tree, name: str) -> None:
    source = tmp_path / "source"
    source.mkdir()
    draw("left", number=3).save(source / name)
    draw("right", number=4).save(source / "other.png")
    sort(source, library, job)
    before = tree_of(library)
    spoil(library, "gone")
    shutil.move(source, tmp_path / "moved")
    if name.startswith("x"):
        (tmp_path / "moved" / name).rename(tmp_path / "moved" / "renamed since.png")
    assert rescan(library, job, [tmp_path / "moved"]).steps == ()
    assert sort(tmp_path / "moved", library, job)[1] == ()
    assert tree_of(library) == before


def test_pictures_of_every_format(tmp_path: Path, library: Path, job: Job, draw: Any, tree_of: Tree) -> None:
    """Of those that are not kept as they came, none bears its own hash, turned or not."""
    source, number = tmp_path / "source", 0
    source.mkdir()
    for side in ("left", "right"):
        for ending, options in (("gif", {}), ("webp", {"lossless": True}), ("bmp", {}), ("tif", {}), ("jpg", {})):
            draw(side, "sad", number := number + 1).save(source / f"{side} {ending}.{ending}", **options)
        lying = draw(side, "happy", number).transpose(Image.Transpose.ROTATE_90)
        exif = Image.Exif()
        exif[0x0112] = 6
        lying.save(source / f"{side} exif.jpg", exif=exif, quality=95)
        draw(side, "happy", number).convert("RGBA").save(source / f"{side} alpha.png")
    sort(source, library, job)
    before = tree_of(library)
    assert len(list(library.glob("*/left/*.*"))) == 28
    spoil(library, "gone")
    found = rescan(library, job, [source])
    assert (found.steps, found.report.failures, found.report.corrections.moved) == ((), [], 0)
    assert sort(source, library, job)[1] == ()
    assert tree_of(library) == before


# --- what it refuses


def test_another_scheme_is_refused_before_it_says_that_all_was_moved(
    heap: Path, lived_in: Path, project: Path, tree_of: Tree
) -> None:
    spoil(lived_in, "noise")
    path = project / "scheme.toml"
    path.write_text(path.read_text().replace('"{mood}/{direction}"', '"all {direction}"'))
    before = manifest_of(lived_in).read_bytes()
    with pytest.raises(
        LibraryError, match="no picture lies in a class folder of this scheme; give the one it was sorted"
    ):
        rescan(lived_in, load_job(path), [heap])
    assert manifest_of(lived_in).read_bytes() == before


def test_a_library_of_which_nothing_is_known_is_refused(
    tmp_path: Path, library: Path, job: Job, draw: Any, grow: Any
) -> None:
    source = grow(tmp_path / "source", {"one.png": draw("right"), "two.png": draw("right", number=1)})
    sort(source, library, job)
    spoil(library, "gone")
    with pytest.raises(LibraryError, match="none of its 2 pictures can be known again; give the .* with --from"):
        rescan(library, job)
    assert rescan(library, job, [source]).steps == ()
    spoil(library, "noise")
    assert rescan(library, job, [source]).steps == ()
    spoil(library, "gone")  # with nothing that bears its own hash, only the damaged one beside it tells
    with pytest.raises(DamagedManifest, match="is gone"):
        sort(source, library, job)


def test_a_folder_that_is_no_library_is_refused(heap: Path, lived_in: Path, job: Job, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "empty", tmp_path / "nowhere", heap):
        with pytest.raises(LibraryError, match="is not a library"):
            rescan(folder, job)
    assert not (tmp_path / "empty" / FOLDER).exists()
    with pytest.raises(LibraryError, match="lies in the library"):
        rescan(lived_in, job, [lived_in / "happy"])
    with pytest.raises(LibraryError, match="does not exist; give the folder that holds the pictures"):
        rescan(lived_in, job, [tmp_path / "nowhere"])


def test_an_emptied_library_can_be_used_again(heap: Path, lived_in: Path, job: Job) -> None:
    for path in lived_in.iterdir():
        if path.name != FOLDER:
            shutil.rmtree(path)
    spoil(lived_in, "noise")
    assert rescan(lived_in, job).steps == ()
    assert sort(heap, lived_in, job)[0].counts["pictures placed"] == 13


@pytest.mark.parametrize("how", ["in order", "noise", "gone", "no run"])
def test_an_exported_dataset_is_refused(
    heap: Path, lived_in: Path, job: Job, tmp_path: Path, tree_of: Tree, how: str
) -> None:
    dataset = tmp_path / "dataset"
    export(lived_in, dataset, job)
    if how != "in order":
        spoil(dataset, how)
    before = tree_of(dataset)
    with pytest.raises(LibraryError, match="is an exported dataset"):
        rescan(dataset, job, [heap])
    if how in ("noise", "gone"):
        with pytest.raises(DatasetError, match="its manifest is damaged or gone.*; choose an empty folder"):
            export(lived_in, dataset, job)
    assert tree_of(dataset) == before


def test_a_library_in_use_is_refused(heap: Path, lived_in: Path, job: Job) -> None:
    spoil(lived_in, "noise")
    with locked(lived_in, "watch elsewhere"), pytest.raises(LibraryError, match="is in use by"):
        rescan(lived_in, job, [heap])


# --- dying in the middle

VICTIM = """\
import os, signal, sys
from pathlib import Path
from sorter.commands.job import load_job
from sorter.commands.rescan import rescan
scheme, source, library, moment = sys.argv[1:]
job, calls, moment = load_job(Path(scheme)), [0], int(moment)
def count(frame, event, what):
    ours = "/sorter/" in frame.f_code.co_filename.replace(os.sep, "/")
    if ours if moment >= 0 else what is os.replace and event == "c_call":  # a moment below 0: at that move of a file
        calls[0] += 1
        if calls[0] == abs(moment):
            os.kill(os.getpid(), signal.SIGKILL)
sys.setprofile(count)
rescan(Path(library), job, [Path(source)])
print(calls[0])
"""


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")
@pytest.mark.parametrize("how", ["noise", "gone"])
def test_whenever_a_rescan_is_killed_the_next_one_completes_it(
    heap: Path, lived_in: Path, tmp_path: Path, project: Path, job: Job, tree_of: Tree, how: str
) -> None:
    before, damaged = tree_of(lived_in), tmp_path / "damaged"
    spoil(lived_in, how)
    shutil.move(lived_in, damaged)

    def run(moment: int) -> subprocess.CompletedProcess[str]:
        shutil.rmtree(lived_in, ignore_errors=True)
        shutil.copytree(damaged, lived_in)
        return subprocess.run([sys.executable, "-c", VICTIM, project / "scheme.toml", heap, lived_in, str(moment)],
                              capture_output=True, text=True, check=False)  # fmt: skip

    whole = run(0)
    assert whole.returncode == 0, whole.stderr
    total, chance = int(whole.stdout.split()[-1]), random.Random(5)
    moves = 2 if how == "noise" else 1  # the last steps: of the damaged manifest, and of the new one
    for moment in [*range(-moves, 0), total - 1, *(chance.randrange(1, total) for _ in range(4))]:
        killed = run(moment)
        assert killed.returncode == -9, killed.stderr
        assert tree_of(lived_in) == before
        kept = [*lived_in.glob(f"{FOLDER}/{FILE}.damaged-1"), manifest_of(lived_in)]
        if how == "noise":
            assert kept[0].read_bytes() == manifest_of(damaged).read_bytes()
        if damage(lived_in):
            with pytest.raises(DamagedManifest, match="rebuilds it"):
                sort(heap, lived_in, job)
        assert rescan(lived_in, job, [heap]).steps == ()
        assert sort(heap, lived_in, job)[1] == ()
        assert tree_of(lived_in) == before
        assert sorted(path.name for path in (lived_in / FOLDER).glob(f"{FILE}*")) == [
            FILE, *([f"{FILE}.damaged-1"] if how == "noise" else [])
        ]  # fmt: skip


# --- pixels, and many


def test_what_another_version_of_an_encoder_wrote_is_not_taken_for_an_edit(draw: Any, tmp_path: Path) -> None:
    draw("right", "sad", 5, (120, 96)).save(tmp_path / "one.jpg", quality=90)
    original = (tmp_path / "one.jpg").read_bytes()
    with Image.open(tmp_path / "one.jpg") as image:
        turned = ImageOps.mirror(image)
    turned.save(tmp_path / "optimized.jpg", quality=90, optimize=True)
    assert how_it_stands((tmp_path / "optimized.jpg").read_bytes(), original, ".jpg") == (True, False)
    turned.save(tmp_path / "lossless.png", compress_level=1)
    assert how_it_stands((tmp_path / "lossless.png").read_bytes(), original, ".png") == (True, False)
    turned.putpixel((60, 20), (255, 255, 255))
    turned.save(tmp_path / "edited.png")
    assert how_it_stands((tmp_path / "edited.png").read_bytes(), original, ".png") == (True, True)
    assert how_it_stands(b"nothing", original, ".png")[1]


def test_hundreds_of_pictures_take_seconds(tmp_path: Path, library: Path, job: Job, draw: Any, tree_of: Tree) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for number in range(400):
        draw(("left", "right", "front")[number % 3], ("happy", "sad")[number % 2], number).save(
            source / f"{number}.png"
        )
    sort(source, library, job)
    before = tree_of(library)
    spoil(library, "zeroes")
    begun = time.monotonic()
    assert rescan(library, job, [source]).steps == ()
    assert time.monotonic() - begun < 30
    assert sort(source, library, job)[1] == ()
    assert tree_of(library) == before
