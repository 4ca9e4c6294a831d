"""verdict -> the files that should exist for it: a picture in its class folders, its caption beside it. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from sorter.library.caption import Captions
from sorter.library.names import UNSURE, file_stem, folder_names
from sorter.pictures.images import KEPT
from sorter.records import Output, Render, Text, Verdict
from sorter.scheme import Scheme


@dataclass(frozen=True)
class ClassFolders:
    """The nested class folders of a scheme, with a .txt sidecar beside each picture."""

    scheme: Scheme
    folders: Mapping[str, Mapping[str, str]]
    """Axis -> class -> folder name."""
    captioner: Captions
    _known: dict[tuple[tuple[str, str], ...], tuple[str, Text | None]] = field(default_factory=dict, repr=False)
    """Certain classes -> folder, and the sidecar if the captioner says the same of all such pictures."""

    def __call__(self, verdict: Verdict) -> tuple[Output, ...]:
        """The outputs of one picture; none if it is not wanted."""
        if verdict.unwanted:
            return ()
        picture = verdict.picture
        folder, sidecar = self._of_classes(verdict)
        if verdict.caption or sidecar is None:
            sidecar = Text(self.caption(verdict) + "\n")
        place = f"{folder}/{file_stem(picture)}"
        image = Output(place + KEPT.get(picture.format, ".png"), Render(picture.sha256, None, verdict.mirror))
        if sidecar.text == "\n":  # an empty sidecar makes trainers stop
            return (image,)
        return image, Output(place + ".txt", sidecar)

    def folder(self, verdict: Verdict) -> str:
        """The folder of a picture; an axis that is in doubt has a folder of its own."""
        return self._of_classes(verdict)[0]

    def caption(self, verdict: Verdict) -> str:
        """The caption of a picture: a person's own words, or the captioner's."""
        return verdict.caption or self.captioner(verdict)

    def _of_classes(self, verdict: Verdict) -> tuple[str, Text | None]:
        """What pictures of the same certain classes share; a library has fewer of these than pictures."""
        unsure = verdict.unsure
        key = tuple([(label.axis, label.name) for label in verdict.labels if label.axis not in unsure])
        if key not in self._known:
            sure = dict(key)
            words = {axis: names.get(sure.get(axis, ""), UNSURE) for axis, names in self.folders.items()}
            folder = self.scheme.folders.format_map(words).strip("/")
            self._known[key] = folder, Text(self.captioner(verdict) + "\n") if self.captioner.by_classes else None
        return self._known[key]

    def read(self, folder: str) -> dict[str, str] | None:
        """Axis -> class, as a folder's name says; axes in doubt are left out. None if it is no folder of the scheme."""
        axes = self.scheme.asked_in(self.scheme.folders)
        match = re.fullmatch(self._pattern(), folder.casefold())
        if match is None:
            return None
        answers = {}
        for axis in axes:
            classes = {name.casefold(): label for label, name in self.folders[axis].items()}
            if match[axis] in classes:
                answers[axis] = classes[match[axis]]
        return answers

    def _pattern(self) -> str:
        """The folders template as a regular expression; an axis named twice must say the same twice."""
        pattern, seen = "", set()
        for part in re.split(r"(\{[^}]*\})", self.scheme.folders.strip("/").casefold()):
            axis = next((name for name in self.folders if f"{{{name}}}".casefold() == part), None)
            if axis is None:
                pattern += re.escape(part)
            elif axis in seen:
                pattern += f"(?P={axis})"
            else:
                seen.add(axis)
                names = [*(name.casefold() for name in self.folders[axis].values()), UNSURE]
                pattern += f"(?P<{axis}>{'|'.join(map(re.escape, sorted(names, key=len, reverse=True)))})"
        return pattern


def class_folders(scheme: Scheme, labels: Mapping[str, tuple[str, ...]], captioner: Captions) -> ClassFolders:
    """The layout of a scheme whose sorters answer with `labels` (axis to classes)."""
    return ClassFolders(scheme, {axis: folder_names(labels[axis]) for axis in scheme.axes}, captioner)
