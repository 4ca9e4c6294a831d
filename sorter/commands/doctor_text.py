"""What the doctor found, for people, for scripts, and as a page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sorter.dataset.doctor import Diagnosis, Example
from sorter.errors import DatasetError, PictureError
from sorter.files import read_file, write
from sorter.page import Section, Shown, page, shown
from sorter.pictures.images import load, open_picture
from sorter.tally import some
from sorter.threads import in_step

if TYPE_CHECKING:
    from PIL.Image import Image

MOST_SHOWN = 12
"""Pictures of a kind on a page."""
MEANING = {
    "stops": "the trainer stops",
    "drops": "left out",
    "changes": "not as it may look",
    "notes": "good to know",
}


def lines_of(found: Diagnosis, folder: Path, name: str) -> list[str]:
    """A table of kinds, the worst first, with the first few names and what to do."""
    repeats = sum(one.repeats for one in found.examples)
    lines = [f"{folder}: {name} trains on {len(found.examples)} pictures, {repeats} an epoch"]
    lines += [f"{len(found.held_out)} more are held out for validation"] if found.held_out else []
    lines += found.notes
    for example in found.examples[:5]:
        fit = example.fit
        size = f"{fit.picture[0]}x{fit.picture[1]} -> {fit.bucket[0]}x{fit.bucket[1]}, {fit.lost:.0%} cut off"
        lines.append(f"  {example.path}: {size}, {example.repeats} times: {example.caption[:80]!r}")
    for kind, findings in found.by_kind().items():
        names = some([f"{one.path} ({one.detail})" if one.detail else one.path for one in findings], 3)
        lines += [f"{MEANING[kind.weight]}: {len(findings)} x {kind.name}", f"    {names}", f"    {kind.do}"]
    if not found.findings:
        lines.append("nothing to trip over")
    return lines


def as_dict(found: Diagnosis, folder: Path, name: str) -> dict[str, Any]:
    """The same as --json prints it, all of it."""
    return {
        "dataset": str(folder),
        "for": name,
        "fails": found.fails,
        "notes": found.notes,
        "findings": [
            {"kind": kind.name, "weight": kind.weight, "do": kind.do, "count": len(findings),
             "files": [{"path": one.path, "detail": one.detail} for one in findings]}
            for kind, findings in found.by_kind().items()
        ],
        "buckets": {f"{wide}x{high}": count for (wide, high), count in sorted(found.buckets().items())},
        "pictures": [_row(one) for one in found.examples],
        "held_out": [_row(one) for one in found.held_out],
    }  # fmt: skip


def _row(one: Example) -> dict[str, Any]:
    crop = one.fit.crop
    return {
        "path": one.path, "caption": one.caption, "repeats": one.repeats, "bucket": one.fit.bucket,
        "scaled": one.fit.scaled, "crop": [crop.left, crop.top, crop.right, crop.bottom],
        "lost": round(one.fit.lost, 4),
    }  # fmt: skip


def write_page(found: Diagnosis, folder: Path, name: str, to: Path) -> None:
    """The page: what was found, the sizes, and pictures with what is kept of them. Raises DatasetError."""
    repeats = sum(one.repeats for one in found.examples)
    held_out = f" {len(found.held_out):,} more are held out for validation." if found.held_out else ""
    short = [f"{len(found.examples):,} pictures, {repeats:,} an epoch.{held_out}", *found.notes]
    rows = [(MEANING[kind.weight], kind.name, len(some), kind.do) for kind, some in found.by_kind().items()]
    sections = [Section("In short", short, ["", "what", "files", "what to do"] if rows else [], rows)]
    by_path = {one.path: one for one in found.examples}
    for kind, findings in found.by_kind().items():
        pictures = _shown([by_path[one.path] for one in findings if one.path in by_path][:MOST_SHOWN], folder)
        files = [(one.path, one.detail) for one in findings]
        title, many = f"{kind.name} ({len(findings):,})", len(files) > MOST_SHOWN
        parts = [Section("All of them", rows=files, folded=True)] if many else []
        sections.append(Section(title, [kind.do], rows=[] if many else files, pictures=pictures, parts=parts))
    sizes = [(f"{wide}x{high}", count) for (wide, high), count in found.buckets().most_common()]
    sections.append(Section("Sizes", ["Pictures of each size that is trained on, repeats included."], bars=sizes))
    most_lost = sorted(found.examples, key=lambda one: -one.fit.lost)[: 2 * MOST_SHOWN]
    text = "The pictures of which most is cut off: what is outside of the frame is never seen."
    sections.append(Section("What is cut off", [text], pictures=_shown(most_lost, folder)))
    try:
        write(to, page(f"{folder.name} for {name}", sections, contents=True).encode())
    except OSError as error:
        raise DatasetError(f"{to}: cannot be written: {error.strerror}") from None


def _shown(examples: list[Example], folder: Path) -> list[Shown]:
    drawn = in_step(lambda one: _drawn(one, folder), examples)
    return [
        replace(shown(image, f"{_size(one)}\n{one.caption[:120]}", 200), name=one.path)
        for one, image in zip(examples, drawn, strict=True)
        if image is not None
    ]


def _size(one: Example) -> str:
    fit = one.fit
    return f"{fit.bucket[0]}x{fit.bucket[1]}, {fit.lost:.0%} cut off"


def _drawn(one: Example, folder: Path) -> Image | None:
    """The picture made small, dark where it is cut off, with a frame around the rest; None where it is gone."""
    from PIL import Image, ImageDraw

    try:
        picture = load(open_picture(read_file(folder / one.path)))
    except (PictureError, OSError):
        return None
    box, (width, height) = one.fit.seen, one.fit.picture
    picture.thumbnail((400, 400))
    across, up = picture.width / width, picture.height / height
    kept = (round(box.left * across), round(box.top * up),
            max(1, round(box.right * across)), max(1, round(box.bottom * up)))  # fmt: skip
    dark = Image.blend(picture, Image.new("RGB", picture.size), 0.65)
    dark.paste(picture.crop(kept), kept[:2])
    ImageDraw.Draw(dark).rectangle((kept[0], kept[1], kept[2] - 1, kept[3] - 1), outline="#2f6fce", width=3)
    return dark
