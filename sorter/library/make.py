"""A step -> the bytes that it writes: an original, as it is or turned and cropped, or a text. Writes nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from sorter.classify.ask import Seen
from sorter.errors import LibraryError, PictureError
from sorter.files import MOST_BYTES, read_file, read_if
from sorter.library.pack import pack
from sorter.library.plan import key
from sorter.library.store.contents import Placed
from sorter.library.store.manifest import Manifest
from sorter.pictures.images import render
from sorter.records import Drop, Output, Put, Render, Shard, Step, Text, Unreadable
from sorter.threads import in_step

FindOriginal = Callable[[str], Iterable[Path | Seen]]
"""sha256 -> the picture of that hash as it was read just now, or the files that may hold it."""


@dataclass(frozen=True, slots=True)
class Ready:
    """A step with the bytes that it writes."""

    step: Step
    data: bytes
    sha256: str
    """Of the bytes to write; empty for a drop."""
    held: Output | None
    """What we placed there before."""
    same_file: bool = False
    """A drop of what is, on a disk that ignores case, also the name of a file that stays."""


@dataclass(frozen=True, eq=False)
class Maker:
    """Makes the bytes of a step; called from several threads."""

    manifest: Manifest
    originals: FindOriginal
    standing: dict[str, list[Placed]]
    """`key` -> what we placed with that name."""

    def is_light(self, step: Step | Unreadable) -> bool:
        """Whether there is hardly anything to make: a text, or a picture that is at hand and stays as it is; or, a
        shard, whose members are made by threads of their own."""
        if not isinstance(step, Put):
            return isinstance(step, Unreadable)
        wanted = step.output.content
        if not isinstance(wanted, Render):
            return True
        return self._at_hand(wanted, PurePosixPath(step.output.path).suffix) is not None

    def make(self, step: Step | Unreadable) -> Ready | Unreadable:
        """The step with its bytes, or why it is left."""
        if isinstance(step, Unreadable):
            return step
        target = inside(self.manifest.root, step.output.path)
        ours = self.standing.get(key(step.output.path), [])
        held = next((one for one in ours if one.output.path == step.output.path), None)
        before = held.output if held else None
        stands = sha256_at(target)
        if isinstance(step, Drop):
            if stands is not None and (held is None or stands != held.sha256):
                return Unreadable(target, "changed by hand, so it was left")
            return Ready(step, b"", "", before, same_file=self._stays_by_another_name(step.output, target, ours))
        try:
            data, sha256 = self._content(step.output, ours)
        except _MemberError as found:
            return Unreadable(target / found.member, str(found))
        except PictureError as found:
            return Unreadable(target, str(found))
        if stands is not None and stands not in (held and held.sha256, sha256):
            return Unreadable(target, "a file that is not ours stands there, so it was left")
        return Ready(step, data, sha256, before)

    def _stays_by_another_name(self, output: Output, target: Path, ours: list[Placed]) -> bool:
        """After `Happy` became `happy`, both names mean one folder on Windows and macOS."""
        others = [one.output.path for one in ours if one.output.path != output.path]
        return target.exists() and any(
            other.casefold() == output.path.casefold() and target.samefile(self.manifest.root / other)
            for other in others
            if (self.manifest.root / other).exists()
        )

    def _content(self, output: Output, ours: list[Placed]) -> tuple[bytes, str]:
        """The bytes of an output and their hash."""
        if isinstance(output.content, Shard):
            return _hashed(self._packed(output.path, output.content))
        if isinstance(output.content, Text):
            return _hashed(output.content.text.encode())
        suffix, wanted = PurePosixPath(output.path).suffix, output.content.sha256
        for placed in ours:
            # The same content in another folder: it need not be decoded and encoded again, nor the original be there.
            if placed.output.content == output.content and PurePosixPath(placed.output.path).suffix == suffix:
                found = read_if(inside(self.manifest.root, placed.output.path), placed.sha256)
                if found is not None:
                    return found, placed.sha256
        if (data := self._at_hand(output.content, suffix)) is not None:
            return data, wanted
        tried: Path | None = None
        for original in self.originals(wanted):
            if isinstance(original, Seen):
                data = original.data
            else:
                tried, data = original, read_if(original, wanted)
            if data is not None:
                is_whole = isinstance(original, Seen) or self.manifest.knows(wanted)
                made = render(data, output.content, suffix, is_whole)
                return (made, wanted) if made is data else _hashed(made)
        raise PictureError(f"the original is gone or has changed: {tried or wanted[:10]}")

    def _packed(self, path: str, shard: Shard) -> bytes:
        def member(output: Output) -> tuple[str, bytes]:
            try:
                return output.path, self._content(output, [])[0]
            except PictureError as found:
                raise _MemberError(output.path, str(found)) from None

        data = pack(PurePosixPath(path).suffix, list(in_step(member, shard.members)))
        if len(data) > MOST_BYTES:
            raise LibraryError(f"{self.manifest.root / path}: would be larger than {MOST_BYTES >> 20} MB; "
                               "make the pictures smaller with --size")  # fmt: skip
        return data

    def _at_hand(self, wanted: Render, suffix: str) -> bytes | None:
        """The bytes, where they were read just now and are placed as they are."""
        original = next(iter(self.originals(wanted.sha256)), None) if wanted.is_plain else None
        return original.data if isinstance(original, Seen) and original.suffix == suffix else None


class _MemberError(PictureError):
    """A picture that should go into a shard, and cannot be made."""

    def __init__(self, member: str, why: str) -> None:
        super().__init__(why)
        self.member = member


def inside(root: Path, path: str) -> Path:
    """The place of an output. Raises LibraryError where it would lie outside the library."""
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or any(part == ".." or "\\" in part or ":" in part for part in parts):
        raise LibraryError(f"{path!r}: would lie outside {root}; this is a fault in a layout")
    return root.joinpath(*parts)


def _hashed(data: bytes) -> tuple[bytes, str]:
    return data, hashlib.sha256(data).hexdigest()


def sha256_at(path: Path) -> str | None:
    """The hash of the file that stands there; None if nothing does, and "" if it is no file, or may not be read."""
    try:
        return hashlib.sha256(read_file(path)).hexdigest()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:
        return ""
