"""HDR pixels -> ordinary ones. Pure.

A video of BT.2020 colours and a PQ or HLG curve looks grey and dull when its numbers are taken for those of sRGB.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

PQ, HLG = 16, 18
"""How H.273 numbers the two curves (table 3, TransferCharacteristics)."""
WHITE = 203.0
"""cd/m2: paper white in an HDR programme (ITU-R BT.2408, table 1)."""
PEAK = 1000.0
"""cd/m2: the display that HLG is shown on (ITU-R BT.2100, table 5), whose gamma is HLG_GAMMA."""
HLG_GAMMA = 1.2
KNEE = 0.75
"""Of paper white: what is darker keeps its brightness, what is brighter is pressed together."""
TO_709 = np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32)
"""Linear BT.2020 -> linear BT.709 (ITU-R BT.2087, section 2, inverted)."""
LUMINANCE = np.array([0.2627, 0.6780, 0.0593], np.float32)
"""The share of red, green and blue in BT.2020's luminance (ITU-R BT.2020, table 4)."""


def tone_mapped(pixels: NDArray[np.uint16], curve: int) -> NDArray[np.uint8]:
    """BT.2020 R'G'B' (height, width, 3), 0..65535, of the curve PQ or HLG -> sRGB of the same shape.

    Up to KNEE of paper white, brightness is kept; the rest runs into 1.0 by a hyperbola, as Reinhard's does (Reinhard
    et al. 2002, "Photographic tone reproduction", equation 3). The three colours are scaled alike, so hues stay.
    """
    signal = pixels.astype(np.float32) / np.float32(65535)
    linear = (_pq(signal) if curve == PQ else _hlg(signal)) / np.float32(WHITE)
    bright = np.maximum((linear @ LUMINANCE)[..., None], 1e-6)
    over = (bright - KNEE) / (1 - KNEE)
    pressed = np.where(over > 0, KNEE + (1 - KNEE) * over / (1 + over), bright)
    return _srgb(np.asarray((linear * (pressed / bright)) @ TO_709.T, np.float32))


def _pq(signal: NDArray[np.float32]) -> NDArray[np.float32]:
    """cd/m2 of a PQ signal 0..1 (SMPTE ST 2084, equation 4.1)."""
    m1, m2 = 2610 / 16384, 2523 / 4096 * 128
    c1, c2, c3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
    root = signal ** (1 / m2)
    return np.asarray(10_000 * (np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1), np.float32)


def _hlg(signal: NDArray[np.float32]) -> NDArray[np.float32]:
    """cd/m2 of an HLG signal 0..1 on a display of PEAK (ITU-R BT.2100, table 5)."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
    bright = np.maximum((scene @ LUMINANCE.astype(scene.dtype))[..., None], 1e-9)
    return np.asarray(PEAK * bright ** (HLG_GAMMA - 1) * scene, np.float32)


def _srgb(linear: NDArray[np.float32]) -> NDArray[np.uint8]:
    """0..1 -> 0..255 (IEC 61966-2-1, equation 4.9)."""
    linear = np.clip(linear, 0, 1)
    coded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.asarray(np.rint(255 * coded), np.uint8)
