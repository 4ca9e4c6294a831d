"""labels -> verdict: what is certain, what a person must be asked, and whether the picture is turned. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sorter.records import CAPTION, DUPLICATE, HUMAN, LIBRARY, REMOVED, WANTED, Label, Picture, Verdict
from sorter.scheme import Axis, Scheme

REMOVED_BY_HAND, OF_ANOTHER = "removed by hand", "duplicate of another"


def decide(
    picture: Picture,
    labels: tuple[Label, ...],
    scheme: Scheme,
    thresholds: Mapping[str, Mapping[str, float]] | None = None,
    classes: Mapping[str, Collection[str]] | None = None,
) -> Verdict:
    """The verdict on a picture whose labels describe it as it was found.

    `thresholds`: axis to class to the score below which that answer is a doubt, for axes whose scheme says "auto".
    `classes`: axis to the classes that its sorter knows now; a person's answer of another one is a doubt.
    """
    given = {label.axis: label for label in labels}
    doubts: dict[str, str] = {}
    for name, axis in scheme.axes.items():
        doubt = _doubt(name, axis, given.get(name), thresholds or {}, (classes or {}).get(name))
        if doubt:
            doubts[name] = doubt
    unsure = frozenset(doubts)
    mirror = _is_to_be_turned(given, scheme, unsure)
    if mirror:
        given |= {name: mirrored(given[name], axis) for name, axis in scheme.axes.items() if name in given}
    return Verdict(
        picture,
        tuple([given[name] for name in scheme.axes if name in given]),
        tuple(doubts.values()),
        unsure,
        mirror,
        _unwanted(given, scheme, unsure),
        given[CAPTION].name if CAPTION in given else None,
        tuple([given[name] for name in scheme.ask if name in given]) if scheme.ask else (),
    )


def mirrored(label: Label, axis: Axis) -> Label:
    """The same answer, said of the mirrored picture."""
    name, runner_up = axis.mirrored(label.name), axis.mirrored(label.runner_up)
    if name == label.name and runner_up == label.runner_up and not label.taken_for:
        return label
    looks = label.mirror_taken_for, label.taken_for
    return Label(label.axis, name, label.score, label.source, *looks, runner_up, label.runner_up_score)


def _doubt(
    name: str,
    axis: Axis,
    label: Label | None,
    thresholds: Mapping[str, Mapping[str, float]],
    classes: Collection[str] | None,
) -> str:
    if label is None:
        return f"{name}: no sorter has answered yet"
    if label.source == HUMAN:
        known = classes is None or label.name in classes
        return "" if known else f'{name}: "{label.name}", as a person said, is no class of its sorter any more'
    if label.taken_for:
        too = " too" if label.taken_for == label.mirror_taken_for else ""
        back = f'its mirror image looks "{label.mirror_taken_for}"{too}'
        return f'{name}: looks "{label.taken_for}", but {back}, so one of the two is wrong'
    threshold = thresholds[name][label.name] if axis.threshold == "auto" else axis.threshold
    if label.score >= threshold:
        return ""
    return f'{name}: "{label.name}" with {_below(label.score, threshold)}'


def _below(score: float, threshold: float) -> str:
    """The two as percentages, with as many digits as tell them apart."""
    if threshold >= 1:
        return f"{score:.0%}, and no score of it is safe enough"
    for places in range(4):
        if f"{score:.{places}%}" != f"{threshold:.{places}%}":
            break
    return f"{score:.{places}%}, below {threshold:.{places}%}"


def _is_to_be_turned(given: Mapping[str, Label], scheme: Scheme, unsure: frozenset[str]) -> bool:
    """Only if an axis that is beyond doubt asks for it, and no class forbids it."""
    for name, classes in scheme.fixed.items():
        if name in given and given[name].name in classes:
            return False
    for name, classes in scheme.turned.items():
        if name in given and given[name].name in classes and name not in unsure:
            return True
    return False


def _unwanted(given: Mapping[str, Label], scheme: Scheme, unsure: frozenset[str]) -> str:
    asked = given[LIBRARY].name if LIBRARY in given else None
    if asked == REMOVED:
        return REMOVED_BY_HAND
    if asked == DUPLICATE:
        return OF_ANOTHER
    if asked == WANTED:
        return ""
    for name, classes in scheme.dropped.items():
        if name in given and given[name].name in classes and name not in unsure:
            return f"{name}: {given[name].name}"
    return ""
