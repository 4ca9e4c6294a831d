from __future__ import annotations

import pytest

from sorter.commands.check import plugins
from sorter.errors import MissingExtra, OptionsError, nearest
from sorter.plugins import Options, Registry, read_options


class Paint(Options):
    """Paints."""

    colour: str = "red"
    coats: int = 1


@pytest.fixture
def brushes() -> Registry[Paint]:
    registry: Registry[Paint] = Registry("brush", "modelsheet.no-such-group")
    registry.add("flat")(Paint)
    return registry


def test_a_plugin_is_built_with_its_options(brushes: Registry[Paint]) -> None:
    assert brushes.build("flat", coats=2) == Paint(coats=2)
    assert list(brushes) == [("flat", Paint)]


def test_a_second_registration_is_refused(brushes: Registry[Paint]) -> None:
    with pytest.raises(OptionsError, match='two brushs are called "flat"'):
        brushes.add("flat")(Paint)
    assert brushes.names() == ["flat"]


def test_a_wrong_name_or_option_gets_the_nearest(brushes: Registry[Paint]) -> None:
    with pytest.raises(OptionsError, match='^here: "flatt" is not a brush; did you mean "flat"'):
        brushes.build("flatt", "here")
    with pytest.raises(OptionsError, match='^here: "color" is not a key; did you mean "colour"'):
        brushes.build("flat", "here", color="blue")


@pytest.mark.parametrize("value", ["2", 2.5, True, None, [1]])
def test_options_are_strict(value: object) -> None:
    with pytest.raises(OptionsError, match=r'^here: "coats"'):
        read_options(Paint, {"coats": value}, "here")


def test_options_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Paint().coats = 3  # type: ignore[misc]


def test_nearest_names_the_close_one_or_all() -> None:
    assert nearest("lefft", ["left", "right"]) == '; did you mean "left"?'
    assert nearest("zzz", ["left", "right"]) == "; there is left, right"
    assert nearest("zzz", []) == ""


def test_a_missing_part_says_what_to_install() -> None:
    assert str(MissingExtra("fit", "x")) == 'x needs the "fit" part: pip install "modelsheet[fit]"'


def test_every_plugin_has_a_line_of_help_and_can_be_listed() -> None:
    rows = plugins()
    assert {(row["kind"], row["name"]) for row in rows} >= {
        ("captioner", "template"), ("cropper", "none"), ("cropper", "centre"), ("cropper", "pad"),
        ("dataset layout", "imagefolder"),
    }  # fmt: skip
    assert all(row["help"].endswith(".") and len(row["help"]) > 20 for row in rows)
