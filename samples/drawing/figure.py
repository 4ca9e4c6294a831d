"""A whole character on a transparent square: body, clothes, limbs, head."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from PIL import Image, ImageDraw

from .curves import RX, RY
from .face import draw_face
from .head import draw_behind, draw_ears, draw_hair, draw_skull
from .look import Act, Look
from .pen import Pen, Point, mix, oval, smooth
from .stance import Joints, Stance, stance

# The square reaches from above a rabbit's ears to just under the ground, in figure heights.
SIDE = 1.40
TOP = -0.34
LIMB = 0.072
# At 1.0 the head is two fifths of the height; a face needs more to survive 64 x 64 pixels.
HEAD = 1.18


@dataclass(frozen=True, slots=True)
class _Figure:
    pen: Pen
    look: Look
    stance: Stance
    turned: bool
    head_size: float = HEAD

    def leg(self, number: int) -> None:
        pen, look = self.pen, self.look
        pen.limb(self.stance.legs[number], LIMB, look.legs)
        x, y = self.stance.feet[number]
        rx, ry = self.stance.foot
        pen.oval(x, y, rx, ry, look.shoes)

    def arm(self, number: int, *, waves: bool = False) -> None:
        pen, look = self.pen, self.look
        joints: Joints = self.stance.arms[number]
        sleeve = look.cloth if look.outfit != "shell" else look.legs
        pen.limb(joints, LIMB * 0.92, sleeve)
        x, y = joints[2]
        hand = look.skin if look.outfit != "shell" else look.shoes
        if waves:
            y -= 0.03
            for reach in (-0.055, -0.012, 0.035):
                pen.limb([(x, y), (x + reach * 0.8, y - 0.05), (x + reach * 1.15, y - 0.085)], 0.028, hand)
            pen.oval(x, y, 0.058, 0.055, hand)
        else:
            pen.oval(x, y + 0.005, 0.047, 0.045, hand)

    def tail(self) -> None:
        look = self.look
        if look.tail is None:
            return
        x, y = self.stance.hip
        fluffy = look.ears == "fox"
        fat = 1.0 if fluffy else 0.55
        bend: list[Point] = [(0.02, -0.02), (0.16, 0.04), (0.26, -0.04), (0.34, -0.20)]
        path = [(x + px, y + py) for px, py in bend]
        self.pen.limb(path, 0.13 * fat, look.tail)
        if fluffy:
            self.pen.oval(path[-1][0] + 0.005, path[-1][1] - 0.015, 0.075, 0.085, (255, 240, 220))

    def shell(self, neck: float, top: float) -> None:
        """A round body with a belly; a machine's glows."""
        hx, hy = self.stance.hip
        x, y = (neck + hx) / 2, (top + hy) / 2 + 0.01
        self.pen.shape(oval(x, y, 0.165, 0.165, power=2.3), self.look.cloth)
        glow = self.look.antenna
        belly, edge = (glow, 0.006) if glow else (self.look.muzzle or self.look.cloth, 0.0)
        self.pen.oval(x - (0.05 if self.turned else 0), y + 0.01, 0.085, 0.095, belly, line=edge)

    def torso(self) -> None:
        pen, look = self.pen, self.look
        (hx, hy), (neck, top) = self.stance.hip, self.stance.head
        neck, top = neck * 0.7 + hx * 0.3, top + 0.20
        if look.outfit == "shell":
            self.shell(neck, top)
            return
        slim = 0.86 if self.turned else 1.0
        drop, flare = {"dress": (0.085, 0.205), "coat": (0.055, 0.150), "shirt": (0.01, 0.118)}[look.outfit]
        hem, waist, shoulder, wide = hy + drop, 0.095 * slim, 0.100 * slim, flare * slim
        right: list[Point] = [
            (neck + 0.06, top), (neck + shoulder, top + 0.05), (hx + waist, hy - 0.07), (hx + wide, hem),
        ]  # fmt: skip
        left: list[Point] = [
            (hx - wide, hem), (hx - waist, hy - 0.07), (neck - shoulder, top + 0.05), (neck - 0.06, top),
        ]  # fmt: skip
        pen.shape([*right, (hx, hem + 0.012), *left], look.cloth)
        pale = mix(look.cloth, (255, 255, 255), 0.55)
        if look.outfit == "dress":
            pen.stroke([(hx - wide * 0.92, hem - 0.022), (hx + wide * 0.92, hem - 0.022)], 0.022, pale)
        elif look.outfit == "coat":
            front = hx - 0.05 if self.turned else hx
            pen.stroke([(front, top + 0.04), (front, hem - 0.01)], 0.010)
            for button in (0.10, 0.17, 0.24):
                pen.oval(front + 0.035, top + button, 0.014, 0.014, pale, line=0)

    def scarf(self) -> None:
        look, pen = self.look, self.pen
        if look.scarf is None:
            return
        x, y = self.stance.head[0], self.stance.head[1] + 0.225
        end: list[Point] = [(0.06, 0.0), (0.19, 0.00), (0.33, -0.05), (0.36, 0.03), (0.22, 0.09), (0.07, 0.06)]
        if not self.turned:
            end = [(0.04, 0.01), (0.11, 0.01), (0.15, 0.16), (0.14, 0.22), (0.06, 0.21), (0.05, 0.12)]
        pen.shape(smooth([(x + px, y + py) for px, py in end]), look.scarf)
        pen.shape(oval(x, y + 0.012, 0.155, 0.050, power=2.6), look.scarf)

    def head_pen(self) -> Pen:
        x, y = self.stance.head
        return self.pen.turned(self.stance.tilt, (x, y + 0.2), self.head_size)

    def head_box(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom of the skull on the pen's paper; hair, ears and hats are not of it."""
        x, y = self.stance.head
        outline = [self.head_pen().at(point) for point in oval(x, y, RX, RY)]
        across, down = zip(*outline, strict=True)
        return min(across), min(down), max(across), max(down)

    def head(self, act: Act) -> None:
        centre = self.stance.head
        pen = self.head_pen()
        draw_ears(pen, self.look, centre, self.turned)
        draw_skull(pen, self.look, centre, self.turned)
        draw_face(pen, self.look, act.expression, centre, self.turned)
        draw_hair(pen, self.look, centre, self.turned)

    def paint(self, act: Act) -> None:
        for x, y in self.stance.dust:
            self.pen.oval(x, y, 0.055, 0.035, (240, 236, 226), line=0.006)
        self.tail()
        draw_behind(self.head_pen(), self.look, self.stance.head, self.turned)
        raised = self.stance.raised
        sits = act.pose == "sitting"
        if self.turned and 0 not in raised:
            self.arm(0)
        if not sits:
            self.leg(0)
            self.leg(1)
        self.torso()
        if sits:
            self.leg(0)
            self.leg(1)
        if not self.turned and 0 not in raised:
            self.arm(0)
        if 1 not in raised:
            self.arm(1)
        self.scarf()
        self.head(act)
        for number in raised:
            self.arm(number, waves=True)


def draw_figure(look: Look, act: Act, height: float, random: Random, *, oversample: int = 3) -> Image.Image:
    """RGBA, `SIDE * height` pixels square; the figure stands on the line that `ground` gives.

    Right is drawn as left and mirrored, so that the two differ in nothing else.
    """
    return draw_with_head(look, act, height, random, oversample=oversample)[0]


def draw_with_head(
    look: Look, act: Act, height: float, random: Random, *, oversample: int = 3, head_size: float = HEAD
) -> tuple[Image.Image, tuple[float, float, float, float]]:
    """The same, and where the head is on it: left, top, right, bottom in pixels."""
    side = round(SIDE * height)
    large = Image.new("RGBA", (side * oversample, side * oversample))
    units = side * oversample / SIDE
    pen = Pen(ImageDraw.Draw(large), complex(units), complex(SIDE / 2, -TOP) * units)
    turned = act.direction != "front"
    figure = _Figure(pen, look, stance(act.pose, turned, random), turned, head_size)
    figure.paint(act)
    picture = large.reduce(oversample)
    left, top, right, bottom = (edge / oversample for edge in figure.head_box())
    if act.direction != "right":
        return picture, (left, top, right, bottom)
    return picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT), (side - right, top, side - left, bottom)


def ground(side: int) -> float:
    """How far down a figure's square of this side its feet stand, in pixels."""
    return side * (1 - TOP) / SIDE
