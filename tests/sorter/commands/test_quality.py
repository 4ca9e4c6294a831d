"""`sorter export --quality`: sharp pictures are repeated more often, in the form that each trainer takes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageFilter

from sorter.commands.doctor import doctor
from sorter.commands.export import export
from sorter.commands.job import Job
from sorter.commands.sort import sort
from sorter.dataset.croppers import croppers
from sorter.dataset.doctor import trainers
from sorter.dataset.repeats import quality_repeats

CENTRE = croppers.build("centre", size=256)
TIMES = {"sharp": 4, "small": 2, "blurred": 1}
"""Name -> repeats, of a film frame as it is, of one with 240 lines, and of a blurred one."""


@pytest.fixture
def library(shared: Path, tmp_path: Path, library: Path, job: Job) -> Path:
    frame = Image.open(min((shared / "frames").glob("*.jpg"))).convert("RGB")
    blurred = frame.filter(ImageFilter.GaussianBlur(6))
    pictures = {"sharp": frame, "small": frame.resize((426, 240)), "blurred": blurred}
    (tmp_path / "heap").mkdir()
    for name, picture in pictures.items():
        picture.save(tmp_path / "heap" / f"{name}.png")
    sort(tmp_path / "heap", library, job)
    move_all(library)
    return library


def move_all(library: Path) -> None:
    """Of a class that a person says."""
    for path in sorted(library.rglob("*.*")):
        if ".modelsheet" not in path.parts and path.is_file():
            (library / "happy" / "front").mkdir(parents=True, exist_ok=True)
            path.rename(library / "happy" / "front" / path.name)


def name_of(path: str) -> str:
    return Path(path).stem.rpartition("-")[0]


@pytest.mark.parametrize("use", ["kohya", "onetrainer", "ai-toolkit", "simpletuner"])
def test_the_doctor_reads_the_repeats_of_each_picture(use: str, library: Path, tmp_path: Path, job: Job) -> None:
    report = export(library, tmp_path / "dataset", job, use=use, crop=CENTRE, quality=4)
    assert report.notes == ["by their detail, of the pictures 1 is seen 4 times, 1 is seen 2 times, 1 is seen once"]
    found = doctor(tmp_path / "dataset", trainers.build(use))
    assert {name_of(one.path): one.repeats for one in found.examples} == TIMES
    assert {one.caption for one in found.examples} == {"mira, facing the viewer, happy"}
    if use == "kohya":  # by the names of its folders, too
        (tmp_path / "dataset" / "dataset.toml").unlink()
        found = doctor(tmp_path / "dataset", trainers.build(use, caption_extension=".txt"))
        assert {name_of(one.path): one.repeats for one in found.examples} == TIMES


@pytest.mark.parametrize("use", ["imagefolder", "parquet"])
def test_tables_have_a_column_of_repeats(
    use: str, library: Path, tmp_path: Path, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    from datasets import load_dataset

    export(library, tmp_path / "dataset", job, use=use, crop=CENTRE, quality=4)
    found = load_dataset(str(tmp_path / "dataset"), split="train", cache_dir=str(tmp_path / "cache"))
    assert sorted(found["repeats"]) == sorted(TIMES.values())


def test_what_is_in_doubt_is_seen_once(tmp_path: Path, shared: Path, job: Job) -> None:
    sort(shared / "frames", tmp_path / "doubts", job)
    export(tmp_path / "doubts", tmp_path / "dataset", job, crop=CENTRE, quality=4, doubtful=True)
    rows = [json.loads(line) for line in (tmp_path / "dataset" / "metadata.jsonl").read_text("utf-8").splitlines()]
    unsure = [row for row in rows if None in (row["mood"], row["direction"])]
    assert unsure and {row.get("repeats", 1) for row in unsure} == {1}


def test_classes_are_balanced_by_how_often_their_pictures_are_seen(
    library: Path, tmp_path: Path, job: Job, draw: Any
) -> None:
    """A front view is seen seven times, of three pictures; so a tiny one facing left is repeated seven times."""
    draw("left", "happy").save(tmp_path / "heap" / "left.png")
    sort(tmp_path / "heap", library, job)
    export(library, tmp_path / "dataset", job, use="kohya", crop=CENTRE, quality=4, balance="direction")
    found = doctor(tmp_path / "dataset", trainers.build("kohya"))
    assert {name_of(one.path): one.repeats for one in found.examples} == {**TIMES, "left": 7}
    assert {Path(one.path).parts[0] for one in found.examples} == {
        "4_front x4", "2_front x2", "1_front x1", "7_left",
    }  # fmt: skip


@pytest.mark.parametrize("times", ["1", "0", "-3", "11", "many"])
def test_what_is_no_number_of_repeats_is_a_sentence(
    times: str, run_cli: Callable[..., tuple[int, str, str]], library: Path, project: Path, tmp_path: Path
) -> None:
    scheme = ("--scheme", project / "scheme.toml")
    code, _, err = run_cli("export", library, "--to", tmp_path / "set", "--quality", times, *scheme)
    assert code == 2 and not (tmp_path / "set").exists()
    if times == "many":
        assert "'many' is not a valid integer" in err
    else:
        assert err == f"sorter: --quality: {times} is no number of repeats; give one from 2 to 10\n"


@pytest.mark.parametrize(
    ("detail", "times"), [(1e9, 4), (512 * 512, 4), (384 * 384, 3), (256 * 256, 2), (100 * 100, 1), (1, 1)]
)
def test_half_the_detail_along_a_side_is_half_as_often(detail: float, times: int) -> None:
    assert quality_repeats(detail, 512 * 512, 4) == times
