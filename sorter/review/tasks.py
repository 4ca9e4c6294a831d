"""What the page starts: sort, export, train, undo, refit. Each is a command, with the options that it usually has, and
says what it says in a terminal."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nicegui import ui

from sorter.dataset.croppers import croppers
from sorter.dataset.layouts import layouts
from sorter.dataset.overlays import MODES
from sorter.review import refitting
from sorter.review.teach import mirrors
from sorter.review.work import Work

if TYPE_CHECKING:
    from sorter.review.page import Window

START = """\
base    = {base}
dataset = {dataset}
output  = {output}
[method]
use  = "lora"
rank = 16
[training]
steps         = 1500
batch_size    = 2
learning_rate = 1e-4
[preview]
every   = 250
prompts = [{prompt}]
"""


def build(window: Window) -> None:
    """Sort, export, train, take back."""
    window.long()
    _sorting(window)
    to = _exporting(window)
    _training(window, to)
    _taking_back(window)
    _output(window)


def _sorting(window: Window) -> None:
    desk = window.desk
    with ui.column().classes("card"):
        ui.label("Sort").classes("text-h6")
        source = _input("Frames", str(desk.source or ""), "folder that the pictures come from")
        take = ui.checkbox("take: move the originals into the library's keeping").props("dense")
        captions = ui.checkbox("take over the .txt captions that lie beside the frames").props("dense")

        def sort() -> None:
            options = [*(["--take"] * bool(take.value)), *(["--captions"] * bool(captions.value)), "--unfitted"]
            to = ["--to", str(desk.library), *options, *_common(window)]
            _run(window, "sorting", "sorter", "sort", source.value, *to)

        _buttons(window, ("Sort", sort))


def _exporting(window: Window) -> ui.input:
    """Where the dataset is written."""
    desk = window.desk
    with ui.column().classes("card"):
        ui.label("Export a dataset").classes("text-h6")
        to = _input("To", str(desk.folder / "dataset"), "an empty folder, or an earlier export")
        use = _select("as", [name for name, _ in layouts], "imagefolder")
        crop = _select("crop (empty: as the scheme says)", ["", *(name for name, _ in croppers)], "")
        balance = _select("repeat small classes of (empty: none)", ["", *desk._job().scheme.axes], "")
        overlays = _select("cut off black bars; or cut, mask, keep all that lies over them", MODES, MODES[0])
        doubtful = ui.checkbox("pictures in doubt, too").props("dense")

        def export() -> None:
            given = {"--as": use.value, "--crop": crop.value, "--balance": balance.value}
            given["--overlays"] = overlays.value
            options = [word for name, value in given.items() if value for word in (name, value)]
            options += [*(["--doubtful"] * bool(doubtful.value)), *_common(window)]
            _run(window, "exporting", "sorter", "export", str(desk.library), "--to", to.value, *options)

        _buttons(window, ("Export", export))
    return to


def _training(window: Window, dataset: ui.input) -> None:
    with ui.column().classes("card"):
        ui.label("Train").classes("text-h6")
        config = _input("train.toml", str(window.desk.folder / "train.toml"), "what to train, and on which base")
        base = _input("Base model, where there is no train.toml yet", "", "a diffusers folder on this disk")

        def written() -> bool:
            path = Path(config.value)
            if not path.exists() and base.value:
                window.attempt(lambda: _write_config(window, path, base.value, dataset.value))
            if not path.exists():
                ui.notify(f"{path}: is not there; give the base model", type="negative")
            return path.exists()

        def check() -> None:
            if written():
                _run(window, "checking", "trainer", "check", config.value, "--json")

        def train() -> None:
            if written():
                _run(window, "training", "trainer", "train", config.value, "--json")

        _buttons(window, ("Check", check), ("Train", train))


def _taking_back(window: Window) -> None:
    with ui.column().classes("card"):
        ui.label("Take back").classes("text-h6")
        ui.label("Brings the library back to what was in place before its last run, your answers of that run too.")
        undo = ["undoing", "sorter", "undo", str(window.desk.library), "--json"]
        _buttons(
            window,
            ("What would be taken back", lambda: _run(window, *undo, "--dry-run")),
            ("Undo", lambda: _run(window, *undo)),
        )


def _common(window: Window) -> list[str]:
    return ["--scheme", str(window.desk.scheme_path), "--json"]


def refit(window: Window) -> None:
    """Fit a sorter again with what a person has answered; the new one beside the old, taken or refused."""
    window.long()
    desk = window.desk
    job = desk._job()
    with ui.column().classes("card"):
        ui.label("Refit").classes("text-h6")
        ui.label(
            "Your answers in this library are the examples, and those of a folder of class folders, if you give one."
        ).classes("said")
        axis = _select("question", job.taught, next(iter(job.taught), None))
        folder = _input("Class folders", "", "may be empty")

        def go() -> None:
            more = [folder.value] if folder.value else []
            to = str(refitting.staged(desk, axis.value))
            arguments = [
                "sorter",
                "fit",
                *more,
                "--answers",
                str(desk.library),
                "--axis",
                axis.value,
                "--to",
                to,
                "--json",
            ]
            _run(
                window,
                f"fitting {axis.value}",
                *arguments,
                *mirrors(desk, axis.value),
                then=partial(refitting.compare, desk, axis.value),
            )

        _buttons(window, ("Fit", go))
    result = ui.column()
    shown: dict[str, Any] = {"comparison": None}
    output = _output(window)

    def follow() -> None:
        output()
        found = refitting.comparisons.get(str(desk.library))
        if found is shown["comparison"]:
            return
        shown["comparison"] = found
        result.clear()
        if found is not None:
            with result:
                _comparison(window, found)

    window.follow = follow


def _comparison(window: Window, found: refitting.Comparison) -> None:
    with ui.column().classes("card"):
        ui.label(f"{found.axis}: the new sorter beside the old").classes("text-h6")
        with ui.element("table").classes("plain"):
            for row in found.rows():
                with ui.element("tr"):
                    for text in row:
                        with ui.element("td"):
                            ui.label(text)
        for line in found.said:
            ui.label(line).classes("said")

        def take() -> None:
            if window.attempt(lambda: refitting.take(window.desk, found)) is not None:
                window.again()

        def refuse() -> None:
            refitting.refuse(window.desk, found)
            window.again()

        with ui.row():
            ui.button("Take the new one, and sort again", on_click=take).props("no-caps unelevated color=primary")
            ui.button("Keep the old one", on_click=refuse).props("no-caps flat")


def _input(label: str, value: str, hint: str) -> ui.input:
    return ui.input(label, value=value, placeholder=hint).props("dense outlined").classes("full-width")


def _select(label: str, options: list[str], value: str | None) -> ui.select:
    return ui.select(options, value=value, label=label).props("dense outlined").classes("full-width")


def _buttons(window: Window, *buttons: tuple[str, Callable[[], Any]]) -> None:
    with ui.row():
        for number, (text, act) in enumerate(buttons):
            style = "unelevated color=primary" if number == len(buttons) - 1 else "flat color=primary"
            ui.button(text, on_click=act).props(f"no-caps {style}")


def _run(window: Window, title: str, *arguments: str, then: Callable[[Work], None] | None = None) -> None:
    if window.attempt(lambda: window.desk.run(title, *arguments, then=then)) and window.follow:
        window.follow()
        ui.run_javascript("document.querySelector('.lines').scrollIntoView({behavior: 'smooth', block: 'nearest'})")


def _output(window: Window) -> Callable[[], None]:
    """What the last command that was asked for said, kept up to date."""
    place = ui.label().classes("lines").style("display: none; min-height: 12rem")

    def follow() -> None:
        work = window.desk.asked
        if work is not None:
            place.style("display: block")
            place.text = "\n".join([f"$ {work.command}", *said_by(work)])

    window.follow = follow
    follow()
    return follow


def said_by(work: Work) -> list[str]:
    """What a command has said so far, as lines."""
    lines = list(work.lines)
    if work.code is None:
        return [*lines, f"{work.doing} {work.done or ''}{f' of {work.total}' if work.total else ''}"]
    for key, value in work.answer.items():
        if key in ("held_out", "card") or value in ({}, [], None, ""):
            continue
        if isinstance(value, list):
            lines += [f"{key}: {one}" if not isinstance(one, dict) else f"{key}: {_words(one)}" for one in value[:10]]
            lines += [f"and {len(value) - 10} more"] if len(value) > 10 else []
        else:
            lines.append(f"{key}: {_words(value) if isinstance(value, dict) else value}")
    return [*lines, "done" if work.code == 0 else f"ended with {work.code}"]


def _words(table: dict[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in table.items() if value)


def _write_config(window: Window, path: Path, base: str, dataset: str) -> None:
    from sorter.files import write

    job = window.desk._job()
    quoted = {
        key: '"' + value.replace("\\", "/").replace('"', '\\"') + '"'
        for key, value in {
            "base": base, "dataset": dataset, "output": str(path.parent / "runs" / "first"),
            "prompt": job.scheme.trigger,
        }.items()
    }  # fmt: skip
    write(path, START.format_map(quoted).encode())
