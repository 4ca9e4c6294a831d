"""What a person answered in a library is what a sorter is fitted on; and which pictures are asked about next."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sorter.commands.answer import answer_all
from sorter.commands.job import load_job
from sorter.library.store.manifest import Manifest
from sorter.records import LIBRARY, REMOVED
from sorter.tally import Report

SCHEME = (
    'folders = "{side}"\n[axes.side.classes]\nleft = { mirror = "right" }\nright = { mirror = "left" }\nfront = {}\n'
)


@pytest.fixture
def answered(tmp_path: Path, draw: Any, grow: Any, run_cli: Any, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A library of thirty frames with no sorter, and the truth by hash."""
    import hashlib

    sides = ("left", "right", "front")
    grow(tmp_path / "frames", {f"f{n:02d}.png": draw(sides[n % 3], "happy", n) for n in range(30)})
    (tmp_path / "scheme.toml").write_text(SCHEME, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert run_cli("scan", "frames", "--to", "library")[0] == 0
    found = {}
    for path in sorted((tmp_path / "frames").iterdir()):
        found[hashlib.sha256(path.read_bytes()).hexdigest()] = sides[int(path.stem[1:]) % 3]
    return found


def give(given: dict[str, str]) -> None:
    job = load_job(Path("scheme.toml"), unfitted=True)
    with Manifest(Path("library")) as manifest:
        answer_all(manifest, job, [(sha256, "side", name) for sha256, name in given.items()], Report())


def test_a_sorter_is_fitted_on_answers_and_sorts_the_rest(answered: dict[str, str], run_cli: Any) -> None:
    give(dict(list(answered.items())[:18]))
    code, out, _ = run_cli("fit", "--answers", "library", "--axis", "side", "--to", "models/side", "--json")
    assert code == 0
    data = json.loads(out)
    assert sum(data["card"]["pictures"].values()) == 18
    assert sorted(data["card"]["examples"]) == sorted(sha256[:10] for sha256 in list(answered)[:18])
    assert len(data["held_out"]) == 18
    assert run_cli("sort", "frames", "--to", "library")[0] == 0
    with Manifest(Path("library")) as manifest:
        said = {picture.sha256: labels for picture, labels in manifest.pictures({})}
    assert set(said) == set(answered)


def test_a_class_with_one_answer_is_left_out_and_one_class_is_none(answered: dict[str, str], run_cli: Any) -> None:
    lefts = [sha256 for sha256, name in answered.items() if name == "left"]
    front = next(sha256 for sha256, name in answered.items() if name == "front")
    give(dict.fromkeys(lefts, "left") | {front: "front"})
    code, _, err = run_cli("fit", "--answers", "library", "--axis", "side", "--to", "models/side")
    assert code == 2
    assert "has 2 or more answers of left on side; at least two classes are needed" in err
    assert not Path("models").exists()
    code, _, err = run_cli("fit", "--answers", "library", "--to", "models/sid")
    assert code == 2
    assert "of no class on sid" in err


def test_pictures_to_ask_about_are_named_most_telling_first(answered: dict[str, str], run_cli: Any) -> None:
    code, out, _ = run_cli("choose", "library", "--axis", "side", "--count", 6, "--json")
    assert code == 0
    data = json.loads(out)
    asked = [one["sha256"] for one in data["chosen"]]
    assert data["open"] == 30
    assert {answered[sha256] for sha256 in asked[:3]} == {"left", "right", "front"}
    together = {data["chosen"][0]["sha256"], *data["chosen"][0]["alike"]}
    give({sha256: answered[sha256] for sha256 in together})
    data = json.loads(run_cli("choose", "library", "--axis", "side", "--json")[1])
    assert data["open"] == 30 - len(together)
    assert not together & {one["sha256"] for one in data["chosen"]}
    assert "f" in run_cli("choose", "library", "--axis", "side", "--count", 1)[1]


def test_frames_that_are_gone_are_said(answered: dict[str, str], run_cli: Any) -> None:
    Path("frames").rename("elsewhere")
    code, _, err = run_cli("choose", "library", "--axis", "side")
    assert code == 2
    assert "none of its 30 pictures is where it was" in err


def test_what_a_person_does_not_want_is_still_an_example(answered: dict[str, str], run_cli: Any) -> None:
    """Whether a picture belongs into the library says nothing about what it shows."""
    give(dict(list(answered.items())[:18]))
    with Manifest(Path("library")) as manifest:
        job = load_job(Path("scheme.toml"), unfitted=True)
        answer_all(manifest, job, [(next(iter(answered)), LIBRARY, REMOVED)], Report())
    assert run_cli("fit", "--answers", "library", "--axis", "side", "--to", "models/side")[0] == 0
