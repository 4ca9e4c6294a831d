"""`sorter crops`, and exports that are framed on a head, through the commands."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sorter.classify.askers import Asker, Scored, askers
from sorter.records import Box

CYAN = (0, 255, 255)
SCHEME = """
[ask.face]
use = "cyan"
[crop]
use = "subject"
head = "face"
size = 64
shot = "close"
close = 2
"""


class Cyan(Asker):
    """Where a picture is cyan."""

    def ask(self, view: Any) -> Scored:
        rows, columns = np.nonzero((np.asarray(view.rgb) == CYAN).all(axis=2))
        if not len(rows):
            return Scored(Box(0, 0, 1, 1), 0.1)
        return Scored(Box(*map(int, (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1))), 0.95)


@pytest.fixture
def scheme(project: Path, tmp_path: Path, draw: Any, grow: Any, run_cli: Any) -> Iterator[Path]:
    """A library of one picture that is turned, one that is not, and one without a face."""
    askers.add("cyan")(Cyan)
    path = project / "scheme.toml"
    path.write_text(path.read_text() + SCHEME, encoding="utf-8")
    frames = {name: draw(name.split("_")[0], "happy", size=(600, 400)) for name in ("left_a", "right_b", "front_c")}
    for name in ("left_a", "right_b"):
        frames[name].paste(CYAN, (40, 60, 80, 100))
    grow(tmp_path / "heap", {f"{name}.png": picture for name, picture in frames.items()})
    assert run_cli("sort", tmp_path / "heap", "--to", tmp_path / "library", "--scheme", path)[0] == 0
    yield path
    del askers._known["cyan"]


def rows_of(dataset: Path) -> dict[str, dict[str, Any]]:
    rows = [json.loads(line) for line in (dataset / "metadata.jsonl").read_text(encoding="utf-8").splitlines()]
    return {Path(row["file_name"]).stem.rpartition("-")[0]: row for row in rows}


def test_the_head_is_on_each_square_turned_or_not_and_the_caption_says_how_near(
    scheme: Path, tmp_path: Path, run_cli: Callable[..., Any]
) -> None:
    words = ("export", tmp_path / "library", "--to", tmp_path / "dataset", "--scheme", scheme)
    code, out, _ = run_cli(*words)
    assert code == 0
    assert "1 padded, since nobody is sure where the head is" in out or "padded, since nobody is sure" in out
    rows = rows_of(tmp_path / "dataset")
    said = {name: row["text"] for name, row in rows.items()}
    assert said == {
        "left_a": "mira, facing left, happy, close-up",
        "right_b": "mira, facing left, happy, close-up",
        "front_c": "mira, facing the viewer, happy",
    }
    for name in ("left_a", "right_b"):
        with Image.open(tmp_path / "dataset" / rows[name]["file_name"]) as image:
            assert image.size == (64, 64)  # 80 pixels, two heads, made smaller
            cyan = (np.asarray(image.convert("RGB")).astype(int) - CYAN).__abs__().max(axis=2) < 60
            assert 0.9 * 32**2 < cyan.sum() < 1.1 * 32**2
            assert cyan[20, 32] and cyan[40, 32]  # in the middle


def test_a_template_places_the_shot_and_an_option_changes_it(
    scheme: Path, tmp_path: Path, run_cli: Callable[..., Any]
) -> None:
    text = scheme.read_text() + '[caption]\nuse = "template"\ntext = "{shot} of {trigger}, {direction}"\n'
    scheme.write_text(text, encoding="utf-8")
    words = ("export", tmp_path / "library", "--to", tmp_path / "dataset", "--scheme", scheme, "--shot", "full")
    assert run_cli(*words)[0] == 0
    assert rows_of(tmp_path / "dataset")["left_a"]["text"] == "wide shot of mira, facing left"
    assert run_cli("check", "--scheme", scheme)[0] == 0
    code, _, err = run_cli(*words[:-1], "ful")
    assert code == 2 and "shot" in err and len(err.strip().splitlines()) == 1


def test_a_page_shows_what_is_taken_the_unsure_first(scheme: Path, tmp_path: Path, run_cli: Callable[..., Any]) -> None:
    code, out, _ = run_cli("crops", tmp_path / "library", "--scheme", scheme, "--json")
    data = json.loads(out)
    assert code == 0
    assert data["counts"]["pictures"] == 3
    page = Path(data["to"]).read_text(encoding="utf-8")
    assert page.index("Padded, since nobody is sure where the head is (1)") < page.index("Close-up (2)")
    assert page.count("<figure>") == 3 and "95%" in page
    assert not list((tmp_path / "library").rglob("*.html"))


def test_a_cropper_without_its_asker_is_a_sentence(scheme: Path, tmp_path: Path, run_cli: Callable[..., Any]) -> None:
    scheme.write_text(scheme.read_text().replace('head = "face"\n', ""), encoding="utf-8")
    for words in (
        ("check",),
        ("export", tmp_path / "library", "--to", tmp_path / "x"),
        ("crops", tmp_path / "library"),
    ):
        code, _, err = run_cli(*words, "--scheme", scheme)
        assert code == 2
        assert '[crop]: head = "head" is no asker of this scheme; there is face' in err
