"""verdict -> the files that should exist for it: a picture in its class folders, its caption beside it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sorter.library.caption import Captions
from sorter.library.folders import Folders, folders_of
from sorter.library.names import file_stem
from sorter.pictures.images import KEPT
from sorter.records import Output, Render, Text, Verdict
from sorter.scheme import Scheme


@dataclass(frozen=True)
class ClassFolders:
    """The nested class folders of a scheme, with a .txt sidecar beside each picture."""

    folders: Folders
    captioner: Captions
    _known: dict[tuple[object, ...], tuple[str, Text | None]] = field(default_factory=dict, repr=False)
    """Certain classes, the shot, and which of the captioner's ways -> folder, and the sidecar if the captioner says the
    same of all such pictures."""

    def __call__(self, verdict: Verdict) -> tuple[Output, ...]:
        """The outputs of one picture; none if it is not wanted."""
        if verdict.unwanted:
            return ()
        picture = verdict.picture
        folder, sidecar = self._of_classes(verdict)
        if verdict.caption is not None or sidecar is None:
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
        if verdict.caption is not None:
            return verdict.caption
        sidecar = self._of_classes(verdict)[1]
        return self.captioner(verdict) if sidecar is None else sidecar.text.removesuffix("\n")

    def _of_classes(self, verdict: Verdict) -> tuple[str, Text | None]:
        """What pictures of the same certain classes share; a library has fewer of these than pictures."""
        unsure = verdict.unsure
        classes = [(label.axis, label.name) for label in verdict.labels if label.axis not in unsure]
        key = (self.captioner.variant(verdict), verdict.shot, *classes)
        if key not in self._known:
            sidecar = Text(self.captioner(verdict) + "\n") if self.captioner.by_classes else None
            self._known[key] = self.folders.folder(dict(classes)), sidecar
        return self._known[key]


def class_folders(scheme: Scheme, labels: Mapping[str, tuple[str, ...]], captioner: Captions) -> ClassFolders:
    """The layout of a scheme whose sorters answer with `labels` (axis to classes)."""
    return ClassFolders(folders_of(scheme, labels), captioner)
