"""The view of duplicates: groups of copies, of which one is kept. Looking for them is `sorter duplicates`, in a process
of its own; what is done with a group are answers like all others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nicegui import ui

from sorter.library.store.manifest import FOLDER
from sorter.records import DUPLICATE, LIBRARY, REMOVED, WANTED
from sorter.review.desk import Desk
from sorter.review.work import Work

if TYPE_CHECKING:
    from sorter.review.page import Window

SHARES = {0: "copies only", 0.5: "and half of each scene", 0.3: "and 70 % of each scene", 0.1: "and 90 % of each scene"}
"""--thin -> what could be left out."""
STATES = {DUPLICATE: "left out", REMOVED: "removed", WANTED: "yours"}
"""What a person said -> a word for it."""


class Groups(ui.element, component="groups.js"):
    """A list of groups: `found` is the number of the look that found them, `total` how many there are."""

    def set(self, **props: Any) -> None:
        """Change what it shows."""
        self._props.update(props)
        self.update()


def build(window: Window) -> None:
    """What could be left out, and groups to answer about."""
    desk = window.desk
    with ui.row().classes("items-center"):
        ui.label("Duplicates").classes("text-h6")
        share = ui.select(SHARES, value=0).props("dense outlined options-dense").classes("shares")
        ui.button("Look for them", on_click=lambda: look(desk, float(share.value))).props("flat dense no-caps")
    said = ui.label().classes("said")
    trouble = ui.label().classes("trouble")
    groups = Groups()
    shown: dict[str, Any] = {}

    def follow() -> None:
        work = desk.looking
        is_busy = work is not None and not work.is_over
        state = {"found": desk.looks, "total": len(desk.groups), "revision": desk.revision,
                 "none": "Nothing is a copy of anything else." if desk.looks else ""}  # fmt: skip
        if state != shown:
            shown.update(state)
            groups.set(**state)
        said.text = _said(desk, is_busy)
        trouble.text = work.error() if work is not None and work.is_over and "groups" not in work.answer else ""

    window.follow = follow
    follow()


def look(desk: Desk, share: float) -> Work:
    """Look for duplicates, beside what else is going on."""

    def ended(work: Work) -> None:
        with desk.lock:
            if "groups" in work.answer:
                desk.groups = [[{"sha256": one["kept"]}, *one["others"]] for one in work.answer["groups"]]
                desk.looks += 1

    page = str(desk.library / FOLDER / "duplicates.html")
    thin = [f"--thin={share:g}"] if share else []
    options = ["--to", page, "--scheme", str(desk.scheme_path), "--unfitted", "--json", *thin]
    desk.looking = desk.run("looking for duplicates", "sorter", "duplicates", str(desk.library), *options, then=ended,
                            is_asked=False)  # fmt: skip
    return desk.looking


def rows(desk: Desk, start: int, count: int) -> list[list[dict[str, Any]]]:
    """Some groups: for each of their pictures what the page is told of a picture, how it is a copy, and what a person
    said."""
    with desk.lock:
        catalogue, manifest = desk.catalogue, desk.manifest
        if catalogue is None or manifest is None:
            return []
        return [
            [
                catalogue.row(one["sha256"])
                | {"how": one.get("how", ""), "why": one.get("why", ""), "stays": one.get("stays", "")}
                | {"is_kept": "how" not in one, "state": STATES.get(manifest.given(one["sha256"], LIBRARY) or "", "")}
                for one in group
                if one["sha256"] in catalogue.verdicts
            ]
            for group in desk.groups[start : start + count]
        ]


def _said(desk: Desk, is_busy: bool) -> str:
    if is_busy:
        return "Looking; the first time at every picture, later at the new ones."
    if not desk.looks:
        return "Copies of a better picture: the same pixels, resized, compressed, cropped or mirrored."
    copies = sum(len(group) - 1 for group in desk.groups)
    return (
        f"{len(desk.groups):,} groups, in which {copies:,} pictures could be left out. The first of each is the best; "
        "what you leave out goes from the library's folders with the next sort."
    )
