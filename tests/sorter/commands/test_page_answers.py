"""A daemon carries out what is answered on the page, which is another process."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import sorter
from sorter.commands.job import Job
from sorter.commands.page_answers import QUIET, SHARE, PageAnswers
from sorter.commands.sort import sort
from sorter.commands.watch import watch
from sorter.library.names import digits_in
from sorter.library.store.manifest import Manifest
from sorter.records import LIBRARY, REMOVED
from tests.sorter.by_hand import move, one

ROOT = Path(sorter.__file__).parent.parent
ANSWER = """\
import sys
from pathlib import Path
from sorter.commands.answer import answer
from sorter.commands.job import load_job
from sorter.library.store.manifest import Manifest
from sorter.tally import Report
library, scheme, digits, axis, value = sys.argv[1:]
with Manifest(Path(library)) as manifest:
    answer(manifest, load_job(Path(scheme)), manifest.hash_of(digits), axis, value, Report())
"""


@pytest.fixture
def give(library: Path, project: Path) -> Callable[[str, str, str], None]:
    """Answer a question about the picture whose file fits a pattern, in a process of its own."""

    def answer(pattern: str, axis: str, value: str) -> None:
        arguments = library, project / "scheme.toml", digits_in(one(library, pattern).stem), axis, value
        subprocess.run([sys.executable, "-c", ANSWER, *map(str, arguments)], cwd=ROOT, check=True)

    return answer


def until(what: Callable[[], object]) -> float:
    """Seconds that it took until something was so."""
    began = time.monotonic()
    while not what():
        assert time.monotonic() < began + 30, "nothing came of it"
        time.sleep(0.05)
    return time.monotonic() - began


@pytest.fixture
def daemon(frames: Path, library: Path, job: Job) -> Any:
    """A daemon in a thread; what it reported."""
    stop, reports, errors = threading.Event(), [], []

    def run() -> None:
        try:
            reports.extend(watch(frames, library, job, stop=stop, still=0.05))
        except Exception as error:
            errors.append(error)

    sort(frames, library, job)
    thread = threading.Thread(target=run)
    thread.start()
    until(lambda: (library / ".modelsheet" / "watch.json").exists())
    time.sleep(0.5)  # it has put in order what was there
    yield reports
    stop.set()
    thread.join()
    assert errors == []


def test_an_answered_picture_moves_in_a_few_seconds(
    library: Path, daemon: list[Any], give: Callable[[str, str, str], None]
) -> None:
    give("sad-*.jpg", "mood", "happy")
    took = until(lambda: {path.parent.parent.name for path in library.rglob("sad-*")} == {"happy"})
    assert took < QUIET + 4
    assert "happy" in one(library, "sad-*.txt").read_text()
    until(lambda: daemon[-1].counts["pictures placed"] == 1)
    give("front-*.png", LIBRARY, REMOVED)
    until(lambda: not list(library.rglob("front-*")))


def test_a_picture_that_was_dragged_and_then_answered_stands_once(
    library: Path, daemon: list[Any], give: Callable[[str, str, str], None]
) -> None:
    move(library, "sad-*.jpg", "happy/left", caption=False)
    give("sad-*.jpg", "direction", "front")
    until(lambda: list(library.rglob("happy/front/sad-*.jpg")))
    until(lambda: len(list(library.rglob("sad-*"))) == 2)  # the picture and its caption


# --- when answers are carried out


class Journal:
    def __init__(self) -> None:
        self.given: list[str] = []

    def last_answer(self) -> int:
        return len(self.given)

    def answered(self, after: int, until: int) -> set[str]:
        return set(self.given[after:until])


class Fake:
    """A manifest into which somebody else writes."""

    def __init__(self) -> None:
        self.journal, self.now, self.written = Journal(), 0.0, 0

    def version(self) -> int:
        return self.written

    def answer(self, *hashes: str) -> None:
        self.journal.given += hashes
        self.written += 1


def test_answers_are_taken_once_no_more_come() -> None:
    fake: Any = Fake()
    fake.answer("old")
    page = PageAnswers(fake, lambda: fake.now)
    assert page.new() == set()
    for sha256 in ("a", "b", "a"):
        fake.answer(sha256)
        assert page.new() == set()
        fake.now += QUIET / 2
    assert page.new() == set()
    fake.now += QUIET
    assert page.new() == {"a", "b"}
    fake.now += 10 * QUIET
    assert page.new() == set()


def test_carrying_out_takes_a_part_of_the_time_only() -> None:
    fake: Any = Fake()
    page = PageAnswers(fake, lambda: fake.now)
    page.took(10)
    fake.answer("a")
    page.new()
    fake.now += SHARE * 10 - 1
    assert page.new() == set()
    fake.now += 1
    assert page.new() == {"a"}


def test_a_change_that_is_no_answer_comes_to_nothing(frames: Path, library: Path, job: Job) -> None:
    sort(frames, library, job)
    with Manifest(library) as manifest:
        page = PageAnswers(manifest, lambda: 1e9)
        subprocess.run(
            [sys.executable, "-c", "import sqlite3, sys; db = sqlite3.connect(sys.argv[1]); "
             "db.execute('UPDATE run SET command = 1'); db.commit()", str(manifest.path)], check=True,
        )  # fmt: skip
        assert page.version != manifest.version()
        page.new()
        page.clock = lambda: 2e9
        assert page.new() == set()
