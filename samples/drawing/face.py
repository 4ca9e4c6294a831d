"""Eyes, brows, mouths and noses: the expressions, kept few and large to survive 64 x 64."""

from __future__ import annotations

from math import cos, pi, sin

from .look import Expression, Look
from .pen import Colour, Pen, Point, mix

WHITE = (255, 255, 255)
MOUTH = (150, 30, 50)
TEAR = (80, 175, 250)
BUBBLE = (190, 228, 252)


def _arc(x: float, y: float, rx: float, ry: float, start: float, stop: float) -> list[Point]:
    """Part of an ellipse, in degrees clockwise from the right (y runs down)."""
    angles = [pi / 180 * (start + (stop - start) * step / 12) for step in range(13)]
    return [(x + rx * cos(a), y + ry * sin(a)) for a in angles]


def _open_eye(pen: Pen, look: Look, x: float, y: float, wide: float, gaze: float) -> None:
    pen.oval(x, y, 0.046 * wide, 0.062, WHITE, line=0.013)
    pen.oval(x - gaze, y + 0.006, 0.034 * wide, 0.052, look.iris, line=0)
    pen.oval(x - gaze, y + 0.004, 0.024 * wide, 0.036, pen.ink, line=0)
    pen.oval(x - gaze - 0.010, y - 0.018, 0.012, 0.015, WHITE, line=0)


def _eye(pen: Pen, look: Look, mood: Expression, x: float, y: float, wide: float, inner: int, gaze: float) -> None:
    """One eye; `inner` is the side on which the nose lies (+1 right, -1 left)."""
    if mood == "happy":
        pen.stroke(_arc(x, y + 0.03, 0.046 * wide, 0.06, 190, 350), 0.026)
    elif mood == "asleep":
        pen.stroke(_arc(x, y - 0.01, 0.050 * wide, 0.05, 10, 170), 0.026)
    elif mood == "surprised":
        pen.oval(x, y - 0.004, 0.058 * wide, 0.076, WHITE, line=0.014)
        pen.oval(x - gaze, y, 0.021, 0.027, pen.ink, line=0)
    else:
        _open_eye(pen, look, x, y, wide, gaze)
    if mood in ("sad", "angry"):
        _lid(pen, look, mood, x, y, inner)


def _lid(pen: Pen, look: Look, mood: Expression, x: float, y: float, inner: int) -> None:
    """Covers the eye's upper part: sad lids hang on the outside, angry ones on the inside."""
    droop, level = (-0.034, 0.014) if mood == "sad" else (0.036, -0.022)
    right, left = y + level + droop * inner, y + level - droop * inner
    # Never under the iris: an eye that is quite shut reads as asleep.
    low_right, low_left = min(right, y + 0.03), min(left, y + 0.03)
    lid = [(x - 0.06, y - 0.09), (x + 0.06, y - 0.09), (x + 0.06, low_right), (x - 0.06, low_left)]
    pen.shape(lid, _plain(look), line=0)
    if mood == "sad":
        pen.stroke([(x - 0.048, left - 0.002), (x + 0.048, right - 0.002)], 0.016)
        tear = [(x, y + 0.050), (x + 0.026, y + 0.115), (x, y + 0.140), (x - 0.026, y + 0.115)]
        pen.shape(tear, TEAR, line=0.006)


def _brow(pen: Pen, mood: Expression, x: float, y: float, wide: float, inner: int) -> None:
    # Outer and inner height over the eye's middle; a brow is what tells angry from sad.
    outer, middle, inside, width = {
        "neutral": (0.085, 0.092, 0.088, 0.018),
        "happy": (0.080, 0.105, 0.095, 0.018),
        "sad": (0.050, 0.075, 0.110, 0.022),
        "angry": (0.092, 0.060, 0.018, 0.032),
        "surprised": (0.105, 0.135, 0.120, 0.018),
        "asleep": (0.060, 0.075, 0.085, 0.016),
    }[mood]
    half = 0.052 * wide
    pen.stroke([(x - inner * half, y - outer), (x, y - middle), (x + inner * half, y - inside)], width)


def _mouth(pen: Pen, mood: Expression, x: float, y: float, wide: float) -> None:
    if mood == "neutral":
        pen.stroke([(x - 0.032 * wide, y), (x + 0.032 * wide, y)], 0.018)
    elif mood == "happy":
        smile = _arc(x, y - 0.026, 0.082 * wide, 0.085, 0, 180)
        pen.shape(smile, MOUTH, line=0.014)
        pen.oval(x, y + 0.030, 0.04 * wide, 0.020, (250, 130, 140), line=0)
    elif mood == "sad":
        pen.stroke(_arc(x, y + 0.030, 0.052 * wide, 0.042, 200, 340), 0.022)
    elif mood == "angry":
        half = 0.070 * wide
        top, low = y - 0.024, y + 0.030
        teeth = [(x - half * 0.8, top), (x + half * 0.8, top), (x + half, low), (x - half, low)]
        pen.shape(teeth, WHITE, line=0.017)
        pen.stroke([(x - half * 0.9, y + 0.003), (x + half * 0.9, y + 0.003)], 0.010)
    elif mood == "asleep":
        pen.oval(x, y + 0.004, 0.022 * wide, 0.020, MOUTH, line=0.012)
        # The bubble at the nose, as comics draw a sleeper.
        pen.oval(x + 0.055, y - 0.030, 0.048, 0.052, BUBBLE, line=0.010)
    else:
        pen.oval(x, y + 0.016, 0.034 * wide, 0.050, MOUTH, line=0.016)


def _plain(look: Look) -> Colour:
    """The colour that lies under the eyes."""
    return look.muzzle if look.head == "box" and look.muzzle else look.skin


def draw_face(pen: Pen, look: Look, mood: Expression, centre: Point, turned: bool) -> None:
    """The features on a head at `centre`; a turned head carries them to the left, the far eye narrow."""
    x, y = centre
    eye_y, mouth_y = y + 0.035, y + 0.158
    middle = x - 0.098 if turned else x
    eyes = ((middle - 0.075, 0.72), (middle + 0.098, 1.0)) if turned else ((x - 0.098, 1.0), (x + 0.098, 1.0))
    blush = mix(_plain(look), (240, 50, 60), 0.75 if mood == "angry" else 0.35)
    if mood in ("happy", "angry"):
        for ex, wide in eyes:
            side = -1 if ex < middle else 1
            pen.oval(ex + side * 0.028 * wide, eye_y + 0.085, 0.040 * wide, 0.024, blush, line=0)
    if look.muzzle and look.head == "round":
        snout = middle - 0.045 if turned else x
        pen.oval(snout, mouth_y - 0.018, 0.115, 0.080, look.muzzle, line=0)
        pen.oval(snout - (0.07 if turned else 0), mouth_y - 0.066, 0.030, 0.022, pen.ink, line=0)
    gaze = 0.014 if turned else 0.0
    for ex, wide in eyes:
        inner = 1 if ex < middle else -1
        _eye(pen, look, mood, ex, eye_y, wide, inner, gaze)
        _brow(pen, mood, ex, eye_y, wide, inner)
    _mouth(pen, mood, middle - (0.012 if turned else 0), mouth_y, 0.85 if turned else 1.0)
