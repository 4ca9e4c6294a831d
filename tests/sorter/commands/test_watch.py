from __future__ import annotations

import errno
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import sorter
from sorter.cli.watch import Told
from sorter.commands import arrivals
from sorter.commands.arrivals import pictures_of
from sorter.commands.job import Job
from sorter.commands.sort import sort
from sorter.commands.watch import POLL, settled, watch
from sorter.errors import LibraryError
from sorter.files import Found
from tests.sorter.by_hand import move, one

ROOT = Path(sorter.__file__).parent.parent


class Script:
    """A source of news that plays a script: at each look, what happens to the files, and the news of it."""

    def __init__(self, *looks: Callable[[], list[Path]]) -> None:
        self.looks, self.now, self.stop = list(looks), 0.0, threading.Event()
        self.pending: list[Path] = []

    def get(self, timeout: float) -> Path:
        if timeout:
            self.now += timeout
            if self.looks:
                self.pending = self.looks.pop(0)()
            else:
                self.stop.set()
        if not self.pending:
            raise queue.Empty
        return self.pending.pop(0)

    def batches(self, still: float) -> Iterator[tuple[float, list[Found]]]:
        for batch in settled({}, self, self.stop, still, lambda: self.now):
            yield self.now, batch


def nothing() -> list[Path]:
    return []


def test_a_growing_file_is_not_taken_until_it_stands_still(tmp_path: Path) -> None:
    path = tmp_path / "a.png"

    def grow() -> list[Path]:
        with path.open("ab") as file:
            file.write(b"more")
        return [path]

    def grow_unseen() -> list[Path]:
        grow()
        return []

    script = Script(grow, grow, nothing, grow_unseen, nothing, nothing, nothing, nothing)
    ((now, batch),) = script.batches(still=3 * POLL)
    assert [(found.path, found.size) for found in batch] == [(path, 12)]
    assert now == 7 * POLL  # last seen to grow at the fourth look, and still at three more


def test_a_file_that_vanishes_is_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "a.png"

    def come() -> list[Path]:
        path.write_bytes(b"1")
        return [path, path, tmp_path / "never.png"]

    def go() -> list[Path]:
        path.unlink()
        return []

    assert list(Script(come, go, nothing, nothing, nothing).batches(still=2 * POLL)) == []


def test_a_file_that_comes_again_is_taken_again(tmp_path: Path) -> None:
    path = tmp_path / "a.png"

    def write(data: bytes) -> Callable[[], list[Path]]:
        def look() -> list[Path]:
            path.write_bytes(data)
            return [path]

        return look

    script = Script(write(b"1"), nothing, nothing, write(b"22"), nothing, nothing)
    sizes = [[found.size for found in batch] for _, batch in script.batches(still=POLL)]
    assert sizes == [[1], [2]]


def test_news_of_other_files_are_of_no_interest(tmp_path: Path) -> None:
    library = tmp_path / "library"
    (tmp_path / "moved in" / "deeper").mkdir(parents=True)
    (tmp_path / "moved in" / "deeper" / "b.png").write_bytes(b"")
    assert pictures_of(tmp_path / "a.PNG", tmp_path, library, False) == [tmp_path / "a.PNG"]
    for path in ("a.txt", "a.png.part", ".hidden/a.png", ".a.png", "library/happy/a.png"):
        assert pictures_of(tmp_path / path, tmp_path, library, False) == []
    assert pictures_of(tmp_path / "moved in", tmp_path, library, True) == [tmp_path / "moved in" / "deeper" / "b.png"]
    assert pictures_of(library, tmp_path, library, True) == []


def test_what_was_there_is_sorted_and_stop_ends_it(frames: Path, tmp_path: Path, job: Job, tree_of: Any) -> None:
    sort(frames, tmp_path / "expected", job)
    stop, reports = threading.Event(), []
    for report in watch(frames, tmp_path / "library", job, stop=stop, still=0.1):
        reports.append(report)
        if report.counts["files"]:
            stop.set()
    assert len(reports) == 2
    assert reports[1].counts["pictures placed"] == 5
    assert tree_of(tmp_path / "library") == tree_of(tmp_path / "expected")


def test_what_a_person_did_meanwhile_is_seen_with_the_next_file(
    frames: Path, tmp_path: Path, job: Job, draw: Any
) -> None:
    stop, library, seen = threading.Event(), tmp_path / "library", []
    for report in watch(frames, library, job, stop=stop, still=0.1):
        seen.append(report.corrections.moved)
        if len(seen) == 2:
            move(library, "sad-*.jpg", "happy/front", caption=False)
            draw("left", "sad", 9).save(frames / "late.png")
        elif len(seen) == 3:
            stop.set()
    assert seen == [0, 0, 1]
    assert one(library, "sad-*.txt").parent == one(library, "sad-*.jpg").parent == library / "happy" / "front"
    assert one(library, "late-*.png").parent == library / "sad" / "left"


def test_what_cannot_be_watched_is_a_sentence(frames: Path, tmp_path: Path, job: Job) -> None:
    with pytest.raises(LibraryError, match="is not a folder"):
        next(watch(tmp_path / "gone", tmp_path / "library", job, stop=threading.Event()))
    with pytest.raises(LibraryError, match="lies in the library"):
        next(watch(frames, tmp_path, job, stop=threading.Event()))
    assert not (tmp_path / "library").exists()


def wait_for(what: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    until = time.monotonic() + 60
    while not what():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until, "nothing came of it"
        time.sleep(0.05)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGTERM to catch")
def test_a_daemon_places_what_arrives_and_what_arrived_while_it_was_down(
    project: Path, frames: Path, tmp_path: Path, job: Job, tree_of: Any, draw: Any
) -> None:
    incoming, library = tmp_path / "incoming", tmp_path / "library"
    incoming.mkdir()

    def start() -> subprocess.Popen[str]:
        command = ["watch", str(incoming), "--to", str(library), "--scheme", str(project / "scheme.toml")]
        process = subprocess.Popen([sys.executable, "-m", "sorter", *command, "--still", "0.4", "--json"], cwd=ROOT,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # fmt: skip
        assert process.stderr is not None
        assert process.stderr.readline().startswith("watching ")
        return process

    def end(process: subprocess.Popen[str]) -> str:
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=30)
        assert (process.returncode, err) == (0, "")
        return out

    def placed() -> int:
        return len([path for path in library.rglob("*-*") if path.suffix in (".png", ".jpg")])

    process = start()
    wait_for(lambda: (library / ".modelsheet" / "lock.txt").exists(), process)
    for path in ("left happy.png", "sad.jpg"):  # slowly, in two pieces
        data = (frames / path).read_bytes()
        with (incoming / path).open("wb") as file:
            file.write(data[:100])
            file.flush()
            time.sleep(0.25)
            file.write(data[100:])
    shutil.copytree(frames / "zoo", incoming / "zoo")
    shutil.move(incoming / "zoo", incoming / "moved")
    wait_for(lambda: placed() == 2, process)
    assert end(process) == '{"placed": 2}\n'
    for path in ("right happy.png", "front.png", "doubtful.png", "empty.png"):
        shutil.copy(frames / path, incoming)
    process = start()
    wait_for(lambda: placed() == 5, process)
    assert end(process) == '{"placed": 3}\n'
    sort(incoming, tmp_path / "expected", job)
    pictures = {sha256 for name, sha256 in tree_of(library).items() if not name.endswith("/")}
    assert pictures == {sha256 for name, sha256 in tree_of(tmp_path / "expected").items() if not name.endswith("/")}
    assert sort(incoming, library, job)[1] == ()


def watched(
    folder: Path, library: Path, job: Job, acts: list[Callable[[], object]], **options: Any
) -> tuple[list[str], list[Any]]:
    """Run a daemon, do one act after each batch that placed or failed something, and end it after the last."""
    stop, said, reports = threading.Event(), [], []
    timer = threading.Timer(40, stop.set)
    timer.start()
    for report in watch(folder, library, job, stop=stop, still=0.05, say=said.append, **options):
        reports.append(report)
        if acts:
            acts.pop(0)()
        else:
            stop.set()
    timer.cancel()
    assert not acts, (said, reports)
    return said, reports


@pytest.mark.timeout(60)
def test_a_folder_that_goes_away_and_comes_back_is_watched_again(
    frames: Path, tmp_path: Path, job: Job, draw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    library, away = tmp_path / "library", tmp_path / "away"

    def replace() -> None:
        frames.rename(away)
        threading.Timer(1, come_back).start()

    def come_back() -> None:
        frames.mkdir()
        draw("left", "sad", 9).save(frames / "late.png")

    def arrive() -> None:
        draw("left", "sad", 10).save(frames / "later.png")

    said, _ = watched(frames, library, job, [lambda: None, replace, arrive])
    assert any("is gone" in one for one in said) and any("is back" in one for one in said)
    assert one(library, "late-*.png").exists() and one(library, "later-*.png").exists()


@pytest.mark.timeout(60)
def test_what_nobody_announces_is_found(
    frames: Path, tmp_path: Path, job: Job, draw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from watchdog.observers import Observer

    def refuse(self: Any) -> None:
        raise OSError(errno.ENOSPC, "inotify watch limit reached")

    monkeypatch.setattr(Observer, "start", refuse)
    monkeypatch.setattr(arrivals, "EVERY", 0.2)

    def arrive() -> None:
        draw("left", "sad", 9).save(frames / "late.png")

    said, _ = watched(frames, tmp_path / "library", job, [lambda: None, arrive])
    assert len(said) == 1 and "inotify watch limit reached" in said[0]
    assert one(tmp_path / "library", "late-*.png").exists()


def test_a_library_that_is_taken_away_ends_the_daemon_with_a_sentence(frames: Path, tmp_path: Path, job: Job) -> None:
    library = tmp_path / "library"
    with pytest.raises(LibraryError, match="was removed or replaced while it was in use"):
        watched(frames, library, job, [lambda: None, lambda: shutil.rmtree(library)])


def test_an_edited_scheme_is_taken_up_and_a_broken_one_is_told_of(
    project: Path, frames: Path, tmp_path: Path, job: Job, draw: Any
) -> None:
    path, told = project / "scheme.toml", []
    scheme = Told(path, told.append)

    def edit(text: str) -> None:
        path.write_text(text)

    def spoil() -> None:
        edit("folders = 3")
        threading.Timer(1.5, lambda: draw("left", "sad", 9).save(frames / "late.png")).start()

    text = path.read_text().replace("{mood}/{direction}", "all {mood}/{direction}")
    watched(frames, tmp_path / "library", job, [lambda: None, spoil, lambda: edit(text)], changed=scheme.changed)
    assert len(told) == 2 and "stays in force" in told[0] and "was edited" in told[1]
    assert one(tmp_path / "library", "late-*.png").parent.parent.name == "all sad"
