"""The ordinary people and animals of the drawn world: what the base model knows by name.

None of them has teal or orange, fox ears, a scarf or an antenna: those belong to the franchise.
"""

from __future__ import annotations

from random import Random
from typing import Literal

from drawing import Look
from drawing.pen import Colour, mix

HAIR: dict[str, Colour] = {
    "red": (196, 58, 44),
    "blond": (244, 206, 96),
    "brown": (112, 70, 44),
    "black": (52, 46, 62),
    "blue": (66, 104, 206),
    "white": (228, 228, 236),
}
CLOTH: dict[str, Colour] = {
    "red": (214, 60, 60),
    "green": (64, 156, 88),
    "blue": (64, 110, 210),
    "yellow": (242, 204, 72),
    "purple": (142, 84, 186),
    "white": (240, 240, 244),
}
FUR: dict[str, Colour] = {
    "brown": (158, 108, 68),
    "grey": (152, 156, 168),
    "white": (238, 236, 232),
    "pink": (244, 182, 200),
}
SKIN: tuple[Colour, ...] = ((255, 224, 196), (242, 200, 164), (206, 152, 112))
IRIS: tuple[Colour, ...] = ((70, 60, 110), (60, 100, 70), (110, 70, 50))

GirlStyle = Literal["long", "ponytail", "bunches"]
BoyStyle = Literal["short", "spiky"]
Beast = Literal["cat", "rabbit", "bear"]


def girl(style: GirlStyle, hair: str, dress: str, random: Random) -> Look:
    """A girl in a dress, and the words for her."""
    manner = {"long": f"long {hair} hair", "ponytail": f"a {hair} ponytail", "bunches": f"{hair} bunches"}
    skin = random.choice(SKIN)
    return Look(
        name=f"girl-{style}-{hair}-{dress}",
        words=f"a girl with {manner[style]} and a {dress} dress",
        skin=skin,
        hair=HAIR[hair],
        cloth=CLOTH[dress],
        legs=skin,
        shoes=mix(CLOTH[dress], (50, 40, 60), 0.6),
        iris=random.choice(IRIS),
        style=style,
        outfit="dress",
    )


def boy(style: BoyStyle, hair: str, shirt: str, random: Random) -> Look:
    """A boy in a shirt, and the words for him."""
    manner = {"short": f"short {hair} hair", "spiky": f"spiky {hair} hair"}
    return Look(
        name=f"boy-{style}-{hair}-{shirt}",
        words=f"a boy with {manner[style]} and a {shirt} shirt",
        skin=random.choice(SKIN),
        hair=HAIR[hair],
        cloth=CLOTH[shirt],
        legs=random.choice(((70, 72, 96), (120, 96, 76))),
        shoes=(70, 50, 50),
        iris=random.choice(IRIS),
        style=style,
        outfit="shirt",
    )


def animal(kind: Beast, fur: str) -> Look:
    """An animal that walks upright, and the words for it."""
    colour = FUR[fur]
    return Look(
        name=f"{kind}-{fur}",
        words=f"a {fur} {kind}",
        skin=colour,
        hair=colour,
        cloth=colour,
        legs=colour,
        shoes=mix(colour, (60, 40, 50), 0.2),
        style="fur",
        ears=kind,
        outfit="shell",
        muzzle=mix(colour, (255, 250, 240), 0.75),
        tail=colour if kind == "cat" else None,
    )


def anyone(random: Random) -> Look:
    """Somebody at random: two fifths girls, two fifths boys, one fifth animals."""
    lot = random.random()
    hair, cloth = random.choice(list(HAIR)), random.choice(list(CLOTH))
    girls: tuple[GirlStyle, ...] = ("long", "ponytail", "bunches")
    boys: tuple[BoyStyle, ...] = ("short", "spiky")
    beasts: tuple[Beast, ...] = ("cat", "rabbit", "bear")
    if lot < 0.4:
        return girl(random.choice(girls), hair, cloth, random)
    if lot < 0.8:
        return boy(random.choice(boys), hair, cloth, random)
    return animal(random.choice(beasts), random.choice(list(FUR)))
