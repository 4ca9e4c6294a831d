"""Text from outside."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sorter.text import swap_sides


@pytest.mark.parametrize(
    ("said", "turned"),
    [
        ("looking left", "looking right"),
        ("left hand raised", "right hand raised"),
        ("facing_right", "facing_left"),
        ("left_hand_on_right_hip", "right_hand_on_left_hip"),
        ("Left, RIGHT (left)", "Right, LEFT (right)"),
        ("left-handed, girl's left", "right-handed, girl's right"),
        (
            "copyright, leftover, bright light, cleft chin, left2",
            "copyright, leftover, bright light, cleft chin, left2",
        ),
        ("a girl right next to a tree, left behind", "a girl right next to a tree, left behind"),  # no sides
        ("looking left behind her", "looking right behind her"),
        ("on the right in front of a tree", "on the left in front of a tree"),
        ("right-over-left kimono", "left-over-right kimono"),
        ("", ""),
    ],
)
def test_sides_change_places_as_whole_words(said: str, turned: str) -> None:
    assert swap_sides(said) == turned
    assert swap_sides(turned) == said


@given(st.text())
def test_a_mirror_image_of_a_mirror_image_is_the_picture(text: str) -> None:
    assert swap_sides(swap_sides(text)).casefold() == text.casefold()
    assert len(swap_sides(text).splitlines()) == len(text.splitlines())
