"""docs/extending.md: each change is described in at most five lines that name files which are there, and the first
six are carried out here, the seventh in tests/trainer/test_methods.py, each by the one class or function it says."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sorter.classify import askers
from sorter.classify.askers import Asker
from sorter.classify.measures import Scale, measures
from sorter.commands.export import export
from sorter.commands.job import load_job
from sorter.commands.sort import sort
from sorter.dataset.croppers import Cropper, croppers
from sorter.dataset.layouts import Layout, layouts
from sorter.library.caption import Captioner, captioners
from sorter.records import Output, Render

ROOT = Path(__file__).resolve().parent.parent
CHANGES = (
    "A model format", "A measure", "A tagger", "A cropper", "A captioner", "An export layout",
    "A trainer for the doctor", "A training method", "A family of bases", "A sampler", "A command",
    "A column of the manifest",
)  # fmt: skip


def test_each_change_is_five_lines_that_name_files_which_are_there() -> None:
    text = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^## (.+)\n((?:.+\n)+)", text, re.MULTILINE))
    assert tuple(sections) == CHANGES
    for title, body in sections.items():
        files = re.findall(r"`((?:sorter|trainer)/[\w/]+\.py|sorter/cli/)`", body)
        assert len(body.splitlines()) <= 5, title
        assert 1 <= len([name for name in files if "NAME" not in name]) <= 2, title
        for name in files:
            path = ROOT / name
            assert (path.parent if "NAME" in name else path).exists(), name


@contextmanager
def added(registry: Any, name: str, plugin: type) -> Iterator[None]:
    registry.add(name)(plugin)
    try:
        yield
    finally:
        del registry._known[name]


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    folder = tmp_path / "frames"
    folder.mkdir()
    for number, level in enumerate((10, 240)):
        Image.new("RGB", (40, 20), (level, level, level)).save(folder / f"{number}.png")
    return folder


@pytest.fixture
def scheme(tmp_path: Path) -> Callable[[str], Path]:
    def write(more: str) -> Path:
        path = tmp_path / "scheme.toml"
        path.write_text(f'trigger = "x"\nfolders = "{{light}}"\n[axes.light]\nmeasure = "brightness"\n{more}')
        return path

    return write


class Brightness(Scale):
    """How bright a picture is."""

    classes: tuple[str, ...] = ("dark", "bright")

    def __call__(self, grey: Any) -> Any:
        bright = float(grey.mean()) / 255
        return np.array([1 - bright, bright], np.float32)


@pytest.fixture(autouse=True)
def brightness() -> Iterator[None]:
    """2: a measure, which all others here sort by."""
    with added(measures, "brightness", Brightness):
        yield


def texts(folder: Path, pattern: str = "*.txt") -> dict[str, str]:
    return {path.parent.name: path.read_text() for path in sorted(folder.rglob(pattern))}


def test_a_measure(frames: Path, tmp_path: Path, scheme: Callable[[str], Path]) -> None:
    sort(frames, tmp_path / "library", load_job(scheme("")))
    assert texts(tmp_path / "library") == {"dark": "x, dark\n", "bright": "x, bright\n"}


def test_a_model_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sorter.errors import ModelError
    from sorter.networks import load
    from sorter.networks.load import Format

    (tmp_path / "model.mine").write_text("3")

    def find(files: Any) -> str | None:
        return "model.mine" if (tmp_path / "model.mine").exists() else None

    def read(files: Any, name: str) -> Any:
        raise ModelError(f"{name}: is read here")

    monkeypatch.setattr(load, "FORMATS", (*load.FORMATS, Format(find, read)))
    with pytest.raises(ModelError, match=r"model\.mine: is read here"):
        load.load_sorter(tmp_path)


class Grey(Asker):
    """A tagger of one tag, and a locator of the left half."""

    what: str = "tags"

    def ask(self, view: Any) -> Any:
        from sorter.records import Box

        width, height = view.rgb.size
        return ["grey"] if self.what == "tags" else Box(0, 0, width // 2, height)


class LeftHalf(Cropper):
    """What the locator found."""

    def __call__(self, picture: Any, verdict: Any) -> Render:
        return Render(picture.sha256, verdict.box("subject"))


class Shout(Captioner):
    """What the tagger said, aloud."""

    def __call__(self, verdict: Any, scheme: Any) -> str:
        return " ".join(verdict.answer("tags")).upper()


class Pairs(Layout):
    """A picture and nothing else."""

    def __call__(self, items: Any) -> Iterator[Output]:
        for item in items:
            yield Output(f"{item.classes['light']}/{item.stem}{item.suffix}", item.render)


ASK = '[ask.tags]\nuse = "grey"\n[ask.subject]\nuse = "grey"\nwhat = "box"\n'


def test_a_tagger_a_cropper_a_captioner_and_a_layout(
    frames: Path, tmp_path: Path, scheme: Callable[[str], Path]
) -> None:
    with (
        added(askers.askers, "grey", Grey), added(croppers, "left-half", LeftHalf),
        added(captioners, "shout", Shout), added(layouts, "pairs", Pairs),
    ):  # fmt: skip
        template = '[caption]\nuse = "template"\ntext = "{tags}, {light}"\n'
        sort(frames, tmp_path / "library", load_job(scheme(ASK + template)))
        assert texts(tmp_path / "library") == {"dark": "grey, dark\n", "bright": "grey, bright\n"}
        job = load_job(scheme(ASK + '[caption]\nuse = "shout"\n[crop]\nuse = "left-half"\n'))
        sort(frames, tmp_path / "library", job)
        assert texts(tmp_path / "library") == {"dark": "GREY\n", "bright": "GREY\n"}
        export(tmp_path / "library", tmp_path / "dataset", job, use="pairs")
    pictures = sorted((tmp_path / "dataset").rglob("*.png"))
    assert [path.parent.name for path in pictures] == ["bright", "dark"]
    for path in pictures:
        with Image.open(path) as picture:
            assert picture.size == (20, 20)
