"""What the commands print of a dataset. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trainer.dataset import Dataset, Unreadable
    from trainer.duration import Duration
    from trainer.rehearsal import Need

LONELY = "pictures have a size of which there are too few to fill a batch, and come several times in one"


def oddities(answer: dict[str, Any]) -> list[str]:
    """What a person should know of before hours are spent."""
    said = {
        "scaled_down": "pictures have more than twice the area that is trained at, and are scaled down to it",
        "scaled": "pictures are scaled to their buckets",
        "masked": "pictures have masks: what is black in these is not learnt",
        "lonely": f"{LONELY}; buckets = true brings sizes together",
        "lonely_in_buckets": LONELY,
        "small": "pictures have less than a quarter of the area that is trained at",
        "cut_captions": "captions are longer than the text encoder reads; their end is not learnt",
        "empty_captions": "captions are empty",
    }
    lines = [f"note      {answer[key]} {what}" for key, what in said.items() if answer.get(key)]
    if answer["cut_captions"] is None:
        lines.append("note      the captions' length and the targets are not checked without modelsheet[train]")
    return lines


def census(dataset: Dataset) -> list[str]:
    """The sizes of its pictures, and what is left out."""
    sizes = ", ".join(f"{count} of {width}x{height}" for (width, height), count in dataset.sizes.items())
    return [f"pictures  {sizes}", *left_out(dataset.unreadable)]


def class_pictures(answer: dict[str, Any]) -> list[str]:
    """How many pictures of the class there are, for a method that asks for them."""
    made = answer["class_pictures"]
    return [f"class     {made['drawn']} pictures drawn by the base, {made['kept']} there before"] if made else []


def left_out(unreadable: tuple[Unreadable, ...]) -> list[str]:
    """The pictures that are left out, each with its reason."""
    if not unreadable:
        return []
    return [
        f"left out  {len(unreadable)} pictures",
        *(f"    {picture.file_name}: {picture.reason}" for picture in unreadable),
    ]


def unreadable(pictures: tuple[Unreadable, ...]) -> list[dict[str, str]]:
    """The same for --json."""
    return [{"file_name": picture.file_name, "reason": picture.reason} for picture in pictures]


def memory(need: Need) -> list[str]:
    """What steps take of a graphics card, and what to lower where that is too much for it."""
    parts = asdict(need.memory)
    counted = ", ".join(f"{name} {parts[name] / 1e9:.2g}" for name in parts)
    lines = [f"memory    about {need.total / 1e9:.2g} GB on a graphics card: {counted}, and CUDA itself"]
    if need.lower:
        less = ", then ".join(f"{what} ({total / 1e9:.2g} GB)" for what, total in need.lower)
        lines.append(f"note      more than the {need.card / 1e9:.2g} GB of the card; lower, in this order: {less}")
        if need.lower[-1][1] > need.card:
            lines.append("note      even so it is too much: a smaller resolution, or a card with more memory")
    return lines


def duration(takes: Duration) -> list[str]:
    """How long a run takes on this machine, and what of it takes how long."""
    where = {"cpu": "CPU", "cuda": "graphics card"}.get(takes.device, "graphics chip")
    counted = {
        "steps": f"{spoken(takes.steps)} ({takes.step:.2g} s each)",
        "previews": spoken(takes.previews) if takes.previews else "",
        "validation": spoken(takes.validation) if takes.validation else "",
        "encoding pictures, once,": spoken(takes.encoding),
        "pictures of the class, once,": spoken(takes.class_pictures) if takes.class_pictures else "",
    }
    said = ", ".join(f"{what} {how_long}" for what, how_long in counted.items() if how_long)
    return [f"time      about {spoken(takes.total)} on this machine's {where}: {said}; loading and saving not counted"]


def spoken(seconds: float) -> str:
    """A time in two figures: "a second", "40 seconds", "12 minutes", "3.5 hours", "4 days"."""
    for least, unit, name in ((172_800, 86_400, "days"), (5_400, 3_600, "hours"), (90, 60, "minutes")):
        if seconds >= least:
            return f"{float(f'{seconds / unit:.2g}'):g} {name}"
    return f"{float(f'{seconds:.2g}'):g} seconds" if seconds >= 1 else "a second"
