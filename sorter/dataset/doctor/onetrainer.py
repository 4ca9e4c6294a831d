"""OneTrainer, at 23df383 (modules/dataLoader/mixin/DataLoaderText2ImageMixin.py, modules/util/path_util.py), and its
pipeline mgds, at 3a6994a (CollectPaths, LoadMultipleTexts, AspectBucketing, AspectBatchSorting)."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from functools import cached_property
from pathlib import PurePosixPath
from typing import ClassVar

from sorter.buckets import Fit, Size
from sorter.dataset.doctor import kinds
from sorter.dataset.doctor.base import Dataset, Seen, Source, Trainer, below, trainers
from sorter.dataset.doctor.diagnosis import Diagnosis
from sorter.dataset.doctor.kinds import Kind

CONCEPTS = "concepts.json"
ASPECTS = (1, 1.25, 1.5, 1.75, 2, 2.5, 3, 3.5, 4)
"""Of its sizes, and their inverses."""
BAD_CONCEPT = Kind("concept cannot be used", kinds.STOPS, "mend it")
CHOSEN = kinds.MORE_LINES._replace(do="keep one line, unless one of them is to be chosen at random each time")
REST = Kind("size has too few pictures for a batch", kinds.DROPS, "its pictures are never trained on; crop them to "
            "another size, or make batches smaller")  # fmt: skip


@trainers.add("onetrainer")
class OneTrainer(Trainer):
    """OneTrainer: by the concepts.json that lies in the folder, or the folder as one concept."""

    subfolders: bool = False
    """Whether the concept includes subdirectories."""
    step: int = 64
    """What sizes are multiples of: 64 for SDXL, 8 for SD 1.5."""

    endings: ClassVar[frozenset[str]] = frozenset({".bmp", ".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".avif"})
    few: ClassVar[Kind] = REST

    def sources(self, dataset: Dataset, out: Diagnosis) -> list[Source]:
        """The concepts."""
        if CONCEPTS not in dataset.files:
            return [Source("", 1, self.subfolders, flip=self.flip)]
        found = []
        try:
            concepts = json.loads(dataset.read(CONCEPTS))
            for one in concepts:
                if not one.get("enabled", True):
                    continue
                folder = below(dataset, one["path"])
                if folder is None:
                    out.add(BAD_CONCEPT, CONCEPTS, f"no folder {one['path']!r} here")
                    continue
                flip = self.flip or bool(one.get("image", {}).get("enable_random_flip", False))
                repeats = max(1, round(one.get("balancing", 1)))
                deep, held_out = bool(one.get("include_subdirectories")), one.get("type") == "VALIDATION"
                found.append(Source(folder, repeats, deep, flip=flip, held_out=held_out))
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            out.add(BAD_CONCEPT, CONCEPTS, str(error))
        out.notes.append(f"by {CONCEPTS}")
        return found

    def pictures(self, dataset: Dataset, source: Source) -> Iterator[Seen]:
        """But for masks and conditions, which it knows by their names."""
        return (seen for seen in super().pictures(dataset, source) if not self.is_meant(seen.path))

    def is_meant(self, path: str) -> bool:
        return PurePosixPath(path).stem.endswith(("-masklabel", "-condlabel"))

    def words_of(self, text: str, path: str, out: Diagnosis) -> str | None:
        """One of the lines that are not empty, by chance; here the first."""
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        if not lines:
            out.add(kinds.EMPTY, path)
        elif len(lines) > 1:
            out.add(CHOSEN, path)
        return lines[0] if lines else ""

    @cached_property
    def _sizes(self) -> list[Size]:
        """Of about the same area; width and height, in no order that counts but for ties."""
        found = []
        for aspect in ASPECTS:
            short, long = (round(self.resolution * side / self.step) * self.step
                           for side in (1 / math.sqrt(aspect), math.sqrt(aspect)))  # fmt: skip
            found += [(long, short), (short, long)]
        return list(dict.fromkeys(found))

    def fit(self, width: int, height: int) -> Fit:
        """By height over width, as it reckons, and not by width over height."""
        aspect = height / width
        wide, high = min(self._sizes, key=lambda size: abs(size[1] / size[0] - aspect))
        if not (wide and high):
            raise ValueError(f"a resolution of {self.resolution} is too small for steps of {self.step}")
        scaled = (wide, round(height * wide / width)) if aspect > high / wide else (round(width * high / height), high)
        return Fit((width, height), scaled, (wide, high))
