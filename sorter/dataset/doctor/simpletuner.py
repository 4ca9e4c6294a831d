"""SimpleTuner, at bc8e6ab: simpletuner/helpers/prompts.py (prepare_instance_prompt_from_textfile),
helpers/multiaspect/image.py (calculate_new_size_by_pixel_area), helpers/metadata/backends/base.py (what it removes);
documentation/DATALOADER.md."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from pathlib import PurePosixPath
from typing import Any, ClassVar

from sorter.buckets import Fit
from sorter.dataset.doctor import kinds
from sorter.dataset.doctor.base import Dataset, Seen, Source, Trainer, below, trainers
from sorter.dataset.doctor.diagnosis import Diagnosis
from sorter.dataset.doctor.kinds import Kind
from sorter.pictures.images import SUFFIXES

CONFIG = "multidatabackend.json"
BAD_BACKEND = Kind("backend cannot be used", kinds.STOPS, "mend it")
SPLIT = kinds.MORE_LINES._replace(do="write it as one line, or set disable_multiline_split; each is a caption now")
NO_TEXT = kinds.NO_CAPTION._replace(weight=kinds.STOPS, do="write NAME.txt beside it, or use another caption_strategy")
REMOVED = Kind("size has too few pictures for a batch", kinds.DROPS, "the size is removed with its pictures; raise "
               "repeats, crop them to another size, or make batches smaller")  # fmt: skip
BELOW = Kind("picture is smaller than minimum_image_size", kinds.DROPS, "enlarge it, or lower minimum_image_size")


@trainers.add("simpletuner")
class SimpleTuner(Trainer):
    """SimpleTuner: by the multidatabackend.json in the folder, or the folder as instance_data_dir, with textfile."""

    step: int = 64
    """--aspect_bucket_alignment."""
    minimum: int = 0
    """minimum_image_size, in pixels of the shorter side; 0: none."""

    endings: ClassVar[frozenset[str]] = frozenset(SUFFIXES)
    unreadable: ClassVar[Kind] = kinds.UNREADABLE._replace(weight=kinds.DROPS)
    few: ClassVar[Kind] = REMOVED

    def __call__(self, dataset: Dataset) -> Diagnosis:
        """At the resolution of the first of its backends that has one in pixels."""
        said = None
        with suppress(OSError, ValueError, TypeError, AttributeError):  # `sources` says what is wrong with it
            backends = json.loads(dataset.read(CONFIG)) if CONFIG in dataset.files else []
            in_pixels = [one for one in backends if str(one.get("resolution_type", "")).startswith("pixel")]
            said = next((one.get("resolution") for one in in_pixels), None)
        return Trainer.__call__(self.trained_at(said), dataset)

    def sources(self, dataset: Dataset, out: Diagnosis) -> list[Source]:
        if CONFIG not in dataset.files:
            return [Source("", 1, True, flip=self.flip)]
        out.notes.append(f"by {CONFIG}")
        found = []
        try:
            backends: list[dict[str, Any]] = json.loads(dataset.read(CONFIG))
            for one in backends:
                kind = one.get("dataset_type", "image")
                if kind not in ("image", "eval") or "instance_data_dir" not in one:
                    continue
                folder = below(dataset, one["instance_data_dir"])
                if folder is None:
                    out.add(BAD_BACKEND, CONFIG, f"no folder {one['instance_data_dir']!r} here")
                    continue
                held_out = kind == "eval"
                found.append(Source(folder, int(one.get("repeats", 0)) + 1, True, flip=self.flip, held_out=held_out))
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            out.add(BAD_BACKEND, CONFIG, str(error))
        return found

    def without(self, seen: Seen, dataset: Dataset, source: Source, out: Diagnosis) -> None:
        """It raises FileNotFoundError."""
        super().without(seen, dataset, source, out)
        if out.findings[-1].kind is kinds.NO_CAPTION:
            out.findings[-1] = out.findings[-1]._replace(kind=NO_TEXT)

    def words_of(self, text: str, path: str, out: Diagnosis) -> str | None:
        """Each line that is not empty; here the first."""
        lines = [line for line in text.split("\n") if line.strip()]
        if not lines:
            out.add(kinds.EMPTY, path)
        elif len(lines) > 1:
            out.add(SPLIT, path)
        return lines[0].strip() if lines else ""

    def pixels(self, seen: Seen, out: Diagnosis) -> None:
        super().pixels(seen, out)
        if min(seen.width, seen.height) < self.minimum:
            out.add(BELOW, seen.path, f"{seen.width}x{seen.height}")
        if "masks" in PurePosixPath(seen.path).parts[:-1]:
            out.add(kinds.MASK_AS_PICTURE, seen.path)

    def fit(self, width: int, height: int) -> Fit:
        """resolution_type pixel_area: sides in the picture's proportion, rounded to whole steps, of about that area.

        Of pictures whose proportion is the same in two digits it takes the size of the one that it sees first; here,
        each has its own.
        """
        edge = max(self.step, round(self.resolution / self.step) * self.step)
        raw = width / height
        aspect = round(raw, 2) or 0.01
        wide, high = (max(self.step, round(edge * side / self.step) * self.step)
                      for side in (math.sqrt(aspect), 1 / math.sqrt(aspect)))  # fmt: skip
        scaled = (wide, int(wide / raw)) if wide < high else (int(high * raw), high)
        if (more := wide - scaled[0]) > 0:
            scaled = wide, scaled[1] + int(more / raw)
        elif (more := high - scaled[1]) > 0:
            scaled = scaled[0] + int(more * raw), high
        return Fit((width, height), (max(wide, scaled[0]), max(high, scaled[1])), (wide, high))
