"""Full and read-only disks, two processes at once, and processes that die in the middle."""

from __future__ import annotations

import errno
import os
import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sorter.errors import LibraryError
from sorter.library import apply as applying
from sorter.library.lock import locked
from sorter.library.manifest import MIGRATIONS, Manifest
from sorter.pipeline import Job, load_job, open_library, sort, undo

Tree = Callable[..., dict[str, str]]


@pytest.fixture
def library(tmp_path: Path) -> Path:
    return tmp_path / "library"


@pytest.fixture
def heap(tmp_path: Path, draw: Any, grow: Any) -> Path:
    """A dozen pictures that all can be used."""
    moods, directions = ("happy", "sad"), ("left", "right", "front")
    return grow(tmp_path / "heap", {f"{n}.png": draw(directions[n % 3], moods[n % 2], n) for n in range(12)})


def no_parts(library: Path) -> bool:
    return not list(library.rglob("*.part"))


# --- full


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
        patch.setattr(applying.os, "replace", full)
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
        patch.setattr(applying.os, "replace", locked)
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
        patch.setattr(applying.os, "fsync", full)
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


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_library_is_a_sentence(heap: Path, library: Path, job: Job, tree_of: Tree) -> None:
    sort(heap, library, job)
    undo(library)
    library.chmod(0o555)
    try:
        with pytest.raises(LibraryError, match="cannot be written: Permission denied"):
            sort(heap, library, job)
    finally:
        library.chmod(0o755)
    assert tree_of(library) == {}


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
    with pytest.raises(LibraryError, match=r"manifest\.sqlite: cannot be used"):
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
    hold = "import sys; from pathlib import Path; from sorter.library.lock import locked\n" \
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


def test_a_lock_is_let_go_when_its_command_fails(library: Path) -> None:
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), locked(library, "sort"):
            raise ZeroDivisionError


# --- dying in the middle

VICTIM = """\
import os, signal, sys, threading
from pathlib import Path
from sorter import pipeline
from sorter.library import apply
from sorter.pipeline import load_job, sort
apply.BATCH = 4
scheme, source, library, moment = sys.argv[1:]
job, calls, moment = load_job(Path(scheme)), [0], int(moment)
def lose(file):  # a moment below 0: die while that file is written, with half of it on the disk
    calls[0] -= 1
    if calls[0] == moment:
        os.ftruncate(file, 40)
        os.kill(os.getpid(), signal.SIGKILL)
if moment < 0:
    apply.os.fsync = lose
def count(frame, event, _):
    if "/sorter/library/" in frame.f_code.co_filename.replace(os.sep, "/") or event == "c_call":
        calls[0] += 1
        if calls[0] == moment:
            os.kill(os.getpid(), signal.SIGKILL)
carry_out = pipeline.carry_out
def profiled(*arguments, **options):  # from here on, files are written
    if moment >= 0:
        threading.setprofile(count)
        sys.setprofile(count)
    carry_out(*arguments, **options)
pipeline.carry_out = profiled
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
    total = int(whole.stdout.split()[-1])
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
