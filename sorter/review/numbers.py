"""The view of numbers: balance of the classes, gaps between two axes, people against sorters, files that failed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nicegui import ui

from sorter.commands.answer import read_answers
from sorter.commands.numbers import confusion, mistakes
from sorter.tally import Report

if TYPE_CHECKING:
    from sorter.review.page import Window

MOST = 100
"""Files that are named."""


def build(window: Window) -> None:
    """All numbers of a library."""
    window.long()
    desk = window.desk
    catalogue, job = desk._there(), desk._job()
    counts = catalogue.counts()
    ui.label(
        f"{counts['pictures']:,} pictures, {counts['wanted']:,} wanted, {counts['turned']:,} turned, "
        f"{counts['captions']:,} with captions of your own"
    ).classes("text-h6")
    for axis, classes in counts["classes"].items():
        ui.label(f"{axis}: balance").classes("text-subtitle1")
        in_doubt = counts["doubts"].get(axis, 0)
        rows = [*classes.items(), *([("in doubt", in_doubt)] if in_doubt else [])]
        _bars(rows)
    axes = list(job.scheme.axes)
    if len(axes) > 1:
        ui.label("Gaps: how many pictures there are of each combination").classes("text-subtitle1")
        with ui.row():
            first = ui.select(axes, value=axes[0]).props("dense outlined")
            second = ui.select(axes, value=axes[1]).props("dense outlined")
        place = ui.column()

        def show() -> None:
            place.clear()
            if first.value != second.value:
                with place:
                    _combinations(catalogue.combinations(first.value, second.value))

        for one in (first, second):
            one.on_value_change(show)
        show()
    for axis in axes:
        _against(window, axis)
    _strangers(window)


def _bars(rows: list[tuple[str, int]]) -> None:
    longest = max((count for _, count in rows), default=0) or 1
    with ui.element("table").classes("plain"):
        for name, count in rows:
            with ui.element("tr"):
                _cell(name)
                _cell(f"{count:,}", "zero" if not count else "")
                with ui.element("td"):
                    ui.element("div").classes("barline").style(f"width: {260 * count / longest:.0f}px")


def _combinations(found: dict[tuple[str, str], int]) -> None:
    rows, columns = (list(dict.fromkeys(pair[side] for pair in found)) for side in (0, 1))
    with ui.element("table").classes("plain"):
        with ui.element("tr"):
            for text in ("", *columns):
                _cell(text, tag="th")
        for row in rows:
            with ui.element("tr"):
                _cell(row, tag="th")
                for column in columns:
                    _cell(f"{found[row, column]:,}", "" if found[row, column] else "zero")


def _against(window: Window, axis: str) -> None:
    """What a person said against what the sorter says of the same pictures; the worst mistakes open as a list."""
    assert window.desk.manifest is not None
    with window.desk.lock:
        pairs = confusion(window.desk.manifest, window.desk._job(), axis)
    if not pairs:
        return
    wrong = [one for one in pairs if one.person != one.sorter]
    ui.label(f"{axis}: your answers against the sorter's").classes("text-subtitle1")
    ui.label(f"{len(pairs)} answered by both, {len(pairs) - len(wrong)} alike").classes("said")
    if wrong:
        with ui.element("table").classes("plain"):
            for yours, its, count in mistakes(wrong)[:12]:
                with ui.element("tr"):
                    _cell(f"you: {yours}")
                    _cell(f"it: {its}")
                    _cell(f"{count:,}")
        ui.button("Show the worst", on_click=lambda: _worst(window, axis, [one.sha256 for one in wrong])).props(
            "flat no-caps"
        )


def _worst(window: Window, axis: str, hashes: list[str]) -> None:
    from sorter.review.catalogue import Query
    from sorter.review.desk import Listed
    from sorter.review.grid import Grid

    def view() -> None:
        name = window.desk.keep(Listed(Query("at odds", axis), hashes))
        ui.label(f"{axis}: the sorter was surest of these, and you said otherwise").classes("said")
        window.grid = Grid(
            list=name, total=len(hashes), axis=axis, classes=list(window.desk._job().classes[axis]), cell=240, why=True
        )

    window.show(view, "numbers")


def _strangers(window: Window) -> None:
    """Files that are not ours, and those that could not be used."""
    report = Report()
    assert window.desk.manifest is not None
    with window.desk.lock:
        held = window.desk.manifest.copy()
    with held as manifest:
        read_answers(manifest, window.desk._job(), report, "review")
        failures = [(one.path.name, one.reason) for one in (*manifest.unreadable(), *report.failures)]
    for title, rows in (
        (
            "Files in the library that are not from the frames, so left alone",
            [(one, "") for one in report.corrections.strangers],
        ),
        ("Files that could not be used", failures),
    ):
        if not rows:
            continue
        ui.label(f"{title}: {len(rows):,}").classes("text-subtitle1")
        with ui.element("table").classes("plain"):
            for name, why in rows[:MOST]:
                with ui.element("tr"):
                    _cell(name)
                    _cell(why)
        if len(rows) > MOST:
            ui.label(f"and {len(rows) - MOST:,} more").classes("said")


def _cell(text: str, classes: str = "", tag: Any = "td") -> None:
    with ui.element(tag).classes(classes):
        ui.label(text)
