"""Draws docs/overview.jpg, the one picture in the README, from what `make demo` left in demo/.

python samples/overview.py
"""

from __future__ import annotations

import textwrap
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from trainer.recipe import written_prompt

ROOT = Path(__file__).resolve().parent.parent
DEMO, TARGET = ROOT / "demo", ROOT / "docs" / "overview.jpg"
FRAME, PREVIEW, GAP, TOP = (224, 126), 126, 8, 64
INK, PALE = "#222222", "#666666"
EACH = 4


def main() -> None:
    """Three columns: as they came, as they stand, before and after training."""
    pairs = turned_pairs()
    height = TOP + EACH * (FRAME[1] + 48 + GAP)
    width = 2 * FRAME[0] + 2 * PREVIEW + 2 * 70 + 5 * GAP
    canvas = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(canvas)
    left, middle, right = GAP, GAP + FRAME[0] + 70, GAP + 2 * FRAME[0] + 2 * 70
    heading(draw, left, "frames, as they came")
    heading(draw, middle, "sorted, turned, captioned")
    heading(draw, right, "before and after training")
    previews = preview_pairs()
    for row in range(EACH):
        y = TOP + row * (FRAME[1] + 48 + GAP)
        original, turned, caption = pairs[row]
        canvas.paste(original, (left, y))
        canvas.paste(turned, (middle, y))
        words(draw, middle, y + FRAME[1] + 4, caption)
        before, after, prompt = previews[row]
        canvas.paste(before, (right, y))
        canvas.paste(after, (right + PREVIEW + GAP, y))
        words(draw, right, y + FRAME[1] + 4, prompt)
    for x in (left + FRAME[0], middle + FRAME[0]):
        arrow(draw, x + 14, TOP + FRAME[1] + 48 + GAP + FRAME[1] // 2)
    canvas.save(TARGET, quality=88)
    print(f"{TARGET}: {TARGET.stat().st_size // 1024} KB")


def turned_pairs() -> list[tuple[Image.Image, Image.Image, str]]:
    """Frames that were turned: as they came, as they stand, and their captions; a different class folder each."""
    from sorter.library.store.manifest import Manifest
    from sorter.records import Render

    found: dict[str, tuple[Image.Image, Image.Image, str]] = {}
    with Manifest(DEMO / "library") as manifest:
        for one in manifest.placed():
            content = one.output.content
            if not isinstance(content, Render) or not content.mirror or "_unsure" in one.output.path:
                continue
            place = DEMO / "library" / one.output.path
            original = DEMO / manifest.copies(content.sha256)[0]
            caption = place.with_suffix(".txt").read_text(encoding="utf-8").strip()
            key = "/".join(one.output.path.split("/")[:2])
            found.setdefault(key, (small(original), small(place), caption))
    chosen = sorted(found)
    return [found[chosen[i * len(chosen) // EACH]] for i in range(EACH)]


def preview_pairs() -> list[tuple[Image.Image, Image.Image, str]]:
    """The same prompt and seed before the first step and after the last one."""
    folders = sorted((DEMO / "run" / "previews").iterdir())
    pairs = []
    for path in sorted(folders[0].glob("*.png"))[:EACH]:
        with Image.open(path) as image:
            prompt = written_prompt(image.info)
        pairs.append((large(path), large(folders[-1] / path.name), prompt))
    return pairs


def small(path: Path) -> Image.Image:
    """A frame at the size of the overview."""
    return Image.open(path).convert("RGB").resize(FRAME, Image.Resampling.LANCZOS)


def large(path: Path) -> Image.Image:
    """A 64-pixel preview at the size of the overview."""
    return Image.open(path).convert("RGB").resize((PREVIEW, PREVIEW), Image.Resampling.BICUBIC)


def heading(draw: ImageDraw.ImageDraw, x: int, text: str) -> None:
    """A column's title."""
    draw.text((x, 22), text, INK, ImageFont.load_default(18))


def words(draw: ImageDraw.ImageDraw, x: int, y: int, text: str) -> None:
    """A caption."""
    draw.multiline_text((x, y), textwrap.fill(text, 38), PALE, ImageFont.load_default(12), spacing=2)


def arrow(draw: ImageDraw.ImageDraw, x: int, y: int) -> None:
    """From one column to the next."""
    draw.line((x, y, x + 34, y), INK, 5)
    draw.polygon(((x + 30, y - 10), (x + 46, y), (x + 30, y + 10)), INK)


if __name__ == "__main__":
    main()
