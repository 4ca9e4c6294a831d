"""A sorter fitted again, beside the old one: compared on the same held-out pictures, then taken or refused."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sorter.errors import LibraryError
from sorter.files import patiently, remove_folder
from sorter.review.desk import Desk
from sorter.review.work import Work

comparisons: dict[str, Comparison] = {}
"""Library -> what is waiting to be taken or refused."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A new sorter and the old one on pictures that neither was fitted on, where there are such."""

    axis: str
    staged: Path
    new_card: dict[str, Any]
    old_card: dict[str, Any]
    pictures: int
    """Answered since the old one was fitted (or all, where it was not fitted on answers), and held out by the new."""
    new_right: int
    old_right: int
    said: tuple[str, ...] = ()

    def rows(self) -> list[tuple[str, str, str]]:
        """A table: what, the old sorter, the new."""

        def of(card: dict[str, Any], key: str) -> str:
            value = card.get("scores", {}).get(key)
            return f"{value:.1%}" if isinstance(value, float) else "-"

        def examples(card: dict[str, Any]) -> str:
            return f"{sum(card.get('pictures', {}).values()):,}" if isinstance(card.get("pictures"), dict) else "-"

        rows = [
            ("", "old", "new"),
            ("examples", examples(self.old_card), examples(self.new_card)),
            ("right on held-out pictures of its own", of(self.old_card, "accuracy"), of(self.new_card, "accuracy")),
        ]
        if self.pictures:
            old, new = (f"{right / self.pictures:.1%}" for right in (self.old_right, self.new_right))
            rows.append((f"right on the same {self.pictures:,} pictures, which neither was fitted on", old, new))
        return rows


def staged(desk: Desk, axis: str) -> Path:
    """Where a new sorter lies until it is taken: beside the old one, so that it finds the same backbone."""
    old = model(desk, axis)
    return old.with_name(f".{old.name}.new")


def compare(desk: Desk, axis: str, work: Work) -> None:
    """Called when the fit has ended: what the two say of the same pictures."""
    if work.code == 2 or "card" not in work.answer:
        return
    held_out = {row["sha256"]: (row["class"], row["taken_for"]) for row in work.answer.get("held_out", [])}
    with desk.lock:
        job = desk.job
        asked = job.questions.asked.get(axis) if job else None
        source = job.questions.sources().get(axis) if job else None
        pairs = desk.manifest.at_odds(axis, source) if source and desk.manifest else []
        old_card = dict(asked.card) if asked is not None else {}
    seen = set(old_card.get("examples", []))  # kept by sorters that were fitted on answers
    both = [(sha256, truth, old) for sha256, truth, old, _ in pairs if sha256 in held_out and sha256[:10] not in seen]
    comparisons[str(desk.library)] = Comparison(
        axis,
        staged(desk, axis),
        work.answer["card"],
        old_card,
        len(both),
        sum(held_out[sha256][1] == truth for sha256, truth, _ in both),
        sum(old == truth for _, truth, old in both),
        tuple(str(one) for one in work.answer.get("said", [])[:2]),
    )
    desk.revision += 1


def take(desk: Desk, found: Comparison) -> Work:
    """Put the new sorter in the old one's place, which is kept beside it until then, and sort the library again."""
    place = model(desk, found.axis)
    before = place.with_name(f".{place.name}.old")
    if not found.staged.is_dir():
        raise LibraryError(f"{found.staged}: is no more; fit again")
    if place.suffix == ".zip":
        raise LibraryError(f"{place}: is a zip; unpack it into a folder first, so that a new sorter can take its place")
    if before.exists():
        remove_folder(before)
    if place.exists():
        patiently(lambda: os.replace(place, before))
    patiently(lambda: os.replace(found.staged, place))
    comparisons.pop(str(desk.library), None)
    scheme = str(desk.scheme_path)

    def then(work: Work) -> None:
        if work.code != 2:
            desk.run("sorting again", "sorter", "apply", str(desk.library), "--scheme", scheme, "--unfitted", "--json")

    library = str(desk.library)
    arguments = ["sorter", "classify", library, "--scheme", scheme, "--unfitted", "--json"]
    return desk.run("looking at all pictures", *arguments, then=then)


def refuse(desk: Desk, found: Comparison) -> None:
    """Let the new sorter go."""
    comparisons.pop(str(desk.library), None)
    if found.staged.is_dir():
        remove_folder(found.staged)


def is_of_answers(desk: Desk, axis: str) -> bool:
    """Whether nothing is lost when a sorter fitted on this library's answers takes the place of what is there: there is
    nothing, or what is there was fitted on these answers itself, most of which still stand."""
    with desk.lock:
        asked = desk.job.questions.asked.get(axis) if desk.job else None
        if asked is None:
            place = model(desk, axis)
            return not place.exists() or (place.is_dir() and not any(place.iterdir()))
        seen = set(asked.card.get("examples", []))
        given = {sha256[:10] for sha256 in desk.manifest.answers_on(axis)} if desk.manifest else set()
    return 2 * len(seen & given) > len(seen)


def model(desk: Desk, axis: str) -> Path:
    """Where the scheme looks for the sorter of an axis."""
    job = desk.job
    assert job is not None
    return Path(job.scheme.axes[axis].model or desk.folder / "models" / axis)
