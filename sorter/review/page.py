"""The page's frame: what can be chosen on the left, the view that was chosen, and what is under way at the top."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from nicegui import ui

from sorter.errors import ModelsheetError
from sorter.review import begin, daemon, duplicates, heads, numbers, pictures, tasks
from sorter.review.desk import Desk
from sorter.review.grid import Grid
from sorter.review.teach import Teacher

STYLE = Path(__file__).with_name("style.css")
TICK = 0.1
"""Seconds between two looks at what has changed."""


class Page:
    """What all windows of a review share."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self._teachers: dict[str, Teacher] = {}
        self._lock = threading.Lock()

    def build(self) -> None:
        """A window: called for each that opens the page."""
        Window(self).build()

    def teacher(self, axis: str) -> Teacher:
        """Whoever teaches an axis; begins to choose pictures the first time."""
        with self._lock:
            if axis not in self._teachers:
                self._teachers[axis] = Teacher(self.desk, axis)
                self._teachers[axis].begin()
            return self._teachers[axis]

    def acted(self, axis: str) -> None:
        """Something was answered on an axis."""
        with self._lock:
            teacher = self._teachers.get(axis)
        if teacher:
            teacher.answered()


class Window:
    """One window: the view that it shows."""

    def __init__(self, page: Page) -> None:
        self.page, self.desk = page, page.desk
        self.view: Callable[[], None] = self.first
        self.key = ""
        self.grid: Grid | None = None
        self.follow: Callable[[], None] | None = None
        """Called at each tick by the view that is shown."""
        self.words = ""
        self._revision = page.desk.revision
        self._listed: list[str] | None = None
        """The questions that the left side was built for."""
        self._counts: dict[str, ui.label] = {}
        """Key -> where it says how many pictures that would show."""
        self._buttons: dict[str, ui.button] = {}

    def build(self) -> None:
        """Lay the window out."""
        ui.add_css(STYLE.read_text(encoding="utf-8"))
        ui.colors(primary="#2f6fce", negative="#b5362c")
        self.drawer = ui.left_drawer().classes("side").props("breakpoint=700 width=210 bordered")
        with ui.header().classes("top"):
            ui.button(icon="menu", on_click=self.drawer.toggle).props("flat dense color=primary aria-label=Menu")
            ui.label(self.desk.library.name).classes("title")
            with ui.row().classes("grow items-center no-wrap"):
                self.doing = ui.label().classes("said wide ellipsis")
                self.bar = ui.linear_progress(show_value=False).classes("grow").props("rounded size=8px")
                self.stop = ui.button("Stop", on_click=self._stop).props("flat dense no-caps")
            self.search = (
                ui.input(placeholder="search").classes("search").props("dense outlined clearable debounce=250")
            )
            self.search.on_value_change(self._searched)
        self.content = ui.element("div").classes("content")
        self.show(self.first, "")
        ui.timer(TICK, self.tick)

    def first(self) -> None:
        """What a window shows at first: the questions where there are none, else what is to be done next."""
        if not self.desk.is_open:
            ui.label(f"Reading {self.desk.library.name} …").classes("said")
            return
        if self.desk.trouble:
            ui.label(self.desk.trouble).classes("trouble")
            return
        if self.desk.job is None:
            begin.build(self)
            return
        unfitted = [axis for axis in self.desk.job.taught if axis not in self.desk.job.questions.asked]
        if unfitted:
            self.go(f"teach {unfitted[0]}", partial(pictures.teach, self, unfitted[0]))
        else:
            self.go("doubts", partial(pictures.doubts, self, ""))

    def go(self, key: str, view: Callable[[], None]) -> None:
        """Choose a view by its place on the left."""
        self.show(view, key)

    def show(self, view: Callable[[], None], key: str) -> None:
        """Show a view instead of the present one."""
        self.view, self.key, self.grid, self.follow = view, key, None, None
        self.content.clear()  # with the place to which the last view was scrolled
        with self.content, ui.column().classes("view") as self.body:
            try:
                view()
            except ModelsheetError as error:
                ui.label(str(error)).classes("trouble")
        self._items()

    def again(self) -> None:
        """Build the present view again."""
        self.show(self.view, self.key)

    def long(self) -> None:
        """Say that the view scrolls as a whole, rather than a grid in it."""
        self.body.classes(add="long")

    def tick(self) -> None:
        """Show what has changed since the last look."""
        work = self.desk.work
        is_busy = work is not None and work.code is None
        more = f" ({len(self.desk.waiting)} wait)" if self.desk.waiting else ""
        self.doing.text = f"{work.title}: {work.doing} {work.done or ''}{more}" if work and is_busy else ""
        self.bar.visible = self.stop.visible = is_busy
        if work and is_busy:
            self.bar.props(
                add="indeterminate" if work.share is None else "", remove="" if work.share is None else "indeterminate"
            )
            self.bar.value = work.share or 0
        catalogue = self.desk.catalogue
        if self.desk.revision != self._revision or (catalogue is not None and catalogue.counts_are_due()):
            is_new, self._revision = self.desk.revision != self._revision, self.desk.revision
            if is_new and self.key == "":
                self.first()
            self._items()
            if self.grid is not None:
                self.grid.set(revision=self.desk.revision)
        if self.follow:
            self.follow()

    def _items(self) -> None:
        """Say how many pictures each choice would show, and which was made."""
        job, catalogue = self.desk.job, self.desk.catalogue
        listed = None if job is None or catalogue is None else job.taught
        if listed is None or listed != self._listed:
            # Only then: a click on what is built anew at that moment would be lost.
            self._listed = listed
            self._build_items()
        if catalogue is None:
            return
        counts = catalogue.counts()
        shown = {f"teach {axis}": counts["people"].get(axis, 0) for axis in listed or ()}
        shown |= {"doubts": counts["in_doubt"], "sheets": counts["wanted"], "captions": counts["wanted"]}
        shown["duplicates"] = len(self.desk.groups)
        asker = heads.asker_of(self.desk)
        shown["heads"] = heads.drawn(self.desk, asker) if asker else 0
        shown |= {"left out": sum(counts["left_out"].values()), "turned": counts["turned"]}
        for key, button in self._buttons.items():
            self._counts[key].text = f"{shown[key]:,}" if shown.get(key) else ""
            button.classes(add="on") if key == self.key else button.classes(remove="on")

    def _build_items(self) -> None:
        self.drawer.clear()
        self._counts, self._buttons = {}, {}
        with self.drawer:
            if self._listed is None:
                ui.label(self.desk.trouble or "no questions yet").classes("head")
                return
            ui.label("Teach").classes("head")
            for axis in self._listed:
                self._item(axis, f"teach {axis}", partial(pictures.teach, self, axis))
            self._item("+ question", "question", partial(begin.another, self))
            self._item("Heads", "heads", partial(heads.build, self))
            ui.label("Look").classes("head")
            self._item("Doubts", "doubts", partial(pictures.doubts, self, ""))
            self._item("Sheets", "sheets", partial(pictures.sheets, self, "", ""))
            self._item("Left out", "left out", partial(pictures.left_out, self, ""))
            self._item("Turned", "turned", partial(pictures.turned, self))
            self._item("Duplicates", "duplicates", partial(duplicates.build, self))
            self._item("Captions", "captions", partial(pictures.captions, self))
            self._item("Numbers", "numbers", partial(numbers.build, self))
            ui.label("Do").classes("head")
            self._item("Sort, export, train", "tasks", partial(tasks.build, self))
            self._item("Refit", "refit", partial(tasks.refit, self))
            self._item("Daemon", "daemon", partial(daemon.build, self))

    def _item(self, text: str, key: str, view: Callable[[], None]) -> None:
        self._buttons[key] = button = ui.button(on_click=lambda: self.go(key, view))
        button.props("flat no-caps align=left color=primary").classes("item")
        with button:
            ui.label(text)
            self._counts[key] = ui.label().classes("said")

    def _searched(self) -> None:
        self.words = self.search.value or ""
        if self.desk.catalogue is not None:
            self.show(partial(pictures.found, self, self.words), "search") if self.words else self.first()

    def _stop(self) -> None:
        if self.desk.work:
            self.desk.work.stop()

    def attempt(self, act: Callable[[], Any]) -> Any:
        """Do something; a mistake is told in its one sentence."""
        try:
            return act()
        except ModelsheetError as error:
            ui.notify(str(error), type="negative", multi_line=True, timeout=10_000)
            return None
