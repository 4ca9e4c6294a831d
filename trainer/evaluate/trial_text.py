"""What is said of the judge: how often it is right on real pictures as drawn ones look, beside its card. Pure."""

from __future__ import annotations

from typing import Any

from trainer.evaluate.scores import AxisScore, Share, apart
from trainer.evaluate.trial import WEAK, Trial, is_weak

HEAD = ["", "its card", "not refitted", "refitted", "points above its card", ""]
POINTS = round(100 * WEAK)


def percent(share: Share) -> str:
    """Such as "80% (66 to 89)": the interval in brackets."""
    low, high = share.interval
    return f"{share.value:.0%} ({100 * low:.0f} to {100 * high:.0f})"


def share_json(share: Share) -> dict[str, float]:
    """For scripts."""
    low, high = share.interval
    return {"share": round(share.value, 4), "low": round(low, 4), "high": round(high, 4), "of": round(share.of, 2)}


def title(trial: Trial) -> str:
    """Of the table."""
    return f"The judge on real pictures {trial.lens.at}"


def table(trial: Trial) -> list[list[str]]:
    """Rows of cells, an axis a row."""
    return [HEAD, *(_row(trial, axis, score) for axis, score in trial.ceiling.items())]


def _row(trial: Trial, axis: str, score: AxisScore) -> list[str]:
    card, was = trial.cards[axis], trial.before.get(axis)
    counts = _of(card), _of((was or score).share), _of(score.share if was else None)
    return [axis, *counts, *(_against(score.share, card) if card else ("-", "-"))]


def _of(share: Share | None) -> str:
    return f"{share.value:.0%} of {share.of:.0f}" if share else "-"


def _against(share: Share, card: Share) -> tuple[str, str]:
    """By how many points it is above its card, and whether that is near enough."""
    found = apart(share, card)
    value, low, high = (round(100 * one) for one in found)
    far = found.value < -WEAK
    doubtful = found.high >= -WEAK if far else found.low < -WEAK
    verdict = f"more than {POINTS} below" if far else f"within {POINTS}"
    few = f", as far as {min(share.of, card.of):.0f} pictures tell" if doubtful else ""
    return f"{value:+d} ({low:+d} to {high:+d})", verdict + few


def what_is_compared(trial: Trial) -> str:
    """What differs between the columns."""
    return (
        "Its card is of the sorter's own examples at their full size, the other columns of your pictures "
        f"{trial.lens.at}, of a refitted sorter on those that it was not fitted on. These have the labels under which "
        "they were sorted: most are pictures that the sorter was sure of, and a wrong label counts against the judge. "
        "In brackets: where the true difference lies with 95 % certainty."
    )


def judged_how(trial: Trial) -> list[str]:
    """Sentences: which sorters were weak at that size, what was done about it, and what that means."""
    said = []
    if trial.before:
        better = ", ".join(
            f"{axis} {was.share.value:.0%} to {trial.ceiling[axis].share.value:.0%}"
            for axis, was in trial.before.items()
        )
        said.append(
            f"refitted on real pictures {trial.lens.at}, since the sorters are weak there; right on those they were "
            f"not fitted on: {better}"
        )
    weak = False
    for axis, score in trial.ceiling.items():
        card = trial.cards[axis]
        if is_weak(trial.job, axis, score, card):
            weak = True
            own = "" if card is None else f", where its card says {card.value:.0%}"
            said.append(
                f"{axis}: the judge is weak, right on {score.share.value:.0%} of real pictures {trial.lens.at}{own}: a "
                "model that does as well may draw all as asked, and of two models the better one is still the better"
            )
    said += trial.left
    if weak:
        said.append("what helps a weak judge is more pictures of each class to refit on, as of a whole --library")
    return said


def judge_json(trial: Trial) -> dict[str, Any]:
    """Axis -> its card, what it was before it was refitted, what it is now, and the last less the first."""
    return {axis: _axis_json(trial, axis, score) for axis, score in trial.ceiling.items()}


def _axis_json(trial: Trial, axis: str, score: AxisScore) -> dict[str, Any]:
    card, was = trial.cards[axis], trial.before.get(axis)
    found = apart(score.share, card) if card else None
    return {
        "card": card and share_json(card),
        "before": was and share_json(was.share),
        "now": share_json(score.share),
        "against_card": found and {key: round(value, 4) for key, value in found._asdict().items()},
        "within": None if found is None else found.value >= -WEAK,
    }
