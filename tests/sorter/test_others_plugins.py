"""Three plug-ins of others', each one file found by its entry point, through the commands: a tagger whose tags reach a
caption, a locator whose box reaches a crop, and a layout that writes kohya's folders with their pictures."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import sorter

ROOT = Path(sorter.__file__).parent.parent

TAGGER = '''
import os
from sorter.classify.askers import Asker


class Colours(Asker):
    """Names the colours of the corners, as a tagging network would name what it sees."""

    most: int = 2

    def ask(self, view):
        with open(os.environ["ASKED"], "a") as log:
            log.write(f"tags {view.picture.sha256}\\n")
        width, height = view.rgb.size
        corner = view.rgb.getpixel((width - 1, 1))
        names = {(255, 0, 0): "red", (0, 0, 255): "blue", (0, 255, 0): "green"}
        return [names.get(corner, "grey"), "corner, right", "third"][: self.most]
'''
LOCATOR = '''
import os
from sorter.classify.askers import Asker
from sorter.dataset.croppers import Cropper
from sorter.records import Box, Render


class LeftThird(Asker):
    """A box around the left third of the picture as it came."""

    def ask(self, view):
        with open(os.environ["ASKED"], "a") as log:
            log.write(f"box {view.picture.sha256}\\n")
        return Box(0, 0, view.picture.width // 3, view.picture.height)


class Subject(Cropper):
    """What the locator of that name has found."""

    box: str = "subject"

    def __call__(self, picture, verdict):
        return Render(picture.sha256, verdict.box(self.box))
'''
KOHYA = '''
from sorter.dataset.layouts import Layout
from sorter.records import Output, Text


class Kohya(Layout):
    """REPEATS_NAME folders with a .txt beside each picture."""

    repeats: int = 10
    axis: str = "mood"

    def __call__(self, items):
        for item in items:
            place = f"{self.repeats}_{item.classes[self.axis]}/{item.stem}"
            yield Output(place + item.suffix, item.render)
            yield Output(place + ".txt", Text(item.caption + "\\n"))
'''
ENTRY_POINTS = """\
[modelsheet.askers]
corners = others_tagger:Colours
left-third = others_locator:LeftThird
[modelsheet.croppers]
boxed = others_locator:Subject
[modelsheet.layouts]
mine = others_kohya:Kohya
"""
ASK = """
[ask.tags]
use = "corners"
[ask.subject]
use = "left-third"
[crop]
use = "boxed"
[caption]
use = "template"
text = "{trigger}, {direction}, {tags}, {mood}"
"""


@pytest.fixture
def run(tmp_path: Path, project: Path) -> Callable[..., dict[str, Any]]:
    """A command in a project whose scheme names the plug-ins, which are installed as a package is."""
    place = tmp_path / "site"
    info = place / "others-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: others\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    for name, text in (("tagger", TAGGER), ("locator", LOCATOR), ("kohya", KOHYA)):
        (place / f"others_{name}.py").write_text(text)
    with (project / "scheme.toml").open("a", encoding="utf-8") as scheme:
        scheme.write(ASK)
    path = os.pathsep.join([str(ROOT), str(place)])
    environment = {**os.environ, "PYTHONPATH": path, "ASKED": str(tmp_path / "asked.txt")}

    def command(*words: object, code: int = 0) -> dict[str, Any]:
        done = subprocess.run(
            [sys.executable, "-m", "sorter", *map(str, words), "--json"],
            cwd=project, env=environment, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        return json.loads(done.stdout)  # type: ignore[no-any-return]

    return command


@pytest.fixture
def asked(tmp_path: Path) -> Callable[[], Counter[str]]:
    """How often each asker was asked about each picture, and in all."""

    def count() -> Counter[str]:
        path = tmp_path / "asked.txt"
        lines = path.read_text().splitlines() if path.exists() else []
        return Counter(lines) + Counter(line.split()[0] for line in lines)

    return count


def once(counts: Counter[str], pictures: int) -> bool:
    return counts["tags"] == counts["box"] == pictures and set(counts.values()) == {1, pictures}


def test_each_asks_once_a_picture_over_sort_sort_again_and_export(
    project: Path, frames: Path, run: Callable[..., Any], asked: Callable[[], Counter[str]], tmp_path: Path
) -> None:
    report = run("sort", frames, "--to", "library", code=1)  # one of the frames is no picture
    pictures = report["counts"]["pictures"]
    assert once(asked(), pictures)
    captions = {path.stem.rpartition("-")[0]: path.read_text() for path in (project / "library").rglob("*.txt")}
    assert captions["left_happy"] == "mira, facing left, blue, corner, right, happy\n"
    assert captions["right_happy"] == "mira, facing left, red, corner, left, happy\n"  # it was turned

    run("sort", frames, "--to", "library", code=1)
    run("classify", "library")
    run("plan", "library")
    run("report", "library")
    run("export", "library", "--to", "dataset")
    run("export", "library", "--to", "kohya", "--as", "mine")
    assert once(asked(), pictures)

    rows = [json.loads(line) for line in (project / "dataset" / "metadata.jsonl").read_text().splitlines()]
    cropped = {row["file_name"].rpartition("-")[0]: project / "dataset" / row["file_name"] for row in rows}
    assert {name: size(path) for name, path in cropped.items() if name in ("left_happy", "right_happy")} == {
        "left_happy": (13, 32), "right_happy": (13, 32),
    }  # fmt: skip
    # The box is of the picture as it came; of a turned one it lies on the other side.
    (standing,) = (project / "library").rglob("right_happy-*.*g")
    with Image.open(standing) as whole, Image.open(cropped["right_happy"]) as part:
        assert whole.convert("RGB").crop((27, 0, 40, 32)).tobytes() == part.convert("RGB").tobytes()


def test_the_layout_writes_folders_with_their_pictures(
    project: Path, frames: Path, run: Callable[..., Any], tree_of: Callable[..., dict[str, str]]
) -> None:
    run("sort", frames, "--to", "library", code=1)
    run("export", "library", "--to", "kohya", "--as", "mine", "--crop", "none")
    found = tree_of(project / "kohya")
    assert found.pop("modelsheet.json")
    names = {name.rpartition("-")[0] + Path(name).suffix for name in found if not name.endswith("/")}
    assert "10_happy/left_happy.txt" in names
    assert {Path(name).suffix for name in names} > {".txt"}
    pictures = {name.rpartition(".")[0] for name in found if not name.endswith((".txt", "/"))}
    assert pictures == {name.removesuffix(".txt") for name in found if name.endswith(".txt")}
    assert (
        project / "kohya" / next(name for name in found if "10_happy/left_happy" in name and "txt" in name)
    ).read_text()
    run("export", "library", "--to", "kohya", "--as", "mine", "--crop", "none")
    again = tree_of(project / "kohya")
    assert again.pop("modelsheet.json") and again == found


def test_a_new_asker_asks_only_its_own_question(
    project: Path, frames: Path, run: Callable[..., Any], asked: Callable[[], Counter[str]]
) -> None:
    pictures = run("sort", frames, "--to", "library", code=1)["counts"]["pictures"]
    scheme = project / "scheme.toml"
    scheme.write_text(scheme.read_text().replace('use = "corners"', 'use = "corners"\nmost = 1'))
    run("classify", "library")
    counts = asked()
    assert (counts["tags"], counts["box"]) == (2 * pictures, pictures)
    run("sort", frames, "--to", "library", code=1)
    assert asked() == counts
    captions = {path.stem.rpartition("-")[0]: path.read_text() for path in (project / "library").rglob("*.txt")}
    assert captions["left_happy"] == "mira, facing left, blue, happy\n"


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('use = "corners"', 'use = "cornerz"', '"cornerz" is not an asker; did you mean "corners"'),
        ("[ask.tags]", "[ask.mood]", "[ask.mood]: there is an axis of that name"),
        ("[ask.tags]", "[ask.caption]", "[ask.caption] is not a name for an asker"),
        ("{tags}", "{tagz}", 'names "{tagz}", which is neither an axis nor an asker; did you mean "tags"'),
    ],
)
def test_a_mistake_is_one_sentence(
    project: Path, frames: Path, run: Callable[..., Any], old: str, new: str, sentence: str
) -> None:
    scheme = project / "scheme.toml"
    scheme.write_text(scheme.read_text().replace(old, new))
    assert sentence in run("sort", frames, "--to", "library", code=2)["error"]


def size(path: Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        return picture.size


@pytest.mark.skipif(sys.version_info >= (3, 14) or os.name == "nt", reason="Ray has no build here")
def test_a_cluster_asks_what_is_missing(
    project: Path, frames: Path, run: Callable[..., Any], asked: Callable[[], Counter[str]]
) -> None:
    scheme = project / "scheme.toml"
    whole = scheme.read_text()
    scheme.write_text(whole.partition("\n[ask.tags]")[0])
    pictures = run("sort", frames, "--to", "library", code=1)["counts"]["pictures"]
    assert not asked()
    scheme.write_text(whole)
    run("classify", "library", "--on", "local")
    assert once(asked(), pictures)
    run("sort", frames, "--to", "library", code=1)
    assert once(asked(), pictures)
