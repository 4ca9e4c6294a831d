"""diffusers' text-to-image scripts, at 0.42 (examples/text_to_image/train_text_to_image*.py), which read a folder by
datasets.load_dataset("imagefolder"), at 5.2 (packaged_modules/folder_based_builder)."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any, ClassVar

from sorter.buckets import Fit
from sorter.dataset.doctor import kinds
from sorter.dataset.doctor.base import Dataset, Seen, Source, Trainer, trainers
from sorter.dataset.doctor.diagnosis import Diagnosis
from sorter.dataset.doctor.kinds import Kind

NAMES = ("metadata.jsonl", "metadata.csv")
NO_TABLE = Kind("no metadata.jsonl", kinds.STOPS, "export --as imagefolder: .txt files are never read, and captions "
                "come from this table alone")  # fmt: skip
NO_FILE = Kind("row names a file that is not there", kinds.STOPS, "remove the row, or bring the file back")
BAD_ROW = Kind("row cannot be used", kinds.STOPS, "write file_name and text into it")
NO_ROW = Kind("picture has no row", kinds.DROPS, "write one; it is not trained on")
TWO_ROWS = Kind("picture has several rows", kinds.CHANGES, "remove all but one; it is seen as often")


@trainers.add("diffusers")
class Diffusers(Trainer):
    """train_text_to_image and its LoRA: a metadata.jsonl beside the pictures, all cropped to one square."""

    upright: ClassVar[bool] = False
    """datasets turns a picture as EXIF says since 3.2 or so; older ones, and the scripts, do not."""

    def sources(self, dataset: Dataset, out: Diagnosis) -> list[Source]:
        """The whole folder, if it has a table: the scripts take --train_data_dir/** for one part, whatever is in it."""
        if not any(PurePosixPath(path).name in NAMES for path in dataset.files):
            out.add(NO_TABLE, ".")
            return []
        return [Source("", 1, True, flip=self.flip)]

    def __call__(self, dataset: Dataset) -> Diagnosis:
        read = Diagnosis()
        rows: dict[str, str] = {}
        others: set[str] = set()
        for table in dataset.files:
            if PurePosixPath(table).name in NAMES:
                self._read(table, dataset, rows, others, read)
        out = Trainer.__call__(WithRows(**self.model_dump(), rows=rows, others=frozenset(others)), dataset)
        out.findings += read.findings
        return out

    def _read(self, table: str, dataset: Dataset, rows: dict[str, str], others: set[str], out: Diagnosis) -> None:
        try:
            text = dataset.read(table).decode("utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            out.add(BAD_ROW._replace(name="table cannot be read", do="save it as UTF-8"), table, str(error))
            return
        is_csv = table.endswith(".csv")
        lines: list[Any] = list(csv.DictReader(io.StringIO(text))) if is_csv else text.split("\n")
        for number, line in enumerate(lines, 2 if is_csv else 1):
            if not is_csv and not line.strip():
                continue
            try:
                row = line if is_csv else json.loads(line)
                name, words = row["file_name"], row.get("text", next(iter([*row.values()][1:]), None))
                folder = PurePosixPath(table).parent
                path = str(folder / name)
                # datasets reads any column of such a name as a picture: a mask, for one.
                others.update(str(folder / row[key]) for key in row if str(key).endswith("_file_name") and row[key])
            except (ValueError, TypeError, KeyError, AttributeError):
                out.add(BAD_ROW, f"{table}, line {number}")
                continue
            if not isinstance(words, str):
                out.add(BAD_ROW, f"{table}, line {number}", "its caption is no text")
            elif path not in dataset.files:
                out.add(NO_FILE, path)
            elif path in rows:
                out.add(TWO_ROWS, path)
            else:
                rows[path] = words

    def fit(self, width: int, height: int) -> Fit:
        """torchvision's Resize makes the shorter side `resolution`, rounding down; CenterCrop takes the middle."""
        side = self.resolution
        short, long = sorted((width, height))
        far = int(side * long / short)
        scaled = (side, far) if width <= height else (far, side)
        return Fit((width, height), scaled, (side, side))


class WithRows(Diffusers):
    """The same with what its tables say."""

    rows: dict[str, str]
    """Picture -> caption."""
    others: frozenset[str] = frozenset()
    """Pictures of other columns than the first, such as masks."""

    def pictures(self, dataset: Dataset, source: Source) -> Iterator[Seen]:
        """Those with a row, whatever their ending."""
        return (seen for path, seen in dataset.pictures.items() if path in self.rows)

    def caption(self, seen: Seen, dataset: Dataset, source: Source, out: Diagnosis) -> str | None:
        words = self.rows[seen.path]
        if not words.strip():
            out.add(kinds.EMPTY, seen.path)
        return words

    def clashes(self, seen: list[Seen], out: Diagnosis) -> None:
        """Captions are found by the whole name."""

    def is_meant(self, path: str) -> bool:
        return False

    def _unused(self, dataset: Dataset, used: set[str], out: Diagnosis) -> None:
        for path in dataset.pictures:
            if path not in used and path not in self.others and self.rows:
                out.add(NO_ROW, path)
