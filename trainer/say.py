"""What the commands print of a dataset. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trainer.dataset import Dataset, Unreadable
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
