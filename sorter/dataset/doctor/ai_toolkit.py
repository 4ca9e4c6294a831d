"""ai-toolkit, at 27a03a9: toolkit/data_loader.py (AiToolkitDataset), toolkit/dataloader_mixins.py (CaptionMixin,
BucketsMixin), toolkit/buckets.py; README.md."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any, ClassVar

from sorter.buckets import Fit
from sorter.dataset.doctor import kinds
from sorter.dataset.doctor.base import Dataset, Seen, Source, Trainer, below, trainers
from sorter.dataset.doctor.diagnosis import Diagnosis
from sorter.dataset.doctor.kinds import Kind

CONFIG = "datasets.yaml"
"""What `sorter export --as ai-toolkit` writes; other YAML is not read here."""
WEBP = Kind("WebP picture", kinds.NOTES, 'save it as PNG or JPEG: its README says "Webp currently has issues"')
SMALL = Kind(
    "picture is smaller than what is trained on, and hardly enlarged", kinds.NOTES, "leave it out, or enlarge it well"
)
FILLED_UP = kinds.FEW_FOR_BATCH._replace(do="pictures are repeated to fill it")
ALL_LINES = kinds.MORE_LINES._replace(weight=kinds.NOTES, do="write it as one line; all lines are one caption")


@trainers.add("ai-toolkit")
class AiToolkit(Trainer):
    """ai-toolkit: by the datasets.yaml of an export, or the folder as folder_path, with all that is below it."""

    step: int = 64
    """What sizes are multiples of, which the model says: 64 at most."""

    endings: ClassVar[frozenset[str]] = frozenset({".jpg", ".jpeg", ".png", ".webp"})
    unreadable: ClassVar[Kind] = kinds.UNREADABLE._replace(weight=kinds.DROPS)
    few: ClassVar[Kind] = FILLED_UP

    def __call__(self, dataset: Dataset) -> Diagnosis:
        """At the first resolution of the first of its datasets."""
        known = entries(dataset.read(CONFIG).decode(errors="replace")) if CONFIG in dataset.files else []
        said = known[0].get("resolution") if known else None
        said = said[0] if isinstance(said, list) and said else said
        return Trainer.__call__(self.trained_at(said), dataset)

    def sources(self, dataset: Dataset, out: Diagnosis) -> list[Source]:
        if CONFIG not in dataset.files:
            return [Source("", 1, True, flip=self.flip)]
        out.notes.append(f"by {CONFIG}")
        found = []
        for entry in entries(dataset.read(CONFIG).decode(errors="replace")):
            folder = below(dataset, str(entry.get("folder_path", "")))
            if folder is None:
                missing = Kind("dataset cannot be used", kinds.STOPS, "mend its folder_path")
                out.add(missing, CONFIG, f"no folder {entry.get('folder_path')!r} here")
                continue
            repeats = entry.get("num_repeats", 1)
            flip = self.flip or entry.get("flip_x") is True
            ending = "." + str(entry.get("caption_ext", "txt")).lstrip(".")
            found.append(Source(folder, repeats, True, ending, flip))
        return found

    def pictures(self, dataset: Dataset, source: Source) -> Iterator[Seen]:
        """But for what its own folder of controls holds."""
        for seen in super().pictures(dataset, source):
            if PurePosixPath(seen.path).parent.name != "_controls":
                yield seen

    def pixels(self, seen: Seen, out: Diagnosis) -> None:
        super().pixels(seen, out)
        if seen.format == "WEBP":
            out.add(WEBP, seen.path)
        if seen.width * seen.height < self.resolution**2:
            out.add(SMALL, seen.path, f"{seen.width}x{seen.height}")
        if "masks" in PurePosixPath(seen.path).parts[:-1]:
            out.add(kinds.MASK_AS_PICTURE, seen.path)

    def words_of(self, text: str, path: str, out: Diagnosis) -> str | None:
        """All of it."""
        if not text.strip():
            out.add(kinds.EMPTY, path)
        elif "\n" in text.strip():
            out.add(ALL_LINES, path)
        return text.strip()

    def fit(self, width: int, height: int) -> Fit:
        """Of the four sizes around the picture's own, shrunk to the area: the one nearest to it in area, not above."""
        most = self.resolution**2
        wanted = min(width * height, most)
        shrunk = math.sqrt(wanted / (width * height)) / self.step
        wides, highs = ((math.floor(side * shrunk), math.ceil(side * shrunk)) for side in (width, height))
        sizes = [(wide * self.step, high * self.step) for wide in wides for high in highs]
        allowed = [(wide, high) for wide, high in sizes if 0 < wide * high <= most]
        least = max(self.step, sizes[0][0]), max(self.step, sizes[0][1])
        bucket = min(allowed or [least], key=lambda size: abs(size[0] * size[1] - wanted))
        scale = max(bucket[0] / width, bucket[1] / height)
        return Fit((width, height), (math.ceil(width * scale), math.ceil(height * scale)), bucket)


def entries(text: str) -> list[dict[str, Any]]:
    """The list in a YAML that our own layout has written: scalars as in JSON. What is written otherwise is left out."""
    found: list[dict[str, Any]] = []
    for line in text.splitlines():
        match = re.fullmatch(r"\s*(- )?(\w+): (.+)", line)
        if match is None:
            continue
        if match[1]:
            found.append({})
        try:
            value = json.loads(match[3])
        except ValueError:
            value = match[3]
        if found:
            found[-1][match[2]] = value
    return found
