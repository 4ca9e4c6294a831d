"""`sorter frames`: what is written, under which names; stopped and run again; and what goes wrong, one by one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sorter.classify.stills import Wanted
from sorter.commands.frames import Form, frames
from sorter.commands.frames_done import FILE, LOCK
from sorter.errors import LibraryError
from sorter.library.names import frame_stem, read_frame_stem
from tests.film import RATE, film, write_video
from tests.sorter.pictures.test_video import moving, scenery

pytest.importorskip("av")
pytest.importorskip("imagehash")

SIZE = (320, 180)


def make_film(path: Path, count: int = 5, first: int = 0, **how: Any) -> Path:
    pictures = [Image.fromarray(scenery(first + seed, (640, 360))) for seed in range(count)]
    return write_video(path, (pixels for pixels, _ in film(pictures, SIZE)), **how)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("[!.]*"))


def test_names_say_file_and_time(tmp_path: Path) -> None:
    make_film(tmp_path / "in" / "Ep. 01 - the (end).mp4")
    report = frames([tmp_path / "in"], tmp_path / "out")
    found = [read_frame_stem(Path(name).stem) for name in names(tmp_path / "out")]
    assert len(found) == report.counts["written"] >= 5
    assert {one[0] for one in found if one} == {"Ep_01_-_the_end"}
    assert all(one and "." not in Path(name).stem for one, name in zip(found, names(tmp_path / "out"), strict=True))


@pytest.mark.parametrize("seconds", [0.0, 0.0416, 59.9996, 3599.9999, 723.48, 360_000.5])
def test_a_name_is_read_back(seconds: float) -> None:
    found = read_frame_stem(frame_stem("ep_01-a", seconds))
    assert found is not None and found[0] == "ep_01-a" and abs(found[1] - seconds) <= 0.0005
    assert read_frame_stem("ep01") is None


def test_videos_of_one_name_and_copies(tmp_path: Path) -> None:
    first = make_film(tmp_path / "a" / "ep.mp4")
    make_film(tmp_path / "b" / "EP.mp4", first=20)
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "copy.mp4").write_bytes(first.read_bytes())
    report = frames([tmp_path], tmp_path / "out")
    found = [read_frame_stem(Path(name).stem) for name in names(tmp_path / "out")]
    assert {one[0] for one in found if one} == {"ep", "EP-2"}
    assert (report.counts["videos"], report.counts["videos done before"]) == (3, 1)


def test_again_nothing_is_written_or_taken_from_the_frames(tmp_path: Path, tree_of: Any) -> None:
    video, out = make_film(tmp_path / "a.mp4"), tmp_path / "out"
    frames([video], out)
    before = tree_of(out)
    assert frames([video], out).counts["written"] == 0
    assert tree_of(out) == before
    (out / names(out)[0]).unlink()  # a person did not want it
    assert frames([video], out).counts["written"] == 0
    more = frames([video, make_film(tmp_path / "b.mp4", first=30)], out)
    assert more.counts["written"] > 0


@pytest.mark.parametrize("scenes", [0, 1, 3, 5])
def test_a_killed_run_goes_on_where_it_was(
    tmp_path: Path, tree_of: Any, monkeypatch: pytest.MonkeyPatch, scenes: int
) -> None:
    """However far it was, and whatever of what it wrote it had not noted: in the end, the same stands."""
    from sorter.commands import frames as module

    video = make_film(tmp_path / "a.mp4", 8)
    frames([video], tmp_path / "whole")
    written, real = [], module.write

    def failing(path: Path, data: bytes) -> None:
        if len(written) == scenes:
            raise KeyboardInterrupt
        written.append(path)
        real(path, data)

    monkeypatch.setattr(module, "write", failing)
    with pytest.raises(KeyboardInterrupt):
        frames([video], tmp_path / "out")
    monkeypatch.setattr(module, "write", real)
    report = frames([video], tmp_path / "out")
    assert report.counts["written"] == len(names(tmp_path / "whole")) - scenes
    assert tree_of(tmp_path / "out") == tree_of(tmp_path / "whole")


def test_other_options_into_the_same_folder_are_refused(tmp_path: Path) -> None:
    video, out = make_film(tmp_path / "a.mp4", 2), tmp_path / "out"
    frames([video], out)
    with pytest.raises(LibraryError, match="taken with most 3, and now it is to be most 5"):
        frames([video], out, Wanted(most=5))
    with pytest.raises(LibraryError, match="format"):
        frames([video], out, form=Form("png"))
    (out / FILE).write_text("{")
    with pytest.raises(LibraryError, match="damaged"):
        frames([video], out)


def test_a_dry_run_writes_nothing_and_counts_the_same(tmp_path: Path) -> None:
    video = make_film(tmp_path / "a.mp4", 3)
    dry = frames([video], tmp_path / "out", dry_run=True)
    assert not (tmp_path / "out").exists()
    assert dry.counts["to be written"] == frames([video], tmp_path / "out").counts["written"] > 0


def test_a_library_and_a_folder_in_use_are_refused(tmp_path: Path) -> None:
    from filelock import FileLock

    (tmp_path / "library" / ".modelsheet").mkdir(parents=True)
    with pytest.raises(LibraryError, match="is a library"):
        frames([], tmp_path / "library")
    (tmp_path / "out").mkdir()
    with FileLock(tmp_path / "out" / LOCK), pytest.raises(LibraryError, match="another sorter frames"):
        frames([], tmp_path / "out")


def test_bars_are_cut_or_kept(tmp_path: Path) -> None:
    def letterbox(pixels: np.ndarray) -> np.ndarray:
        boxed = np.zeros_like(pixels)
        boxed[24:156] = pixels[24:156]
        return boxed

    pictures = [Image.fromarray(scenery(seed, (640, 360))) for seed in range(4)]
    video = write_video(
        tmp_path / "a.mp4", (letterbox(pixels) for pixels, _ in film(pictures, SIZE)), options={"g": "24"}
    )
    report = frames([video], tmp_path / "cut")
    assert "have black bars, which are cut: a.mp4 (320x12" in report.notes[0]
    frames([video], tmp_path / "kept", form=Form(keep_bars=True))
    for folder, heights in (("cut", range(126, 133)), ("kept", range(180, 181))):
        for name in names(tmp_path / folder):
            with Image.open(tmp_path / folder / name) as image:
                assert image.width == 320 and image.height in heights


def test_png_is_lossless_and_quality_counts(tmp_path: Path) -> None:
    video = make_film(tmp_path / "a.mp4", 1)
    sizes = []
    for form in (Form("png"), Form(quality=95), Form(quality=50)):
        frames([video], tmp_path / str(form.quality) / form.format, form=form)
        (path, *_) = sorted((tmp_path / str(form.quality) / form.format).glob("[!.]*"))
        sizes.append(path.stat().st_size)
    assert sizes == sorted(sizes, reverse=True)


def test_the_command_goes_on_past_what_is_no_video(
    tmp_path: Path, run_cli: Callable[..., Any], grow: Callable[..., Path]
) -> None:
    heap = grow(
        tmp_path / "in",
        {
            "picture.mp4": b"",
            "text.mkv": "hello",
            "notes.txt": "hello",
            "sound.mp3": b"x",
            "sub": {"cover.jpg": Image.fromarray(scenery(1))},
        },
    )
    make_film(heap / "sub" / "ep[red]01.mp4", 2)
    code, out, _ = run_cli("frames", heap, tmp_path / "gone.mp4", "--to", tmp_path / "out", "--json")
    data = json.loads(out)
    assert code == 1
    assert {Path(one["path"]).name: one["reason"] for one in data["failures"]} == {
        "picture.mp4": "the file is empty",
        "text.mkv": "not a video: its bytes are of no format that FFmpeg reads",
        "gone.mp4": "cannot be read: No such file or directory",
    }
    assert data["passed_over"] == {".jpg": 1, ".mp3": 1, ".txt": 1}
    assert data["counts"]["written"] == len(names(tmp_path / "out")) >= 2


def test_a_black_video_is_said_to_give_nothing(tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.mp4", [np.zeros((90, 160, 3), np.uint8)] * RATE)
    for _ in range(2):
        (failure,) = frames([video], tmp_path / "out").failures
        assert failure.reason.startswith("no frame of it was taken")


def test_what_can_be_read_of_a_cut_off_video_is_kept_and_said(tmp_path: Path) -> None:
    video = make_film(tmp_path / "a.mkv", 6)
    video.write_bytes(video.read_bytes()[: video.stat().st_size * 2 // 3])
    report = frames([video], tmp_path / "out")
    assert report.counts["written"] >= 2
    assert report.failures[0].reason.startswith(("cut off", "damaged"))


def test_progress_is_by_video_and_frame(tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.mp4", moving(48))
    said = []

    def track(items: Any, what: str, total: int | None) -> Any:
        decoded = list(items)
        said.append((what, total, len(decoded)))
        return decoded

    frames([video], tmp_path / "out", track=track)
    assert said == [("a.mp4", 48, 48)]
