"""Who lives in Lantern Bay, and the list of frames that a sample of it holds. Draws nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal

from drawing import DIRECTIONS, EXPRESSIONS, PLACES, POSES, Act, Direction, Look, Place
from drawing.scene import Shot
from people import anyone

Suffix = Literal[".jpg", ".png", ".webp"]

MIRA = Look(
    name="mira",
    words="a girl with long teal hair, fox ears, a yellow scarf and a navy coat",
    skin=(250, 220, 190),
    hair=(0, 150, 150),
    cloth=(46, 58, 120),
    legs=(58, 52, 80),
    shoes=(206, 66, 56),
    iris=(200, 130, 20),
    style="long",
    ears="fox",
    outfit="coat",
    scarf=(255, 205, 50),
    tail=(0, 150, 150),
)
TOBO = Look(
    name="tobo",
    words="an orange robot with an antenna and a lantern in its belly",
    skin=(240, 125, 40),
    hair=(240, 125, 40),
    cloth=(240, 125, 40),
    legs=(95, 100, 115),
    shoes=(60, 65, 80),
    iris=(20, 120, 140),
    style="fur",
    ears="none",
    outfit="shell",
    head="box",
    muzzle=(250, 240, 220),
    antenna=(255, 220, 60),
)
CAST = (MIRA, TOBO)
EXAMPLES_EACH = 80
STRANGERS = 70
BLURRED = 40
HEAP = 300
TWINS = 12
# A truncated JPEG and a text file that calls itself a picture.
BROKEN = 2


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture to draw; `seed` alone decides its backdrop and blur."""

    seed: str
    shot: Shot
    character: str
    blurry: bool = False
    suffix: Suffix = ".jpg"

    @property
    def labels(self) -> dict[str, str]:
        act = self.shot.act
        return {
            "character": self.character,
            "pose": act.pose,
            "expression": act.expression,
            "direction": act.direction,
            "blur": "blurry" if self.blurry else "sharp",
        }

    @property
    def title(self) -> str:
        parts = [*self.labels.values(), self.shot.place]
        return "-".join(part for part in parts if part != "sharp")


def _shot(look: Look, act: Act, place: Place, random: Random) -> Shot:
    # A quarter of them sit low or high in the frame; none leaves the middle square by much.
    height = random.uniform(0.58, 0.94)
    return Shot(
        look, act, place,
        height=height, aside=random.uniform(-0.2, 0.2) * (1.3 - height), floor=random.uniform(0.93, 0.98),
    )  # fmt: skip


def _acts(count: int, random: Random, directions: Sequence[Direction] = DIRECTIONS) -> list[Act]:
    """Every combination as often as the next, and every class even where `count` cuts that short.

    Four poses against five expressions meet once in 20; each round of 20 shifts the directions.
    """
    acts = [
        Act(POSES[n % 4], EXPRESSIONS[n % 5], directions[(n % 20 + n // 20) % len(directions)]) for n in range(count)
    ]
    random.shuffle(acts)
    return acts


def _frames(
    tag: str, looks: Sequence[Look], acts: Sequence[Act], random: Random, *, blurry: bool = False
) -> list[Frame]:
    frames = []
    for number, (look, act) in enumerate(zip(looks, acts, strict=True)):
        place = PLACES[(number + random.randint(0, 1)) % len(PLACES)]
        name = look.name if look in CAST else "other"
        frames.append(Frame(f"{tag}-{number}", _shot(look, act, place, random), name, blurry))
    return frames


def examples(seed: int) -> list[Frame]:
    """Frames to fit sorters on: balanced in every axis."""
    random = Random(f"examples-{seed}")
    frames: list[Frame] = []
    for look in CAST:
        acts = _acts(EXAMPLES_EACH, random)
        frames += _frames(f"{seed}-{look.name}", [look] * len(acts), acts, random)
    strangers = [anyone(random) for _ in range(STRANGERS)]
    frames += _frames(f"{seed}-other", strangers, _acts(STRANGERS, random), random)
    anybody = [random.choice((*CAST, anyone(random))) for _ in range(BLURRED)]
    frames += _frames(f"{seed}-blurred", anybody, _acts(BLURRED, random), random, blurry=True)
    return frames


def axes(frame: Frame) -> list[str]:
    """The axes that a frame is an example for: strangers and blurred ones teach only one."""
    if frame.blurry:
        return ["blur"]
    if frame.character == "other":
        return ["character"]
    # As many sharp examples as blurry ones.
    few = int(frame.seed.rsplit("-", 1)[1]) < BLURRED // len(CAST)
    return ["character", "pose", "expression", "direction", *(["blur"] if few else [])]


def heap(seed: int) -> list[Frame]:
    """Frames as they come in: 8 % strangers, 10 % blurred, fewer fronts than sides."""
    random = Random(f"heap-{seed}")
    count = HEAP - TWINS - BROKEN
    strangers = round(0.08 * HEAP)
    looks = [CAST[number % 2] for number in range(count - strangers)]
    looks += [anyone(random) for _ in range(strangers)]
    sides = _acts(count * 3 // 4, random, ("left", "right"))
    acts = [*sides, *_acts(count - len(sides), random, ("front",))]
    random.shuffle(looks)
    random.shuffle(acts)
    frames = _frames(f"{seed}-heap", looks, acts, random)
    for number, frame in enumerate(random.sample(frames, HEAP // 10 + 8)):
        at = frames.index(frame)
        if number < HEAP // 10:
            frames[at] = Frame(frame.seed, frame.shot, frame.character, blurry=True)
        else:
            suffix: Suffix = ".png" if number % 2 else ".webp"
            frames[at] = Frame(frame.seed, frame.shot, frame.character, suffix=suffix)
    return frames


def showcase(seed: int) -> list[Frame]:
    """A dozen frames that show some of everything."""
    random = Random(f"showcase-{seed}")
    looks = [MIRA, TOBO, MIRA, TOBO, anyone(random), MIRA, TOBO, MIRA, TOBO, anyone(random), MIRA, TOBO]
    frames = []
    for number, look in enumerate(looks):
        # Steps that share no factor with the order of the looks, so that nobody is always happy.
        act = Act(
            POSES[(number + number // 4) % 4],
            EXPRESSIONS[(number + number // 2) % 5],
            DIRECTIONS[(number + number // 3) % 3],
        )
        shot = _shot(look, act, PLACES[number % 5], random)
        name = look.name if look in CAST else "other"
        frames.append(Frame(f"{seed}-showcase-{number}", shot, name, blurry=number >= len(looks) - 2))
    return frames
