"""Originals that are taken into a library's keeping: no byte is lost, and each comes back to its place."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sorter.commands.job import Job
from sorter.commands.rescan import rescan
from sorter.commands.sort import sort
from sorter.commands.undo import undo
from sorter.library import originals
from sorter.library.originals import LIST, taken
from sorter.library.store.manifest import FILE, FOLDER, Manifest

Tree = Callable[..., dict[str, str]]


@pytest.fixture
def old(frames: Path) -> Path:
    """Frames that nobody has written to for a while."""
    for path in frames.rglob("*"):
        os.utime(path, (time.time() - 60,) * 2)
    return frames


def test_originals_come_back_as_they_were(old: Path, library: Path, job: Job, tree_of: Tree) -> None:
    before, times = tree_of(old), {path: path.stat() for path in old.rglob("*.png")}
    report, _ = sort(old, library, job, take=True)
    assert report.counts["originals taken"] == len(taken(library)) > 0
    undo(library)
    assert tree_of(old) == before and taken(library) == []
    assert all(path.stat().st_mtime_ns == was.st_mtime_ns for path, was in times.items())
    assert all(path.stat().st_ino == was.st_ino for path, was in times.items())  # moved, not copied


def test_what_is_written_after_the_taking_is_kept_and_comes_back(old: Path, library: Path, job: Job) -> None:
    path = old / "left happy.png"
    with path.open("ab") as writer:
        sort(old, library, job, take=True)
        assert not path.exists()
        writer.write(b"the rest")
    undo(library)
    assert path.read_bytes().endswith(b"the rest")


def test_a_file_that_is_being_written_is_left(
    old: Path, library: Path, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = old / "left happy.png"
    os.utime(path)
    honest = time.sleep

    def meanwhile(seconds: float) -> None:
        path.write_bytes(path.read_bytes() + b"more")
        honest(0)

    monkeypatch.setattr(originals.time, "sleep", meanwhile)
    report, _ = sort(old, library, job, take=True)
    assert [(one.path, one.reason) for one in report.failures if one.path == path] == [
        (path, "is still being written, so it was left; sort again with --take")
    ]
    assert path.read_bytes().endswith(b"more")


def test_across_disks_what_changed_meanwhile_is_left(
    old: Path, library: Path, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = originals.copy

    def refuse(source: Path, target: Path) -> None:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    def copy(source: Path, target: Path, sha256: str) -> None:
        honest(source, target, sha256)
        if source.name == "left happy.png":
            source.write_bytes(source.read_bytes() + b"more")

    monkeypatch.setattr(originals, "move", refuse)
    monkeypatch.setattr(originals, "copy", copy)
    report, _ = sort(old, library, job, take=True)
    path = old / "left happy.png"
    assert path.read_bytes().endswith(b"more") and not (old / "sad.jpg").exists()
    assert any(one.path == path and "has changed meanwhile" in one.reason for one in report.failures)
    monkeypatch.undo()
    undo(library)
    assert (old / "sad.jpg").exists() and path.read_bytes().endswith(b"more")


@pytest.mark.skipif(sys.platform == "win32", reason="links need a right of their own there")
def test_a_link_comes_back_as_a_link(old: Path, library: Path, job: Job, tmp_path: Path) -> None:
    real = tmp_path / "real.png"
    shutil.move(old / "left happy.png", real)
    (old / "left happy.png").symlink_to("../real.png")
    sort(old, library, job, take=True)
    assert real.exists() and not os.path.lexists(old / "left happy.png")
    undo(library)
    assert (old / "left happy.png").readlink() == Path("../real.png")


@pytest.mark.parametrize("spoilt", ["gone", "damaged"])
def test_without_the_manifest_all_come_back_by_one_command(
    old: Path, library: Path, job: Job, tree_of: Tree, spoilt: str
) -> None:
    before = tree_of(old)
    sort(old, library, job, take=True)
    manifest = library / FOLDER / FILE
    manifest.unlink() if spoilt == "gone" else manifest.write_bytes(b"\xff" * 5000)
    rescan(library, job, [old])
    placed = tree_of(library)
    report = undo(library)
    assert "taken before a rescan" in report.notes[0]
    assert tree_of(old) == before and tree_of(library) == placed


def test_what_earlier_versions_took_is_known(old: Path, library: Path, job: Job, tree_of: Tree) -> None:
    """They noted it in the manifest, and kept one file for all copies."""
    before = tree_of(old)
    sort(old, library, job, take=True)
    folder = library / FOLDER / "originals"
    rows = taken(library)
    (folder / LIST).unlink()
    for path in folder.rglob("*.?"):
        path.unlink()
    with Manifest(library) as manifest, manifest.change():
        for row in rows:
            manifest._db.execute("INSERT INTO taken VALUES (?, ?, ?)", (row.path, row.sha256, row.run))
    sort(old, library, job)
    assert {one.path for one in taken(library)} == {row.path for row in rows}
    undo(library, 1)
    assert tree_of(old) == before


def test_an_original_that_cannot_be_given_back_is_said_and_can_be_tried_again(
    old: Path, library: Path, job: Job, tree_of: Tree
) -> None:
    before = tree_of(old)
    sort(old, library, job, take=True)
    path = old / "left happy.png"
    path.write_bytes(b"another")
    report = undo(library)
    assert [one.path for one in report.failures] == [path] and report.counts["originals not given back"] == 1
    assert path.read_bytes() == b"another"
    path.unlink()
    report = undo(library)
    assert report.counts["originals given back"] == 1 and tree_of(old) == before


def test_a_dry_run_of_undo_tells_of_originals_and_of_the_run(old: Path, library: Path, job: Job, tree_of: Tree) -> None:
    sort(old, library, job, take=True)
    before = tree_of(old), tree_of(library)
    report = undo(library, dry_run=True)
    assert report.counts["originals to give back"] == len(taken(library))
    assert report.notes == [f"takes back run 1 (sort {old})"]
    assert (tree_of(old), tree_of(library)) == before


def test_a_last_line_that_was_cut_off_costs_no_other(old: Path, library: Path, job: Job) -> None:
    sort(old, library, job, take=True)
    rows = taken(library)
    with (library / FOLDER / "originals" / LIST).open("a") as file:
        file.write(json.dumps({"path": "x"})[:-3])
    assert taken(library) == rows
