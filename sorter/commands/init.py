"""A first scheme.toml, from the sorters found under models/. Reads those; writes that one file."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from sorter.classify.askers import load_asked
from sorter.classify.locate import is_locator
from sorter.classify.taggers import use_for
from sorter.errors import ModelsheetError, SchemeError
from sorter.files import write
from sorter.networks.labels import mirror_pairs
from sorter.scheme import NO_AXES

DROPPED = {"blurry", "blur", "blurred", "unusable", "trash"}
SILENT = {"unknown", "nobody", "no one", "none", "nothing", "other", "others", "unclear", "undefined"}
"""Classes that say what a picture does not show: no words of theirs help a caption."""
SAFE = '"auto"         # what sorter fit found safe; below it: _unsure'
MEASURED = 'measure   = "sharpness"    # needs no examples'
UNSAFE = "0.5            # below it: _unsure"
HEAD = """\
# What to ask about each picture, and what the answers mean. Check it with: sorter check
name    = {name}
trigger = {trigger}        # the word that the diffusion model will learn for your subject
folders = {folders}
"""
CENTRE = 'use  = "centre"            # or "pad", "none", "bucket"; used by: sorter export\n'
SUBJECT = """\
use  = "subject"           # framed on the head; or "centre", "pad", "none", "bucket"; used by: sorter export
head = {head}
shot = "mid"               # or "close", or "full"; captions say which at {{shot}}
"""
TAIL = """
[crop]
{crop}size = 512

[caption]
use  = "template"
text = {caption}
"""


def write_starter(folder: Path) -> tuple[Path, list[str]]:
    """Write `folder`/scheme.toml; its path, and a sentence for each folder under models/ that was passed over.

    Raises SchemeError where there is one already, or no sorter to write it from.
    """
    path = folder / "scheme.toml"
    if path.exists():
        raise SchemeError(f"{path}: is there already, and is yours; delete it first if you want a new one")
    axes: dict[str, tuple[str, ...]] = {}
    safe: set[str] = set()
    folders: dict[str, str] = {}
    passed: list[str] = []
    asks: dict[str, tuple[str, str]] = {}
    models = folder / "models"
    for one in sorted(models.iterdir()) if models.is_dir() else []:
        if not one.is_dir() and one.suffix != ".zip":
            continue
        if found_use := ("locator", "head") if is_locator(one) else use_for(one):
            use, name = found_use
            asks[_axis_name(one) if name in asks else name] = use, one.name
            continue
        try:
            asked, name = load_asked(one), _axis_name(one)
        except ModelsheetError as found:
            passed.append(str(found))
            continue
        if name in axes:
            passed.append(f"{one}: {models / folders[name]} is taken for {name} already; rename or remove one of them")
            continue
        axes[name], folders[name] = asked.labels, one.name
        if is_calibrated(asked.card):
            safe.add(name)
    if not axes:
        why = f"; what lies there cannot be used: {'; '.join(passed)}" if passed else ""
        raise SchemeError(
            f"{models}: holds no sorter; put each export into a folder of its own there, as models/pose{why}"
        )
    write(path, starter(folder.absolute().name, axes, folders, safe, asks=asks).encode())
    return path, passed


def is_calibrated(card: Mapping[str, Any]) -> bool:
    """Whether a card has thresholds by which some pictures would be accepted."""
    table = card.get("thresholds")
    return isinstance(table, dict) and isinstance(table.get("classes"), dict) and table.get("coverage", 1) > 0


def starter(
    name: str,
    axes: Mapping[str, tuple[str, ...]],
    models: Mapping[str, str],
    safe: Collection[str] = frozenset(),
    trigger: str = "",
    asks: Mapping[str, tuple[str, str]] | None = None,
) -> str:
    """The text of a first scheme. `axes`: axis -> labels; `models`: axis -> its folder under models/, of all but those
    that the built-in measure of sharpness is asked; `safe`: the axes whose sorters have calibrated thresholds; `asks`:
    name in [ask] -> the asker and its folder under models/."""
    shown = [axis for axis, labels in axes.items() if not _droppable(labels)] or list(axes)
    text = HEAD.format(
        name=_quote(name),
        trigger=_quote(trigger or "".join(char if char.isalnum() else "_" for char in name.lower())),
        folders=_quote("/".join(f"{{{axis}}}" for axis in shown)),
    )
    for axis, labels in axes.items():
        text += axis_text(axis, labels, models.get(axis), axis in safe)
    asks = asks or {}
    for name, (use, model) in asks.items():
        text += f"\n[ask.{_key(name)}]\nuse   = {_quote(use)}\nmodel = {_quote(f'models/{model}')}\n"
    locators = [name for name, (use, _) in asks.items() if use == "locator"]
    words = ["trigger", *shown, *(name for name in asks if name not in locators), *(["shot"] if locators else [])]
    crop = SUBJECT.format(head=_quote(locators[0])) if locators else CENTRE
    return text + TAIL.format(crop=crop, caption=_quote(", ".join(f"{{{word}}}" for word in words)))


def axis_text(axis: str, labels: tuple[str, ...], model: str | None, safe: bool) -> str:
    """The tables of one axis in a scheme. See `starter`."""
    mirror = mirror_pairs(labels)
    lines = [
        f"\n[axes.{_key(axis)}]",
        f"model     = {_quote(f'models/{model}')}" if model else MEASURED,
        f"threshold = {SAFE if safe else UNSAFE}",
    ]
    if mirror:
        canonical = next(label for label in mirror if "left" in label.casefold())
        lines.append(f"canonical = {_quote(canonical)}         # every picture is turned to face this way")
    lines.append(f"[axes.{_key(axis)}.classes]")
    for label in labels:
        said = f"tag = {_quote(tag_of(label))}"
        if label in mirror:
            facing = f"facing {label}".lower() if label.lower() in ("left", "right") else label.replace("_", " ")
            said = f"mirror = {_quote(mirror[label])}, tag = {_quote(facing)}"
        elif label.lower() in DROPPED:
            said = "drop = true"
        note = "" if tag_of(label) or label in mirror else "  # adds no words to captions"
        lines.append(f"{_quote(label)} = {{ {said} }}{note}")
    return "\n".join(lines) + "\n"


def is_silent(label: str) -> bool:
    """Whether a class of this name is offered as one that adds no words to captions."""
    return label.replace("_", " ").strip().lower() in SILENT


def tag_of(label: str) -> str:
    """The tag that a class is begun with."""
    return "" if is_silent(label) else label.replace("_", " ")


def _droppable(labels: tuple[str, ...]) -> bool:
    return any(label.lower() in DROPPED for label in labels)


def _axis_name(path: Path) -> str:
    name = "".join(char if char.isalnum() else "_" for char in path.stem.lower()).strip("_")
    return name if name.isidentifier() and name not in NO_AXES else f"axis_{name}"


def _key(axis: str) -> str:
    return axis if axis.isascii() else _quote(axis)


def _quote(text: str) -> str:
    """A TOML basic string (toml.io/en/v1.0.0#string)."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in escaped) + '"'
