"""What `trainer evaluate` prints, and its JSON. Pure."""

from __future__ import annotations

from typing import Any

from sorter.networks.load import Sorter
from trainer.evaluate.judge import Judgement, card_of
from trainer.evaluate.likeness import Likeness
from trainer.evaluate.scores import AxisScore, Share
from trainer.evaluate.trial_text import judge_json, judged_how, percent, share_json, title
from trainer.evaluate.trial_text import table as judge_table


def own(made: Judgement, like: Likeness | None, axis: str) -> Share | None:
    """What the sorter's card says; of one that was refitted, as it was before."""
    return like.trial.cards.get(axis) if like else card_of(made.job, axis)


def counts(made: Judgement) -> list[str]:
    """Sentences: how many pictures there are, and which are not judged."""
    sources = ", ".join(f"{count} {name}" for name, count in made.sources.most_common())
    lines = [f"{len(made.judged)} of {len(made.readable) + len(made.unreadable)} pictures judged (prompts: {sources})"]
    if made.without_prompt:
        lines.append(f"{made.without_prompt} have no prompt")
    if made.without_class:
        lines.append(f"{made.without_class} have a prompt that names no class, or several of each axis that it names")
    if made.unreadable:
        lines.append(f"{len(made.unreadable)} cannot be read")
    return lines


def notes(made: Judgement, like: Likeness | None) -> list[str]:
    """What a person should know before believing the numbers."""
    said = [
        f"{axis}: {score.several} prompts name several classes and are not judged on it"
        for axis, score in made.axes.items()
        if score.several
    ]
    if like is None:
        side, seen = min(made.usual_size), _view(made)
        if side < seen:
            width, height = made.usual_size
            said.append(
                f"the pictures are {width}x{height} and the sorters look at {seen}x{seen}: they may judge such small "
                "ones badly; --library tells how badly"
            )
        return said
    said += judged_how(like.trial)
    if like.copies:
        said.append(f"{len(like.copies)} pictures are as like one of the library as copies are")
    return said + like.strong()


def _view(made: Judgement) -> int:
    """Pixels a side of what the sorters of the judged axes look at, at most."""
    asked = (made.job.questions.asked[axis] for axis in made.axes)
    return max((one.backbone.size for one in asked if isinstance(one, Sorter)), default=0)


def lines_of(made: Judgement, like: Likeness | None, unwanted: list[str]) -> list[str]:
    """The lines on a terminal. `unwanted`: what is said first where the pictures fall short."""
    rows = [["axis", "as asked", "of", "sure", "its card"]]
    for axis, score in made.axes.items():
        card = own(made, like, axis)
        rows.append([axis, percent(score.share), str(score.share.of), f"{_sure(score):.0%}",
                     f"{card.value:.0%}" if card else "-"])  # fmt: skip
    judge = ["", f"{title(like.trial)}:", *aligned(judge_table(like.trial))] if like else []
    summary = [
        f"mean of the axes    {percent(made.mean)}",
        f"all that was asked  {percent(made.all_right)} of {made.all_right.of} pictures",
    ]
    left = [f"    {one.path.name}: {one.reason}" for one in made.unreadable]
    said = [f"note  {note}" for note in notes(made, like)]
    return [*counts(made), *left, "", *aligned(rows), "", *summary, *judge, "", *said, *unwanted]


def aligned(rows: list[list[str]]) -> list[str]:
    """Rows of cells as lines, column by column."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _sure(score: AxisScore) -> float:
    return score.sure / score.share.of


def as_json(made: Judgement, like: Likeness | None) -> dict[str, Any]:
    """The same for scripts."""
    return {
        "pictures": len(made.readable) + len(made.unreadable),
        "judged": len(made.judged),
        "without_prompt": made.without_prompt,
        "without_class": made.without_class,
        "prompts": dict(made.sources),
        "axes": {axis: axis_json(made, axis, score, like) for axis, score in made.axes.items()},
        "mean": share_json(made.mean),
        "all_right": share_json(made.all_right),
        "judge": like and judge_json(like.trial),
        "likeness": like and likeness_json(like),
        "notes": notes(made, like),
        "unreadable": [{"file_name": str(one.path), "reason": one.reason} for one in made.unreadable],
    }


def axis_json(made: Judgement, axis: str, score: AxisScore, like: Likeness | None) -> dict[str, Any]:
    confusion: dict[str, dict[str, int]] = {}
    card = own(made, like, axis)
    for (asked, seen), count in score.confusion.items():
        confusion.setdefault(asked, {})[seen] = count
    return {
        **_with_classes(score),
        "sure": round(_sure(score), 4),
        "several": score.several,
        "held_out": card and card.value,
        "refitted": bool(like and axis in like.trial.before),
        "ceiling": _with_classes(like.trial.ceiling[axis]) if like and axis in like.trial.ceiling else None,
        "confusion": confusion,
    }


def _with_classes(score: AxisScore) -> dict[str, Any]:
    return {**share_json(score.share), "classes": {name: share_json(score.of_class(name)) for name in score.asked}}


def likeness_json(like: Likeness) -> dict[str, Any]:
    return {
        "size": list(like.trial.lens.size),
        "through_autoencoder": like.trial.lens.through is not None,
        "compared": like.compared,
        "copies": [one._asdict() | {"path": str(one.path), "training": str(one.training)} for one in like.copies],
        "contrast": dict(zip(("pictures", "library"), like.contrast, strict=True)),
        "saturation": dict(zip(("pictures", "library"), like.saturation, strict=True)),
        "spread": round(like.spread, 2),
        "nearer_to_training": like.nearer and share_json(like.nearer),
    }
