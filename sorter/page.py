"""One HTML file with everything inside: the form of every report. Text from outside is escaped by the template."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sorter.text import visible

if TYPE_CHECKING:
    from PIL.Image import Image

TEMPLATE = """\
<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{{ title }}</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 72rem; margin: 2rem auto; padding: 0 1rem }
summary { cursor: pointer; font-weight: bold; margin-top: 2.2rem }
h1 { font-size: 1.6rem } h2 { font-size: 1.15rem; margin-top: 2.2rem; border-bottom: 1px solid #ddd }
table { border-collapse: collapse; margin: .6rem 0 } td, th { padding: .15rem .9rem .15rem 0; text-align: left }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums }
.bar { display: inline-block; height: .7rem; background: #3b7dd8; border-radius: 2px }
.pictures { display: flex; flex-wrap: wrap; gap: .8rem } figure { margin: 0 }
figure img { display: block; max-width: 100% } .crisp img { image-rendering: pixelated }
figcaption { font-size: .8rem; color: #444; max-width: 27rem; overflow-wrap: anywhere }
svg { max-width: 100%; height: auto }
@media (prefers-color-scheme: dark) { body { background: #16181c; color: #ddd } figcaption { color: #aaa } }
</style>
<h1>{{ title }}</h1>
{% for section in sections %}{% if section.folded %}<details><summary>{{ section.title }}</summary>
{% else %}<h2>{{ section.title }}</h2>
{% endif %}{% for text in section.texts %}<p>{{ text }}</p>
{% endfor %}{% if section.rows %}<table>
{% if section.head %}<tr>{% for cell in section.head %}<th>{{ cell }}</th>{% endfor %}</tr>
{% endif %}{% for row in section.rows %}<tr>{% for cell in row %}<td{% if cell is number %} class="number"{% endif %}>
{{- cell }}</td>{% endfor %}</tr>
{% endfor %}</table>
{% endif %}{% if section.bars %}<table>
{% for name, count in section.bars %}<tr><td>{{ name }}</td><td class="number">{{ count }}</td>
<td><span class="bar" style="width: {{ 24 * count / section.longest }}rem"></span></td></tr>
{% endfor %}</table>
{% endif %}{% if section.plot %}{{ section.plot | safe }}
{% endif %}{% if section.pictures %}<div class="pictures{{ ' crisp' if section.crisp }}">
{% for picture in section.pictures %}<figure style="max-width: {{ picture.width }}px">
<img src="{{ picture.data }}" width="{{ picture.width }}" alt="">
<figcaption>{{ picture.text }}</figcaption></figure>
{% endfor %}</div>
{% endif %}{% if section.folded %}</details>
{% endif %}{% endfor %}</html>
"""


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture in a page, with the words below it."""

    data: str
    width: int
    text: str


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a page: any of text, a table, bars, a plot, pictures."""

    title: str
    texts: Sequence[str] = ()
    head: Sequence[str] = ()
    rows: Sequence[Sequence[Any]] = ()
    bars: Sequence[tuple[str, int]] = ()
    plot: str = ""
    """SVG of our own making: it is not escaped."""
    pictures: Sequence[Shown] = ()
    crisp: bool = False
    """Show small pictures with square pixels."""
    folded: bool = False
    """Show only the title until it is clicked: for what is long."""

    @property
    def longest(self) -> int:
        """The count that takes the full width."""
        return max((count for _, count in self.bars), default=0) or 1


def page(title: str, sections: Sequence[Section]) -> str:
    """The whole HTML text."""
    import jinja2

    def harmless(value: Any) -> Any:
        return visible(value) if type(value) is str else value  # of our own making is what is marked safe

    environment = jinja2.Environment(autoescape=True, finalize=harmless)
    return environment.from_string(TEMPLATE).render(title=title, sections=sections)


def shown(picture: Image | Path, text: str, width: int = 280, keep_pixels: bool = False) -> Shown:
    """A picture made small and put into the page itself; `keep_pixels` for pictures smaller than `width`."""
    import PIL.Image

    image = picture if isinstance(picture, PIL.Image.Image) else PIL.Image.open(picture)
    image = image.convert("RGB")
    if not keep_pixels:
        image.thumbnail((2 * width, 2 * width))
    out = io.BytesIO()
    image.save(out, "PNG" if keep_pixels else "JPEG", quality=80)
    kind = "png" if keep_pixels else "jpeg"
    return Shown(f"data:image/{kind};base64,{base64.b64encode(out.getvalue()).decode()}", width, text)


def side_by_side(first: Image, second: Image, text: str, width: int = 440) -> Shown:
    """Two pictures as one, so that a narrow window does not part them."""
    from PIL import Image as Images
    from PIL import ImageOps

    half = width - 4, width * 9 // 16
    both = Images.new("RGB", (2 * width, half[1]), "white")
    for place, image in ((0, first), (width + 4, second)):
        both.paste(ImageOps.pad(image, half, color="white"), (place, 0))
    return shown(both, text, width)


def line_plot(curves: Mapping[str, tuple[Sequence[float], Sequence[float]]], across: str, up: str) -> str:
    """An SVG of curves, name -> (x, y)."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3), layout="constrained")
    axes = figure.add_subplot()
    for name, (x, y) in curves.items():
        axes.plot(x, y, label=name, linewidth=1.5 if len(curves) == 1 or name != "each step" else 0.5)
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.grid(alpha=0.3)
    if len(curves) > 1:
        axes.legend()
    out = io.StringIO()
    figure.savefig(out, format="svg")
    return out.getvalue()[out.getvalue().index("<svg") :]
