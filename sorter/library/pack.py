"""Members -> the bytes of a shard: a tar, or a table of Parquet. The same members give the same bytes. Pure."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import PurePosixPath
from typing import Any

from sorter.errors import MissingExtra

Member = tuple[str, bytes]
"""Its name in the shard, and what it holds."""
ROWS = 100
"""Pictures a row group: readers of Parquet take a row group at once (huggingface.co/docs/hub/datasets-image)."""


def pack(suffix: str, members: Sequence[Member]) -> bytes:
    """The bytes of a shard of this kind. Raises MissingExtra, and KeyError where there is no such kind."""
    return KINDS[suffix](members)


def tar(members: Iterable[Member]) -> bytes:
    """A tar of files that are nobody's and have no time."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as file:
        for name, data in members:
            about = tarfile.TarInfo(name)
            about.size, about.mode = len(data), 0o644
            file.addfile(about, io.BytesIO(data))
    return out.getvalue()


def parquet(members: Iterable[Member]) -> bytes:
    """A table with a row for each name up to its first dot: NAME.json holds the row, every other member is a picture
    in a column: "image", or for NAME.mask.png "mask". Hugging Face's `datasets` reads pictures and types from it."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise MissingExtra("parquet", "a Parquet export") from None
    rows: dict[str, dict[str, Any]] = {}
    for name, data in members:
        key, _, ending = name.partition(".")
        row = rows.setdefault(key, {})
        if ending == "json":
            row |= json.loads(data)
        else:
            row[PurePosixPath(ending).stem if "." in ending else "image"] = {"bytes": data, "path": name}
    picture = pyarrow.struct({"bytes": pyarrow.binary(), "path": pyarrow.string()})
    pictures, texts = ({"_type": "Image"}, picture), ({"_type": "Value", "dtype": "string"}, pyarrow.string())
    number = {"_type": "Value", "dtype": "int64"}, pyarrow.int64()
    columns = dict.fromkeys(name for row in rows.values() for name in sorted(row, key=lambda name: name != "image"))
    kinds = {}
    for column in columns:
        values = [value for row in rows.values() if (value := row.get(column)) is not None]
        kinds[column] = pictures if isinstance(values and values[0], dict) else texts
        if values and all(isinstance(value, int) for value in values):
            kinds[column] = number
    about = {"info": {"features": {name: feature for name, (feature, _) in kinds.items()}}}
    schema = pyarrow.schema([(name, kind) for name, (_, kind) in kinds.items()], {"huggingface": json.dumps(about)})
    out = io.BytesIO()
    table = pyarrow.Table.from_pylist([{name: row.get(name) for name in columns} for row in rows.values()], schema)
    pyarrow.parquet.write_table(table, out, row_group_size=ROWS)
    return out.getvalue()


KINDS: dict[str, Callable[[Sequence[Member]], bytes]] = {".tar": tar, ".parquet": parquet}
