"""Full and read-only disks, two processes at once, and processes that die in the middle."""

from __future__ import annotations

import errno
import os
import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sorter.commands.job import Job, load_job
from sorter.commands.open import open_library
from sorter.commands.sort import sort
from sorter.commands.undo import undo
from sorter.errors import LibraryError
from sorter.library.store.lock import locked
from sorter.library.store.manifest import Manifest
from sorter.library.store.schema import MIGRATIONS

Tree = Callable[..., dict[str, str]]
needs_posix = pytest.mark.skipif(os.name == "nt", reason="needs pipes, links and owners")


@pytest.fixture
def heap(tmp_path: Path, draw: Any, grow: Any) -> Path:
    """A dozen pictures that all can be used."""
    moods, directions = ("happy", "sad"), ("left", "right", "front")
    return grow(tmp_path / "heap", {f"{n}.png": draw(directions[n % 3], moods[n % 2], n) for n in range(12)})


def no_parts(library: Path) -> bool:
    return not list(library.rglob("*.modelsheet-part"))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """A disk in memory; called with what `mount` takes, such as "size=1m" or "ro", it is that from then on."""
    place = tmp_path / "disk"
    place.mkdir()

    def mount(*arguments: str) -> bool:
        return shutil.which(arguments[0]) is not None and not subprocess.run(arguments, capture_output=True).returncode

    if not mount("mount", "-t", "tmpfs", "-o", "size=1m", "modelsheet", str(place)):
        pytest.skip("only root on Linux can make a small disk")

    def change(options: str) -> Path:
        assert mount("mount", "-o", f"remount,{options}", str(place))
        return place

    yield change
    assert mount("umount", str(place))


# --- full


@pytest.mark.parametrize("left", [0, 8, 60, 200, 450, 700])
def test_a_disk_that_is_really_full_is_a_sentence_and_the_next_run_completes(
    tmp_path: Path, small_disk: Callable[[str], Path], job: Job, tree_of: Tree, draw: Any, grow: Any, left: int
) -> None:
    """`left`: kilobytes. The pictures come to 600, so that every kind of file is at some time the one too many."""
    noise = np.random.default_rng(left).integers(0, 255, (12, 60, 260, 3), np.uint8)
    pictures = {}
    for number, some in enumerate(noise):
        image = draw("right", "sad", number, size=(260, 200))
        image.paste(Image.fromarray(some), (0, 40))  # which no sorter minds, and no encoder makes small
        pictures[f"{number}.png"] = image
    heap = grow(tmp_path / "noisy", pictures)
    expected = tmp_path / "expected"
    sort(heap, expected, job)
    disk = small_disk("size=1m")
    (disk / "taken").write_bytes(bytes((1024 - left) << 10))
    with pytest.raises(LibraryError) as found:
        sort(heap, disk / "library", job)
    assert "disk is full" in str(found.value) or "No space left on device" in str(found.value)
    assert "\n" not in str(found.value) and "; make room" in str(found.value)
    assert not list((disk / "library").rglob("*.modelsheet-part"))
    whole = {name: sha256 for name, sha256 in tree_of(disk / "library").items() if not name.endswith("/")}
    assert whole.items() <= tree_of(expected).items()
    (disk / "taken").unlink()
    small_disk("size=8m")
    report, _ = sort(heap, disk / "library", job)
    assert report.failures == []
    assert tree_of(disk / "library") == tree_of(expected)
    assert sort(heap, disk / "library", job)[1] == ()


def test_originals_are_not_taken_where_there_is_no_room_to_keep_them(
    tmp_path: Path, small_disk: Callable[[str], Path], job: Job, draw: Any, grow: Any, tree_of: Tree
) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (3, 200, 260, 3), np.uint8)
    heap = grow(tmp_path / "noisy", {f"{number}.png": Image.fromarray(some) for number, some in enumerate(noise)})
    before = tree_of(heap)
    library = small_disk("size=1m") / "library"
    report, _ = sort(heap, library, job, take=True)
    taken = report.counts["originals taken"]
    assert taken < 3 and [failure.reason for failure in report.failures] == [
        "cannot be moved into the library's keeping, so it was left: No space left on device"
    ] * (3 - taken)
    assert len(list(heap.iterdir())) == 3 - taken
    assert not list(library.rglob("*.modelsheet-part"))
    undo(library)
    assert tree_of(heap) == before


def test_a_disk_that_is_really_read_only_is_a_sentence_and_can_be_looked_at(
    heap: Path, small_disk: Callable[[str], Path], job: Job, project: Path, run_cli: Any, tmp_path: Path, tree_of: Tree
) -> None:
    disk = small_disk("size=8m")
    with_library = disk / "library"
    sort(heap, with_library, job)
    before = tree_of(with_library, hidden=True)
    small_disk("ro")
    try:
        for place in (with_library, disk / "another"):
            with pytest.raises(LibraryError, match="cannot be written: Read-only file system; choose a folder"):
                sort(heap, place, job)
        with pytest.raises(LibraryError, match="; choose a folder of your own"):
            undo(with_library)
        scheme = ("--scheme", project / "scheme.toml")
        assert sort(heap, with_library, job, dry_run=True)[1] == ()
        for command in (
            ("plan",),
            ("report", "--to", tmp_path / "page.html"),
            ("export", "--to", tmp_path / "dataset"),
        ):
            code, _, err = run_cli(command[0], with_library, *command[1:], *scheme)
            assert (code, err) == (0, "")
        code, _, err = run_cli("report", with_library, *scheme)
        assert (code, err.count("\n")) == (2, 1) and "cannot be written: Read-only file system" in err
        code, _, err = run_cli("export", with_library, "--to", disk / "dataset", *scheme)
        assert (code, err.count("\n")) == (2, 1) and "cannot be written: Read-only file system" in err
    finally:
        small_disk("rw")
    assert tree_of(with_library, hidden=True) == before


@pytest.mark.parametrize("after", [0, 3, 11])
def test_a_full_disk_is_a_sentence_and_the_next_run_completes(
    heap: Path, library: Path, tmp_path: Path, job: Job, monkeypatch: pytest.MonkeyPatch, tree_of: Tree, after: int
) -> None:
    sort(heap, tmp_path / "expected", job)
    replace, left = os.replace, [after]

    def full(source: Path, target: Path) -> None:
        if left[0] <= 0:
            raise OSError(errno.ENOSPC, "No space left on device", str(target))
        left[0] -= 1
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(LibraryError) as found:
            sort(heap, library, job)
    assert "No space left on device; make room or choose another folder" in str(found.value)
    assert no_parts(library)
    expected = tree_of(tmp_path / "expected")
    whole = {name: sha256 for name, sha256 in tree_of(library).items() if not name.endswith("/")}
    assert whole.items() <= expected.items()
    assert len(whole) == after
    sort(heap, library, job)
    assert tree_of(library) == expected
    for _ in range(2 if after else 1):
        undo(library)
    assert tree_of(library) == {}


def test_a_file_that_is_open_elsewhere_is_left_and_its_old_place_with_it(
    heap: Path, library: Path, tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch, tree_of: Tree
) -> None:
    path = project / "scheme.toml"
    sort(heap, library, load_job(path))
    before = tree_of(library)
    path.write_text(path.read_text().replace("{mood}/", "all/{mood}/"))
    sort(heap, tmp_path / "expected", load_job(path))
    replace = os.replace

    def locked(source: Path, target: Path) -> None:
        if "sad" in Path(target).parts:
            raise PermissionError(errno.EACCES, "Permission denied", str(target))
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", locked)
        report, _ = sort(heap, library, load_job(path))
    assert report.failures and report.counts["pictures placed"] == 6
    assert no_parts(library)
    sad = {name: sha256 for name, sha256 in before.items() if "sad/" in name and name.endswith(".png")}
    assert len(sad) == 6 and sad.items() <= tree_of(library).items()  # a picture is never without a place
    sort(heap, library, load_job(path))
    assert tree_of(library) == tree_of(tmp_path / "expected")


def test_a_disk_that_is_full_while_a_picture_is_written_leaves_no_half_of_it(
    heap: Path, library: Path, job: Job, monkeypatch: pytest.MonkeyPatch, tree_of: Tree
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(LibraryError, match="No space left on device"):
            sort(heap, library, job)
    assert no_parts(library)
    assert [name for name in tree_of(library) if not name.endswith("/")] == []
    assert sort(heap, library, job)[0].counts["pictures placed"] == 12


def test_a_manifest_that_cannot_grow_is_a_sentence(
    heap: Path, library: Path, tmp_path: Path, job: Job, monkeypatch: pytest.MonkeyPatch, tree_of: Tree
) -> None:
    sort(heap, tmp_path / "expected", job)
    make = Manifest.__init__

    def small(self: Manifest, *arguments: Any, **options: Any) -> None:
        make(self, *arguments, **options)
        (pages,) = self._db.execute("PRAGMA page_count").fetchone()
        self._db.execute(f"PRAGMA max_page_count = {pages + 1}")

    with monkeypatch.context() as patch:
        patch.setattr(Manifest, "__init__", small)
        with pytest.raises(LibraryError, match="full"):
            sort(heap, library, job)
    assert no_parts(library)
    sort(heap, library, job)
    assert tree_of(library) == tree_of(tmp_path / "expected")


# --- read-only, or not what it should be


@needs_posix
def test_a_read_only_library_is_a_sentence(
    heap: Path, library: Path, tmp_path: Path, job: Job, tree_of: Tree, nobody: Any
) -> None:
    sort(heap, library, job)
    undo(library)
    protected = [library / ".modelsheet", library]
    for path in protected:
        path.chmod(0o555)
    try:
        with nobody(tmp_path), pytest.raises(LibraryError, match="readonly database; choose a folder of your"):
            sort(heap, library, job)
    finally:
        for path in protected:
            path.chmod(0o755)
    assert tree_of(library) == {}


@needs_posix
def test_a_class_folder_that_is_protected_is_left_and_the_others_are_sorted(
    heap: Path, library: Path, tmp_path: Path, job: Job, tree_of: Tree, nobody: Any
) -> None:
    sort(heap, tmp_path / "expected", job)
    (library / "sad").mkdir(parents=True)
    (library / "sad").chmod(0o555)
    with nobody(tmp_path):
        report, _ = sort(heap, library, job)
    assert {failure.reason for failure in report.failures} == {"protected, or open in another program, so it was left"}
    assert len(report.failures) == 12 and report.counts["pictures placed"] == 6
    (library / "sad").chmod(0o755)
    with nobody(tmp_path):
        assert sort(heap, library, job)[0].failures == []
    assert tree_of(library) == tree_of(tmp_path / "expected")


@needs_posix
def test_a_class_folder_that_cannot_be_looked_into_is_not_taken_for_a_deletion(
    heap: Path, library: Path, tmp_path: Path, job: Job, tree_of: Tree, nobody: Any
) -> None:
    sort(heap, library, job)
    before = tree_of(library)
    with nobody(tmp_path):
        (library / "sad").chmod(0)
        report, steps = sort(heap, library, job)
        assert (steps, report.corrections.removed, report.corrections.edited) == ((), 0, 6)
        (library / "sad").chmod(0o755)
        report, steps = sort(heap, library, job)
        assert (steps, report.corrections.edited) == ((), 0)
    assert tree_of(library) == before


@needs_posix
@pytest.mark.timeout(60)
def test_whatever_stands_where_a_picture_should_go_is_left(
    heap: Path, library: Path, job: Job, tree_of: Tree, nobody: Any
) -> None:
    sort(heap, library, job)
    pictures = sorted(library.glob("*/*/*.png"))
    undo(library)
    assert tree_of(library) == {}
    library.joinpath("happy").write_bytes(b"a file where a folder should be")
    in_sad = [path for path in pictures if path.parts[-3] == "sad"]
    for path in in_sad:
        path.parent.mkdir(parents=True, exist_ok=True)
    in_sad[0].mkdir()
    os.mkfifo(in_sad[1])
    in_sad[2].write_bytes(b"secret")
    in_sad[2].chmod(0)
    with nobody(library, heap.parent):
        report, _ = sort(heap, library, job)
    failed = {failure.path: failure.reason for failure in report.failures}
    assert set(failed) >= {path for path in pictures if path.parts[-3] == "happy"} | set(in_sad[:3])
    assert set(failed.values()) == {"a file that is not ours stands there, so it was left"}
    assert (library / "happy").read_bytes() == b"a file where a folder should be"
    assert in_sad[0].is_dir() and in_sad[1].is_fifo() and in_sad[2].read_bytes() == b"secret"
    assert report.counts["pictures placed"] == 3
    assert no_parts(library)
    (library / "happy").unlink()
    in_sad[0].rmdir()
    in_sad[1].unlink()
    in_sad[2].unlink()
    report, _ = sort(heap, library, job)
    assert (report.failures, report.counts["pictures placed"]) == ([], 9)


@needs_posix
@pytest.mark.timeout(60)
def test_whatever_became_of_a_placed_picture_is_left(heap: Path, library: Path, job: Job, tree_of: Tree) -> None:
    sort(heap, library, job)
    pictures = sorted(library.glob("*/*/*.png"))
    for path in pictures[:3]:
        path.unlink()
    pictures[0].mkdir()
    (pictures[0] / "inside.txt").write_text("by hand")
    os.mkfifo(pictures[1])
    pictures[2].symlink_to("/dev/zero")
    (library / "dangling.png").symlink_to(library / "nothing.png")
    (library / "round.png").symlink_to(library / "round.png")
    os.mkfifo(library / "pipe.txt")
    report, steps = sort(heap, library, job)
    assert (steps, report.failures, report.corrections.removed, report.corrections.edited) == ((), [], 0, 3)
    report = undo(library)
    assert {failure.path for failure in report.failures} == set(pictures[:3])
    assert pictures[1].is_fifo() and pictures[2].is_symlink() and (pictures[0] / "inside.txt").exists()


@needs_posix
@pytest.mark.timeout(60)
def test_an_original_that_became_something_else_is_not_taken(heap: Path, library: Path, job: Job) -> None:
    sort(heap, library, job)
    (heap / "0.png").unlink()
    os.mkfifo(heap / "0.png")
    (heap / "1.png").unlink()
    (heap / "1.png").mkdir()
    report, _ = sort(heap, library, job, take=True)
    assert report.counts["originals taken"] == 10
    assert {failure.path.name for failure in report.failures} == {"0.png"}  # a folder is no file to be read
    assert (heap / "0.png").is_fifo() and (heap / "1.png").is_dir()
    undo(library)
    assert len(list(heap.iterdir())) == 12


def test_what_a_killed_write_left_is_cleared_away_and_a_persons_files_are_not(
    heap: Path, library: Path, job: Job, tree_of: Tree
) -> None:
    sort(heap, library, job)
    place = next(library.glob("happy/left/*.png"))
    (place.parent / f"{place.name}.part").write_bytes(b"a person's own")
    (place.parent / ".another.png.1f3a0c77.modelsheet-part").write_bytes(b"of no step that is open")
    before = tree_of(library)
    _die_at(library, place)
    (place.parent / f".{place.name}.1f3a0c77.modelsheet-part").write_bytes(b"half")
    assert sort(heap, library, job)[1] == ()
    assert tree_of(library) == before


def test_a_part_that_cannot_be_cleared_away_does_no_harm(
    heap: Path, library: Path, job: Job, tree_of: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    sort(heap, library, job)
    place = next(library.glob("happy/left/*.png"))
    _die_at(library, place)
    part = place.parent / f".{place.name}.1f3a0c77.modelsheet-part"
    part.write_bytes(place.read_bytes())  # all of it, and its place is gone
    place.unlink()
    unlink = Path.unlink

    def held(path: Path, missing_ok: bool = False) -> None:
        if path == part:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        unlink(path, missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", held)
        report, _ = sort(heap, library, job)
    assert (report.corrections.moved, report.failures) == (0, [])
    assert part.exists()


def _die_at(library: Path, place: Path) -> None:
    """Make the manifest what it would be if the run had died while this file was written."""
    with sqlite3.connect(library / ".modelsheet" / "manifest.sqlite") as db:
        db.execute("UPDATE step SET done = 0 WHERE path = ?", (place.relative_to(library).as_posix(),))
    db.close()


def test_a_library_that_is_a_file_or_below_one_is_a_sentence(heap: Path, tmp_path: Path, job: Job) -> None:
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "library"):
        with pytest.raises(LibraryError, match="cannot be written"):
            sort(heap, place, job)


def test_a_damaged_or_newer_manifest_is_a_sentence(heap: Path, library: Path, job: Job) -> None:
    sort(heap, library, job)
    path = library / ".modelsheet" / "manifest.sqlite"
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    db.close()
    with pytest.raises(LibraryError, match="was written by a newer modelsheet; update this one"):
        sort(heap, library, job)
    path.write_bytes(b"no database" * 500)
    with pytest.raises(LibraryError, match=r"manifest\.sqlite: is damaged \(file is not a database\); \"sorter rescan"):
        sort(heap, library, job)


def test_a_folder_that_is_no_library_is_not_made_one(
    tmp_path: Path, project: Path, run_cli: Any, tree_of: Tree
) -> None:
    (tmp_path / "pictures").mkdir()
    scheme = ("--scheme", project / "scheme.toml")
    for command in (("plan", *scheme), ("apply", *scheme), ("undo",), ("report", *scheme),
                    ("export", "--to", tmp_path / "dataset", *scheme), ("classify", *scheme)):  # fmt: skip
        code, _, err = run_cli(command[0], tmp_path / "pictures", *command[1:])
        assert (code, err.count("\n")) == (2, 1) and "is not a library" in err
        assert tree_of(tmp_path / "pictures", hidden=True) == {}
        assert not (tmp_path / "dataset").exists()


# --- two at once


def test_a_library_in_use_is_refused_and_the_other_process_named(heap: Path, library: Path, job: Job) -> None:
    hold = "import sys; from pathlib import Path; from sorter.library.store.lock import locked\n" \
           "with locked(Path(sys.argv[1]), 'sort elsewhere'): print('held', flush=True); sys.stdin.read()"  # fmt: skip
    other = subprocess.Popen([sys.executable, "-c", hold, library], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert other.stdout is not None
        assert other.stdout.readline().strip() == b"held"
        with pytest.raises(LibraryError) as found:
            sort(heap, library, job)
        assert f'is in use by "sorter sort elsewhere" (process {other.pid}); wait for it' in str(found.value)
        sort(heap, library, job, dry_run=True)
    finally:
        other.kill()
        other.communicate()
    assert sort(heap, library, job)[0].counts["pictures placed"] == 12  # a dead process holds nothing


def test_of_many_runs_that_begin_at_once_one_goes_on_and_the_others_name_it(
    heap: Path, library: Path, project: Path, tree_of: Tree
) -> None:
    command = [sys.executable, "-m", "sorter", "sort", heap, "--to", library, "--scheme", project / "scheme.toml"]
    runs = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    ended = [(run, *run.communicate(timeout=120)) for run in runs]
    done = [str(run.pid) for run, _, err in ended if run.returncode == 0 and not err]
    assert done
    for run, out, err in ended:
        if run.returncode:
            assert (run.returncode, out, err.count("\n")) == (2, "", 1)
            assert "is in use by " in err and (
                "another process" in err or any(f"(process {pid})" in err for pid in done)
            )
    assert len([name for name in tree_of(library) if name.endswith(".png")]) == 12


def test_a_note_of_a_run_that_has_ended_names_nobody(library: Path) -> None:
    """Who comes second may look before the first has written its note."""
    with locked(library, "sort the first"):
        pass
    hold = "import sys; from filelock import FileLock\n" \
           "with FileLock(sys.argv[1]): print('held', flush=True); sys.stdin.read()"  # fmt: skip
    lock = library / ".modelsheet" / "lock"
    other = subprocess.Popen([sys.executable, "-c", hold, lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert other.stdout is not None and other.stdout.readline().strip() == b"held"
        with pytest.raises(LibraryError, match="is in use by another process; wait for it"), locked(library, "sort"):
            pass
    finally:
        other.kill()
        other.communicate()


def test_a_lock_is_let_go_when_its_command_fails(library: Path) -> None:
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), locked(library, "sort"):
            raise ZeroDivisionError


# --- dying in the middle

VICTIM = """\
import os, signal, sys, threading
from pathlib import Path
from sorter.commands import sort as sorting
from sorter.library import apply
from sorter.commands.job import load_job
from sorter.commands.sort import sort
apply.BATCH = 4
scheme, source, library, moment = sys.argv[1:]
job, calls, moment = load_job(Path(scheme)), [0], int(moment)
def lose(file):  # a moment below 0: die while that file is written, with half of it on the disk
    calls[0] -= 1
    if calls[0] == moment:
        os.ftruncate(file, 40)
        os.kill(os.getpid(), signal.SIGKILL)
if moment < 0:
    os.fsync = lose
def count(frame, event, _):
    if "/sorter/library/" in frame.f_code.co_filename.replace(os.sep, "/") or event == "c_call":
        calls[0] += 1
        if calls[0] == moment:
            os.kill(os.getpid(), signal.SIGKILL)
carry_out = sorting.apply
def profiled(*arguments, **options):  # from here on, files are written
    if moment >= 0:
        threading.setprofile(count)
        sys.setprofile(count)
    carry_out(*arguments, **options)
sorting.apply = profiled
sort(Path(source), Path(library), job)
print(calls[0])
"""


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")
def test_whenever_a_run_is_killed_the_next_one_completes_it(
    heap: Path, library: Path, tmp_path: Path, project: Path, job: Job, tree_of: Tree
) -> None:
    """Sorted once, then by another scheme: every picture moves, most are turned, and most captions change."""
    base, path = tmp_path / "base", project / "scheme.toml"
    sort(heap, base, job)
    text = path.read_text()
    path.write_text(text.replace('canonical = "left"', 'canonical = "right"').replace("{mood}/", "all/{mood}/"))
    other = load_job(path)
    shutil.copytree(base, tmp_path / "expected")
    sort(heap, tmp_path / "expected", other)
    expected = tree_of(tmp_path / "expected")
    assert len({name for name in expected if name.endswith(".png")}) == 12
    assert not set(expected) & {name for name in tree_of(base) if name.endswith(".png")}

    def run(moment: int) -> subprocess.CompletedProcess[str]:
        shutil.rmtree(library, ignore_errors=True)
        shutil.copytree(base, library)
        return subprocess.run([sys.executable, "-c", VICTIM, path, heap, library, str(moment)],
                              capture_output=True, text=True, check=False)  # fmt: skip

    whole = run(0)
    assert whole.returncode == 0, whole.stderr
    assert tree_of(library) == expected
    draw = random.Random(3)
    total = int(whole.stdout.split()[-1]) * 9 // 10  # threads take turns as they like: no two runs count alike
    in_the_middle = 0
    for moment in [-1, -7, -16, *(draw.randrange(1, total) for _ in range(7))]:
        killed = run(moment)
        assert killed.returncode == -9, killed.stderr
        in_the_middle += tree_of(library) not in (expected, tree_of(base))
        with open_library(library, "look"):
            assert no_parts(library)
        sort(heap, library, other)
        assert tree_of(library) == expected
        assert sort(heap, library, other)[1] == ()
        undo(library)
        undone = tree_of(library)
        if undone != tree_of(base):  # two runs did the work between them
            undo(library)
            undone = tree_of(library)
        assert undone == tree_of(base)
    assert in_the_middle >= 4
