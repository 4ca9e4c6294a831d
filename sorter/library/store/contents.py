"""What stands in a library and what was going to, and contents as text for the manifest. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

from sorter.records import Box, Content, Output, Render, Shard, Text


@dataclass(frozen=True, slots=True)
class Placed:
    """A file that we wrote, as we left it."""

    output: Output
    sha256: str
    size: int
    modified: int

    @property
    def is_mirrored(self) -> bool:
        """Whether it is a picture that was turned."""
        return isinstance(self.output.content, Render) and self.output.content.mirror


@dataclass(frozen=True, slots=True)
class Intent:
    """A journal row: what a step was going to do. `sha256` is of the bytes to write, empty for a drop."""

    id: int
    path: str
    before: str | None
    after: str | None
    sha256: str


_scan: Callable[[str, int], tuple[Any, int]] = json.JSONDecoder().scan_once  # type: ignore[attr-defined]
"""As json.loads, but for what it does about spaces and bytes: a library has millions of contents."""


class Garbled(ValueError):
    """A row of the manifest that says what we never write: its bytes have changed."""


def content_text(content: Content) -> str:
    """A content as one line of JSON; equal contents give equal lines."""
    if isinstance(content, Text):
        return json.dumps({"text": content.text}, ensure_ascii=False)
    if isinstance(content, Shard):
        members = [[path, content_text(inner)] for path, inner in content.members]
        return json.dumps({"members": members}, ensure_ascii=False)
    values = {
        "crop": asdict(content.crop) if content.crop else None,
        "fill": content.fill,
        "hidden": [asdict(box) for box in content.hidden],
        "mask": content.mask,
        "mirror": content.mirror,
        "opaque": content.opaque,
        "sha256": content.sha256,
        "size": content.size,
        "window": asdict(content.window) if content.window else None,
    }
    return json.dumps({key: value for key, value in values.items() if value})


def content_from(text: str) -> Content:
    """The content that `content_text` wrote. Raises Garbled."""
    return _text_from(text) if text.startswith('{"text"') else _content_from(text)


def _content_from(text: str) -> Content:
    try:
        values, _ = _scan(text, 0)
        if "text" in values:
            return Text(values["text"])
        if "members" in values:
            return Shard(tuple(Output(path, content_from(inner)) for path, inner in values["members"]))
        if "crop" in values:
            values["crop"] = Box(**values["crop"])
        if "window" in values:
            values["window"] = Box(**values["window"])
        if "hidden" in values:
            values["hidden"] = tuple(Box(**box) for box in values["hidden"])
        if "size" in values:
            values["size"] = tuple(values["size"])
        return Render(**values)
    except (ValueError, TypeError, StopIteration):
        raise Garbled(f"{text!r:.40} says nothing") from None


_text_from = lru_cache(maxsize=4096)(_content_from)
"""The captions of a library are few, and each stands beside many pictures."""


def placed_from(row: tuple[Any, ...]) -> Placed:
    """What a row of the manifest (path, content, sha256, size, modified) says. Raises Garbled."""
    return Placed(Output(row[0], content_from(row[1])), *row[2:])


def placed_row(placed: Placed, stem: str) -> tuple[Any, ...]:
    """The row of a placed file: path, stem, content, sha256, size, modified."""
    path, content = placed.output.path, content_text(placed.output.content)
    return path, stem, content, placed.sha256, placed.size, placed.modified
