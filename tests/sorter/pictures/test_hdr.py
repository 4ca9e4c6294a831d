"""HDR -> ordinary pixels, by values of the standards."""

from __future__ import annotations

import numpy as np
import pytest

from sorter.pictures.hdr import HLG, PQ, tone_mapped


def grey(signal: float, curve: int) -> int:
    found = tone_mapped(np.full((1, 1, 3), round(signal * 65535), np.uint16), curve)[0, 0]
    assert np.ptp(found) <= 1
    return int(found[0])


@pytest.mark.parametrize(("curve", "white"), [(PQ, 0.58), (HLG, 0.75)])
def test_paper_white_is_nearly_white_and_black_is_black(curve: int, white: float) -> None:
    """BT.2408, table 1: paper white is 58 % of a PQ signal and 75 % of an HLG signal."""
    assert grey(0.0, curve) == 0
    assert 235 <= grey(white, curve) <= 250
    steps = [grey(signal, curve) for signal in np.linspace(0, 1, 50)]
    assert steps == sorted(steps) and steps[-1] > 245


def test_mid_grey_keeps_its_brightness() -> None:
    """BT.2408, table 1: a grey card is 38 % of a PQ signal, 26 of 203 cd/m2; sRGB has 26/203 at 100."""
    assert abs(grey(0.38, PQ) - 100) <= 3


def test_a_pure_colour_of_the_old_triangle_stays_one() -> None:
    red = np.array([0.6274, 0.0691, 0.0164]) * 100 / 10_000  # linear BT.709 red at 100 cd/m2, in BT.2020
    powers = red ** (2610 / 16384)
    signal = ((3424 / 4096 + 2413 / 128 * powers) / (1 + 2392 / 128 * powers)) ** (2523 / 32)
    found = tone_mapped(np.rint(signal * 65535).astype(np.uint16)[None, None], PQ)[0, 0]
    assert found[0] > 170 and max(found[1:]) < 12
