"""What a sort passes over, leaves, or finds odd, it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sorter.commands import open as opening
from sorter.commands.export import export
from sorter.commands.job import Job
from sorter.commands.open import check_length
from sorter.commands.sort import sort
from sorter.errors import LibraryError
from sorter.library.captions_by_hand import read_caption
from sorter.library.folders import folders_from
from sorter.library.store.manifest import Manifest
from sorter.records import HUMAN, Label
from tests.sorter.by_hand import one


def said(report: Any, words: str) -> bool:
    return any(words in note for note in report.notes)


def test_captions_beside_the_frames_are_mentioned_or_taken_over(frames: Path, library: Path, job: Job) -> None:
    (frames / "sad.txt").write_text("a hat, a coat")
    (frames / "front.png.txt").write_text("a scarf")
    (frames / "readme.txt").write_text("about these pictures")
    report, _ = sort(frames, library, job)
    assert said(report, "2 captions beside the pictures were left where they are")
    assert "hat" not in one(library, "sad-*.txt").read_text()
    report, _ = sort(frames, library, job, captions=True)
    assert report.counts["captions taken over"] == 2
    assert one(library, "sad-*.txt").read_text() == "a hat, a coat\n"
    assert one(library, "front-*.txt").read_text() == "a scarf\n"
    report, _ = sort(frames, library, job)
    assert not report.notes


def test_frames_that_were_taken_again_are_told_of(frames: Path, library: Path, job: Job, draw: Any) -> None:
    sort(frames, library, job)
    draw("left", "sad", 3, (80, 64)).save(frames / "sad.jpg", quality=95)
    report, _ = sort(frames, library, job)
    assert said(report, "1 files hold other pictures than when they were read last")


def test_a_file_of_another_format_than_its_ending_says_is_named(
    frames: Path, library: Path, job: Job, draw: Any
) -> None:
    draw("left", "sad", 5).save(frames / "odd.jpg", "WEBP", lossless=True)
    report, _ = sort(frames, library, job)
    assert said(report, "odd.jpg (WEBP)")
    assert one(library, "odd-*.webp").exists()


def test_pictures_of_a_persons_own_are_named_and_left(frames: Path, library: Path, job: Job, draw: Any) -> None:
    sort(frames, library, job)
    folder = one(library, "sad-*.jpg").parent
    draw("left", "happy", 44).save(folder / "my own.png")
    copy = folder / "copy.jpg"
    copy.write_bytes(one(library, "sad-*.jpg").read_bytes())
    report, steps = sort(frames, library, job)
    below = folder.relative_to(library).as_posix()
    assert report.corrections.strangers == (f"{below}/copy.jpg", f"{below}/my own.png") and steps == ()
    assert copy.exists()


def test_a_class_that_takes_most_of_a_heap_is_told_of(
    tmp_path: Path, library: Path, job: Job, draw: Any, grow: Any
) -> None:
    tree = {f"{n}.png": draw("nobody" if n % 4 else "left", "?" if n % 3 else "sad", n) for n in range(24)}
    report, _ = sort(grow(tmp_path / "many", tree), library, job)
    assert said(report, "75% of all pictures are left out (direction: nobody)")
    assert not said(report, "in doubt")


def test_a_persons_answer_that_no_sorter_knows_any_more_is_a_doubt(
    frames: Path, library: Path, job: Job, tmp_path: Path
) -> None:
    sort(frames, library, job)
    with Manifest(library) as manifest:
        sha256 = manifest.hash_of(one(library, "sad-*.jpg").stem[-10:]) or ""
        with manifest.change():
            manifest.add_labels(sha256, [Label("mood", "furious", 1.0, HUMAN)])
    report, _ = sort(frames, library, job)
    assert report.doubts["mood"] == 2  # that which the sorter doubts, and this one
    assert "_unsure" in one(library, "sad-*.jpg").parts
    export(library, tmp_path / "dataset", job)
    assert not list((tmp_path / "dataset").glob("sad-*"))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("a, caf\u00e9\r\n".encode("utf-16"), "a, caf\u00e9"),
        ("a, caf\u00e9".encode("utf-8-sig"), "a, caf\u00e9"),
        ("a, caf\u00e9\r\nb".encode("cp1252"), "a, caf\u00e9, b"),
        (b"", ""),
        (b"\x00\x01\x02", None),
        (b"\xff\xfe\x00", None),
    ],
)
def test_captions_are_read_as_editors_write_them(data: bytes, words: str | None) -> None:
    assert read_caption(data) == words


def test_what_folders_mean_is_kept_as_text(job: Job) -> None:
    folders = job.layout.folders
    again = folders_from(folders.text())
    assert again == folders
    assert again.read("SAD/Left") == {"mood": "sad", "direction": "left"}
    assert again.mirrored("direction", "left") == "right" and again.mirrored("mood", "sad") == "sad"


def test_paths_that_windows_does_not_take_are_told_of(
    frames: Path, tmp_path: Path, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not sort(frames, tmp_path / "short", job)[0].notes
    long = tmp_path / ("a" * 100) / ("b" * 60)
    report, _ = sort(frames, long, job)
    assert said(report, "and Windows takes 259; choose shorter names if it is to be used there")
    monkeypatch.setattr(opening.os, "name", "nt")
    with pytest.raises(LibraryError, match="Windows takes 259; choose a shorter folder"):
        check_length(long, job.layout.folders)
