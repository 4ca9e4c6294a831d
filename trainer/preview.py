"""Previews: prompts for those who give none, and one picture that grows with the run, a row for each step."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from sorter.files import write

GRID = "previews.jpg"
"""In the run folder: the folder of previews holds those of a step each, and nothing else."""
SUGGESTED = 4
SIDE = 256
"""Pixels of the longer side of a picture in the grid."""
MOST_ROWS = 60
"""Of the grid; of more steps, some are left out, evenly: a JPEG ends at 65,535 pixels."""
MARGIN, LINE = 6, 14
MOST_LINES = 6
BRACKET = re.compile(r"(?<!\\)([()\[\]])")
STEP = re.compile(r"step-(\d{6,})")


def suggest(captions: Sequence[str], emphasis: bool, count: int = SUGGESTED) -> tuple[str, ...]:
    """Captions of the dataset that together have as many of its tags as possible, the most frequent first.

    emphasis: whether brackets in prompts weigh; then those of captions are escaped. Pure.
    """
    tags = {caption: [tag.strip() for tag in caption.split(",") if tag.strip()] for caption in captions}
    frequent = Counter(tag for caption in captions for tag in tags[caption])
    left, shown, chosen = dict.fromkeys(caption for caption in tags if tags[caption]), set[str](), list[str]()
    while left and len(chosen) < count:
        best = max(left, key=lambda caption: sum(frequent[tag] for tag in set(tags[caption]) - shown))
        chosen.append(best)
        shown.update(tags[best])
        del left[best]
    return tuple(BRACKET.sub(r"\\\1", caption) if emphasis else caption for caption in chosen)


def write_grid(folder: Path, prompts: Sequence[str]) -> Path:
    """Lay out all previews of a run folder: steps downwards, prompts across, each named. Returns the file."""
    there = (folder / "previews").iterdir()
    steps = sorted((int(match[1]), path) for path in there if (match := STEP.fullmatch(path.name)))
    if len(steps) > MOST_ROWS:
        steps = [steps[round(number * (len(steps) - 1) / (MOST_ROWS - 1))] for number in range(MOST_ROWS)]
    rows = [(step, [_small(path / f"{number:02d}.png") for number in range(len(prompts))]) for step, path in steps]
    width, height = (max(picture.size[axis] for _, row in rows for picture in row) for axis in (0, 1))
    font = ImageFont.load_default(12)
    heads = [_wrapped(prompt, font, width) for prompt in prompts]
    left = MARGIN + int(max(font.getlength(f"step {step}") for step, _ in rows)) + MARGIN
    top = MARGIN + LINE * max(map(len, heads)) + MARGIN
    size = left + len(prompts) * (width + MARGIN), top + len(rows) * (height + MARGIN)
    grid = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(grid)
    for column, lines in enumerate(heads):
        pen.multiline_text((left + column * (width + MARGIN), MARGIN), "\n".join(lines), "black", font, spacing=2)
    for line, (step, row) in enumerate(rows):
        y = top + line * (height + MARGIN)
        pen.text((MARGIN, y), f"step {step}", "black", font)
        for column, picture in enumerate(row):
            grid.paste(picture, (left + column * (width + MARGIN), y))
    out = BytesIO()
    grid.save(out, "JPEG", quality=90, subsampling=0)
    write(folder / GRID, out.getvalue())
    return folder / GRID


def _small(path: Path) -> Image.Image:
    """A preview, no larger than the grid has room for; a grey one where it is lost."""
    try:
        with Image.open(path) as opened:
            picture = opened.convert("RGB")
    except OSError:
        return Image.new("RGB", (SIDE, SIDE), "grey")
    picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    return picture


def _wrapped(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> list[str]:
    """The text in lines of at most so many pixels, and not too many of them."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines if len(lines) <= MOST_LINES else [*lines[: MOST_LINES - 1], "..."]
