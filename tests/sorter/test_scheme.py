from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sorter.commands.job import load_job
from sorter.errors import OptionsError, SchemeError
from sorter.library.caption import captioner_of
from sorter.scheme import Scheme, check_classes, load_scheme, placeholders

GOOD = """\
folders = "{pose}/{direction}"
[axes.pose]
[axes.direction]
canonical = "left"
[axes.direction.classes]
left = { mirror = "right" }
right = { mirror = "left" }
"""

Load = Callable[..., Scheme]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Loads the good scheme with one text replaced by another, or a text of its own."""

    def read(old: str = "", new: str = "") -> Scheme:
        path = tmp_path / "scheme.toml"
        assert old in GOOD
        path.write_text(GOOD.replace(old, new, 1) if old else new or GOOD, encoding="utf-8")
        return load_scheme(path)

    return read


def test_a_good_scheme_is_taken_and_its_models_lie_beside_it(load: Load, tmp_path: Path) -> None:
    scheme = load()
    assert list(scheme.axes) == ["pose", "direction"]
    assert scheme.axes["pose"].model == str(tmp_path / "models" / "pose")
    assert scheme.axes["direction"].mirrored("left") == "right"
    assert scheme.axes["direction"].mirrored("front") == "front"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("canonical =", "cannonical =", '"cannonical" is not a key in [axes.direction]; did you mean "canonical"?'),
        ("folders =", 'triger = "x"\nfolders =', '"triger" is not a key; did you mean "trigger"?'),
        ('left = { mirror = "right" }', 'left = { miror = "right" }', '; did you mean "mirror"?'),
        ('folders = "{pose}/{direction}"\n', "", '"folders" is missing'),
        ("[axes.pose]", '[axes.pose]\nmodel = "a"\nmeasure = "sharpness"', "[axes.pose] has both model and measure"),
        ('"left"\n[', '"lefft"\n[', 'canonical = "lefft" is not in [axes.direction.classes]; did you mean "left"?'),
        ('mirror = "right"', 'mirror = "rihgt"', 'mirror = "rihgt" is not a class there; did you mean "right"?'),
        ('right = { mirror = "left" }', "right = {}", 'so right = { mirror = "left" } must stand there too'),
        ('left" }\n', 'left" }\nfront = {}\n', None),
        ('canonical = "left"', 'canonical = "front"', "is not in [axes.direction.classes]"),
        ("{pose}/", "{pos}/", 'names "{pos}", which is not an axis; did you mean "pose"?'),
        ("{pose}/{direction}", "all", "names no axis"),
        ("{pose}/", "{pose}/../", "is not a plain folder below the library"),
        ("{pose}/", "/{pose}/", "is not a plain folder below the library"),
        ("{pose}/", "./{pose}/", "is not a plain folder below the library"),
        ("{pose}/", "{pose}//", "is not a plain folder below the library"),
        ("{pose}/", "{pose}\\\\", "is not a plain folder below the library"),
        ("{pose}/", "C:/{pose}/", "is not a plain folder below the library"),
        ("{pose}/", "a\\u0000b/{pose}/", "is not a plain folder below the library"),
        ("{pose}/", ".modelsheet/{pose}/", "is not a plain folder below the library"),
        ("{pose}/", "a./{pose}/", "is not a plain folder below the library"),
        ("{pose}/", "{pose!r}/", "write {axis}"),
        ("{pose}/", "{pose", "write {axis}"),
        ("{pose}/", "{}/", "which is not an axis"),
        ("{pose}/", "{pose.name}/", "which is not an axis"),
        ("[axes.pose]", "[axes.trigger]", "[axes.trigger] is not a name for an axis"),
        ("[axes.pose]", "[axes.caption]", "[axes.caption] is not a name for an axis"),
        ("[axes.pose]", "[axes.library]", "[axes.library] is not a name for an axis"),
        ("[axes.pose]", '[axes."a b"]', "[axes.a b] is not a name for an axis"),
        ("[axes.pose]", "[axes.pose", "is not TOML"),
        ('"right" }', '"right", turn = "false" }', '"turn" in [axes.direction.classes.left]'),
        ('"right" }', '"right", drop = 1 }', '"drop" in [axes.direction.classes.left]'),
        ('"right" }', '"right", tag = 3 }', '"tag" in [axes.direction.classes.left]'),
        ("[axes.pose]", "[axes.pose]\nthreshold = 1.5", '"threshold" in [axes.pose]'),
        ("[axes.pose]", "[axes.pose]\nthreshold = -0.1", '"threshold" in [axes.pose]'),
        ("[axes.pose]", "[axes.pose]\nthreshold = nan", '"threshold" in [axes.pose]'),
        ("[axes.pose]", '[axes.pose]\nthreshold = "automatic"', '"threshold" in [axes.pose]'),
        ("[axes.pose]", "[axes.pose]\nthreshold = true", '"threshold" in [axes.pose]'),
        ("[axes.pose]\n", "axes = 3\n", "is not TOML"),
        ("folders =", 'crop = "centre"\nfolders =', '"crop"'),
        ("[axes.pose]", "[crop]\nsize = 3\n[axes.pose]", '"use" is missing in [crop]'),
    ],
)
def test_a_bad_scheme_gets_one_sentence(load: Load, tmp_path: Path, old: str, new: str, said: str | None) -> None:
    if said is None:  # a change that is in order, to prove that the table's way of changing works
        load(old, new)
        return
    with pytest.raises(SchemeError) as found:
        load(old, new)
    sentence = str(found.value)
    assert said in sentence
    assert sentence.startswith(str(tmp_path / "scheme.toml"))
    assert "\n" not in sentence


def test_no_axes_at_all_is_refused(load: Load) -> None:
    with pytest.raises(SchemeError, match=r'"axes"'):
        load("", 'folders = "{pose}"\naxes = {}\n')


def test_a_canonical_class_without_a_mirror_is_refused(load: Load) -> None:
    with pytest.raises(SchemeError, match="needs a mirror, or nothing can be turned"):
        load('[axes.direction.classes]\nleft = { mirror = "right" }\nright = { mirror = "left" }',
             "[axes.direction.classes]\nleft = {}\nright = {}")  # fmt: skip


def test_a_missing_file_names_the_command_that_writes_one(tmp_path: Path) -> None:
    with pytest.raises(SchemeError, match='no such file; "sorter init"'):
        load_scheme(tmp_path / "scheme.toml")


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "scheme.toml").write_bytes(b"\xff\xfe\x00name")
    with pytest.raises(SchemeError, match="is not UTF-8 text"):
        load_scheme(tmp_path / "scheme.toml")
    with pytest.raises(SchemeError, match="cannot be read"):
        load_scheme(tmp_path)


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "scheme.toml").write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
    assert load_scheme(tmp_path / "scheme.toml").folders == "{pose}/{direction}"


def test_a_class_that_the_sorter_does_not_know_gets_the_nearest(load: Load) -> None:
    with pytest.raises(SchemeError, match=r'"left" in \[axes.direction.classes\] is not a label.*did you mean "Left"'):
        check_classes("scheme.toml", load(), {"pose": ["standing"], "direction": ["Left", "right"]})


@pytest.mark.parametrize(
    ("caption", "said"),
    [
        ('use = "template"\ntext = "{trigger}, {poze}"', 'names "{poze}", which is not an axis; did you mean "pose"?'),
        ('use = "template"\ntext = "{pose"', "write {axis}"),
        ('use = "template"\ntext = "{pose!z}"', "write {axis}"),
        ('use = "template"\ntext = "{pose:d}"', "write {axis}"),
        ('use = "template"\ntexts = "{pose}"', '"texts" is not a key; did you mean "text"?'),
        ('use = "tempalte"', '"tempalte" is not a captioner; did you mean "template"?'),
    ],
)
def test_a_bad_caption_gets_one_sentence(load: Load, caption: str, said: str) -> None:
    scheme = load("[axes.pose]", f"[caption]\n{caption}\n[axes.pose]")
    with pytest.raises(OptionsError) as found:
        captioner_of(scheme, "scheme.toml")
    assert said in str(found.value)
    assert str(found.value).startswith("scheme.toml: [caption]")


@pytest.mark.parametrize(
    ("crop", "said"),
    [
        ('use = "center"', '[crop]: "center" is not a cropper; did you mean "centre"?'),
        ('use = "centre"\nsiez = 64', '"siez" is not a key; did you mean "size"?'),
        ('use = "centre"\nsize = 4', '"size"'),
        ('use = "pad"\nfill = "red"', '"fill"'),
    ],
)
def test_a_bad_crop_is_found_when_the_scheme_is_loaded(project: Path, crop: str, said: str) -> None:
    path = project / "scheme.toml"
    path.write_text(path.read_text() + f"[crop]\n{crop}\n")
    with pytest.raises(OptionsError) as found:
        load_job(path)
    assert said in str(found.value)


def test_placeholders_are_in_the_order_of_the_text() -> None:
    assert placeholders("{b} and {a}, {{not}} {b}") == ["b", "a", "b"]
