"""A first scheme.toml, from the sorters found under models/. Reads those; writes that one file."""

from __future__ import annotations

from pathlib import Path

from sorter.classify.backbone import write_whole
from sorter.classify.model import load_asked
from sorter.errors import ModelsheetError, SchemeError
from sorter.scheme import NO_AXES

DROPPED = {"blurry", "blur", "blurred", "unusable", "trash"}
HEAD = """\
# What to ask about each picture, and what the answers mean. Check it with: sorter check
name    = {name}
trigger = {trigger}        # the word that the diffusion model will learn for your subject
folders = {folders}
"""
TAIL = """
[crop]
use  = "centre"            # or "pad", or "none"; used by: sorter export
size = 512

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
    folders: dict[str, str] = {}
    passed: list[str] = []
    models = folder / "models"
    for one in sorted(models.iterdir()) if models.is_dir() else []:
        if not one.is_dir() and one.suffix != ".zip":
            continue
        try:
            axes[_axis_name(one)] = load_asked(one).labels
            folders[_axis_name(one)] = one.name
        except ModelsheetError as found:
            passed.append(str(found))
    if not axes:
        raise SchemeError(f"{models}: holds no sorter; put each export into a folder of its own there, as models/pose")
    write_whole(path, starter(folder.absolute().name, axes, folders).encode())
    return path, passed


def starter(name: str, axes: dict[str, tuple[str, ...]], models: dict[str, str]) -> str:
    """The text of a first scheme. `axes`: axis -> labels; `models`: axis -> its folder under models/."""
    shown = [axis for axis, labels in axes.items() if not _droppable(labels)] or list(axes)
    text = HEAD.format(
        name=_quote(name),
        trigger=_quote("".join(char if char.isalnum() else "_" for char in name.lower())),
        folders=_quote("/".join(f"{{{axis}}}" for axis in shown)),
    )
    for axis, labels in axes.items():
        text += _axis(axis, labels, models[axis])
    return text + TAIL.format(caption=_quote(", ".join(f"{{{word}}}" for word in ("trigger", *shown))))


def _axis(axis: str, labels: tuple[str, ...], model: str) -> str:
    pair = _pair(labels)
    lines = [
        f"\n[axes.{_key(axis)}]",
        f"model     = {_quote(f'models/{model}')}",
        "threshold = 0.5            # below it: _unsure",
    ]
    if pair:
        lines.append(f"canonical = {_quote(pair[0])}         # every picture is turned to face this way")
    lines.append(f"[axes.{_key(axis)}.classes]")
    for label in labels:
        said = f"tag = {_quote(label.replace('_', ' '))}"
        if pair and label in pair:
            other = pair[1 - pair.index(label)]
            said = f"mirror = {_quote(other)}, tag = {_quote(f'facing {label}'.lower())}"
        elif label.lower() in DROPPED:
            said = "drop = true"
        lines.append(f"{_quote(label)} = {{ {said} }}")
    return "\n".join(lines) + "\n"


def _pair(labels: tuple[str, ...]) -> tuple[str, str] | None:
    """The classes that are called left and right, if there are such."""
    plain = {label.lower(): label for label in labels}
    return (plain["left"], plain["right"]) if "left" in plain and "right" in plain else None


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
