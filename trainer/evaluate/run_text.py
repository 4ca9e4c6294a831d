"""What `trainer evaluate RUN` prints, and its JSON. Pure."""

from __future__ import annotations

from typing import Any

from trainer.evaluate.runs import Column, RunJudgement
from trainer.evaluate.scores import Share
from trainer.evaluate.text import axis_json, judged_how, likeness_json, percent, share_json


def headline(found: RunJudgement) -> str:
    """The best checkpoint, and how it does."""
    return f"{found.best.model} is best: {percent(found.best.made.mean)} as asked"


def too_many(found: RunJudgement) -> int:
    """Steps that the run went on for after its best checkpoint."""
    return max(0, found.last.model.step - found.best.model.step)


def said(found: RunJudgement) -> list[str]:
    """What a person should know, the most important first."""
    best, last, base = found.best, found.last, found.base
    lines = []
    if steps := too_many(found):
        how = f"{last.model} has {last.adherence:.0%}"
        lines.append(f"{steps} steps too many: what came after {best.model} is no better; {how}")
    if best.made.mean.interval[0] <= base.adherence:
        lines.append(
            f"it cannot be told from the base, which has {base.adherence:.0%}, by so few pictures; more: --count"
        )
    if found.config.training.steps > found.last.model.step:
        lines.append(f"the run stands at step {found.last.model.step} of {found.config.training.steps}")
    copies = best.like.copies if best.like else []
    if copies:
        lines.append(f"{len(copies)} pictures of {best.model} are as like a training picture as copies are")
    if best.like:
        lines += best.like.strong()
    if found.trial:
        lines += judged_how(found.trial)
    else:
        lines.append("how well the sorters judge such pictures is not known, without a dataset or --library")
    return [*lines, *found.notes]


def lines_of(found: RunJudgement, unwanted: list[str]) -> list[str]:
    """The lines on a terminal. `unwanted`: what is said last where the best one falls short."""
    pictures = len(found.prompts)
    head = f"{len(found.columns)} models, {pictures} pictures of each, by the same prompts and seeds"
    return [head, "", *_aligned(table(found)), "", headline(found), *(f"note  {one}" for one in said(found)), *unwanted]


def table(found: RunJudgement) -> list[list[str]]:
    """Rows of cells: an axis a row, a model a column, and what real pictures would reach."""
    ceiling = found.trial.ceiling if found.trial else {}
    rows = [["", *(str(one.model) for one in found.columns), *(["real pictures"] if ceiling else [])]]
    for axis in found.base.made.axes:
        most = [f"{ceiling[axis].share.value:.0%}" if axis in ceiling else "-"] if ceiling else []
        rows.append([axis, *(_value(_of_axis(one, axis)) for one in found.columns), *most])
    blank = [""] * bool(ceiling)
    rows.append(["mean of the axes", *(f"{one.adherence:.0%}" for one in found.columns), *blank])
    rows.append(["  95 % interval", *(_interval(one.made.mean) for one in found.columns), *blank])
    rows.append(["all that was asked", *(_value(one.made.all_right) for one in found.columns), *blank])
    return rows


def _of_axis(column: Column, axis: str) -> Share:
    return column.made.axes[axis].share if axis in column.made.axes else Share(0, 0)


def _value(share: Share) -> str:
    return f"{share.value:.0%}" if share.of else "-"


def _interval(share: Share) -> str:
    low, high = share.interval
    return f"{100 * low:.0f} to {100 * high:.0f}"


def _aligned(rows: list[list[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def as_json(found: RunJudgement) -> dict[str, Any]:
    """The same for scripts."""
    best = found.best
    return {
        "run": str(found.run),
        "best": {"step": best.model.step, "strength": best.model.strength},
        "steps_too_many": too_many(found),
        "mean": share_json(best.made.mean),
        "prompts": list(found.prompts),
        "models": [_model(one) for one in found.columns],
        "notes": said(found),
        "unreadable": [
            {"file_name": str(one.path), "reason": one.reason}
            for column in found.columns
            for one in column.made.unreadable
        ],
    }


def _model(one: Column) -> dict[str, Any]:
    return {
        "step": one.model.step,
        "strength": one.model.strength,
        "pictures": [str(path) for path in one.paths],
        "axes": {axis: axis_json(one.made, axis, score, one.like) for axis, score in one.made.axes.items()},
        "mean": share_json(one.made.mean),
        "all_right": share_json(one.made.all_right),
        "likeness": one.like and likeness_json(one.like),
    }
