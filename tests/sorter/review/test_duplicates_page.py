"""The page's groups of duplicates, as a person answers them."""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageOps

pytestmark = pytest.mark.timeout(300)
SCHEME = 'name = "test"\nfolders = "{blur}"\n[axes.blur]\nmeasure = "sharpness"\n'


@pytest.fixture
def library(tmp_path: Path, shared: Path, run_cli: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two frames with a smaller and a mirrored copy each, and one without."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scheme.toml").write_text(SCHEME, encoding="utf-8")
    frames = tmp_path / "frames"
    frames.mkdir()
    for name in ("bbb_0000", "bbb_0060"):
        frame = Image.open(shared / "frames" / f"{name}.jpg").convert("RGB")
        frame.save(frames / f"{name}.png")
        frame.resize((640, 360)).save(frames / f"{name}-half.jpg")
        ImageOps.mirror(frame).resize((960, 540)).save(frames / f"{name}-<b>mirror.jpg")
    shutil.copy(shared / "frames" / "bbb_0126.jpg", frames)
    assert run_cli("sort", frames, "--to", tmp_path / "library")[0] == 0
    return tmp_path / "library"


def wanted(library: Path) -> dict[str, str]:
    """Name of a picture -> what a person said of whether it is wanted."""
    with sqlite3.connect(f"file:{library / '.modelsheet' / 'manifest.sqlite'}?mode=ro", uri=True) as db:
        rows = db.execute(
            "SELECT path, name FROM label JOIN picture USING (sha256) WHERE axis = 'library' AND source = 'human'"
        ).fetchall()
    return {Path(path).name: name for path, name in rows}


def until(what: Callable[[], Any], seconds: float = 30) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := what():
            return found
        time.sleep(0.1)
    raise AssertionError("it did not come to that")


def names(page: Any, group: int) -> list[str]:
    found = page.eval_on_selector_all(
        f'.group[data-at="{group}"] .name[title]', "all => all.map(one => one.textContent)"
    )
    return [str(one) for one in found]


def test_groups_are_answered_with_keys_and_taken_back(library: Path, page: Any, serve: Any, run_cli: Any) -> None:
    page.goto(serve("library").address)
    page.get_by_role("button", name="Duplicates").click()
    page.get_by_role("button", name="Look for them").click()
    page.wait_for_selector(".group figure.focus img", timeout=60_000)
    page.get_by_text("2 groups, in which 4 pictures could be left out").wait_for()
    first, second = names(page, 0), names(page, 1)
    assert (first[0], second[0]) == ("bbb_0000.png", "bbb_0060.png")
    assert sorted(first[1:]) == ["bbb_0000-<b>mirror.jpg", "bbb_0000-half.jpg"]
    assert page.locator('.group[data-at="0"] .answer').first.inner_text().startswith("kept")
    page.locator(".pane").focus()

    page.keyboard.press("Space")  # the best alone
    left_out = dict.fromkeys(first[1:], "duplicate")
    until(lambda: wanted(library) == left_out)
    page.wait_for_selector('.group.focus[data-at="1"]')
    page.wait_for_selector('.group[data-at="0"] figure.out')

    page.keyboard.press("ArrowRight")  # another one of the second group instead
    page.keyboard.press("Space")
    until(lambda: wanted(library) == left_out | {second[0]: "duplicate", second[2]: "duplicate"})
    page.keyboard.press("z")
    until(lambda: wanted(library) == left_out)

    page.wait_for_selector('.group.focus[data-at="1"]')
    page.keyboard.press("a")
    until(lambda: wanted(library) == left_out | dict.fromkeys(second, "wanted"))
    page.locator('.group[data-at="1"] b.person', has_text="yours").first.wait_for()

    page.get_by_role("button", name="Look for them").click()  # what is answered does not come back
    page.get_by_text("Nothing is a copy of anything else.").wait_for(timeout=60_000)
    assert run_cli("apply", library)[0] == 0
    standing = {path.stem.rpartition("-")[0] for path in library.rglob("*.[jp][pn]g")}
    assert standing == {"bbb_0000", "bbb_0126", "bbb_0060", "bbb_0060-half", "bbb_0060-_b_mirror"}
    assert run_cli("undo", library)[0] == 0
    assert len(list(library.rglob("*.[jp][pn]g"))) == 7
