"""--take: originals move into the library's keeping once their place in the library is proven, and back by undo."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sorter.files import copy, read_if
from sorter.library.store.manifest import FOLDER, Manifest
from sorter.records import Render, Unreadable


def kept(root: Path, sha256: str) -> Path:
    """Where the library keeps the original of this hash."""
    return root / FOLDER / "originals" / sha256[:2] / sha256


def places(manifest: Manifest, sha256: str) -> list[Path]:
    """Where the original of this hash may lie: where it was found, or in the library's keeping."""
    return [*manifest.copies(sha256), kept(manifest.root, sha256)]


def take_originals(manifest: Manifest, run: int, source: Path) -> Iterator[Path | Unreadable]:
    """Move into keeping every original below `source` whose picture stands in the library as we wrote it."""
    for placed in list(manifest.placed()):
        content = placed.output.content
        if not isinstance(content, Render):
            continue
        there = [path for path in manifest.copies(content.sha256) if source in path.parents and path.exists()]
        if not there or not _holds(manifest.root / placed.output.path, placed.sha256):
            continue
        for original in there:
            if _holds(original, content.sha256):
                yield _take(manifest, original, content.sha256, run)


def give_back_originals(manifest: Manifest, since: int) -> Iterator[Path | Unreadable]:
    """Put the originals that were taken in run `since` and later ones back where they came from."""
    for original, sha256 in manifest.journal.taken(since):
        if original.exists():
            if not _holds(original, sha256):
                yield Unreadable(
                    original, f"another file lies there now; the original is {kept(manifest.root, sha256)}"
                )
                continue
        elif not _copy(kept(manifest.root, sha256), original, sha256):
            yield Unreadable(original, f"cannot be put back from {kept(manifest.root, sha256)}")
            continue
        with manifest.change():
            manifest.journal.give_back(original)
        yield original


def _take(manifest: Manifest, original: Path, sha256: str, run: int) -> Path | Unreadable:
    keep = kept(manifest.root, sha256)
    with manifest.change():
        manifest.journal.take(original, sha256, run)
    if not _holds(keep, sha256) and not _copy(original, keep, sha256):
        return Unreadable(original, "cannot be copied into the library's keeping, so it was left")
    try:
        original.unlink()
    except OSError as found:
        return Unreadable(original, f"kept a copy, but the original cannot be removed: {found.strerror}")
    return original


def _copy(source: Path, target: Path, sha256: str) -> bool:
    """Copy whole or not at all; whether it could be."""
    try:
        copy(source, target, sha256)
    except OSError:
        return False
    return True


def _holds(path: Path, sha256: str) -> bool:
    return read_if(path, sha256) is not None
