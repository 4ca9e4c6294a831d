"""The page of `sorter report`: which pictures it shows, what it says of them, and that names do no harm."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from sorter.commands.gallery import First, Gallery, Request
from sorter.commands.job import Job
from sorter.commands.numbers import DISAGREES, Numbers, margin
from sorter.commands.report import gaps, write_report
from sorter.commands.sheets import MOST_SMALL, Overview, in_doubt, model_sheet
from sorter.commands.sort import sort
from sorter.page import Section, Shown, page
from sorter.records import HUMAN, Label, Picture, Verdict

TAGS = {
    *("html", "meta", "title", "style", "h1", "h2", "h3", "nav", "a", "div", "p", "span", "b"),
    *("table", "tr", "td", "th", "figure", "figcaption", "img", "details", "summary"),
}
"""The elements that a page is made of."""


class Read(HTMLParser):
    """A page as a browser takes it: its elements with their attributes, and its text by section."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.sections: dict[str, list[str]] = {"": []}
        self.title: list[str] | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "h2" or (tag == "summary" and dict(attrs).get("class") == "large"):
            self.title = []
        if tag == "img":
            self.last.append("[picture]")

    def handle_endtag(self, tag: str) -> None:
        if self.title is not None and tag in ("h2", "summary"):
            self.sections["".join(self.title)] = []
            self.title = None

    def handle_data(self, data: str) -> None:
        (self.last if self.title is None else self.title).append(data)

    @property
    def last(self) -> list[str]:
        return next(reversed(self.sections.values()))

    def said(self, title: str) -> str:
        """The text of a section, in one line."""
        return " ".join(" ".join(self.sections[title]).split())

    def links(self) -> list[str]:
        return [str(given["href"]) for tag, given in self.elements if tag == "a"]


@pytest.fixture
def report(library: Path, job: Job, tmp_path: Path) -> Callable[[], Read]:
    def write() -> Read:
        write_report(library, tmp_path / "page.html", job)
        return Read((tmp_path / "page.html").read_text(encoding="utf-8"))

    return write


def move(library: Path, name: str, to: str) -> None:
    found = next(library.rglob(name))
    (library / to).mkdir(parents=True, exist_ok=True)
    shutil.move(found, library / to / found.name)


def made(number: int, *labels: Label, **more: Any) -> Verdict:
    return Verdict(Picture(f"{number:064}", f"/frames/{number}.png", 8, 8, "PNG"), labels, **more)


# --- what is shown


def test_every_class_has_a_sheet_with_names_and_folders(
    frames: Path, library: Path, job: Job, report: Callable[[], Read]
) -> None:
    sort(frames, library, job)
    found = report()
    said = found.said("Model sheet: mood")
    assert "happy (2) [picture]" in said
    assert re.search(r"\[picture\] left_happy-\w{10}\.png happy/left", said)
    assert re.search(r"\[picture\] right_happy-\w{10}\.png happy/left", said)
    assert "sad (2)" in said
    assert "in doubt 1" in said
    assert "front (1)" in found.said("Model sheet: direction")
    assert "nobody" not in found.said("Model sheet: direction")
    pictures = [given for tag, given in found.elements if tag == "img"]
    assert pictures
    assert all(str(one["src"]).startswith("data:image/") and one["loading"] == "lazy" for one in pictures)


def test_links_lead_to_files_beside_the_page(
    frames: Path, library: Path, job: Job, report: Callable[[], Read], tmp_path: Path
) -> None:
    from urllib.parse import unquote

    sort(frames, library, job)
    links = [link for link in report().links() if not link.startswith("#")]
    assert len(links) > 10
    for link in links:
        assert (tmp_path / unquote(link)).exists(), link


def test_what_was_left_out_is_shown_by_reason(
    frames: Path, library: Path, job: Job, report: Callable[[], Read]
) -> None:
    sort(frames, library, job)
    next(library.rglob("front-*.png")).unlink()
    said = report().said("Left out (2)")
    assert re.search(r"direction: nobody \(1\) \[picture\] nobody\.png frames/zoo nobody 100%, left 0%", said)
    assert re.search(r"removed by hand \(1\) \[picture\] front\.png", said)
    (frames / "front.png").unlink()
    assert "1 could not be shown: no longer where they were, or damaged" in report().said("Left out (2)")


def test_turned_pictures_stand_beside_what_they_came_from(
    frames: Path, library: Path, job: Job, report: Callable[[], Read]
) -> None:
    sort(frames, library, job, take=True)  # so that the originals are in the library's keeping
    said = report().said("Turned (2)")
    assert said.count("as it came [picture] as it stands [picture]") == 2
    assert re.search(r"sad-\w{10}\.jpg sad/left mira.*facing left", said)


def test_doubts_say_what_else_it_may_be(frames: Path, library: Path, job: Job, report: Callable[[], Read]) -> None:
    sort(frames, library, job)
    said = report().said("In doubt (1)")
    assert re.search(r'doubtful-\w{10}\.png _unsure/left mood: "happy" with 50%, below 80%, or "sad" with 50%', said)
    assert re.search(r"The names of all 1 .*doubtful-\w{10}\.png _unsure/left mood happy 50% sad 50%", said)


def test_what_a_person_did_is_shown(frames: Path, library: Path, job: Job, report: Callable[[], Read]) -> None:
    sort(frames, library, job)
    move(library, "sad-*.jpg", "happy/left")
    move(library, "front-*.png", "best of")
    next(library.rglob("left_happy-*.txt")).write_text("my own words", encoding="utf-8")
    shutil.copy(frames / "zoo" / "nobody.png", library / "another.png")
    with (library / "another.png").open("ab") as file:
        file.write(b"more")
    found = report()
    said = found.said("Your answers against the sorters'")
    assert "1 pictures were answered by you and by the sorter, 0 alike" in said
    assert re.search(r"\[picture\] sad\.jpg.*you: happy sorter: sad \d+%", said)
    assert re.search(r"\[picture\] front-\w{10}\.png best of", found.said("Put aside by you (1)"))
    assert "another.png" in found.said("Not from the frames, so left alone (1)")
    short = found.said("In short")
    for count in ("with a caption of your own 1", "put aside by you 1", "files that could not be used 2"):
        assert count in short


def test_names_do_nothing_in_the_page(
    frames: Path, library: Path, job: Job, report: Callable[[], Read], draw: Any
) -> None:
    for name in ("<img src=x onerror=alert(1)>.png", "javascript:alert(1).png", "a\"b'c & \n\u202egnp.png"):
        draw("nobody", "sad", len(name)).save(frames / name)
    (frames / "<script>alert(2)<").mkdir()
    draw("nobody", "happy", 9).save(frames / "<script>alert(2)<" / "'><b>.png")
    sort(frames, library, job)
    (library / "<i onclick=x>.png").write_bytes((frames / "front.png").read_bytes() + b"more")
    found = report()
    assert {tag for tag, _ in found.elements} <= TAGS
    assert not [key for _, given in found.elements for key in given if key.startswith("on")]
    assert not [link for link in found.links() if ":" in link]
    assert "<img src=x onerror=alert(1)>.png" in found.said("Left out (5)")
    assert "\u202e" not in found.said("Left out (5)")
    assert "<i onclick=x>.png" in found.said("Not from the frames, so left alone (1)")


# --- what is chosen


class Counting(Gallery):
    """A gallery that opens no file."""

    def __init__(self, manifest: Any, beside: Path) -> None:
        super().__init__(manifest, beside)
        self.asked: list[Request] = []

    def show(self, requests: Any) -> list[Shown | None]:
        found = list(requests)
        self.asked += found
        return [Shown("data:", 8, one.text) for one in found]


@pytest.mark.parametrize(("classes", "each"), [(2, 12), (40, 6), (500, 1)])
def test_of_many_classes_a_bounded_number_of_pictures_is_opened(
    classes: int, each: int, frames: Path, library: Path, job: Job, tmp_path: Path
) -> None:
    from sorter.library.store.manifest import Manifest

    overview = Overview(Numbers(job))
    for number in range(classes * 20):
        overview.add(made(number, Label("mood", f"class {number % classes}", 0.9, "x")))
    with Manifest(library, create=True) as manifest:
        gallery = Counting(manifest, tmp_path)
        sheet = next(one for one in model_sheet(overview, gallery, job) if one.title.endswith("mood"))
    assert len(gallery.asked) == min(MOST_SMALL, classes * each)
    assert len(sheet.parts) == classes
    assert all(part.folded == (classes > 12) for part in sheet.parts)
    assert f"and {20 - each} more" in {part.more for part in sheet.parts}


def test_the_most_doubtful_come_first(job: Job, library: Path, tmp_path: Path) -> None:
    from sorter.library.store.manifest import Manifest

    def doubt(number: int, score: float, second: float, taken_for: str = "") -> Verdict:
        label = Label("mood", "happy", score, "x", taken_for, taken_for, "sad" if second else "", second)
        return made(number, label, doubts=(f"mood: number {number}",), unsure=frozenset({"mood"}))

    overview = Overview(Numbers(job))
    for one in (
        doubt(1, 0.7, 0.3),
        doubt(2, 0.45, 0.44),
        doubt(3, 0.4, 0.1),
        doubt(4, 0.9, 0.1, "sad"),
        doubt(5, 0.6, 0),
    ):
        overview.add(one)
    with Manifest(library, create=True) as manifest:
        (section,) = in_doubt(overview, Counting(manifest, tmp_path), job)
    order = [int(one.text.split("number ")[1][0]) for one in section.pictures]
    assert order == [4, 2, 5, 3, 1]
    assert section.parts[0].rows[1][2:] == ["mood", "happy", "45%", "sad", "44%"]


def test_first_keeps_the_smallest() -> None:
    kept = First(3)
    for number in (5, 3, 9, 1, 7):
        kept.add(made(number), 0.5)
    kept.add(made(8), 0.1)
    assert [int(one.picture.sha256) for one in kept] == [8, 1, 3]
    assert kept.count == 6


# --- numbers


def test_gaps_show_what_is_missing_and_not_what_cannot_be(job: Job) -> None:
    numbers = Numbers(job)
    for number in range(3):
        numbers.add(made(number, Label("direction", "left", 1, "x"), Label("mood", "happy", 1, "x")))
    numbers.add(made(4, Label("direction", "front", 1, "x"), Label("mood", "sad", 1, HUMAN), caption="mine"))
    numbers.add(
        made(5, Label("direction", "front", 1, "x"), Label("mood", "sad", 0.3, "x"), unsure=frozenset({"mood"}))
    )
    numbers.add(made(6, Label("direction", "nobody", 1, "x"), unwanted="direction: nobody"))
    assert numbers.combinations("direction", "mood") == {
        ("left", "happy"): 3, ("left", "sad"): 0, ("front", "happy"): 0, ("front", "sad"): 1
    }  # fmt: skip
    (section,) = gaps(numbers)
    assert section.texts == ["Of 4 combinations of direction, mood, 2 have pictures."]
    assert section.parts[0].title == "direction and mood: 2 of 4 missing"
    assert list(section.parts[0].rows) == [["left", 3, 0], ["front", 0, 1]]
    assert (numbers.pictures, numbers.wanted, numbers.in_doubt, numbers.captions) == (6, 5, 1, 1)
    assert numbers.people["mood"] == 1
    assert 'class="number zero">0' in page("gaps", [section])


def test_a_margin_is_what_parts_the_first_from_the_second() -> None:
    label = Label("mood", "happy", 0.75, "x")
    assert margin(label) == margin(label._replace(runner_up="sad", runner_up_score=0.25)) == 0.5
    assert margin(label._replace(taken_for="sad")) == DISAGREES


def test_a_long_page_says_what_is_in_it() -> None:
    text = page("many", [Section("One & two", ["text"]), Section("Three", ["text"], folded=True)], contents=True)
    assert '<a href="#part-1">One &amp; two</a>' in text
    assert 'id="part-2"' in text
    assert "<nav>" not in page("few", [Section("One", ["text"])])
