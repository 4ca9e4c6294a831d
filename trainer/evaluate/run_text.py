"""What `trainer evaluate RUN` prints, and its JSON. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from trainer.evaluate.captions import harmful
from trainer.evaluate.columns import Column
from trainer.evaluate.runs import RunJudgement
from trainer.evaluate.scores import Share
from trainer.evaluate.signs import SURE, by_heart, difference
from trainer.evaluate.text import aligned, axis_json, likeness_json
from trainer.evaluate.trial_text import judge_json, judged_how, percent, share_json, title
from trainer.evaluate.trial_text import table as judge_table

MUCH = 1.5
"""Times as often as it is asked for, from which on it is said that a class is seen."""
SIMILAR = 16
"""Of 64 bits; hashes of pictures that have nothing in common differ in 32, give or take 4."""
LEAST_LIKE, LEAST_SHARE = 4, 0.15
"""Pictures, and the share of all, that must be like one training picture for it to be said."""


def headline(found: RunJudgement) -> str:
    """The best checkpoint, and how it does."""
    return f"{found.best.model} is best: {percent(found.best.made.mean)} as asked"


def too_many(found: RunJudgement) -> int:
    """Steps that the run went on for after its best checkpoint."""
    return max(0, found.last.model.step - found.best.model.step)


def length(found: RunJudgement) -> list[str]:
    """Whether it was trained for too long, or too fast."""
    best, last = found.best.model, found.last
    lines = [f"overtrained: {sign}" for sign in found.overtrained]
    if steps := too_many(found):
        how = f"{last.model} has {last.adherence:.0%}"
        lines.append(f"{steps} steps too many: what came after {best} is no better; {how}")
    return lines


def said(found: RunJudgement) -> list[str]:
    """What a person should know, the most important first."""
    best, base, lines = found.best, found.base, length(found)
    up, error = difference(best.scores, base.scores)
    if up <= SURE * error:
        few = "by so few pictures; more: --count"
        lines.append(f"it cannot be told from the base, which has {base.adherence:.0%}, {few}")
    if (step := found.last.model.step) < (steps := found.config.training.steps):
        lines.append(f"the run stands at step {step} of {steps}")
    copies = best.like.copies if best.like else []
    if copies:
        of = f"{len(copies)} of {len(best.paths)} pictures of {best.model}"
        lines.append(f"as like a training picture as copies are: {of}")
    lines += dominating(best)
    if useless := harmful(found.captions):
        names = ", ".join(one.path.name for one in useless[:3])
        lines.append(f"{len(useless)} captions do not help to tell their pictures; see whether they are wrong: {names}")
    if found.trial:
        lines += judged_how(found.trial)
    else:
        lines.append("how well the sorters judge such pictures is not known, without a dataset or --library")
    return [*lines, *found.notes]


def dominating(column: Column) -> list[str]:
    """Which class is seen much more often than it is asked for, and which training picture most are like."""
    lines = []
    for axis, score in column.made.axes.items():
        asked, seen = (Counter[str]() for _ in range(2))
        for (wanted, found), count in score.confusion.items():
            asked[wanted] += count
            seen[found] += count
        for name, count in seen.items():
            share, wish = Share(count, score.share.of), asked[name] / score.share.of
            if share.interval[0] > max(wish, LEAST_SHARE) and share.value > MUCH * wish:
                lines.append(f"{axis}: {name} is seen in {share.value:.0%}, and was asked for in {wish:.0%}")
    nearest = column.like.nearest if column.like else []
    for picture, count in Counter(one.training for one in nearest if one.bits <= SIMILAR).most_common(1):
        if count >= LEAST_LIKE and count > LEAST_SHARE * len(nearest):
            lines.append(f"{count} of {len(nearest)} pictures are more like {picture.name} than like any other one")
    return lines


def lines_of(found: RunJudgement, unwanted: list[str]) -> list[str]:
    """The lines on a terminal. `unwanted`: what is said last where the best one falls short."""
    pictures = len(found.prompts)
    head = f"{len(found.columns)} models, {pictures} pictures of each, by the same prompts and seeds"
    judge = [f"{title(found.trial)}:", *aligned(judge_table(found.trial)), ""] if found.trial else []
    notes = [f"note  {one}" for one in said(found)]
    return [head, "", *aligned(table(found)), "", *judge, headline(found), *notes, *unwanted]


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


def as_json(found: RunJudgement) -> dict[str, Any]:
    """The same for scripts."""
    best = found.best
    return {
        "run": str(found.run),
        "best": {"step": best.model.step, "strength": best.model.strength},
        "steps_too_many": too_many(found),
        "overtrained": found.overtrained,
        "mean": share_json(best.made.mean),
        "prompts": list(found.prompts),
        "models": [_model(one) for one in found.columns],
        "judge": found.trial and judge_json(found.trial),
        "captions": [{"file_name": str(one.path), "caption": one.caption, "gain": one.gain} for one in found.captions],
        "notes": said(found),
        "unreadable": [
            {"file_name": str(one.path), "reason": one.reason}
            for column in found.columns
            for one in column.made.unreadable
        ],
    }


def signs(found: RunJudgement) -> list[list[str]]:
    """Rows of cells: what tells of too much training, a model a column; nothing where nothing was compared."""
    columns = found.columns
    rows = [["", *(str(one.model) for one in columns)]]
    for name, part in (("loss on held-out pictures", "held_out"), ("loss on training pictures", "training")):
        means = [_mean(getattr(one.losses, part)) if one.losses else "" for one in columns]
        rows += [[name, *means]] if any(means) else []
    shares = [by_heart(found.base, one) for one in columns]
    if any(shares):
        rows.append(["learnt by heart, of all that was learnt", *(f"{one.value:.0%}" if one else "" for one in shares)])
    likes = [one.like for one in columns]
    if all(likes):
        for name in ("contrast", "saturation"):
            pairs = [getattr(one, name) for one in likes]
            rows.append([f"{name}, times that of real pictures", *(f"{a / b:.2f}" if b else "" for a, b in pairs)])
        rows.append(["as like a training picture as copies", *(str(len(one.copies)) for one in likes if one)])
        rows.append(["differences between two pictures, of 64 bits", *(f"{one.spread:.0f}" for one in likes if one)])
        nearer = [f"{one.nearer.value:.0%}" for one in likes if one and one.nearer]
        rows += [["more like a training than a held-out picture", *nearer]] if nearer else []
    return rows if len(rows) > 1 else []


def _mean(losses: Mapping[str, float]) -> str:
    return f"{sum(losses.values()) / len(losses):.4f}" if losses else ""


def _model(one: Column) -> dict[str, Any]:
    return {
        "step": one.model.step,
        "strength": one.model.strength,
        "pictures": [str(path) for path in one.paths],
        "axes": {axis: axis_json(one.made, axis, score, one.like) for axis, score in one.made.axes.items()},
        "mean": share_json(one.made.mean),
        "all_right": share_json(one.made.all_right),
        "likeness": one.like and likeness_json(one.like),
        "losses": one.losses and {"training": dict(one.losses.training), "held_out": dict(one.losses.held_out)},
    }
