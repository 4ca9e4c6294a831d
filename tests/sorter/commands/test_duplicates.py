"""`sorter duplicates` on real frames and photographs: what is found, what is kept, and what an undo brings back."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageOps

from tests.sorter.by_hand import one

Run = Callable[..., Any]
SCHEME = 'name = "test"\nfolders = "{blur}"\n[axes.blur]\nmeasure = "sharpness"\n'
CROP = (128, 72, 1152, 648)
"""The middle 80 % of 1280x720."""


@pytest.fixture
def heap(tmp_path: Path, shared: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A frame with its copies, a frame of another scene, a frame with nothing on it twice."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scheme.toml").write_text(SCHEME, encoding="utf-8")
    folder = tmp_path / "frames"
    folder.mkdir()
    frame = Image.open(shared / "frames" / "bbb_0000.jpg").convert("RGB")
    frame.save(folder / "frame.png")
    frame.save(folder / "again.png", compress_level=1)
    frame.resize((640, 360)).save(folder / "half.jpg", quality=60)
    ImageOps.mirror(frame).save(folder / "mirror.jpg", quality=90)
    frame.crop(CROP).save(folder / "crop.jpg", quality=80)
    ImageOps.mirror(frame.crop(CROP)).resize((512, 288)).save(folder / "crop-mirror.webp")
    Image.open(shared / "frames" / "bbb_0126.jpg").save(folder / "other.png")
    for name, size in (("black.png", (640, 360)), ("black-too.png", (320, 180))):
        Image.new("RGB", size, (6, 5, 8)).save(folder / name)
    return folder


@pytest.fixture
def made(heap: Path, run_cli: Run, tmp_path: Path) -> Path:
    """Sorted into a library."""
    assert run_cli("sort", heap, "--to", tmp_path / "library")[0] == 0
    return tmp_path / "library"


def groups(run_cli: Run, library: Path, *more: object) -> dict[str, dict[str, str]]:
    """Name of what is kept -> name of a copy -> how."""
    code, out, err = run_cli("duplicates", library, "--json", *more)
    assert (code, err) == (0, "")
    return {
        group["name"].partition(" ")[0]: {one["name"].partition(" ")[0]: one["how"] for one in group["others"]}
        for group in json.loads(out)["groups"]
    }


def names(library: Path) -> set[str]:
    return {path.stem.rpartition("-")[0] for path in library.rglob("*") if path.suffix in (".png", ".jpg", ".webp")}


def test_each_kind_of_copy_is_found_and_nothing_else(made: Path, run_cli: Run, tree_of: Any) -> None:
    before = tree_of(made, hidden=True)
    (kept, copies), *others = groups(run_cli, made).items()
    assert others == []
    assert {kept, *copies} == {
        "frame.png", "again.png", "half.jpg", "mirror.jpg", "crop.jpg", "crop-mirror.webp",
    }  # fmt: skip
    assert kept in ("frame.png", "again.png")
    assert copies == {
        ("again.png" if kept == "frame.png" else "frame.png"): "exact",
        "half.jpg": "near",
        "mirror.jpg": "mirrored",
        "crop.jpg": "cropped",
        "crop-mirror.webp": "cropped and mirrored",
    }
    assert tree_of(made, hidden=True) == before  # looking changes nothing
    page = made.with_name("library-duplicates.html").read_text(encoding="utf-8")
    assert page.count("<figure>") == 6
    assert "cropped and mirrored" in page


def test_the_rest_is_left_out_and_undo_brings_it_back(made: Path, heap: Path, run_cli: Run, tree_of: Any) -> None:
    before, originals = tree_of(made), tree_of(heap)
    assert run_cli("duplicates", made, "--drop", "--dry-run")[0] == 0
    assert tree_of(made) == before
    code, out, _ = run_cli("duplicates", made, "--drop")
    assert code == 0
    assert "left out: 5 duplicate of another" in out
    kept = names(made) - {"other", "black", "black-too"}
    assert len(kept) == 1
    assert kept <= {"frame", "again"}
    assert tree_of(heap) == originals
    assert run_cli("sort", heap, "--to", made)[0] == 0  # a later sort leaves them where they are
    assert names(made) == kept | {"other", "black", "black-too"}
    assert groups(run_cli, made) == {}
    assert run_cli("undo", made)[0] == 0
    assert tree_of(made) == before


def test_what_a_person_said_is_not_overruled(made: Path, heap: Path, run_cli: Run) -> None:
    one(made, "half-*.txt").write_text("my own words", encoding="utf-8")
    code, out, _ = run_cli("duplicates", made, "--drop")
    assert code == 0
    assert "half.jpg (640 x 360), smaller; stays, since it has a caption of your own" in out
    assert one(made, "half-*.txt").read_text(encoding="utf-8") == "my own words"
    assert "crop" not in names(made)
    # What is put back by hand is wanted from now on, and kept in place of what is larger.
    (made / "sharp").mkdir(exist_ok=True)
    back = made / "sharp" / "crop.jpg"
    back.write_bytes((heap / "crop.jpg").read_bytes())
    assert run_cli("sort", heap, "--to", made)[0] == 0
    found = groups(run_cli, made)
    assert set(found) == {"crop.jpg"}


def test_a_second_look_reads_no_picture(made: Path, heap: Path, run_cli: Run) -> None:
    found = groups(run_cli, made)
    for path in heap.iterdir():
        path.unlink()
    assert groups(run_cli, made) == found


def test_what_cannot_be_looked_at_is_named(
    made: Path, heap: Path, run_cli: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELSHEET_CACHE", str(tmp_path / "cache"))
    (heap / "half.jpg").write_bytes(b"changed since")
    code, out, _ = run_cli("duplicates", made)
    assert code == 1
    assert "half.jpg: is gone or has changed" in out
    assert "again.png" in out


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--thin", "0"), "--thin: 0 is no share; give a number between 0 and 1, such as 0.5"),
        (("--thin", "2"), "--thin: 2 is no share"),
        (("--thin", "nan"), "--thin: nan is no share"),
        (("--thin", "half"), "'half' is not a valid float"),
    ],
)
def test_a_share_that_is_none_is_a_sentence(made: Path, run_cli: Run, options: tuple[str, ...], sentence: str) -> None:
    code, _, err = run_cli("duplicates", made, *options)
    assert code == 2
    assert sentence in err


def test_small_libraries_have_no_duplicates(tmp_path: Path, heap: Path, run_cli: Run) -> None:
    code, _, err = run_cli("duplicates", tmp_path / "nothing")
    assert code == 2
    assert "is not a library" in err
    for path in heap.iterdir():
        if path.name != "frame.png":
            path.unlink()
    run_cli("sort", heap, "--to", tmp_path / "library")
    assert groups(run_cli, tmp_path / "library") == {}
    (heap / "frame.png").unlink()
    run_cli("sort", heap, "--to", tmp_path / "empty")
    code, out, _ = run_cli("duplicates", tmp_path / "empty")
    assert code == 0
    assert "no picture is a copy of another" in out


def exported(dataset: Path) -> set[str]:
    rows = (dataset / "metadata.jsonl").read_text(encoding="utf-8").splitlines()
    return {json.loads(row)["file_name"].rpartition("-")[0] for row in rows}


def test_an_export_holds_the_best_of_each_group(made: Path, run_cli: Run, tmp_path: Path, tree_of: Any) -> None:
    before = tree_of(made)
    code, out, _ = run_cli("export", made, "--to", tmp_path / "all")
    assert len(exported(tmp_path / "all")) == 9
    code, out, err = run_cli("export", made, "--to", tmp_path / "dataset", "--distinct")
    assert (code, err) == (0, "")
    assert "5 left out, copies of a better picture" in out
    left = exported(tmp_path / "dataset")
    assert left > {"other", "black", "black-too"}
    assert len(left) == 4
    assert tree_of(made) == before


def test_a_scene_is_thinned_to_a_share(tmp_path: Path, shared: Path, run_cli: Run, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scheme.toml").write_text(SCHEME, encoding="utf-8")
    assert run_cli("sort", shared / "frames", "--to", tmp_path / "library")[0] == 0
    run_cli("export", tmp_path / "library", "--to", tmp_path / "all")
    everything = exported(tmp_path / "all")
    kept = {}
    for share in ("0.5", "0.2"):
        assert run_cli("export", tmp_path / "library", "--to", tmp_path / share, "--thin", share)[0] == 0
        kept[share] = exported(tmp_path / share)
    assert len(kept["0.2"]) < len(kept["0.5"]) < len(everything) == 22
    assert run_cli("duplicates", tmp_path / "library", "--thin", "0.5", "--drop")[0] == 0
    assert names(tmp_path / "library") == kept["0.5"]
    assert run_cli("undo", tmp_path / "library")[0] == 0
    assert names(tmp_path / "library") == everything


def test_what_turning_has_made_alike_is_one_picture(
    project: Path, tmp_path: Path, library: Path, draw: Any, grow: Any, run_cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both face left in the library; one of them came that way."""
    monkeypatch.chdir(project)
    left = draw("left", "happy", size=(320, 200))
    grow(tmp_path / "frames", {"a.png": left, "b.png": ImageOps.mirror(left), "c.png": draw("front", "sad")})
    assert run_cli("sort", tmp_path / "frames", "--to", library)[0] == 0
    assert len(list(library.glob("happy/left/*.png"))) == 2
    assert groups(run_cli, library) in ({"a.png": {"b.png": "mirrored"}}, {"b.png": {"a.png": "mirrored"}})
    assert run_cli("duplicates", library, "--drop")[0] == 0
    assert len(list(library.glob("happy/left/*.png"))) == 1


def test_pictures_that_stand_in_the_library_alone_are_compared(
    made: Path, heap: Path, run_cli: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELSHEET_CACHE", str(tmp_path / "cache"))
    for path in heap.iterdir():
        path.unlink()
    (found,) = groups(run_cli, made).values()
    assert len(found) == 5
