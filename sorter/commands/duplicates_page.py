"""The groups of `sorter duplicates` as one HTML page, to be looked at before anything is left out."""

from __future__ import annotations

from pathlib import Path

from sorter.classify.copies import EXACT
from sorter.commands.duplicates import NEIGHBOUR, Found, Group
from sorter.commands.gallery import SMALL, Gallery, Request
from sorter.errors import LibraryError
from sorter.files import write
from sorter.library.store.manifest import Manifest
from sorter.page import Section, Shown, page
from sorter.records import Picture

MOST_GROUPS = 150
"""Groups that are shown, the largest first; the others are counted."""
MOST_COPIES = 11
"""Copies of a group that are shown."""


def write_page(manifest: Manifest, found: Found, to: Path) -> None:
    """Write the page. Raises LibraryError where `to` cannot be written."""
    gallery = Gallery(manifest, to.parent)
    copies = [group for group in found.groups if group.others[0].how != NEIGHBOUR]
    scenes = [group for group in found.groups if group.others[0].how == NEIGHBOUR]
    sections = [
        _in_short(found),
        *_sheet("Copies", copies, found, gallery),
        *_sheet("Neighbours of a scene", scenes, found, gallery),
    ]
    try:
        write(to, page(f"Duplicates in {manifest.root.name}", sections).encode())
    except OSError as error:
        raise LibraryError(f"{to}: cannot be written: {error.strerror}") from None


def _in_short(found: Found) -> Section:
    counts = found.counts()
    rows = [("groups", len(found.groups)), *counts.most_common(), ("could be left out", len(found.to_go))]
    texts = ["The first of each group is kept: the one that shows most, by its size and its sharpness."]
    if found.files:
        texts.append(f"{found.files:,} files have the same bytes as another; those are one picture from the start.")
    return Section("In short", texts, rows=rows)


def _sheet(title: str, groups: list[Group], found: Found, gallery: Gallery) -> list[Section]:
    if not groups:
        return []
    parts = []
    for group in groups[:MOST_GROUPS]:
        some = group.others[:MOST_COPIES]
        requests = [Request(gallery.original(group.kept), _size(found.pictures[group.kept]), SMALL, "kept")]
        for one in some:
            size = _size(found.pictures[one.sha256])
            text = "\n".join(filter(None, [size, one.why, f"stays: {one.stays}" if one.stays else ""]))
            requests.append(Request(gallery.original(one.sha256), text, SMALL, _label(one.how)))
        shown = [picture for picture in gallery.show(requests) if isinstance(picture, Shown)]
        more = len(group.others) - len(some)
        parts.append(
            Section(
                f"{_name(found.pictures[group.kept])} and {len(group.others):,} more",
                pictures=shown,
                more=f"and {more:,} more" if more else "",
            )
        )
    more = len(groups) - len(parts)
    texts = [f"Shown are the {len(parts):,} largest of {len(groups):,} groups."] if more else []
    return [Section(f"{title} ({len(groups):,} groups)", texts, parts=parts)]


def _label(how: str) -> str:
    return "the same pixels" if how == EXACT else how


def _size(picture: Picture) -> str:
    return f"{picture.width} x {picture.height}"


def _name(picture: Picture) -> str:
    return picture.path.replace("\\", "/").rpartition("/")[2]
