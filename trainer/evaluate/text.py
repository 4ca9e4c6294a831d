"""What `trainer evaluate` prints, and its JSON. Pure."""

from __future__ import annotations

from typing import Any

from sorter.networks.load import Sorter
from trainer.evaluate.judge import Judgement
from trainer.evaluate.likeness import Likeness
from trainer.evaluate.scores import AxisScore, Share

WEAK = 0.05
"""By how much less often than its card says a sorter may be right at another size."""


def percent(share: Share) -> str:
    """Such as "80% (66 to 89)": the interval in brackets."""
    low, high = share.interval
    return f"{share.value:.0%} ({100 * low:.0f} to {100 * high:.0f})"


def held_out(made: Judgement, axis: str) -> float | None:
    """The sorter's accuracy on real pictures that it was not fitted on, as its card says; None where it says none."""
    asked = made.job.questions.asked[axis]
    scores = asked.card.get("scores") if isinstance(asked, Sorter) else None
    found = scores.get("accuracy") if isinstance(scores, dict) else None
    return float(found) if isinstance(found, int | float) and not isinstance(found, bool) else None


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
    for axis, ceiling in like.ceiling.items():
        card = held_out(made, axis)
        if card is not None and ceiling.share.value < card - WEAK:
            right = f"the sorter is right on {ceiling.share.value:.0%} of the library's own pictures"
            said.append(f"{axis}: {like.at} {right}, where its card says {card:.0%}: it is weak there")
    if like.copies:
        said.append(f"{len(like.copies)} pictures are as like one of the library as copies are")
    return said + like.strong()


def _view(made: Judgement) -> int:
    """Pixels a side of what the sorters of the judged axes look at, at most."""
    asked = (made.job.questions.asked[axis] for axis in made.axes)
    return max((one.backbone.size for one in asked if isinstance(one, Sorter)), default=0)


def lines_of(made: Judgement, like: Likeness | None, unwanted: list[str]) -> list[str]:
    """The lines on a terminal. `unwanted`: what is said first where the pictures fall short."""
    rows = [["axis", "as asked", "of", "sure", "sorter's own"]]
    if like:
        rows[0].append(like.at)
    for axis, score in made.axes.items():
        card = held_out(made, axis)
        row = [axis, percent(score.share), str(score.share.of), f"{_sure(score):.0%}", f"{card:.0%}" if card else "-"]
        if like:
            row.append(percent(like.ceiling[axis].share) if axis in like.ceiling else "-")
        rows.append(row)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    table = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    summary = [
        f"mean of the axes    {percent(made.mean)}",
        f"all that was asked  {percent(made.all_right)} of {made.all_right.of} pictures",
    ]
    left = [f"    {one.path.name}: {one.reason}" for one in made.unreadable]
    said = [f"note  {note}" for note in notes(made, like)]
    return [*counts(made), *left, "", *table, "", *summary, *said, *unwanted]


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
        "axes": {axis: _axis(made, axis, score, like) for axis, score in made.axes.items()},
        "mean": _share(made.mean),
        "all_right": _share(made.all_right),
        "likeness": like and _likeness(like),
        "notes": notes(made, like),
        "unreadable": [{"file_name": str(one.path), "reason": one.reason} for one in made.unreadable],
    }


def _axis(made: Judgement, axis: str, score: AxisScore, like: Likeness | None) -> dict[str, Any]:
    confusion: dict[str, dict[str, int]] = {}
    for (asked, seen), count in score.confusion.items():
        confusion.setdefault(asked, {})[seen] = count
    return {
        **_with_classes(score),
        "sure": round(_sure(score), 4),
        "several": score.several,
        "held_out": held_out(made, axis),
        "ceiling": _with_classes(like.ceiling[axis]) if like and axis in like.ceiling else None,
        "confusion": confusion,
    }


def _with_classes(score: AxisScore) -> dict[str, Any]:
    return {**_share(score.share), "classes": {name: _share(score.of_class(name)) for name in score.asked}}


def _share(share: Share) -> dict[str, float]:
    low, high = share.interval
    return {"share": round(share.value, 4), "low": round(low, 4), "high": round(high, 4), "of": round(share.of, 2)}


def _likeness(like: Likeness) -> dict[str, Any]:
    return {
        "size": list(like.size),
        "through_autoencoder": like.encoded,
        "compared": like.compared,
        "copies": [one._asdict() | {"path": str(one.path), "training": str(one.training)} for one in like.copies],
        "contrast": dict(zip(("pictures", "library"), like.contrast, strict=True)),
        "saturation": dict(zip(("pictures", "library"), like.saturation, strict=True)),
    }
