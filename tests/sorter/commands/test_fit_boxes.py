"""`sorter fit --boxes` and the locator that it writes, through the commands: on made heads, and on real film frames."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from sorter.fit.locator import overlap

SIZE = (240, 160)
HEADS = Path(__file__).parents[2] / "bench" / "heads"


def somebody(number: int) -> tuple[Image.Image, list[int]]:
    """A face with two eyes somewhere on grass and sky, beside a plain ball of the same colour; and its box."""
    pen = random.Random(number)
    image = Image.new("RGB", SIZE, (120, 180, 240))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 100, *SIZE), fill=(70, 150, 60))
    side, other = pen.randint(40, 60), pen.randint(30, 50)
    places = [(pen.randint(0, 110 - side), pen.randint(0, 150 - side)), (pen.randint(120, 190), pen.randint(0, 110))]
    if number % 2:
        places = [(x + 120 if x < 110 else x - 120, y) for x, y in places]
    (x, y), (a, b) = places
    draw.ellipse((a, b, a + other, b + other), fill=(240, 200, 80), outline="black")
    draw.ellipse((x, y, x + side, y + side), fill=(240, 200, 80), outline="black", width=2)
    for eye in (0.3, 0.7):
        draw.ellipse((x + side * (eye - 0.1), y + side * 0.3, x + side * (eye + 0.1), y + side * 0.5), fill="black")
    draw.arc((x + side * 0.25, y + side * 0.4, x + side * 0.75, y + side * 0.8), 20, 160, fill="red", width=3)
    return image, [x, y, x + side, y + side]


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """30 pictures with their boxes, and 10 more."""
    folder = tmp_path_factory.mktemp("people")
    boxes = {}
    for number in range(40):
        image, box = somebody(number)
        path = folder / ("own" if number < 30 else "new") / f"p{number:02d}.png"
        path.parent.mkdir(exist_ok=True)
        image.save(path)
        boxes[path.name] = box
    (folder / "boxes.json").write_text(json.dumps({name: boxes[name] for name in sorted(boxes)[:30]}))
    (folder / "new.json").write_text(json.dumps({name: boxes[name] for name in sorted(boxes)[30:]}))
    return folder


@pytest.fixture(scope="module")
def fitted(people: Path) -> Path:
    from sorter.commands.fit_boxes import fit_boxes

    found = fit_boxes(people / "own", people / "boxes.json", people / "models" / "head")
    assert "The head was found in" in found.said[0]
    assert not found.failures
    return people / "models" / "head"


def answers(library: Path) -> dict[str, Any]:
    """Name -> box and score, of every picture in a library."""
    from sorter.library.store.manifest import Manifest

    with Manifest(library) as manifest:
        rows = list(
            manifest._db.execute("SELECT path, name, score FROM label JOIN source USING (sha256) WHERE axis = 'head'")
        )
    return {Path(path).name: (json.loads(name), score) for path, name, score in rows}


def test_a_fitted_locator_is_asked_in_a_sort_and_finds_heads_it_has_not_seen(
    people: Path, fitted: Path, project: Path, run_cli: Callable[..., Any], tmp_path: Path
) -> None:
    scheme = project / "scheme.toml"
    scheme.write_text(f'{scheme.read_text()}\n[ask.head]\nuse = "locator"\nmodel = {json.dumps(str(fitted))}\n')
    assert run_cli("sort", people / "new", "--to", tmp_path / "library", "--scheme", scheme)[0] == 0
    truth = json.loads((people / "new.json").read_text())
    found = answers(tmp_path / "library")
    assert found.keys() == truth.keys()
    sides = ("left", "top", "right", "bottom")
    assert sum(overlap([box[side] for side in sides], truth[name]) > 0.4 for name, (box, _) in found.items()) >= 9
    assert all(0 <= score <= 1 for _, score in found.values())


def test_the_folder_says_what_it_is_and_shows_every_box(fitted: Path, run_cli: Callable[..., Any]) -> None:
    import tomllib

    card = tomllib.loads((fitted / "card.toml").read_text())
    assert card["locator"]["pictures"] == 30
    assert card["scores"]["found"] >= 0.8
    page = (fitted / "report.html").read_text()
    assert page.count("<figure>") == 30
    with np.load(fitted / "locator.npz", allow_pickle=False) as arrays:
        assert arrays["inside"].shape == (438, 1)


def test_the_same_boxes_make_the_same_locator(people: Path, fitted: Path, run_cli: Any, tmp_path: Path) -> None:
    words = ("fit", people / "own", "--boxes", people / "boxes.json", "--to", tmp_path / "head")
    assert run_cli(*words)[0] == 0
    assert (tmp_path / "head" / "locator.npz").read_bytes() == (fitted / "locator.npz").read_bytes()


def test_init_asks_a_locator_that_lies_under_models(project: Path, fitted: Path, run_cli: Any) -> None:
    import shutil

    shutil.copytree(fitted, project / "models" / "head")
    (project / "scheme.toml").unlink()
    assert run_cli("init", project)[0] == 0
    text = (project / "scheme.toml").read_text()
    assert '[ask.head]\nuse   = "locator"' in text and 'model = "models/head"' in text
    assert run_cli("check", "--scheme", project / "scheme.toml")[0] == 0


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 no", None])
def test_a_damaged_locator_is_said_in_one_sentence(project: Path, run_cli: Any, damage: bytes | None) -> None:
    folder = project / "models" / "head"
    folder.mkdir()
    if damage is not None:
        (folder / "locator.npz").write_bytes(damage)
    scheme = project / "scheme.toml"
    scheme.write_text(f'{scheme.read_text()}\n[ask.head]\nuse = "locator"\nmodel = "models/head"\n')
    (project / "frames").mkdir(exist_ok=True)
    code, _, err = run_cli("sort", project / "frames", "--to", project / "library", "--scheme", scheme)
    assert code == 2
    assert "locator.npz: " in err and "sorter fit" in err and len(err.strip().splitlines()) == 1


def test_a_pickle_is_not_opened(project: Path, run_cli: Any) -> None:
    from sorter.classify.locate import read_head
    from sorter.errors import ModelError

    np.savez(project / "x.npz", spread=np.array([{"a": 1}], dtype=object))
    with pytest.raises(ModelError, match="is no locator"):
        read_head((project / "x.npz").read_bytes(), project / "x.npz")


def test_what_does_not_fit_is_counted_or_refused(people: Path, run_cli: Any, tmp_path: Path) -> None:
    boxes = json.loads((people / "boxes.json").read_text())
    few = dict(list(boxes.items())[:4])
    (tmp_path / "few.json").write_text(json.dumps(few))
    code, _, err = run_cli("fit", people / "own", "--boxes", tmp_path / "few.json", "--to", tmp_path / "head")
    assert code == 2
    assert "has boxes on 4 of these pictures" in err and "at least 5 are needed, better 25" in err
    assert not (tmp_path / "head").exists()
    some = dict(list(boxes.items())[:6]) | {"gone.png": [1, 1, 9, 9], "p07.png": [900, 900, 950, 950]}
    (tmp_path / "some.json").write_text(json.dumps(some))
    code, out, _ = run_cli(
        "fit", people / "own", "--boxes", tmp_path / "some.json", "--to", tmp_path / "head", "--json"
    )
    data = json.loads(out)
    assert code == 1
    assert data["card"]["locator"]["pictures"] == 6
    assert [(Path(one["path"]).name, one["reason"]) for one in data["failures"]] == [
        ("gone.png", "is not there, or there twice"),
        ("p07.png", "its box lies beyond the picture; draw it again"),
    ]
    code, _, err = run_cli("fit", "--boxes", people / "boxes.json", "--to", tmp_path / "head")
    assert code == 2 and "give the folder of pictures, and the boxes drawn on them" in err


def test_the_built_in_one_finds_where_somebody_is_in_real_frames(
    shared: Path, project: Path, run_cli: Callable[..., Any], tmp_path: Path
) -> None:
    """In each of 20 film frames whose rabbit's head was labelled, the largest square about what is found holds it."""
    scheme = project / "scheme.toml"
    scheme.write_text(f'{scheme.read_text()}\n[ask.head]\nuse = "locator"\n')
    assert run_cli("sort", shared / "frames", "--to", tmp_path / "library", "--scheme", scheme)[0] == 0
    truth = json.loads((HEADS / "bunny_frames.json").read_text())
    found = answers(tmp_path / "library")
    whole = 0
    for name, (left, _, right, _) in truth.items():
        box = found[name][0]
        start = min(max((box["left"] + box["right"]) / 2 - 360, 0), 1280 - 720)
        whole += start <= left and right <= start + 720
    assert whole == len(truth) == 20
