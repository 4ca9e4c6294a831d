"""The questions that a person begins with."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from nicegui import ui

from sorter.commands import questions
from sorter.errors import ModelsheetError

if TYPE_CHECKING:
    from sorter.review.page import Window

CHOSEN = ("character", "direction")
"""Suggestions that are ticked at first."""
HINTS = {
    "character": "Their names; other is everybody else.",
    "direction": "left: facing the left edge of the picture. All are turned to face left.",
    questions.BLUR: "Measured, so it needs no answers; blurry pictures are left out.",
}


def build(window: Window) -> None:
    """Ask for the questions, and write the scheme."""
    window.long()
    with ui.column().classes("card"):
        ui.label("What do you want to tell apart?").classes("text-h6")
        ui.label(
            "Each question gets a sorter of its own, which learns from your answers. Two to six classes each, named as "
            "you would say them; more can be added at any time."
        ).classes("said")
        name = (
            ui.input("Name of the franchise", value=window.desk.folder.name)
            .props("dense outlined")
            .classes("full-width")
        )
        trigger = ui.input("Trigger: the word that your model will learn", value="").props("dense outlined")
        trigger.classes("full-width")
        rows = [_row(axis, ", ".join(classes), axis in CHOSEN) for axis, classes in questions.SUGGESTED.items()]
        rows += [_row("", "", False) for _ in range(2)]
        said = ui.label().classes("trouble")

        def go() -> None:
            axes = {
                axis.value.strip(): [one.strip() for one in classes.value.split(",")]
                for ticked, axis, classes in rows
                if ticked.value and axis.value.strip()
            }
            try:
                questions.begin(window.desk.scheme_path, name.value or "library", trigger.value or "", axes)
            except ModelsheetError as error:
                said.text = str(error)
                return
            scan(window)

        ui.button("Begin", on_click=go).props("no-caps unelevated color=primary")


def scan(window: Window) -> None:
    """Read the frames into the library's manifest, and then show the first pictures to answer."""
    desk = window.desk
    desk.library.mkdir(parents=True, exist_ok=True)
    threading.Thread(target=desk.open, daemon=True).start()
    if desk.source is not None:
        window.attempt(
            lambda: desk.run("reading frames", "sorter", "scan", str(desk.source), "--to", str(desk.library), "--json")
        )


def another(window: Window) -> None:
    """Add a question to a scheme."""
    window.long()
    job = window.desk._job()
    rest = [axis for axis in questions.SUGGESTED if axis not in job.scheme.axes]
    with ui.column().classes("card"):
        ui.label("Another question").classes("text-h6")
        first = rest[0] if rest else ""
        name = ui.input("Name", value=first).props("dense outlined").classes("full-width")
        classes = ui.input("Classes, with commas between", value=", ".join(questions.SUGGESTED.get(first, ())))
        classes.props("dense outlined").classes("full-width")

        def go() -> None:
            path = window.desk.scheme_path
            if window.attempt(lambda: questions.add_axis(path, name.value.strip(), classes.value.split(","))):
                window.desk.open()
                window.first()

        ui.button("Add", on_click=go).props("no-caps unelevated color=primary")


def _row(axis: str, classes: str, is_chosen: bool) -> tuple[ui.checkbox, ui.input, ui.input]:
    with ui.row().classes("row full-width no-wrap"):
        ticked = ui.checkbox(value=is_chosen).props("dense")
        name = ui.input("question", value=axis).props("dense outlined").style("width: 9rem")
        words = ui.input("classes", value=classes).props("dense outlined").classes("col")
    if axis in HINTS:
        ui.label(HINTS[axis]).classes("hint")
    name.on_value_change(lambda: ticked.set_value(True))
    words.on_value_change(lambda: ticked.set_value(True))
    return ticked, name, words
