"""Captions that a person has written, moved or removed: their words are an answer, wherever the file lies."""

from __future__ import annotations

import codecs
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from sorter.files import found_at, read_file
from sorter.library.caption import tidy
from sorter.library.store.contents import Placed
from sorter.library.store.manifest import Manifest
from sorter.library.survey import Stranger
from sorter.records import CAPTION, Output, Text, Unreadable

if TYPE_CHECKING:
    from sorter.library.corrections import Door, Hand

BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
"""What a text begins with that says how it is written; Windows' Notepad calls the second Unicode."""
ANSI = "mbcs" if os.name == "nt" else "cp1252"
"""How programs on Windows write a text that is not Unicode: in the system's own code page; elsewhere, the most common
one is assumed."""
NO_TEXT = "is no text that can be read as UTF-8, UTF-16 or ANSI; save it again as UTF-8"


def read_caption(data: bytes) -> str | None:
    """What a caption file says, on one line; None if it is no text."""
    encodings = [name for mark, name in BOMS if data.startswith(mark)] or ["utf-8", ANSI]
    for name in encodings:
        try:
            text = data.decode(name)
        except UnicodeDecodeError:
            continue
        return tidy(text.replace("\n", ", ")) if all(char.isprintable() or char.isspace() for char in text) else None
    return None


@dataclass
class Captions:
    """Reads the captions of one picture after the other."""

    manifest: Manifest
    door: Door
    is_class: Callable[[str], bool] = lambda folder: False
    """Whether this is one of the class folders."""
    taken: int = 0
    """Captions in words that are news."""
    surplus: set[str] = field(default_factory=set)
    """Captions of ours that no longer lie beside their picture."""
    failures: list[Unreadable] = field(default_factory=list)

    def read(self, sha256: str, rows: list[Placed], hand: Hand, home: str | None) -> None:
        """Take over a picture's caption. `rows`: the captions that we wrote; `home`: where the picture stands."""
        written = [one for one in hand.strangers if one.is_caption]
        stands = [one for one in rows if one not in hand.gone]
        moved = _beside(home, written)
        if moved is None and written and (home is None or not stands):
            moved = written[0]
        self.surplus.update(one.output.path for one in stands if moved and one not in hand.changed)
        ours = next(iter(rows), None)
        for row in stands:
            if row in hand.changed:
                self.record(sha256, row)
        for one in written:
            content = self._said(sha256, one, ours) if one is moved or self.is_class(one.folder) else None
            if one is moved or content is not None:  # of our own words, so that it is cleared away
                self.record(sha256, Placed(Output(one.path, content or Text("")), "", 0, 0))
        for row in rows:
            if row in hand.gone:
                self.manifest.forget_placed(row.output.path)
                self.door.moved(row.output, Output(moved.path, row.output.content) if moved and row is ours else None)

    def _said(self, sha256: str, one: Stranger, ours: Placed | None) -> Text | None:
        """What a text says, if these are no words of a person's but ours, as we have written them some time."""
        try:
            words = read_caption(read_file(one.file.path))
        except OSError:
            return None
        written = [ours.output.content] if ours else self.manifest.journal.texts(sha256[:10])
        return next((text for text in written if isinstance(text, Text) and tidy(text.text) == words), None)

    def record(self, sha256: str, placed: Placed) -> bool:
        """Record a caption file as it stands; whether a person wrote other words into it than `placed` says."""
        path = self.manifest.root / placed.output.path
        try:
            data, file = read_file(path), found_at(path)
        except OSError as found:
            self.failures.append(Unreadable(path, f"cannot be read: {found.strerror}"))
            return False
        text = read_caption(data)
        if text is None:
            self.failures.append(Unreadable(path, NO_TEXT))
            return False
        content = placed.output.content
        is_own = not (isinstance(content, Text) and tidy(content.text) == text)
        if is_own:
            self.taken += self.door.answer(sha256, CAPTION, text)
            content = Text(text + "\n")
        digest = hashlib.sha256(data).hexdigest()
        self.manifest.set_placed(Placed(Output(placed.output.path, content), digest, file.size, file.modified))
        return is_own


def _beside(home: str | None, written: list[Stranger]) -> Stranger | None:
    """The text that lies beside a picture: that which is called as it, where there are several."""
    if home is None:
        return None
    here = [one for one in written if one.folder == home.rpartition("/")[0]]
    name = PurePosixPath(home).stem
    return min(here, key=lambda one: (PurePosixPath(one.path).stem != name, one.path), default=None)
