"""Bars, subtitles and logos burnt into real frames, through the commands, and read back from the dataset."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import sqlite3
import sys
import tomllib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from sorter.classify.overlays import _detector
from sorter.commands.overlays import Standing, find_overlays
from sorter.library.store.manifest import Manifest
from sorter.records import Box
from tests.burnt_in import Subtitle, jpeg, logo, scenes, with_bars

SUBTITLE = Subtitle("DejaVuSans-Bold", "outlined", "English", 0.05, ("You came all this way for a carrot?",))
MASKED = {
    "kohya": "masks/1_mira/{}.png",
    "onetrainer": "mira/{}-masklabel.png",
    "ai-toolkit": "masks/mira/{}.png",
    "simpletuner": "masks/mira/{}.png",
}
Run = Callable[..., dict[str, Any]]


@pytest.fixture
def clean(shared: Path) -> list[Image.Image]:
    """Real frames of 1280x720 without anything on them."""
    return [Image.open(path).convert("RGB") for path in sorted((shared / "frames").glob("*.jpg"))]


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return tmp_path / "dataset"


@pytest.fixture
def run(run_cli: Any, project: Path) -> Run:
    """A command with --json; what it says."""

    def call(*arguments: object) -> dict[str, Any]:
        code, out, err = run_cli(*arguments, "--scheme", project / "scheme.toml", "--json")
        assert code == 0, err
        return dict(json.loads(out))

    return call


@pytest.fixture
def sorted_(tmp_path: Path, library: Path, run: Run) -> Callable[..., Path]:
    """Pictures, by their names, sorted into a library; what the sorters say of them matters not."""

    def fill(pictures: dict[str, Image.Image]) -> Path:
        (tmp_path / "heap").mkdir()
        for name, picture in pictures.items():
            picture.save(tmp_path / "heap" / name, **({"quality": 90} if name.endswith("jpg") else {}))
        run("sort", tmp_path / "heap", "--to", library)
        return library

    return fill


def exported(run: Run, library: Path, dataset: Path, *how: object) -> dict[str, int]:
    return dict(run("export", library, "--to", dataset, "--doubtful", *how)["counts"])


def grey(path: Path) -> np.ndarray[Any, Any]:
    with Image.open(path) as image:
        return np.asarray(image.convert("L"))


def by_name(folder: Path, suffix: str = ".png") -> dict[str, Path]:
    """The files of a dataset by the names that the pictures had in the heap."""
    return {path.stem.rpartition("-")[0]: path for path in folder.rglob(f"*{suffix}")}


@pytest.mark.parametrize(("top", "side"), [(91, 0), (0, 160), (60, 107)])
def test_black_bars_are_cut_before_anything_else(
    top: int, side: int, clean: list[Image.Image], sorted_: Any, run: Run, dataset: Path
) -> None:
    framed, (left, upper, right, lower) = with_bars(clean[9], top, side)
    library = sorted_({"barred.jpg": framed, "plain.jpg": clean[9]})
    assert exported(run, library, dataset)["with black bars cut off"] == 1
    found = by_name(dataset)["barred"]
    height, width = grey(found).shape
    assert 0 <= right - left - width <= 4 and 0 <= lower - upper - height <= 4
    own = np.asarray(framed.convert("L"), np.int16)[upper : upper + 2 + height, left : left + 2 + width]
    start = (own.shape[0] - height) // 2, (own.shape[1] - width) // 2
    own = own[start[0] : start[0] + height, start[1] : start[1] + width]
    assert np.abs(own - grey(found)).mean() < 3  # the very pixels that were within the bars
    assert by_name(dataset, ".jpg").keys() == {"plain"}  # left as it is, to the byte
    exported(run, library, dataset, "--crop", "pad", "--size", 256, "--as", "kohya")
    (mask,) = (path for path in (dataset / "masks").rglob("barred-*.png"))
    rows, columns = (grey(mask) > 127).any(axis=1).sum(), (grey(mask) > 127).any(axis=0).sum()
    assert rows / columns == pytest.approx(height / width, abs=0.02)  # a bar is no picture to be learned


def test_bars_are_kept_if_asked_for(clean: list[Image.Image], sorted_: Any, run: Run, dataset: Path) -> None:
    library = sorted_({"barred.jpg": with_bars(clean[9], 91)[0]})
    counts = exported(run, library, dataset, "--overlays", "keep")
    assert "with black bars cut off" not in counts
    (there,) = library.rglob("barred-*.jpg")
    assert (dataset / there.name).read_bytes() == there.read_bytes()


@pytest.mark.parametrize("use", MASKED)
def test_subtitles_are_black_in_each_trainers_mask(
    use: str, clean: list[Image.Image], sorted_: Any, run: Run, dataset: Path
) -> None:
    pytest.importorskip("rapidocr")
    drawn, box = SUBTITLE.draw(clean[9])
    library = sorted_({"spoken.jpg": drawn, "silent.jpg": clean[3]})
    counts = exported(run, library, dataset, "--as", use, "--overlays", "mask")
    assert (counts["with subtitles masked"], counts["exported"]) == (1, 2)
    stems = {path.stem.rpartition("-")[0]: path.stem for path in library.rglob("*.jpg")}
    masks = {name: grey(dataset / MASKED[use].format(stem)) for name, stem in stems.items()}
    spoken = masks["spoken"]
    left, top, right, bottom = box
    assert spoken.shape == (720, 1280)
    assert (spoken[top:bottom, left:right] == 0).mean() > 0.98
    assert spoken[: top - 40].min() == 255 and (spoken == 255).mean() > 0.85
    assert masks["silent"].min() == 255  # trainers stop where some pictures have a mask and some have none
    assert by_name(dataset, ".jpg").keys() == {"spoken", "silent"}  # the pictures are the library's own
    if use == "kohya":
        config = tomllib.loads((dataset / "dataset.toml").read_text(encoding="utf-8"))
        (subset,) = config["datasets"][0]["subsets"]
        assert Path(subset["conditioning_data_dir"]) == dataset / "masks" / "1_mira"


def test_masks_follow_a_crop(clean: list[Image.Image], sorted_: Any, run: Run, dataset: Path) -> None:
    pytest.importorskip("rapidocr")
    drawn, (_, top, _, bottom) = SUBTITLE.draw(clean[9])
    library = sorted_({"spoken.jpg": drawn})
    exported(run, library, dataset, "--as", "kohya", "--overlays", "mask", "--crop", "centre", "--size", 360)
    (mask,) = (dataset / "masks").rglob("*.png")
    assert grey(mask).shape == (360, 360)
    assert grey(mask)[top // 2 : bottom // 2].max() == 0 and grey(mask)[: top // 2 - 20].min() == 255


def test_a_subtitle_at_the_bottom_is_cut_off(clean: list[Image.Image], sorted_: Any, run: Run, dataset: Path) -> None:
    pytest.importorskip("rapidocr")
    drawn, (_, top, _, _) = SUBTITLE.draw(clean[9])
    library = sorted_({"spoken.jpg": drawn, "silent.jpg": clean[3]})
    counts = exported(run, library, dataset, "--overlays", "cut")
    assert counts["with subtitles cut off"] == 1
    height, width = grey(by_name(dataset)["spoken"]).shape
    assert width == 1280 and top - 30 < height <= top
    assert by_name(dataset, ".jpg").keys() == {"silent"}


def test_words_of_the_scene_stay(clean: list[Image.Image], sorted_: Any, run: Run, dataset: Path) -> None:
    """A shop's name in the middle of the picture is found, and is no subtitle."""
    pytest.importorskip("rapidocr")
    sign = Subtitle("DejaVuSerif", "boxed", "English", 0.09, ("BAKERY",), margin=0.5)
    library = sorted_({"shop.jpg": sign.draw(clean[9])[0]})
    counts = exported(run, library, dataset, "--overlays", "cut")
    assert not counts.keys() & {
        "with subtitles cut off",
        "with subtitles masked",
        "with logos cut off",
        "with logos masked",
    }
    assert by_name(dataset, ".jpg").keys() == {"shop"}


def test_a_logo_is_known_by_its_staying(clean: list[Image.Image], sorted_: Any, run: Run, dataset: Path) -> None:
    pytest.importorskip("rapidocr")
    marked = [logo(scene, "top right", 0.5) for scene in scenes(clean, 24)]
    (left, top, right, bottom) = marked[0][1]
    library = sorted_({f"{number:02}.jpg": picture for number, (picture, _) in enumerate(marked)})
    counts = exported(run, library, dataset, "--as", "kohya", "--overlays", "mask")
    assert counts["with logos masked"] == 24
    for path in (dataset / "masks").rglob("*.png"):
        assert (grey(path)[top:bottom, left:right] == 0).mean() > 0.95
        assert (grey(path) == 255).mean() > 0.9


def test_what_was_found_is_not_looked_for_again(
    clean: list[Image.Image], sorted_: Any, run: Run, dataset: Path, tmp_path: Path
) -> None:
    """The manifest is made to say something else than the pictures do: a second export believes it."""
    library = sorted_({"plain.jpg": clean[9]})
    exported(run, library, dataset)
    with closing(sqlite3.connect(library / ".modelsheet" / "manifest.sqlite")) as db, db:
        said = {"size": [1280, 720], "margins": [0, 100, 0, 100], "window": [0, 100, 1280, 620]}
        changed = db.execute("UPDATE label SET name = ? WHERE axis = 'bars'", (json.dumps(said),)).rowcount
    assert changed == 1
    assert exported(run, library, tmp_path / "again")["with black bars cut off"] == 1
    assert grey(by_name(tmp_path / "again")["plain"]).shape == (520, 1280)


def test_a_dark_scene_has_the_bars_of_its_source(
    clean: list[Image.Image], sorted_: Any, run: Run, dataset: Path
) -> None:
    dark = Image.fromarray((np.asarray(clean[0]) * 0.02).astype(np.uint8))
    pictures = {f"{number}.png": with_bars(clean[3 * number], 80)[0] for number in range(5)}
    library = sorted_(pictures | {"dark.png": with_bars(dark, 80)[0]})
    assert exported(run, library, dataset)["with black bars cut off"] == 6
    assert {grey(path).shape for path in by_name(dataset).values()} == {(558, 1280)}


@pytest.mark.parametrize("mode", ["bars", "cut"])
def test_odd_pictures_are_exported_as_they_are(mode: str, sorted_: Any, run: Run, dataset: Path) -> None:
    if mode == "cut":
        pytest.importorskip("rapidocr")
    noise = np.random.default_rng(1).integers(0, 255, (100, 1000, 3), np.uint8)
    library = sorted_(
        {
            "black.png": Image.new("RGB", (640, 360)),
            "white.png": Image.new("RGB", (640, 360), "white"),
            "strip.png": Image.fromarray(noise),
            "tiny.png": Image.fromarray(noise[:16, :16]),
            "thread.png": Image.new("RGB", (3000, 5), "white"),
            "ribbon.png": Image.fromarray(np.tile(noise, (1, 3, 1))),
        }
    )
    counts = exported(run, library, dataset, "--overlays", mode)
    assert counts["exported"] == 6
    assert not [name for name in counts if "cut" in name or "mask" in name]


def test_a_picture_that_cannot_be_read_is_counted(
    clean: list[Image.Image], sorted_: Any, run_cli: Any, project: Path, dataset: Path
) -> None:
    library = sorted_({"a.jpg": clean[0], "b.jpg": clean[5]})
    (broken,) = library.rglob("a-*.jpg")
    data = broken.read_bytes()
    broken.write_bytes(data[: len(data) // 2])
    code, out, _ = run_cli(
        "export", library, "--to", dataset, "--doubtful", "--scheme", project / "scheme.toml", "--json"
    )
    said = json.loads(out)
    assert (code, said["counts"]["exported"]) == (1, 1)
    assert len(said["failures"]) == 1 and "damaged" in said["failures"][0]["reason"]


def test_masks_for_a_trainer_without_them_are_refused(
    sorted_: Any, run_cli: Any, project: Path, dataset: Path, clean: list[Image.Image]
) -> None:
    from sorter.dataset.layouts import Layout, layouts

    class Bare(Layout):
        has_masks = False

    library = sorted_({"a.jpg": clean[0]})
    scheme = ("--scheme", project / "scheme.toml")
    layouts.add("bare")(Bare)
    try:
        how = ("--as", "bare", "--doubtful", "--overlays", "mask", *scheme)
        code, _, err = run_cli("export", library, "--to", dataset, *how)
    finally:
        del layouts._known["bare"]
    assert code == 2 and "--as bare has no masks; use --overlays cut" in err
    assert not dataset.exists()


def test_a_page_shows_what_was_found(
    clean: list[Image.Image], sorted_: Any, run_cli: Any, tmp_path: Path, run: Run, dataset: Path
) -> None:
    pytest.importorskip("rapidocr")
    library = sorted_({"<b>spoken.jpg": SUBTITLE.draw(clean[9])[0], "barred.jpg": with_bars(clean[3], 80)[0]})
    code, out, _ = run_cli("overlays", library, "--to", tmp_path / "page.html", "--json")
    counts = json.loads(out)["counts"]
    assert (code, counts) == (0, {"pictures": 2, "with bars": 1, "with subtitles": 1, "with a logo": 0})
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.count("<img") == 2 and "Bars (1)" in page and "Subtitles and watermarks (1)" in page
    assert "<b>spoken" not in page
    pictures = [Image.open(io.BytesIO(base64.b64decode(one))) for one in re.findall(r'base64,([^"]+)"', page)]
    green, red = (np.asarray(one.convert("RGB"), np.int16) for one in pictures)
    assert ((green[..., 1] > 180) & (green[..., [0, 2]].max(axis=2) < 120)).any(axis=1).sum() > 100  # down both sides
    assert ((red[..., 0] > 180) & (red[..., 1:].max(axis=2) < 120)).any(axis=0).sum() > 50
    assert exported(run, library, dataset, "--overlays", "cut")["with subtitles cut off"] == 1  # nothing is asked twice


def test_a_library_without_pictures_has_a_page_that_says_so(run_cli: Any, tmp_path: Path) -> None:
    code, _, err = run_cli("overlays", tmp_path / "none")
    assert code == 2 and "is not a library" in err


def test_without_the_detector_what_to_install_is_said(
    clean: list[Image.Image], sorted_: Any, run_cli: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = sorted_({"barred.jpg": with_bars(clean[3], 80)[0]})
    _detector.cache_clear()
    monkeypatch.setitem(sys.modules, "rapidocr", None)
    code, _, err = run_cli("overlays", library)
    assert code == 2 and 'finding subtitles needs the "overlays" part: pip install "modelsheet[overlays]"' in err
    code, out, _ = run_cli("overlays", library, "--bars", "--json")
    assert code == 0 and json.loads(out)["counts"]["with bars"] == 1


def test_a_logo_is_where_it_is_on_turned_pictures(clean: list[Image.Image], tmp_path: Path) -> None:
    """Of 24 pictures of one source 10 were turned: too few of either kind to be told alone."""
    pytest.importorskip("rapidocr")
    truth, files = Box(0, 0, 0, 0), {}
    for number, scene in enumerate(scenes(clean, 24)):
        marked, sides = logo(scene, "top right", 0.5)
        truth = Box(*sides)
        data = jpeg(ImageOps.mirror(marked) if number < 10 else marked, 90)
        (tmp_path / f"{number}.jpg").write_bytes(data)
        files[hashlib.sha256(data).hexdigest()] = Standing(tmp_path / f"{number}.jpg", "film", number < 10)
    with Manifest(tmp_path / "library", create=True) as manifest:
        found, failed = find_overlays(manifest, files, text=True)
        assert find_overlays(manifest, files, text=True) == (found, failed)
    assert len(found) == 24 and not failed
    for sha256, one in found.items():
        (box,) = one.logos
        part = (truth.mirrored(1280) if files[sha256].mirror else truth).seen_from(box)
        assert part and part.size == pytest.approx(truth.size, abs=6)


def test_bars_that_were_asked_for_while_sorting_are_not_looked_for_again(
    clean: list[Image.Image], sorted_: Any, run: Run, dataset: Path, project: Path
) -> None:
    def rows(library: Path) -> int:
        with closing(sqlite3.connect(library / ".modelsheet" / "manifest.sqlite")) as db:
            return int(db.execute("SELECT count(*) FROM label WHERE axis = 'bars'").fetchone()[0])

    scheme = project / "scheme.toml"
    text = scheme.read_text(encoding="utf-8").replace(
        "[axes.direction]", '[ask.bars]\nuse = "bars"\n[axes.direction]', 1
    )
    scheme.write_text(text, encoding="utf-8")
    library = sorted_({"barred.jpg": with_bars(clean[9], 90)[0]})
    assert rows(library) == 1
    assert exported(run, library, dataset)["with black bars cut off"] == 1
    assert rows(library) == 1


def test_a_library_that_cannot_be_written_is_exported_all_the_same(
    clean: list[Image.Image], sorted_: Any, run: Run, tmp_path: Path, nobody: Any
) -> None:
    """What was found in it cannot be kept then."""
    library = sorted_({"barred.jpg": with_bars(clean[9], 90)[0]})
    (tmp_path / "theirs").mkdir()
    manifest = library / ".modelsheet" / "manifest.sqlite"
    before = manifest.read_bytes()
    with nobody(tmp_path / "theirs"):
        assert exported(run, library, tmp_path / "theirs" / "dataset")["with black bars cut off"] == 1
    assert manifest.read_bytes() == before


def test_what_is_transparent_is_no_bar(project: Path, tmp_path: Path, run_cli: Any) -> None:
    """A figure cut out of its picture keeps its border; a screenshot whose alpha says nothing has its bars cut."""
    pixels = np.random.default_rng(0).integers(0, 256, (200, 320, 3), np.uint8)
    for name, alpha in (("cut_out", 0), ("screenshot", 255)):
        image = Image.new("RGBA", (320, 280), (0, 0, 0, alpha))
        image.paste(Image.fromarray(pixels), (0, 40))
        (tmp_path / "frames").mkdir(exist_ok=True)
        image.save(tmp_path / "frames" / f"{name}.png")
    scheme = project / "scheme.toml"
    assert run_cli("sort", tmp_path / "frames", "--to", tmp_path / "library", "--scheme", scheme)[0] == 0
    words = ("export", tmp_path / "library", "--to", tmp_path / "dataset", "--doubtful", "--scheme", scheme)
    assert run_cli(*words)[0] == 0
    sizes = {}
    for path in (tmp_path / "dataset").rglob("*.png"):
        with Image.open(path) as image:
            sizes[path.name.rpartition("-")[0]] = image.size
    assert sizes["cut_out"] == (320, 280)
    assert abs(sizes["screenshot"][1] - 200) <= 4
