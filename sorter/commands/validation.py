"""`sorter export --validation`: which pictures are held out, so that none of them is of a scene that is trained on."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from sorter.commands.looked import Looked
from sorter.commands.provenance import PROVENANCE
from sorter.dataset.layouts import Item, Layout
from sorter.dataset.layouts.base import VALIDATION
from sorter.dataset.split import Member, Sides, divide
from sorter.errors import DatasetError, OptionsError
from sorter.library.names import digits_in, read_frame_stem
from sorter.library.store.manifest import FILE, Manifest
from sorter.library.store.manifest import FOLDER as FOLDER_OF_OURS
from sorter.records import Shard, Text
from sorter.tally import Report, some

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FOLDER, VIDEO = "folder", "video"
"""Words for --group beside those of `folds`: the folder that a picture was found in, and the video of its name."""


class Validation(NamedTuple):
    """How pictures are held out."""

    share: float
    """Of all pictures, about."""
    seed: int = 0
    group: str = "scene"
    """What stays on one side: scene, none, folder, video, or a pattern with {group} in it."""

    def check(self, use: str, layout: Layout) -> None:
        """Raise OptionsError where there is no such share, or the layout of this name cannot keep a part aside."""
        if not layout.holds_out:
            raise OptionsError(
                f"--validation: --as {use} keeps nothing apart, so all would be trained on; leave it out"
            )
        if not 0 < self.share < 1:
            raise OptionsError(f"--validation: {self.share:g} is no share; give a number between 0 and 1, such as 0.1")


def hold_out(looked: Looked, how: Validation, dataset: Path, library: Path, report: Report) -> list[Item]:
    """The items, those for validation marked so.

    `dataset`: what an earlier export into it has put on one side stays there, if it was asked for the same. Raises
    DatasetError where nothing can be held out, ExamplesError where a pattern does not fit.
    """
    import numpy as np

    from sorter.fit import folds

    groups = folds.joined(_groups(looked, how.group, library), looked.hashes, looked.mirrored)
    before = _sides_before(dataset, how)
    members = [
        Member(sha256, _classes(item), int(group), before.get(sha256[:10]))
        for item, group in zip(looked.items, groups, strict=True)
        for sha256 in [_original(item)]
    ]
    sides = divide(members, how.share, how.seed)
    if not sides.held_out:
        word = _word(how.group)
        why = (
            f"all {len(members):,} pictures are of one {word}, and one cannot be on both sides"
            if sides.groups[1] == 1
            else f"each of its {sides.groups[1]:,} {word}s is the only one of some class, which is to be trained on"
        )
        raise DatasetError(f"{library}: {why}; export without --validation, or say by --group what belongs together")
    held_out = np.array([member.sha256 in sides.held_out for member in members])
    trained_on = np.concatenate([looked.hashes[~held_out], looked.mirrored[~held_out]])
    leaks = len(np.unique(folds.near_pairs(looked.hashes[held_out], trained_on)[0]))
    report.notes += _notes(sides, how, len(members), leaks)
    return [replace(item, held_out=bool(one)) for item, one in zip(looked.items, held_out, strict=True)]


def _original(item: Item) -> str:
    """The hash of the original, which stays the same when a person edits the picture."""
    return item.verdict.picture.sha256 if item.verdict else item.render.sha256


def _classes(item: Item) -> tuple[tuple[str, str], ...]:
    return tuple((axis, name) for axis, name in item.classes.items() if name is not None)


def _groups(looked: Looked, group: str, library: Path) -> NDArray[np.int64]:
    """For each item the number of what it belongs to."""
    import numpy as np

    from sorter.fit import folds

    places = [Path(item.verdict.picture.path if item.verdict else item.name) for item in looked.items]
    paths = _below_their_folder(places)
    if group == folds.SCENE:
        return folds.runs(paths, looked.hashes)
    if group == folds.NONE:
        return np.arange(len(paths))
    names = [_group_name(path, group, library) for path in paths]
    return np.unique(names, return_inverse=True)[1]


def _group_name(path: Path, group: str, library: Path) -> str:
    from sorter.fit.folds import group_of

    if group == FOLDER:
        return path.parent.as_posix()
    if group == VIDEO:
        found = read_frame_stem(path.stem)
        return f"{path.parent.as_posix()}/{found[0] if found else path.name}"
    return group_of(path, group, library)


def _below_their_folder(paths: list[Path]) -> list[Path]:
    """The paths below the folder that all of them share."""
    try:
        above = os.path.commonpath([path.parent for path in paths])
    except ValueError:  # on several drives
        return paths
    return [path.relative_to(above) for path in paths]


def _sides_before(dataset: Path, how: Validation) -> dict[str, bool]:
    """First digits of an original's hash -> whether an earlier export has held the picture out; nothing where that was
    asked for in another way."""
    if not (dataset / FOLDER_OF_OURS / FILE).exists():
        return {}
    sides: dict[str, bool] = {}
    asked: Any = None
    with Manifest(dataset, dry_run=True) as manifest:
        for path, content in manifest.outputs():
            if isinstance(content, Text):
                asked = json.loads(content.text).get(VALIDATION) if path == PROVENANCE else asked
                continue
            names = [member for member, _ in content.members] if isinstance(content, Shard) else [path]
            held_out = path.removeprefix("data/").startswith(VALIDATION)
            sides |= {digits_in(name.rpartition("/")[2].partition(".")[0]): held_out for name in names}
    return sides if asked and {name: asked.get(name) for name in how._fields} == how._asdict() else {}


def _notes(sides: Sides, how: Validation, pictures: int, leaks: int) -> list[str]:
    count, (some_groups, groups) = len(sides.held_out), sides.groups
    word = _word(how.group)
    notes = [f"held out for validation: {count:,} of {pictures:,} pictures, {some_groups:,} of {groups:,} {word}s"]
    if sides.one_sided:
        names = [f"{axis} {name}" for axis, name in sides.one_sided]
        why = f"their pictures are of one {word}, or of {word}s that other classes need, or were trained on before"
        notes.append(f"none is held out of {some(names)}: {why}")
    if sides.moved:
        notes.append(f"{sides.moved:,} pictures that were held out are trained on now: of a {word} that is trained on")
    if leaks:
        notes.append(
            f"{leaks:,} that are held out are near-identical to ones that are trained on: so many hang together that "
            "not all could be kept on one side"
        )
    return notes


def _word(group: str) -> str:
    return group if group in ("scene", FOLDER, VIDEO) else "group"
