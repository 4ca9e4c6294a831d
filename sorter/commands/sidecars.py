"""Captions that lie beside the pictures which come in: taken over as a person's own words, or mentioned."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sorter.commands.answer import Door
from sorter.files import found_at, read_file
from sorter.library.captions_by_hand import NO_TEXT, read_caption
from sorter.library.store.manifest import Manifest
from sorter.pictures.images import SUFFIXES
from sorter.records import CAPTION, Picture, Unreadable
from sorter.tally import Report


def read_sidecars(manifest: Manifest, texts: list[Path], report: Report, command: str, take: bool) -> None:
    """Take over the texts that are called as a picture beside them (`take`), or say how many there are.

    A picture that has a person's caption already keeps it.
    """
    beside = [(path, sha256) for path in texts for sha256 in _pictures(manifest, path)]
    fresh = [(path, sha256) for path, sha256 in beside if manifest.given(sha256, CAPTION) is None]
    if not fresh:
        return
    if not take:
        some = ", ".join(path.name for path, _ in fresh[:3])
        report.notes.append(
            f"{len(fresh)} captions beside the pictures were left where they are ({some}{', ...' * (len(fresh) > 3)}); "
            "sort with --captions to take them over"
        )
        return
    door = Door(manifest, command, report)
    with manifest.change():
        for path, sha256 in fresh:
            try:
                text = read_caption(read_file(path))
            except OSError as found:
                report.failures.append(Unreadable(path, f"cannot be read: {found.strerror}"))
                continue
            if text is None:
                report.failures.append(Unreadable(path, NO_TEXT))
            elif text:
                report.counts["captions taken over"] += door.answer(sha256, CAPTION, text)


def _pictures(manifest: Manifest, text: Path) -> Iterator[str]:
    """The picture that a text belongs to: of its name but for the ending (a.png with a.txt, or with a.png.txt)."""
    names = [text.with_suffix(suffix) for suffix in sorted(SUFFIXES)] + [text.with_suffix("")]
    for path in names:
        try:
            (known,) = manifest.known([found_at(path)])
        except OSError:
            continue
        if isinstance(known, Picture):
            yield known.sha256
            return
