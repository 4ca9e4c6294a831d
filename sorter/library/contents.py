"""What stands in a library and what was going to, and contents as text for the manifest. Pure."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from sorter.records import Box, Output, Render, Text


@dataclass(frozen=True, slots=True)
class Placed:
    """A file that we wrote, as we left it."""

    output: Output
    sha256: str
    size: int
    modified: int


@dataclass(frozen=True, slots=True)
class Intent:
    """A journal row: what a step was going to do. `sha256` is of the bytes to write, empty for a drop."""

    id: int
    path: str
    before: str | None
    after: str | None
    sha256: str


def content_text(content: Render | Text) -> str:
    """A content as one line of JSON; equal contents give equal lines."""
    if isinstance(content, Text):
        return json.dumps({"text": content.text}, ensure_ascii=False)
    values = {key: value for key, value in asdict(content).items() if value}
    return json.dumps(values, sort_keys=True)


def content_from(text: str) -> Render | Text:
    """The content that `content_text` wrote."""
    values = json.loads(text)
    if "text" in values:
        return Text(values["text"])
    if "crop" in values:
        values["crop"] = Box(**values["crop"])
    if "size" in values:
        values["size"] = tuple(values["size"])
    return Render(**values)
