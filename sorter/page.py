"""One HTML file with everything inside: the form of every report. Text from outside is escaped by the template."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from sorter.text import visible

if TYPE_CHECKING:
    from PIL.Image import Image

TEMPLATE = """\
<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>
:root { color-scheme: light dark; --ink: #1d2430; --dim: #5c6675; --line: #d8dce2; --soft: #f4f6f9; --blue: #2f6fce;
  --red: #b5362c; --paper: #fff }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ee; --dim: #9aa5b5; --line: #363c47; --soft: #20242c;
  --blue: #6aa5f5; --red: #ef8379; --paper: #16181c } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 1.5rem auto;
  padding: 0 clamp(.8rem, 2vw, 2rem); overflow-wrap: anywhere }
a { color: var(--blue) } p { max-width: 60rem; margin: .5rem 0 }
h1 { font-size: 1.6rem; line-height: 1.25 } h2, summary.large { font-size: 1.2rem; margin: 2.4rem 0 .6rem }
h2, summary.large { border-bottom: 1px solid var(--line); font-weight: 600; padding-bottom: .2rem }
h3, summary { font-size: 1rem; font-weight: 600; margin: 1.2rem 0 .5rem } summary { cursor: pointer }
nav { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem }
.wide { overflow-x: auto } table { border-collapse: collapse; margin: .6rem 0 }
td, th { padding: .2rem .9rem .2rem 0; text-align: left; vertical-align: top; overflow-wrap: normal }
th { font-weight: 600 } td:first-child, td.long { overflow-wrap: anywhere; min-width: 6rem }
.headed td, .headed th { border-bottom: 1px solid var(--line) }
td.number { text-align: right; font-variant-numeric: tabular-nums } td.zero { color: var(--red); font-weight: 600 }
td.shown { padding: 0 .4rem .6rem 0; font-size: .8rem; line-height: 1.35; color: var(--dim) }
td.shown img { border-radius: 3px } td.shown span { display: block }
.crisp img { image-rendering: pixelated; border-radius: 0 }
.bar { display: inline-block; height: .7rem; background: var(--blue); border-radius: 2px }
.pictures { display: grid; gap: 1rem .8rem; margin: .8rem 0;
  grid-template-columns: repeat(auto-fill, minmax(min(var(--width), 100%), 1fr)) }
figure { margin: 0; min-width: 0 } figure img { display: block; width: 100%; height: auto; border-radius: 3px }
figcaption { font-size: .8rem; line-height: 1.35; color: var(--dim); margin-top: .25rem; max-width: 36rem }
figcaption b { font-weight: 500; color: var(--ink) } figcaption span { display: block }
.two { display: flex; gap: .5rem } .two > div { flex: 1 1 0; min-width: 0 }
.heat td, .heat th { padding: .35rem .5rem; text-align: center; vertical-align: bottom; min-width: 3.2rem }
.heat th:first-child { text-align: right; vertical-align: middle } .heat td { border: 2px solid var(--paper);
  background: color-mix(in srgb, var(--blue) var(--shade), var(--soft)) } .heat td.none { background: none;
  outline: 1px dashed var(--red); outline-offset: -3px } .heat td.none b { color: var(--red) }
.heat img { display: block; margin: 0 auto .2rem; border-radius: 3px; height: auto }
.label { font-size: .8rem; color: var(--dim) }
svg { max-width: 100%; height: auto; fill: currentColor }
@media (max-width: 560px) { .pictures.small { grid-template-columns: 1fr 1fr }
  td.shown img { width: 5.6rem; height: auto } .headed td { font-size: .85rem } }
</style>
<h1>{{ title }}</h1>
{% macro linked(text, href) %}
{%- if href %}<a href="{{ href }}">{{ text }}</a>{% else %}{{ text }}{% endif %}
{%- endmacro %}
{% macro image(one) %}
{%- if one.label %}<div class="label">{{ one.label }}</div>{% endif %}
{%- if one.href %}<a href="{{ one.href }}">{% endif -%}
<img src="{{ one.data }}" width="{{ one.width }}"{% if one.height %} height="{{ one.height }}"{% endif %} \
style="max-width: {{ one.room }}px" loading="lazy" alt="">
{%- if one.href %}</a>{% endif %}
{%- endmacro %}
{% macro body(section) %}
{% for text in section.texts %}<p>{{ text }}</p>
{% endfor %}{% if section.rows %}<div class="wide"><table{% if section.head %} class="headed"{% endif %}>
{% if section.head %}<tr>{% for cell in section.head %}<th>{{ cell }}</th>{% endfor %}</tr>
{% endif %}{% for row in section.rows %}<tr>{% for cell in row %}
{%- if cell.data %}<td class="shown">{{ image(cell) }}
{%- for line in cell.lines %}<span>{{ line }}</span>{% endfor %}</td>
{%- elif cell is number %}<td class="number{{ ' zero' if section.gaps and not cell }}">{{ cell | thousands }}</td>
{%- else %}<td>{{ linked(cell, cell.href) }}</td>{% endif %}{% endfor %}</tr>
{% endfor %}</table></div>
{% endif %}{% if section.bars %}<div class="wide"><table>
{% for name, count in section.bars %}<tr><td>{{ name }}</td><td class="number">{{ count | thousands }}</td>
<td><span class="bar" style="width: calc(min(24rem, 36vw) * {{ count / section.longest }})"></span></td></tr>
{% endfor %}</table></div>
{% endif %}{% if section.heat %}<div class="wide"><table class="heat">
<tr><th></th>{% for name in section.heat.columns %}<th>{{ name }}</th>{% endfor %}</tr>
{% for name, cells in section.heat.rows %}<tr><th>{{ name }}</th>{% for cell in cells %}
<td{% if section.heat.gaps and not cell.count %} class="none"{% endif %} \
{%- if cell.note %} title="{{ cell.note }}"{% endif %} \
style="--shade: {{ (70 * cell.shade) | round | int }}%">
{% if cell.picture %}{{ image(cell.picture) }}{% endif %}<b>{{ cell.count | thousands }}</b></td>{% endfor %}</tr>
{% endfor %}</table></div>
{% endif %}{% if section.plot %}{{ section.plot | safe }}
{% endif %}{% if section.pictures %}<div class="pictures{{ ' crisp' if section.crisp }}\
{{ ' small' if section.widest <= 220 }}" style="--width: {{ section.widest }}px">
{% for picture in section.pictures %}<figure>
{% if picture.beside %}<div class="two"><div>{{ image(picture) }}</div><div>{{ image(picture.beside) }}</div></div>
{% else %}{{ image(picture) }}
{% endif %}<figcaption>{% if picture.name %}<b>{{ picture.name }}</b>{% endif %}
{% for line in picture.lines %}<span>{{ line }}</span>{% endfor %}</figcaption></figure>
{% endfor %}</div>
{% endif %}{% if section.more %}<p>{{ section.more }}
{%- for link in section.links %}{{ " in " if loop.first else ", " }}{{ linked(link, link.href) }}{% endfor %}</p>
{% endif %}{% for part in section.parts %}{% if part.folded %}<details><summary>{{ part.title }}</summary>
{{ body(part) }}</details>
{% else %}<h3>{{ part.title }}</h3>
{{ body(part) }}{% endif %}{% endfor %}
{% endmacro %}
{% if contents %}<nav>{% for section in sections %}<a href="#part-{{ loop.index }}">{{ section.title }}</a>
{% endfor %}</nav>
{% endif %}{% for section in sections %}
{% if section.folded %}<details><summary class="large" id="part-{{ loop.index }}">{{ section.title }}</summary>
{{ body(section) }}</details>
{% else %}<h2 id="part-{{ loop.index }}">{{ section.title }}</h2>
{{ body(section) }}{% endif %}{% endfor %}</html>
"""


class Link(str):
    """A text that leads somewhere: `href` is a URL of our own making."""

    href: str

    def __new__(cls, text: str, href: str) -> Self:
        """`href` as it stands in the page."""
        made = super().__new__(cls, text)
        made.href = href
        return made


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture in a page, with the words below it."""

    data: str
    width: int
    """Pixels that it takes in a page where there is room."""
    text: str = ""
    """The words, a line each."""
    height: int = 0
    """Pixels, so that a browser knows its place before it is decoded; 0 where that is not known."""
    name: str = ""
    """What stands first of the words, such as a file's name."""
    href: str = ""
    """Where a click leads."""
    label: str = ""
    """What stands above it."""
    beside: Shown | None = None
    """A second picture to its right, of which the words below say nothing."""

    @property
    def room(self) -> int:
        """Pixels that it takes at most, to fill a row; one of square pixels takes those it has."""
        return self.width if self.data.startswith("data:image/png") else self.width * 7 // 5

    @property
    def lines(self) -> list[str]:
        """The words, line by line."""
        return self.text.split("\n") if self.text else []


@dataclass(frozen=True, slots=True)
class Cell:
    """A count in a heat map, with a picture of what is counted."""

    count: int
    shade: float
    """How dark it is, 0..1."""
    picture: Shown | None = None
    note: str = ""
    """What is said when it is pointed at."""


@dataclass(frozen=True, slots=True)
class HeatMap:
    """A table of counts, the darker the larger."""

    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[Cell]]]
    gaps: bool = True
    """Outline noughts."""


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a page: any of text, a table, bars, a heat map, a plot, pictures, and parts of its own."""

    title: str
    texts: Sequence[str] = ()
    head: Sequence[str] = ()
    rows: Sequence[Sequence[Any]] = ()
    """Numbers stand to the right; a Link leads somewhere; a Shown is a picture with its words below."""
    bars: Sequence[tuple[str, int]] = ()
    heat: HeatMap | None = None
    plot: str = ""
    """SVG of our own making: it is not escaped."""
    pictures: Sequence[Shown] = ()
    crisp: bool = False
    """Show small pictures with square pixels."""
    folded: bool = False
    """Show only the title until it is clicked: for what is long."""
    more: str = ""
    """What stands below the pictures, such as how many are not shown."""
    links: Sequence[Link] = ()
    """Where those are."""
    parts: Sequence[Section] = ()
    gaps: bool = False
    """Let noughts among the rows be seen."""

    @property
    def longest(self) -> int:
        """The count that takes the full width."""
        return max((count for _, count in self.bars), default=0) or 1

    @property
    def widest(self) -> int:
        """Pixels of the widest picture, with what stands beside it."""
        return max(one.width + (8 + one.beside.width if one.beside else 0) for one in self.pictures)


def page(title: str, sections: Sequence[Section], contents: bool = False) -> str:
    """The whole HTML text. `contents`: with links to the sections below the title."""
    import jinja2

    def harmless(value: Any) -> Any:
        return visible(str(value)) if type(value) in (str, Link) else value  # what is marked safe is of our own making

    environment = jinja2.Environment(autoescape=True, finalize=harmless)
    environment.filters["thousands"] = lambda count: f"{count:,}"
    return environment.from_string(TEMPLATE).render(title=title, sections=sections, contents=contents)


def shown(picture: Image | Path, text: str, width: int = 280, keep_pixels: bool = False, times: float = 2) -> Shown:
    """A picture made small and put into the page itself; `keep_pixels` for pictures smaller than `width`.

    `times`: pixels that are kept for each that is shown, for screens that have them.
    """
    import PIL.Image

    image = picture if isinstance(picture, PIL.Image.Image) else PIL.Image.open(picture)
    image = image.convert("RGB")
    if not keep_pixels:
        image.thumbnail((round(times * width), round(times * width)))
    out = io.BytesIO()
    image.save(out, "PNG" if keep_pixels else "JPEG", quality=80)
    kind = "png" if keep_pixels else "jpeg"
    wide, high = image.size
    if high > wide and not keep_pixels:  # a tall one takes no more room than a broad one
        width = max(1, width * wide // high)
    data = f"data:image/{kind};base64,{base64.b64encode(out.getvalue()).decode()}"
    return Shown(data, width, text, max(1, round(width * high / wide)))


def side_by_side(first: Image, second: Image, text: str, width: int = 440) -> Shown:
    """Two pictures with the same words below."""
    left, right = (shown(image, text, width // 2 - 4) for image in (first, second))
    return replace(left, beside=right)


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
    svg = out.getvalue()[out.getvalue().index("<svg") :]
    return svg.replace("#ffffff", "none").replace("#000000", "currentColor")  # the page is light or dark
