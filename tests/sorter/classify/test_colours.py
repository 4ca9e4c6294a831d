from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sorter.classify.colours import NAMES, named

KNOWN = {
    "black": [(0, 0, 0), (30, 20, 40)], "grey": [(128, 128, 128), (90, 95, 88)],
    "white": [(255, 255, 255), (240, 236, 228)], "red": [(255, 0, 0), (150, 20, 25), (255, 0, 30)],
    "orange": [(255, 140, 0), (200, 120, 60)], "yellow": [(255, 255, 0), (230, 220, 90)],
    "green": [(0, 255, 0), (60, 120, 50)], "teal": [(0, 128, 128)],
    "blue": [(0, 0, 255), (100, 160, 235)], "purple": [(128, 0, 180)], "pink": [(255, 105, 180)],
}  # fmt: skip


def test_colours_have_their_everyday_names() -> None:
    assert set(KNOWN) == set(NAMES)
    for name, some in KNOWN.items():
        found = named(np.array(some, np.uint8))
        assert [NAMES[place] for place in found] == [name] * len(some)


@pytest.mark.parametrize("number", [0, 18])
def test_every_pixel_of_a_real_frame_has_a_name_and_most_have_their_neighbours(shared: Path, number: int) -> None:
    with Image.open(sorted((shared / "frames").glob("*.jpg"))[number]) as image:
        pixels = np.asarray(image.convert("RGB").resize((160, 90)))
    found = named(pixels)
    assert found.shape == (90, 160) and found.min() >= 0 and found.max() < len(NAMES)
    assert (found[:, 1:] == found[:, :-1]).mean() > 0.7
