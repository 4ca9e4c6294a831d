"""What is blurry is said relative to the source that a picture comes from."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from sorter.classify.measures import Sharpness
from sorter.classify.source import ENOUGH, References
from sorter.commands.job import load_job
from sorter.commands.sort import sort
from sorter.records import HUMAN, Label, Picture

USE = Sharpness()


def _said(width: float, side: int) -> tuple[str, float]:
    """What the measure says of edges this wide, without a source."""
    limit = USE.edge_width("sharp", 0.5, side)
    sharp = 1 / (1 + (width / limit) ** 8)
    return ("sharp", sharp) if sharp >= 0.5 else ("blurry", 1 - sharp)


def heap(widths: list[float], folder: str = "film") -> list[tuple[str, int, int, str, float]]:
    return [(f"{folder}/{number}.jpg", 1280, 720, *_said(width, 720)) for number, width in enumerate(widths)]


def judged(references: References, width: float, folder: str = "film", source: str = "measure") -> str:
    picture = Picture("0" * 64, f"{folder}/new.jpg", 1280, 720, "JPEG")
    (label,) = references(picture, (Label("blur", *_said(width, 720), source),))
    return label.name


@pytest.mark.parametrize("width", [0.8, 1.3, 1.9, 2.5, 4.0, 12.0])
@pytest.mark.parametrize("side", [200, 480, 720, 1080])
def test_an_answer_tells_the_width_of_the_edges_again(width: float, side: int) -> None:
    name, score = _said(width, side)
    assert USE.edge_width(name, float(np.float32(score)), side) == pytest.approx(width, rel=0.03)


def test_wide_edges_are_blurry_in_a_sharp_film_and_sharp_in_a_soft_one() -> None:
    crisp, soft, none = References({"blur": USE}), References({"blur": USE}), References({"blur": USE})
    crisp.learn("blur", heap([1.3] * 20))
    soft.learn("blur", heap([2.2] * 16 + [4.0] * 4))
    none.learn("blur", heap([2.2] * (ENOUGH - 1)))  # too few to tell
    assert [judged(one, 2.2) for one in (crisp, soft, none)] == ["blurry", "sharp", "blurry"]
    assert judged(soft, 3.2) == "blurry" and judged(crisp, 1.6) == "sharp"


def test_each_folder_is_a_source_of_its_own() -> None:
    references = References({"blur": USE})
    references.learn("blur", heap([1.3] * 20, "new") + heap([2.2] * 20, "old"))
    assert judged(references, 2.2, "new") == "blurry" and judged(references, 2.2, "old") == "sharp"


def test_a_persons_answer_and_other_axes_stay() -> None:
    references = References({"blur": USE})
    references.learn("blur", heap([1.3] * 20))
    picture = Picture("0" * 64, "film/a.jpg", 1280, 720, "JPEG")
    labels = (Label("blur", "sharp", 1.0, HUMAN), Label("pose", "sharp", 0.9, "model"))
    assert references(picture, labels) == labels


def test_a_source_that_is_all_blurry_is_no_reference() -> None:
    references = References({"blur": USE})
    references.learn("blur", heap([6.0] * 20))
    assert judged(references, 6.0) == "blurry"


@pytest.mark.parametrize("width", [0, 960, 640])
def test_real_frames_are_sorted_whatever_they_were_enlarged_from(shared: Path, tmp_path: Path, width: int) -> None:
    (tmp_path / "heap").mkdir()
    for number, path in enumerate(sorted((shared / "frames").glob("*.jpg"))):
        image = Image.open(path).convert("RGB")
        if width:
            small, out = image.resize((width, width * 9 // 16), Image.Resampling.LANCZOS), io.BytesIO()
            small.resize(image.size, Image.Resampling.BICUBIC).save(out, "JPEG", quality=75)
            image = Image.open(out)
        kind = "sharp" if number % 5 else "blurry"
        image = image.filter(ImageFilter.GaussianBlur(2 + number / 11)) if kind == "blurry" else image
        image.save(tmp_path / "heap" / f"{kind}{number}.jpg", quality=90)
    (tmp_path / "scheme.toml").write_text('folders = "{blur}"\n[axes.blur]\nmeasure = "sharpness"\nthreshold = 0.0\n')
    sort(tmp_path / "heap", tmp_path / "library", load_job(tmp_path / "scheme.toml"))
    found = [(path.parent.name, path.stem) for path in (tmp_path / "library").glob("[!.]*/*.jpg")]
    assert len(found) == 22 and all(stem.startswith(folder) for folder, stem in found)
