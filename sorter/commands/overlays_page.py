"""`sorter overlays`: what lies over a library's pictures, drawn onto them, as one HTML page. Writes that, and what was
found into the manifest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from sorter.commands.chosen import current_hash
from sorter.commands.gallery import MIDDLE, Gallery, Mark, Place, Request
from sorter.commands.overlays import Standing, find_overlays, source_of
from sorter.dataset.overlays import Overlays
from sorter.errors import LibraryError
from sorter.files import write
from sorter.library.store.manifest import Manifest
from sorter.page import Section, page
from sorter.records import Box, Render
from sorter.tally import Report, Track, silent

MOST = 1000
"""Pictures that are drawn of a kind."""
Boxes = Callable[[Overlays], tuple[Box, ...]]
KINDS: Mapping[str, tuple[str, str, Boxes]] = {
    "with bars": (
        "Bars",
        "Green: what is left of the picture. Every export cuts there, unless it is told --overlays keep.",
        lambda found: (found.window,) if found.window else (),
    ),
    "with subtitles": (
        "Subtitles and watermarks",
        "Red: lines of words that --overlays cut cuts off, or masks where too much would be lost; mask masks them all.",
        lambda found: found.subtitles,
    ),
    "with a logo": (
        "Logos",
        "Orange: what stays at its place in the pictures of a folder or video while these change.",
        lambda found: found.logos,
    ),
}
"""What is counted -> title, text, and whether a picture has it."""


def write_page(library: Path, to: Path, text: bool = True, track: Track[Any] = silent) -> Report:
    """Look at the pictures that stand in a library, and write the page; what was found is counted.

    `text`: look for subtitles and logos, too. Raises MissingExtra, and LibraryError where `to` cannot be written.
    """
    report = Report()
    with Manifest(library, dry_run=True) as manifest:
        manifest.refuse_dataset()
        files = _standing(manifest)
        found, report.failures = find_overlays(manifest, files, text, track)
        report.counts["pictures"] = len(found)
        gallery = Gallery(manifest, to.absolute().parent)
        sections = []
        for what, (title, words, boxes) in KINDS.items():
            some = sorted((one for one in found if boxes(found[one])), key=lambda one: files[one].path)
            report.counts[what] = len(some)
            if some:
                requests = [Request([Place(files[one].path)], width=MIDDLE, marks=_marks(found[one])) for one in some]
                shown = gallery.show(track(requests[:MOST], f"drawing {title.lower()}", len(requests[:MOST])))
                more = f"and {len(some) - MOST:,} more" if len(some) > MOST else ""
                pictures = [one for one in shown if one]
                sections.append(Section(f"{title} ({len(some):,})", [words], pictures=pictures, more=more))
    rows = [(name, count) for name, count in report.counts.items()]
    try:
        write(
            to, page(f"Overlays: {library.name}", [Section("In short", rows=rows), *sections], contents=True).encode()
        )
    except OSError as error:
        raise LibraryError(f"{to}: cannot be written: {error.strerror}") from None
    return report


def _standing(manifest: Manifest) -> dict[str, Standing]:
    """The pictures that stand where we placed them, by the hashes of their files as they are now."""
    paths = {picture.sha256: picture.path for picture, _ in manifest.pictures({})}
    found = {}
    for one in manifest.placed():
        content = one.output.content
        if isinstance(content, Render) and (sha256 := current_hash(manifest.root, one)):
            source = source_of(paths.get(content.sha256, one.output.path))
            found[sha256] = Standing(manifest.root / one.output.path, source, one.is_mirrored)
    return found


def _marks(found: Overlays) -> tuple[Mark, ...]:
    """Everything that was found, whichever part of the page it is shown in."""
    coloured: Iterable[tuple[str, tuple[Box, ...]]] = (
        ("lime", (found.window,) if found.window else ()),
        ("red", found.subtitles),
        ("orange", found.logos),
    )
    return tuple(Mark(box, found.size, colour) for colour, boxes in coloured for box in boxes)
