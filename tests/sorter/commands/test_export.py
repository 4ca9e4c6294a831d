from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageOps

from sorter.commands.export import export
from sorter.commands.job import Job
from sorter.commands.sort import sort
from sorter.dataset.croppers import croppers
from sorter.errors import DatasetError, OptionsError
from sorter.records import Box, Picture, Render, Verdict

Tree = Callable[..., dict[str, str]]
PAD = croppers.build("pad", size=64, fill="#00ff00", enlarge=True)


@pytest.fixture
def library(tmp_path: Path, frames: Path, job: Job) -> Path:
    sort(frames, tmp_path / "library", job)
    return tmp_path / "library"


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return tmp_path / "dataset"


def of_size(width: int, height: int) -> tuple[Picture, Verdict]:
    """A picture of this size, of which nothing more is known."""
    picture = Picture("ab", "x.png", width, height, "PNG")
    return picture, Verdict(picture, ())


def rows(dataset: Path) -> dict[str, dict[str, Any]]:
    """The rows of metadata.jsonl by their file's stem, without the hash."""
    found = [json.loads(line) for line in (dataset / "metadata.jsonl").read_text(encoding="utf-8").splitlines()]
    assert all((dataset / row["file_name"]).is_file() for row in found)
    return {row["file_name"].rpartition("-")[0]: row for row in found}


def opened(path: Path) -> Image.Image:
    with Image.open(path) as image:
        image.load()
        return image


def pictures(dataset: Path) -> list[Path]:
    return sorted(path for path in dataset.iterdir() if path.suffix in (".png", ".jpg"))


def test_an_imagefolder_has_a_row_a_picture_and_a_column_an_axis(library: Path, dataset: Path, job: Job) -> None:
    report = export(library, dataset, job)
    assert set(rows(dataset)) == {"left_happy", "right_happy", "sad", "front"}
    assert len(pictures(dataset)) == report.counts["exported"] == 4
    row = rows(dataset)["right_happy"]
    assert list(row) == ["file_name", "text", "caption_by", "direction", "mood"]
    assert row | {"file_name": ""} == {
        "file_name": "", "text": "mira, facing left, happy", "caption_by": "template",
        "direction": "left", "mood": "happy",
    }  # fmt: skip
    for path in pictures(dataset):  # not cropped: the library's own bytes
        (there,) = library.rglob(path.name)
        assert path.read_bytes() == there.read_bytes()


def test_doubtful_pictures_are_left_out_unless_asked_for(library: Path, dataset: Path, job: Job) -> None:
    report = export(library, dataset, job)
    assert (report.counts["left out, in doubt"], report.doubts) == (1, {"mood": 1})
    export(library, dataset, job, doubtful=True)
    row = rows(dataset)["doubtful"]
    assert (row["text"], row["mood"]) == ("mira, facing left", None)


def test_a_second_export_writes_nothing(library: Path, dataset: Path, job: Job, tree_of: Tree) -> None:
    export(library, dataset, job, crop=PAD)
    before = tree_of(dataset), [path.stat().st_mtime_ns for path in pictures(dataset)]
    report = export(library, dataset, job, crop=PAD)
    assert report.counts["written"] == report.counts["removed"] == 0
    assert (tree_of(dataset), [path.stat().st_mtime_ns for path in pictures(dataset)]) == before


def test_an_export_changes_nothing_in_the_library(library: Path, dataset: Path, job: Job, tree_of: Tree) -> None:
    def known() -> list[Any]:
        with closing(sqlite3.connect(library / ".modelsheet" / "manifest.sqlite")) as db:
            tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            assert "label" in tables
            labels = db.execute("SELECT * FROM label WHERE axis != 'bars' ORDER BY 1, 2, 3").fetchall()
            return [labels, *(db.execute(f"SELECT * FROM {name}").fetchall() for name in tables if name != "label")]

    next(library.rglob("sad-*.jpg")).unlink()
    before = tree_of(library), known()
    export(library, dataset, job)
    assert set(rows(dataset)) == {"left_happy", "right_happy", "front"}  # but what was deleted by hand is not exported
    assert (tree_of(library), known()) == before


def test_a_dry_run_of_an_export_changes_nothing(library: Path, dataset: Path, job: Job, tree_of: Tree) -> None:
    before = tree_of(library, hidden=True)
    assert export(library, dataset, job, dry_run=True).counts["exported"] == 4
    assert not dataset.exists()
    assert tree_of(library, hidden=True) == before


def test_a_picture_that_left_the_library_leaves_the_dataset(
    library: Path, dataset: Path, job: Job, frames: Path
) -> None:
    export(library, dataset, job)
    next(library.rglob("sad-*.jpg")).unlink()
    sort(frames, library, job)
    report = export(library, dataset, job)
    assert report.counts["removed"] == 1
    assert set(rows(dataset)) == {"left_happy", "right_happy", "front"}
    assert len(pictures(dataset)) == 3


def test_centre_and_pad_make_squares_of_the_asked_size(library: Path, dataset: Path, job: Job, tmp_path: Path) -> None:
    export(library, dataset, job, crop=croppers.build("centre", size=16))
    assert {opened(path).size for path in pictures(dataset)} == {(16, 16)}
    export(library, tmp_path / "padded", job, crop=PAD)
    (left,) = (tmp_path / "padded").glob("left_happy-*")
    image = opened(left)
    assert image.size == (64, 64)
    assert image.getpixel((32, 1)) == image.getpixel((32, 62)) == (0, 255, 0)
    assert image.getpixel((32, 20)) == (255, 0, 0) and image.getpixel((32, 45)) == (255, 255, 255)


@pytest.mark.parametrize(
    ("use", "box"), [("centre", Box(40, 0, 120, 80)), ("pad", Box(0, -40, 160, 120)), ("none", None)]
)
def test_croppers_say_which_part_of_a_wide_picture_they_take(use: str, box: Box | None) -> None:
    options = {} if use == "none" else {"enlarge": True}
    wanted = croppers.build(use, **options)(*of_size(160, 80))
    assert wanted.crop == box
    assert wanted.size == (None if use == "none" else (512, 512))
    assert box is None or croppers.build(use)(*of_size(160, 80)).size == box.size


def test_a_tall_picture_is_cropped_in_its_middle() -> None:
    assert croppers.build("centre", size=8, enlarge=True)(*of_size(3, 9)) == Render("ab", Box(0, 3, 3, 6), size=(8, 8))


def test_a_picture_that_was_edited_by_hand_is_exported_as_it_is_now(
    library: Path, dataset: Path, job: Job, draw: Any
) -> None:
    path = next(library.rglob("front-*.png"))
    edited = draw("front", "happy", 77, size=(100, 20))
    edited.save(path)
    export(library, dataset, job, crop=croppers.build("centre", size=20))
    exported = opened(dataset / rows(dataset)["front"]["file_name"])
    assert exported.tobytes() == edited.crop((40, 0, 60, 20)).tobytes()


def test_an_edited_file_that_is_no_picture_any_more_is_a_failure(library: Path, dataset: Path, job: Job) -> None:
    path = next(library.rglob("front-*.png"))
    path.write_bytes(b"broken")
    report = export(library, dataset, job)
    assert [failure.path for failure in report.failures] == [path]
    assert set(rows(dataset)) == {"left_happy", "right_happy", "sad"}


def test_a_correction_since_the_last_sort_is_exported(library: Path, dataset: Path, job: Job, frames: Path) -> None:
    """Dragged to the right as it stands: so the library's turned file is not, and is turned back here."""
    path = next(library.rglob("right_happy-*.png"))
    (library / "happy/right").mkdir()
    path.rename(library / "happy/right" / path.name)
    export(library, dataset, job)
    row = rows(dataset)["right_happy"]
    assert row["direction"] == "left"
    exported = opened(dataset / row["file_name"])
    assert exported.tobytes() == opened(frames / "right happy.png").tobytes()
    assert exported.tobytes() != ImageOps.mirror(exported).tobytes()


def test_a_file_added_to_the_dataset_by_hand_stays(library: Path, dataset: Path, job: Job) -> None:
    export(library, dataset, job)
    (dataset / "README.md").write_text("mine")
    export(library, dataset, job, crop=PAD)
    assert (dataset / "README.md").read_text() == "mine"


def test_where_an_export_may_not_go(library: Path, tmp_path: Path, job: Job, frames: Path, tree_of: Tree) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("")
    sort(frames, tmp_path / "library 2", job)
    before = tree_of(tmp_path)
    for to, said in {
        library: "lies in the library",
        library / "dataset": "lies in the library",
        tmp_path: "or around it",
        tmp_path / "file": "is a file",
        tmp_path / "other": "holds files that are not from an export",
        tmp_path / "library 2": "is a library",
    }.items():
        with pytest.raises(DatasetError, match=said):
            export(library, to, job)
    assert tree_of(tmp_path) == before


def test_a_dataset_is_no_library(library: Path, dataset: Path, frames: Path, project: Path, run_cli: Any, job: Job,
                                 tree_of: Tree) -> None:  # fmt: skip
    export(library, dataset, job)
    before, scheme = tree_of(dataset), ("--scheme", project / "scheme.toml")
    for command in (("sort", frames, "--to", dataset, *scheme), ("scan", frames, "--to", dataset),
                    ("watch", frames, "--to", dataset, *scheme), ("apply", dataset, *scheme)):  # fmt: skip
        code, _, err = run_cli(*command)
        assert code == 2 and "is an exported dataset; choose another folder for the library" in err
        assert tree_of(dataset) == before


def test_what_an_export_cannot_do_is_a_sentence(library: Path, dataset: Path, job: Job, tmp_path: Path) -> None:
    with pytest.raises(OptionsError, match='"imagefoldr" is not a dataset layout; did you mean "imagefolder"'):
        export(library, dataset, job, use="imagefoldr")
    with pytest.raises(OptionsError, match='"center" is not a cropper; did you mean "centre"'):
        croppers.build("center")
    for path in library.rglob("*.png"):
        path.unlink()
    for path in library.rglob("*.jpg"):
        path.unlink()
    with pytest.raises(DatasetError, match="holds no picture to export"):
        export(library, dataset, job)
    assert not dataset.exists()


def test_an_export_that_was_cut_off_before_its_first_file_was_confirmed_goes_on(
    library: Path, dataset: Path, job: Job, tree_of: Tree
) -> None:
    """The pictures bear their own hash, as in a library whose manifest is lost; but here it says what was intended."""
    export(library, dataset, job)
    whole = tree_of(dataset)
    with closing(sqlite3.connect(dataset / ".modelsheet" / "manifest.sqlite")) as db, db:
        db.execute("DELETE FROM placed")
        db.execute("UPDATE step SET done = 0")
    (dataset / "metadata.jsonl").unlink()
    assert export(library, dataset, job).counts["exported"] == 4
    assert tree_of(dataset) == whole


def test_the_datasets_package_reads_what_was_exported(
    library: Path, dataset: Path, job: Job, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As any trainer does that takes an imagefolder; captions with whatever a person may have typed."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    captions = [
        'mira, "x"\\n{[\N{LINE SEPARATOR}y',
        "  \N{GRINNING FACE} mira\x85, z",
        "mira,\t\N{RIGHT-TO-LEFT OVERRIDE}w",
    ]
    texts = sorted(path for path in library.rglob("*.txt") if "doubtful" not in path.name)
    for path, caption in zip(texts, captions, strict=False):
        path.write_text(caption, encoding="utf-8")
    export(library, dataset, job, doubtful=True)
    from datasets import load_dataset

    found = load_dataset("imagefolder", data_dir=str(dataset), split="train", cache_dir=str(tmp_path / "cache"))
    wanted = {row["text"]: row for row in rows(dataset).values()}
    assert len(found) == len(wanted) == 5
    assert found.column_names == ["image", "text", "caption_by", "direction", "mood"]
    for row in found:
        assert {key: row[key] for key in ("text", "direction", "mood")} == {
            key: wanted[row["text"]][key] for key in ("text", "direction", "mood")
        }
        with Image.open(dataset / wanted[row["text"]]["file_name"]) as there:
            assert row["image"].convert("RGB").tobytes() == there.convert("RGB").tobytes()


def test_an_export_that_is_read_otherwise_is_an_error(
    library: Path, dataset: Path, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = json.dumps
    monkeypatch.setattr(
        "sorter.dataset.layouts.imagefolder.json.dumps", lambda row, **how: honest(row, **how).replace("mira", "mara")
    )
    with pytest.raises(DatasetError, match=r"metadata\.jsonl: was written and read back, and 4 of its rows are not"):
        export(library, dataset, job)


@pytest.mark.parametrize("axis", ["text", "file_name", "image", "mask", "repeats", "caption_by"])
def test_an_axis_cannot_take_a_column_of_the_imagefolder(library: Path, dataset: Path, job: Job, axis: str) -> None:
    from sorter.dataset.layouts import Item
    from sorter.dataset.layouts.imagefolder import ImageFolder

    with pytest.raises(DatasetError, match=f'axes.{axis}: a dataset has a column "{axis}"'):
        list(ImageFolder()([Item("a", ".png", Render("ab"), "mira", {axis: "left"})]))
