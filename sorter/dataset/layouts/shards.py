"""Datasets in a few large files: WebDataset's tars, and Parquet. Both hold the same members."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar

from sorter.dataset.layouts.base import TRAIN, VALIDATION, Item, Layout, is_balanced, layouts, masks, parts, row
from sorter.errors import DatasetError, MissingExtra
from sorter.files import read_file
from sorter.records import Output, Shard, Text

PICTURES = 128
"""In a shard at most, on average: one is held in memory while it is made."""


class _Sharded(Layout):
    """A picture belongs to a shard by its own hash, so that new pictures leave most shards as they are."""

    holds_out: ClassVar[bool] = True
    name: ClassVar[str]
    """Of the shard with this number of so many, of a part of the dataset."""

    def __call__(self, items: Iterable[Item]) -> Iterator[Output]:
        items = sorted(items, key=lambda item: item.stem)
        balanced, masked = is_balanced(items), masks(items)
        for part, some in zip((TRAIN, VALIDATION), parts(items), strict=True):
            shards = spread(some) if some else []
            for number, alike in enumerate(shards):
                members = [member for item in alike for member in self.members(item, row(item, balanced), masked)]
                yield Output(self.name.format(part=part, number=number, count=len(shards)), Shard(tuple(members)))

    def members(self, item: Item, row: dict[str, Any], masked: dict[str, Any]) -> Iterator[Output]:
        """The files of one picture, one after the other: a key up to the first dot, then what it is."""
        key = item.stem.replace(".", "_")
        yield Output(key + item.suffix, item.render)
        if masked:
            yield Output(f"{key}.mask.png", masked[item.stem])
        yield Output(f"{key}.json", Text(json.dumps(row, ensure_ascii=False)))


def spread(items: list[Item]) -> list[list[Item]]:
    """Items by the last digits of their stems, into as few shards, a power of two, as hold PICTURES each on average."""
    count = 1
    while count * PICTURES < len(items):
        count *= 2
    while True:
        shards: list[list[Item]] = [[] for _ in range(count)]
        for item in items:
            shards[int(item.stem[-8:], 16) % count].append(item)
        if all(shards) or count == 1:
            return shards
        count //= 2  # a shard without pictures would leave a hole in the numbers


@layouts.add("webdataset")
class WebDataset(_Sharded):
    """Tars of pictures, each with its caption in a .txt and its row in a .json, for readers of WebDataset."""

    name: ClassVar[str] = "{part}-{number:06d}.tar"

    def members(self, item: Item, row: dict[str, Any], masked: dict[str, Any]) -> Iterator[Output]:
        *pictures, about = super().members(item, row, masked)
        yield from pictures
        yield Output(f"{item.stem.replace('.', '_')}.txt", Text(item.line.strip("\n")))
        yield about

    def read_back(self, folder: Path, items: Iterable[Item]) -> None:
        """Every member is there in its order, no sample twice, and every text is what was asked for."""
        for output in self(items):
            assert isinstance(output.content, Shard)
            path = folder / output.path
            try:
                with tarfile.open(fileobj=io.BytesIO(read_file(path))) as file:
                    there = [(one.name, (file.extractfile(one) or io.BytesIO()).read()) for one in file]
            except (OSError, tarfile.TarError) as error:
                raise DatasetError(f"{path}: was written, and cannot be read: {error}; export it again") from None
            wanted = [(name, one.text.encode() if isinstance(one, Text) else None) for name, one in output.content[0]]
            same = [name for name, _ in there] == [name for name, _ in wanted]
            if not same or any(text not in (None, data) for (_, data), (_, text) in zip(there, wanted, strict=True)):
                raise DatasetError(f"{path}: was written, and reads otherwise; export it again")


@layouts.add("parquet")
class Parquet(_Sharded):
    """Tables with the pictures inside, text, and one column an axis, for Hugging Face's datasets and its hub."""

    name: ClassVar[str] = "data/{part}-{number:05d}-of-{count:05d}.parquet"

    def read_back(self, folder: Path, items: Iterable[Item]) -> None:
        """Every row is there in its order, and says what was asked for."""
        try:
            import pyarrow
            import pyarrow.parquet
        except ImportError:
            raise MissingExtra("parquet", "a Parquet export") from None
        for output in self(items):
            assert isinstance(output.content, Shard)
            path = folder / output.path
            wanted = [json.loads(one.text) for _, one in output.content.members if isinstance(one, Text)]
            try:
                table = pyarrow.parquet.read_table(path)
                there = table.drop_columns(["image", *({"mask"} & set(table.column_names))]).to_pylist()
            except (OSError, pyarrow.ArrowException) as error:
                raise DatasetError(f"{path}: was written, and cannot be read: {error}; export it again") from None
            if there != wanted:
                raise DatasetError(f"{path}: was written, and reads otherwise; export it again")
