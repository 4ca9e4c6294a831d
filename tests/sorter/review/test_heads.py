"""Boxes around heads, drawn with the mouse in a real Chromium, and the locator that is fitted on them."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.sorter.commands.test_fit_boxes import somebody
from tests.sorter.review.test_page import answers, until

pytestmark = pytest.mark.timeout(300)
COUNT = 12


@pytest.fixture
def library(tmp_path: Path, exports: Path, run_cli: Any) -> dict[str, list[int]]:
    """A library of drawn heads; hash -> true box."""
    for name in ("direction", "mood"):
        shutil.copytree(exports / name, tmp_path / "models" / name)
    (tmp_path / "scheme.toml").write_text('trigger = "x"\nfolders = "{mood}"\n[axes.mood]\n', encoding="utf-8")
    (tmp_path / "frames").mkdir()
    truth = {}
    for number in range(COUNT):
        picture, box = somebody(number)
        path = tmp_path / "frames" / f"p{number:02d}.png"
        picture.save(path)
        truth[hashlib.sha256(path.read_bytes()).hexdigest()] = box
    words = ("sort", tmp_path / "frames", "--to", tmp_path / "library", "--scheme", tmp_path / "scheme.toml")
    assert run_cli(*words)[0] == 0
    return truth


def drag(page: Any, box: list[int]) -> None:
    """Draw a box, in pixels of the picture."""
    area = page.locator(".canvas").bounding_box()
    x, y = area["width"] / 240, area["height"] / 160
    page.mouse.move(area["x"] + box[0] * x, area["y"] + box[1] * y)
    page.mouse.down()
    page.mouse.move(area["x"] + box[2] * x, area["y"] + box[3] * y, steps=4)
    page.mouse.up()


def shown(page: Any) -> str:
    return str(page.get_attribute(".canvas img", "data-sha256"))


def test_boxes_are_drawn_taken_back_and_fitted_on(
    library: dict[str, list[int]], page: Any, serve: Any, tmp_path: Path
) -> None:
    page.goto(serve("library").address)
    page.get_by_role("button", name="Heads").click()
    page.get_by_role("button", name="Begin").click()
    page.wait_for_selector(".canvas img", timeout=120_000)
    assert "[ask.head]" in (tmp_path / "scheme.toml").read_text()
    for _ in range(COUNT - 2):
        sha256 = shown(page)
        drag(page, library[sha256])
        page.wait_for_selector(".canvas .box.person")
        page.keyboard.press("Enter")
        page.wait_for_function("hash => document.querySelector('.canvas img').dataset.sha256 !== hash", arg=sha256)
    said = {sha256: text for (sha256, axis), text in answers(tmp_path / "library").items() if axis == "head"}
    given = {sha256: json.loads(text) for sha256, text in said.items()}
    assert len(given) == COUNT - 2
    for sha256, box in given.items():
        sides = [box[side] for side in ("left", "top", "right", "bottom")]
        assert max(abs(one - true) for one, true in zip(sides, library[sha256], strict=True)) <= 2
    last = shown(page)
    page.keyboard.press("n")
    until(lambda: answers(tmp_path / "library").get((last, "head")) == "null")
    page.keyboard.press("z")
    until(lambda: (last, "head") not in answers(tmp_path / "library"))
    page.get_by_role("button", name="Fit the locator").click()
    page.get_by_text("The head was found in").wait_for(timeout=150_000)
    assert 'model = "models/head"' in (tmp_path / "scheme.toml").read_text()
    assert (tmp_path / "models" / "head" / "locator.npz").exists()


def test_a_library_without_boxes_is_a_sentence(library: Any, run_cli: Any, tmp_path: Path) -> None:
    code, _, err = run_cli("fit", "--boxes", tmp_path / "library", "--to", tmp_path / "models" / "head")
    assert code == 2
    assert "has boxes on 0 of these pictures; at least 5 are needed" in err


@pytest.mark.parametrize("said", ["x", "[1, 2, 3, 4]", '{"left": 1}', '{"left": 5, "top": 1, "right": 5, "bottom": 9}'])
def test_what_is_no_box_is_refused(library: dict[str, Any], run_cli: Any, tmp_path: Path, said: str) -> None:
    from sorter.commands.answer import answer
    from sorter.commands.job import load_job
    from sorter.errors import LibraryError
    from sorter.library.store.manifest import Manifest
    from sorter.tally import Report

    scheme = tmp_path / "scheme.toml"
    scheme.write_text(scheme.read_text() + '[ask.head]\nuse = "locator"\n')
    with Manifest(tmp_path / "library") as manifest, pytest.raises(LibraryError, match="head cannot be answered with"):
        answer(manifest, load_job(scheme), next(iter(library)), "head", said, Report())
