"""A run judged, as one HTML page: pictures first."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from sorter.page import Cell, HeatMap, Section, Shown, line_plot
from sorter.threads import in_step
from trainer.evaluate.columns import Column
from trainer.evaluate.drawing import FULL
from trainer.evaluate.report import (
    confusions,
    copies,
    details,
    href,
    of_classes,
    of_judge,
    picture_of,
    shown_small,
    write_page,
)
from trainer.evaluate.run_text import headline, said, signs, table
from trainer.evaluate.runs import RunJudgement

OPEN = 12
"""Prompts whose pictures are shown at once; the others are folded."""
WORST = 12
"""Training pictures that are shown of those that their captions help least."""
WIDTH = 128
"""Pixels of a picture in the page."""


def write_run_report(found: RunJudgement, to: Path) -> None:
    """Write the page. Raises EvaluationError where `to` cannot be written."""
    sections = [
        _rows(found, to.parent),
        Section("In short", said(found)),
        _table(found),
        *of_judge(found.trial),
        *_signs(found),
        *_strengths(found),
        _best(found.best, to.parent),
        *copies(found.best.like, to.parent),
        *_captions(found, to.parent),
    ]
    write_page(f"{found.run.resolve().name}: {headline(found)}", sections, to)


def _best(best: Column, beside: Path) -> Section:
    """The pictures of the best model by axis and class, and what was seen instead; folded, since all were shown."""
    parts = [*details(best.made, beside, named=False), of_classes(best.made, best.like), confusions(best.made)]
    return Section(f"{str(best.model).capitalize()}, the best", parts=[replace(one, folded=True) for one in parts])


def _rows(found: RunJudgement, beside: Path) -> Section:
    """A row a prompt, a column a model."""
    columns = _columns(found)
    head = ["", *(f"{one.model}{', the best' if one is found.best else ''}" for one in columns)]
    numbers = range(len(found.prompts))

    def row(number: int) -> list[Any]:
        return [found.prompts[number], *(_cell(one, number, beside) for one in columns)]

    rows = list(in_step(row, numbers))
    crisp = any(isinstance(cell, Shown) and cell.data.startswith("data:image/png") for cell in rows[0])
    texts = ["Below each picture: what was asked for and is not seen, and what is seen instead."]
    shown = Section("Same prompt, same seed", texts, head=head, rows=rows[:OPEN], crisp=crisp)
    if len(rows) <= OPEN:
        return shown
    more = f"The other {len(rows) - OPEN} prompts"
    return replace(shown, parts=[Section(more, head=head, rows=rows[OPEN:], crisp=crisp, folded=True)])


def _columns(found: RunJudgement) -> list[Column]:
    """The base, and each step at the strength of the best."""
    return [found.base, *(one for one in found.trained if one.model.strength == found.best.model.strength)]


def _cell(column: Column, number: int, beside: Path) -> Shown | str:
    path = column.paths[number]
    picture = picture_of(path)
    if picture is None:
        return "cannot be read"
    judged = column.seen.get(path)
    wrong = (
        [f"{axis}: {judged.seen[axis].name}" for axis, right in judged.right().items() if not right] if judged else []
    )
    words = "\n".join(wrong) if wrong else "as asked" if judged else "not judged"
    return replace(shown_small(picture, words, WIDTH), href=href(path, beside))


def _table(found: RunJudgement) -> Section:
    head, *rows = table(found)
    texts = [
        "How often what the prompts ask for is what your sorters see. The base is the floor; no model can be seen to "
        "do better than the judge itself does on real pictures, which is the ceiling.",
    ]
    columns = _columns(found)
    curves = {
        axis: ([one.model.step for one in columns], [_share(one, axis) for one in columns])
        for axis in found.base.made.axes
    }
    curves["mean"] = ([one.model.step for one in columns], [one.adherence for one in columns])
    plot = line_plot(curves, "step", "as asked") if len(columns) > 2 else ""
    return Section("Asked and seen, step by step", texts, head=head, rows=rows, plot=plot)


def _signs(found: RunJudgement) -> list[Section]:
    rows = signs(found)
    if not rows:
        return []
    texts = found.overtrained or ["Nothing here says that the last checkpoint is overtrained."]
    why = (
        "Losses are of the same noise for every model. They fall while something is learnt; on held-out pictures they "
        "rise again when the training pictures are learnt by heart, or the rate is too high."
    )
    return [Section("Too much training?", [*texts, why], head=rows[0], rows=rows[1:])]


def _share(column: Column, axis: str) -> float:
    return column.made.axes[axis].share.value if axis in column.made.axes else 0.0


def _captions(found: RunJudgement, beside: Path) -> list[Section]:
    """Training pictures that their captions help least."""
    pictures = []
    for one in found.captions[:WORST]:
        if picture := picture_of(one.path):
            words = f"{one.gain:.1%} of the loss\n{one.caption[:160]}"
            pictures.append(
                replace(shown_small(picture, words, WIDTH), name=one.path.name, href=href(one.path, beside))
            )
    if not pictures:
        return []
    texts = [
        f"Of {len(found.captions)} training pictures those whose captions save the least of the loss that there is "
        "without one: a caption that is wrong saves nothing, or does harm.",
    ]
    return [Section("Captions that help least", texts, pictures=pictures)]


def _strengths(found: RunJudgement) -> list[Section]:
    """Steps down, strengths across, where there are several."""
    strengths = sorted({one.model.strength for one in found.trained})
    if strengths == [FULL] or not strengths:
        return []
    steps = sorted({one.model.step for one in found.trained})
    by_model = {(one.model.step, one.model.strength): one for one in found.trained}
    rows = [(f"step {step}", [_mean_cell(by_model[step, strength]) for strength in strengths]) for step in steps]
    heat = HeatMap([f"strength {one:g}" for one in strengths], rows, gaps=False)
    texts = ["The mean of the axes in per cent, and the picture of the first prompt."]
    return [Section("Checkpoint and strength", texts, heat=heat)]


def _mean_cell(column: Column) -> Cell:
    picture = picture_of(column.paths[0])
    shown = shown_small(picture, "", WIDTH) if picture else None
    return Cell(round(100 * column.adherence), column.adherence, shown)
