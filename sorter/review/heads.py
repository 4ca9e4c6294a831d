"""The view of heads: boxes that a person draws around the subject's head, and the locator that is fitted on them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nicegui import ui

from sorter.classify.locate import Locator
from sorter.commands.fit_boxes import ENOUGH, LEAST
from sorter.commands.questions import ask_locator
from sorter.records import HUMAN
from sorter.review.desk import Desk
from sorter.review.work import Work

if TYPE_CHECKING:
    from sorter.review.page import Window

NAME = "head"
"""What a locator is called where the scheme has none yet."""


class Heads(ui.element, component="heads.js"):
    """Pictures one after the other, each with its box: `total` of them, of the asker `asker`."""

    def set(self, **props: Any) -> None:
        """Change what it shows."""
        self._props.update(props)
        self.update()


def build(window: Window) -> None:
    """Draw boxes, and fit a locator on them."""
    desk, asker = window.desk, asker_of(window.desk)
    ui.label("Where is the head?").classes("text-h6")
    if asker is None:
        ui.label(
            "Exports can be framed on your subject's head: close-ups, upper bodies. Begin with the built-in locator, "
            "which knows heads in general, and draw some boxes to teach it yours."
        ).classes("said")

        def begin() -> None:
            if window.attempt(lambda: ask_locator(desk.scheme_path, NAME)) is not None:
                desk.run("looking for heads", *_classify(desk))
                desk.open()
                window.again()

        ui.button("Begin", on_click=begin).props("no-caps unelevated color=primary")
        return
    said, trouble = ui.label().classes("said"), ui.label().classes("trouble")
    fitting: dict[str, Work] = {}
    with ui.row():
        ui.button("Fit the locator on these boxes", on_click=lambda: fitting.update(work=fit(desk, asker))).props(
            "no-caps unelevated color=primary"
        )
    heads = Heads()
    shown = {"revision": -1, "boxes": 0}

    def follow() -> None:
        if shown["revision"] != desk.revision:  # at each tick, a large library would be sorted again
            shown.update(revision=desk.revision, boxes=drawn(desk, asker))
            heads.set(total=len(chosen(desk)), asker=asker, revision=desk.revision)
        work = fitting.get("work")
        found = " ".join(str(one) for one in work.answer.get("said", [])) if work else ""
        busy = "Fitting... " if work and not work.is_over else ""
        said.text = f"{busy}{found} Boxes: {shown['boxes']}; {LEAST} are needed, {ENOUGH} do well."
        trouble.text = work.error() if work and work.is_over and work.code == 2 else ""

    window.follow = follow
    follow()


def asker_of(desk: Desk) -> str | None:
    """The first locator of the scheme."""
    others = desk.job.questions.others if desk.job else {}
    return next((name for name, one in others.items() if isinstance(one, Locator)), None)


def chosen(desk: Desk) -> list[str]:
    """The wanted pictures in the order of their hashes, by which neighbours are far from each other."""
    with desk.lock:
        verdicts = desk.catalogue.verdicts if desk.catalogue else {}
        return sorted(sha256 for sha256, one in verdicts.items() if not one.unwanted)


def drawn(desk: Desk, asker: str) -> int:
    """How many boxes a person has drawn."""
    with desk.lock:
        return sum(said != "null" for said in desk.manifest.answers_on(asker).values()) if desk.manifest else 0


def rows(desk: Desk, start: int, count: int) -> list[dict[str, Any]]:
    """Some of the pictures: name, size, and the box in pixels of the picture as it was found, if there is one."""
    asker = asker_of(desk)
    with desk.lock:
        found = []
        for sha256 in chosen(desk)[start : start + count]:
            verdict = desk.catalogue.verdicts[sha256] if desk.catalogue else None
            if verdict is None:
                continue
            label = next((one for one in verdict.answers if one.axis == asker), None)
            name, size = Path(verdict.picture.path).name, (verdict.picture.width, verdict.picture.height)
            row: dict[str, Any] = {"sha256": sha256, "name": name, "width": size[0], "height": size[1]}
            row |= {"box": None, "person": False, "score": 0.0}
            if label is not None:
                row |= {"box": json.loads(label.name), "person": label.source == HUMAN, "score": label.score}
            found.append(row)
        return found


def fit(desk: Desk, asker: str) -> Work:
    """Fit a locator on the boxes, have the scheme ask it, and ask it of all pictures."""
    to = desk.folder / "models" / asker

    def then(work: Work) -> None:
        if work.code in (0, 1) and "card" in work.answer:
            ask_locator(desk.scheme_path, asker, f"models/{asker}")
            desk.open()
            desk.run("looking for heads", *_classify(desk), is_asked=False)

    arguments = ["sorter", "fit", "--boxes", str(desk.library), "--axis", asker, "--to", str(to), "--json"]
    return desk.run("fitting the locator", *arguments, then=then, is_asked=False)


def _classify(desk: Desk) -> list[str]:
    scheme = str(desk.scheme_path)
    return ["sorter", "classify", str(desk.library), "--scheme", scheme, "--unfitted", "--json"]
