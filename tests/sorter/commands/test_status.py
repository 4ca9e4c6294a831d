"""What `sorter status` says of a library and its daemon, and that it leaves both as they are."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sorter.commands.job import Job
from sorter.commands.sort import sort
from sorter.commands.status import Status, status
from sorter.commands.status_text import as_dict, lines_of
from sorter.commands.watch import watch
from sorter.errors import LibraryError
from sorter.library.store.daemon import EVERY, FILE, SLOT, SPAN, DaemonFile, DaemonState, last_state
from sorter.library.store.lock import Holder, holder, locked
from sorter.records import Unreadable
from sorter.tally import Report

Tree = Callable[..., dict[str, str]]


def batch(placed: int = 0, last: str = "", *failures: str) -> Report:
    counts = Counter({"pictures placed": placed}) if placed else Counter[str]()
    return Report(counts, failures=[Unreadable(Path(one), "is empty") for one in failures], last_placed=last)


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def writer(tmp_path: Path, clock: Clock) -> Iterator[DaemonFile]:
    (tmp_path / ".modelsheet").mkdir()
    with DaemonFile(tmp_path, tmp_path / "frames", clock) as made:
        yield made


# --- the daemon's file


def test_what_is_written_is_read(tmp_path: Path, writer: DaemonFile, clock: Clock) -> None:
    clock.now += EVERY
    writer.add(batch(3, "happy/left/a-0123456789.png", "/frames/b\x1b.png"))
    found = last_state(tmp_path)
    assert found == writer.state
    assert found is not None and found.ended is None
    assert (found.placed, found.failures, found.last_placed_at) == (3, 1, clock.now)
    assert found.last_failures == (("/frames/b\\u001b.png", "is empty"),)


def test_a_busy_daemon_writes_once_a_second(tmp_path: Path, writer: DaemonFile, clock: Clock) -> None:
    for _ in range(10):
        clock.now += EVERY / 5
        writer.add(batch(1))
    found = last_state(tmp_path)
    assert found is not None and found.placed == 10
    clock.now += EVERY / 5
    writer.add(batch(1))
    assert last_state(tmp_path) == found
    clock.now += EVERY
    writer.catch_up()
    assert (last_state(tmp_path) or found).placed == 11


def test_the_rate_is_that_of_the_last_minutes(writer: DaemonFile, clock: Clock) -> None:
    for _ in range(60):  # ten minutes, two pictures every ten seconds
        clock.now += SLOT
        writer.add(batch(2))
    assert writer.state.rate(clock.now) == pytest.approx(12, rel=0.05)
    assert len(writer.state.recent) <= SPAN / SLOT + 1
    assert writer.state.rate(clock.now + 2 * SPAN) == 0


def test_a_clock_that_is_set_back_ends_nothing(tmp_path: Path, writer: DaemonFile, clock: Clock) -> None:
    clock.now -= 3600
    writer.add(batch(1))
    assert (last_state(tmp_path) or writer.state).placed == 1
    assert writer.state.rate(clock.now) >= 0


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b'{"process": 1, "started": 1e99, "folder": "", "written": 0}'])
def test_a_file_that_makes_no_sense_is_a_note(tmp_path: Path, frames: Path, job: Job, text: bytes) -> None:
    sort(frames, tmp_path / "library", job)
    (tmp_path / "library" / ".modelsheet" / FILE).write_bytes(text)
    found = status(tmp_path / "library", job)
    assert (found.state, found.daemon) == ("never", None)
    assert found.notes == [
        f"{tmp_path / 'library' / '.modelsheet' / FILE}: is not what a daemon writes; "
        "how the daemon is doing is not known"
    ]


def test_a_library_that_was_taken_away_is_not_begun_again(tmp_path: Path, writer: DaemonFile) -> None:
    (tmp_path / ".modelsheet").rename(tmp_path / "elsewhere")
    writer.add(batch(1))
    assert not (tmp_path / ".modelsheet").exists()
    (tmp_path / "elsewhere").rename(tmp_path / ".modelsheet")


# --- who holds the library


def test_the_holder_of_a_library_is_named_while_it_holds_it(tmp_path: Path) -> None:
    assert holder(tmp_path) is None
    assert not (tmp_path / ".modelsheet").exists()
    with locked(tmp_path, "watch /frames"):
        found = holder(tmp_path)
        assert found is not None and found.command == "watch /frames" and found.process is not None
    assert holder(tmp_path) is None


# --- the status


def test_a_library_without_a_daemon(frames: Path, library: Path, job: Job, tree_of: Tree) -> None:
    sort(frames, library, job)
    before = tree_of(library, hidden=True)
    found = status(library, job)
    assert (found.state, found.pictures, found.in_doubt, found.doubts) == ("never", 6, 1, {"mood": 1})
    assert found.unusable.total() == 2
    assert tree_of(library, hidden=True) == before
    assert "no daemon has ever run" in lines_of(as_dict(found, library))[0]


def test_the_doubts_are_counted_without_a_scheme(frames: Path, library: Path, job: Job) -> None:
    sort(frames, library, job)
    found = status(library, None, "scheme.toml: there is no such file")
    assert (found.in_doubt, found.doubts) == (1, None)
    assert found.notes == ["scheme.toml: there is no such file; so the doubts are counted by the _unsure folders alone"]


def test_no_library_is_a_sentence(tmp_path: Path, job: Job) -> None:
    with pytest.raises(LibraryError, match="is not a library"):
        status(tmp_path, job)


def test_a_daemon_from_its_start_to_its_end(frames: Path, library: Path, job: Job) -> None:
    stop, seen = threading.Event(), []
    for report in watch(frames, library, job, stop=stop, still=0.05):
        seen.append(status(library, job))
        if report.counts["files"]:
            stop.set()
    assert {one.state for one in seen} == {"running"}
    ended = status(library, job)
    assert (ended.state, ended.held_by) == ("stopped", None)
    assert ended.daemon is not None
    assert (ended.daemon.placed, ended.daemon.failures) == (5, 2)
    assert (library / ended.daemon.last_placed).is_file()
    text = "\n".join(lines_of(as_dict(ended, library)))
    for said in ("the last one was stopped at ", "it placed 5 pictures from", "2 files failed", "the file is empty"):
        assert said in text


def test_a_daemon_that_fails_says_why(frames: Path, library: Path, job: Job) -> None:
    def changed() -> None:
        raise LibraryError("the disk: is full")

    with pytest.raises(LibraryError):
        list(watch(frames, library, job, stop=threading.Event(), changed=changed))
    found = status(library, job)
    assert (found.state, found.daemon and found.daemon.reason) == ("failed", "the disk: is full")
    assert "failed at " in lines_of(as_dict(found, library))[0]


STATE = DaemonState(7, 1e9, "/frames", 1e9 + 60, placed=30, last_placed="a/b.png", last_placed_at=1e9 + 55,
                    recent=((1e9, 20), (1e9 + 50, 10)))  # fmt: skip


@pytest.mark.parametrize(
    ("held_by", "state", "said"),
    [
        (Holder('"sorter watch /frames" (process 7)', "watch /frames", 7), "running", ["is running", "30.0 a minute"]),
        (None, "killed", ["was killed after 2001-09-09"]),
        (Holder('"sorter sort x" (process 8)', "sort x", 8), "killed", ["was killed", 'in use by "sorter sort x"']),
    ],
)
@pytest.mark.skipif(sys.platform == "win32", reason="a process cannot change its time zone there")
def test_how_a_state_is_told(
    held_by: Holder | None, state: str, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        found = Status(held_by, STATE, now=1e9 + 60)
        data: dict[str, Any] = as_dict(found, Path("library"))
        assert data["state"] == state
        assert data["daemon"]["last_placed_at"] == "2001-09-09T03:47:35+02:00"
        text = "\n".join(lines_of(data))
        assert all(one in text for one in [*said, "the last one at 2001-09-09 03:47:35: a/b.png"]), text
    finally:
        monkeypatch.undo()
        time.tzset()
