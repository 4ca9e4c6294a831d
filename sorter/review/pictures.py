"""The views that are grids of pictures."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from nicegui import ui

from sorter.commands import questions
from sorter.review.catalogue import Query
from sorter.review.grid import Grid

if TYPE_CHECKING:
    from sorter.review.page import Window


def teach(window: Window, axis: str) -> None:
    """Pictures that teach a sorter most, answered one after the other, each with those that look alike."""
    teacher, shown = window.page.teacher(axis), {"list": ""}
    with ui.row().classes("items-center"):
        ui.label(f"What is the {axis.replace('_', ' ')}?").classes("text-h6")
        new = ui.input(placeholder="new class").props("dense outlined").classes("new-class")
        new.on("keydown.enter", lambda: _new_class(window, axis, new.value or ""))
        ui.button("Add", on_click=lambda: _new_class(window, axis, new.value or "")).props("flat dense no-caps")
        ui.button("Other pictures", on_click=teacher.more).props("flat dense no-caps")
    said = ui.label().classes("said")
    trouble = ui.label().classes("trouble")
    window.grid = grid = Grid(
        axis=axis, classes=_classes(window, axis), cell=300, turns=_turns(window), list="", total=0,
        none="Choosing the pictures that teach most...",
    )  # fmt: skip

    def follow() -> None:
        listed = window.desk.lists.get(teacher.list)
        if listed and teacher.list != shown["list"]:
            shown["list"] = teacher.list
            grid.set(list=teacher.list, total=len(listed.hashes), none="Every picture is answered.")
        counts = teacher.by_class()
        given = ", ".join(f"{name} {count}" for name, count in sorted(counts.items())) or "none yet"
        busy = "Looking... " if teacher.is_busy else ""
        missing = f" No answer yet: {', '.join(none)}." if counts and (none := teacher.missing()) else ""
        said.text = f"{busy}{' '.join(teacher.said)} Answers: {given}.{missing}"
        trouble.text = teacher.trouble

    window.follow = follow
    follow()


def doubts(window: Window, axis: str) -> None:
    """What the sorters are unsure of, the most telling first, one axis at a time."""
    counts = window.desk._there().counts()["doubts"]
    chosen = axis or max(counts, key=lambda one: counts[one], default="")
    if not chosen:
        ui.label("No picture is in doubt.").classes("none")
        return
    chips = {one: f"{one} {counts.get(one, 0):,}" for one in window.desk._job().scheme.axes}
    _chips(window, "Question", chips, chosen, "doubts", partial(doubts, window))
    _grid(window, Query("doubts", chosen), axis=chosen, cell=240, why=True, none="No picture is in doubt here.")


def sheets(window: Window, axis: str, name: str) -> None:
    """A contact sheet per class: the pictures as they stand."""
    job, counts = window.desk._job(), window.desk._there().counts()["classes"]
    axis = axis or next(iter(job.scheme.axes))
    name = name or next(iter(job.classes[axis]), "")
    axes = {one: one for one in job.scheme.axes}
    _chips(window, "Question", axes, axis, "sheets", lambda one: sheets(window, one, ""))
    chips = {one: f"{one} {counts[axis].get(one, 0):,}" for one in job.classes[axis]}
    _chips(window, "Class", chips, name, "sheets", lambda one: sheets(window, axis, one))
    _grid(window, Query("class", axis, name), axis=axis, cell=180, standing=True, none="No picture of this class.")


def left_out(window: Window, reason: str) -> None:
    """What is not in the library, and why."""
    counts = window.desk._there().counts()["left_out"]
    if counts:
        chips = {"": f"all {sum(counts.values()):,}"} | {why: f"{why} {count:,}" for why, count in counts.items()}
        _chips(window, "Why", chips, reason, "left out", partial(left_out, window))
    _grid(window, Query("left out", "", reason), cell=200, why=True, none="Nothing is left out.")


def turned(window: Window) -> None:
    """Turned pictures as they came, and as they stand."""
    ui.label("Left: as the picture came. Right: as it stands in the library.").classes("said")
    _grid(window, Query("turned"), cell=330, both=True, none="No picture is turned.")


def captions(window: Window) -> None:
    """Every caption, edited in place."""
    ui.label("A caption that you change is yours and stays; the sorters' words no longer replace it.").classes("said")
    _grid(window, Query("wanted"), cell=260, captions=True, standing=True, none="No picture is wanted yet.")


def found(window: Window, words: str) -> None:
    """The pictures whose name, class or caption holds the words."""
    _grid(window, Query("all", words=words), cell=200, captions=True, none=f'Nothing holds "{words}".')


def _grid(window: Window, query: Query, **props: Any) -> None:
    axis = str(props.get("axis", ""))
    name = window.desk.find(query)
    total = len(window.desk.lists[name].hashes)
    window.grid = Grid(
        list=name, total=total, classes=_classes(window, axis) if axis else [], turns=_turns(window), **props
    )


def _classes(window: Window, axis: str) -> list[str]:
    return list(window.desk._job().classes.get(axis, ()))


def _turns(window: Window) -> bool:
    return any(axis.canonical for axis in window.desk._job().scheme.axes.values())


def _chips(window: Window, title: str, chips: dict[str, str], chosen: str, key: str, view: Any) -> None:
    """Choices of what is shown: value -> words."""
    with ui.row().classes("row chips").props(f'role=group aria-label="{title}"'):
        ui.label(title).classes("head")
        for value, text in chips.items():
            chip = ui.element("button").classes("chip on" if value == chosen else "chip")
            chip.on("click", lambda value=value: window.show(partial(view, value), key))
            with chip:
                ui.label(text)


def _new_class(window: Window, axis: str, name: str) -> None:
    if not name.strip():
        return
    if window.attempt(lambda: questions.add_class(window.desk.scheme_path, axis, name)):
        window.desk.open()
        window.again()
