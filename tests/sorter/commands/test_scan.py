"""Pictures are placed while others are read, each is read once, and nothing depends on how they are grouped."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from threadpoolctl import threadpool_info

from sorter import threads
from sorter.classify import ask as asking
from sorter.classify.ask import Questions
from sorter.commands import scan as scanning
from sorter.commands.job import Job, load_job
from sorter.commands.scan import scan
from sorter.commands.sort import sort
from sorter.commands.undo import undo
from sorter.library import apply as applying
from sorter.library import make as making
from sorter.library.store.manifest import Manifest
from sorter.pictures.scan import walk
from sorter.tally import Report
from sorter.threads import in_step

Tree = Callable[..., dict[str, str]]


@pytest.fixture
def many(tmp_path: Path, draw: Any, grow: Any) -> Path:
    """Twenty pictures, each of which is there twice, and one file that is none."""
    tree = {f"{n:02}.png": draw(("left", "right")[n % 2], ("happy", "sad")[n // 2 % 2], n) for n in range(20)}
    grow(tmp_path / "many", {"a": tree, "broken.jpg": b"\xff\xd8\xff"})
    shutil.copytree(tmp_path / "many" / "a", tmp_path / "many" / "b")
    return tmp_path / "many"


@pytest.mark.parametrize(("every", "batch", "held"), [(1, 1, 0), (3, 64, 1 << 22), (64, 4, 1 << 22), (7, 5, 2000)])
def test_the_library_does_not_depend_on_how_pictures_are_grouped(
    every: int, batch: int, held: int, many: Path, library: Path, tmp_path: Path, job: Job, tree_of: Tree,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    whole, _ = sort(many, tmp_path / "whole", job)
    monkeypatch.setattr(scanning, "WRITE_EVERY", every)
    monkeypatch.setattr(scanning, "MOST_KNOWN", every)
    monkeypatch.setattr(applying, "BATCH", batch)
    monkeypatch.setattr(asking, "MOST_HELD", held)
    report, steps = sort(many, library, job)
    assert tree_of(library) == tree_of(tmp_path / "whole") and steps == ()
    assert report.counts == whole.counts and report.counts["pictures placed"] == report.counts["copies"] == 20
    assert [(one.path.name, one.reason) for one in report.failures] == [
        (one.path.name, one.reason) for one in whole.failures
    ]
    assert sort(many, library, job)[1] == ()


def test_a_picture_is_placed_before_the_last_one_is_read(
    many: Path, library: Path, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scanning, "WRITE_EVERY", 2)
    monkeypatch.setattr(applying, "BATCH", 2)
    read: list[int] = []
    answer = Questions.answer

    def slowly(self: Questions, *given: Any) -> Any:
        read.append(len(list(library.rglob("*.png"))))
        time.sleep(0.01)
        return answer(self, *given)

    monkeypatch.setattr(Questions, "answer", slowly)
    sort(many, library, job)
    assert len(read) == 21 and 0 < read[20] < 20  # each picture once, though two files hold it; and one is broken


def test_each_file_is_opened_once(many: Path, library: Path, job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """A turned picture as well: its bytes go from the reading to the placing."""
    opened: list[Path] = []
    for module in (scanning, making):

        def counting(path: Path, read: Callable[[Path], bytes] = module.read_file) -> bytes:  # type: ignore[attr-defined]
            opened.append(path)
            return read(path)

        monkeypatch.setattr(module, "read_file", counting)
    report, _ = sort(many, library, job)
    assert report.counts["turned"] == 10
    assert sorted(path for path in opened if many in path.parents) == sorted(many.rglob("*.*"))


def test_a_run_of_one_sort_is_undone_as_one(many: Path, library: Path, job: Job, tree_of: Tree) -> None:
    sort(many, library, job)
    undo(library)
    assert tree_of(library) == {}
    with Manifest(library) as manifest:
        assert [(one["command"], one["steps"]) for one in manifest.journal.runs()] == [
            (f"sort {many}", 40),
            ("undo 1", 40),
        ]


def test_known_files_are_not_read_and_not_yielded(many: Path, library: Path, job: Job, draw: Any) -> None:
    sort(many, library, job)
    draw("left", "sad", 99).save(many / "c.png")
    with Manifest(library) as manifest:
        report = Report()
        (fresh,) = scan(walk(many), manifest, job.questions, report)
        (seen,) = fresh.values()
        assert (seen.data, seen.suffix) == ((many / "c.png").read_bytes(), ".png")
        assert (report.counts["files"], report.counts["copies"], report.counts["unreadable"]) == (42, 20, 1)


def test_a_file_that_changes_after_it_was_read_is_placed_as_it_was_read(
    many: Path, library: Path, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = Questions.answer

    def then_spoil(self: Questions, path: Path, *given: Any) -> Any:
        seen = answer(self, path, *given)
        path.write_bytes(b"gone")
        return seen

    monkeypatch.setattr(Questions, "answer", then_spoil)
    report, _ = sort(many, library, job)
    assert report.counts["pictures placed"] == 20 and [one.path.name for one in report.failures] == ["broken.jpg"]


def test_exact_answers_are_the_same_here(
    many: Path, library: Path, tmp_path: Path, project: Path, tree_of: Tree
) -> None:
    sort(many, library, load_job(project / "scheme.toml"))
    sort(many, tmp_path / "exact", load_job(project / "scheme.toml", exact=True))
    assert tree_of(library) == tree_of(tmp_path / "exact")


def test_exact_reaches_the_sort(many: Path, library: Path, project: Path, run_cli: Any, monkeypatch: Any) -> None:
    from sorter.pictures import images

    monkeypatch.setattr(images, "load_small", lambda *_: 1 / 0)
    code, out, _ = run_cli("sort", many, "--to", library, "--scheme", project / "scheme.toml", "--exact")
    assert code == 1 and "20 pictures placed" in out


def test_exact_reaches_classify(many: Path, library: Path, project: Path, run_cli: Any, monkeypatch: Any) -> None:
    from sorter.pictures import images

    run_cli("scan", many, "--to", library)
    monkeypatch.setattr(images, "load_small", lambda *_: 1 / 0)
    code, _, error = run_cli("classify", library, "--scheme", project / "scheme.toml", "--exact")
    assert (code, error) == (0, "")


# --- in step


def test_numpy_has_its_threads_back_when_the_items_are_done() -> None:
    def blas_threads() -> list[int]:
        return [one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"]

    before = blas_threads()
    outer = in_step(lambda item: blas_threads(), range(3), 1)
    assert next(outer) == [1] * len(before)
    assert list(in_step(str, range(2))) == ["0", "1"]
    assert blas_threads() == [1] * len(before)
    outer.close()
    assert blas_threads() == before


def test_light_items_are_done_in_turn_and_by_the_caller() -> None:
    who: dict[int, int] = {}

    def work(item: int) -> int:
        who[item] = threading.get_ident()
        return item * item

    items = list(range(50))
    assert list(in_step(work, items, 3, is_light=lambda item: item % 5 > 0)) == [item * item for item in items]
    here = threading.get_ident()
    assert {item for item, thread in who.items() if thread == here} == {item for item in items if item % 5}


def test_only_a_few_items_are_taken_ahead() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for item in range(1000):
            taken.append(item)
            yield item

    results = in_step(lambda item: item, items(), 2)
    for _ in range(5):
        next(results)
    assert len(taken) <= 5 + threads.AHEAD + 8
    results.close()


def test_what_is_kept_is_bounded() -> None:
    assert max(threads.MOST_KEPT, asking.MOST_HELD) <= 1 << 25


@pytest.mark.skipif(os.name == "nt", reason="there is no such call on Windows")
def test_keeping_memory_never_fails() -> None:
    threads.keep_memory.cache_clear()
    threads.keep_memory()
