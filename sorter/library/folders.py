"""Class folders and what they mean: a folder's name -> the answers it stands for. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property

from sorter.library.names import UNSURE, folder_names
from sorter.scheme import Scheme
from sorter.text import folded

Names = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class Folders:
    """The nested class folders of a scheme. Kept in the journal too: so a move is understood when the scheme is gone,
    or has changed since."""

    template: str
    """Such as "{character}/{pose}"."""
    names: Names
    """Axis -> class -> folder name."""
    mirrors: Names
    """Axis -> class -> the class that it becomes in a mirror, where it becomes another one."""

    def folder(self, sure: Mapping[str, str]) -> str:
        """The folder for these certain classes (axis to class); an axis that is missing has a folder of its own."""
        words = {axis: names.get(sure.get(axis, ""), UNSURE) for axis, names in self.names.items()}
        return self.template.format_map(words).strip("/")

    def read(self, folder: str) -> dict[str, str] | None:
        """Axis -> class, as a folder's name says; axes in doubt are left out. None if it is no folder of the scheme."""
        match = self._pattern.fullmatch(folded(folder))
        if match is None:
            return None
        return {axis: self._classes[axis][name] for axis, name in match.groupdict().items() if name != UNSURE}

    def longest(self) -> int:
        """Characters of the longest folder that may be made."""
        words = {axis: max([*names.values(), UNSURE], key=len) for axis, names in self.names.items()}
        return len(self.template.format_map(words))

    def mirrored(self, axis: str, name: str) -> str:
        """The class of the mirrored picture, given the class of the picture."""
        return self.mirrors.get(axis, {}).get(name, name)

    def text(self) -> str:
        """All of it as one line of JSON."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @cached_property
    def _classes(self) -> dict[str, dict[str, str]]:
        return {axis: {folded(folder): name for name, folder in names.items()} for axis, names in self.names.items()}

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        """The template as a regular expression; an axis named twice must say the same twice."""
        pattern, seen = "", set()
        for part in re.split(r"(\{[^}]*\})", self.template.strip("/")):
            axis = part[1:-1] if part.startswith("{") else None
            if axis is None:
                pattern += re.escape(folded(part))
            elif axis in seen:
                pattern += f"(?P={axis})"
            else:
                seen.add(axis)
                names = sorted([*self._classes[axis], UNSURE], key=len, reverse=True)
                pattern += f"(?P<{axis}>{'|'.join(map(re.escape, names))})"
        return re.compile(pattern)


def folders_of(scheme: Scheme, labels: Mapping[str, tuple[str, ...]]) -> Folders:
    """The folders of a scheme whose sorters answer with `labels` (axis to classes)."""
    mirrors = {
        name: {label: back for label in labels[name] if (back := axis.mirrored(label)) != label}
        for name, axis in scheme.axes.items()
    }
    return Folders(scheme.folders, {axis: folder_names(labels[axis]) for axis in scheme.axes}, mirrors)


def folders_from(text: str) -> Folders:
    """What `text` wrote."""
    return Folders(**json.loads(text))
