"""What `trainer evaluate` found, as one HTML page: pictures first."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from sorter.errors import PictureError
from sorter.files import read_file, write
from sorter.page import Cell, HeatMap, Section, Shown, page, shown, side_by_side
from sorter.pictures import images
from sorter.threads import in_step
from trainer.errors import EvaluationError
from trainer.evaluate.judge import Judged, Judgement
from trainer.evaluate.likeness import Likeness, Nearest
from trainer.evaluate.scores import Share
from trainer.evaluate.text import counts, notes, own
from trainer.evaluate.trial import Trial
from trainer.evaluate.trial_text import percent, what_is_compared
from trainer.evaluate.trial_text import table as judge_table

if TYPE_CHECKING:
    from PIL.Image import Image

WIDTH = 150
"""Pixels of a picture in the page."""
EACH = 12
"""Pictures of a class that are shown of the right ones, and of the wrong ones."""
COPIES = 24


def write_report(made: Judgement, like: Likeness | None, title: str, to: Path) -> None:
    """Write the page. Raises EvaluationError where `to` cannot be written."""
    said = Section("In short", [*counts(made), *notes(made, like)])
    trial = like.trial if like else None
    numbers = [of_classes(made, like), *of_judge(trial), confusions(made)]
    sections = [*details(made, to.parent), said, *numbers, *copies(like, to.parent)]
    write_page(f"{title}: {percent(made.mean)} as asked", sections, to)


def write_page(title: str, sections: Sequence[Section], to: Path) -> None:
    """Write a page with links to its sections. Raises EvaluationError where `to` cannot be written."""
    try:
        write(to, page(title, sections, contents=True).encode(errors="replace"))
    except OSError as error:
        raise EvaluationError(f"{to}: cannot be written: {error.strerror}") from None


def details(made: Judgement, beside: Path, named: bool = True) -> list[Section]:
    """The pictures of one model axis by axis, for a page in the folder `beside`. `named`: say the files' names."""
    return [_axis(made, axis, beside, named) for axis in made.axes]


def of_judge(trial: Trial | None) -> list[Section]:
    """How often the judge is right, beside its card."""
    if trial is None:
        return []
    head, *rows = judge_table(trial)
    return [Section("The judge itself", [what_is_compared(trial)], head=head, rows=rows)]


def of_classes(made: Judgement, like: Likeness | None) -> Section:
    """How often each class was seen where it was asked for."""
    head = ["", "as asked", "pictures", "sure", "its card", *([like.trial.lens.at] if like else [])]
    rows: list[list[object]] = []
    for axis, score in made.axes.items():
        card, ceiling = own(made, like, axis), like.trial.ceiling.get(axis) if like else None
        sure = f"{score.sure / score.share.of:.0%}"
        itself = f"{card.value:.0%}" if card else ""
        rows.append(
            [
                axis,
                percent(score.share),
                int(score.share.of),
                sure,
                itself,
                *_at(like, ceiling.share if ceiling else None),
            ]
        )
        for name in score.asked:
            share, most = score.of_class(name), ceiling.of_class(name) if ceiling else None
            rows.append([f"- {name}", percent(share), int(share.of), "", "", *_at(like, most)])
    rows.append(["all that was asked", percent(made.all_right), int(made.all_right.of), *[""] * (len(head) - 3)])
    texts = [
        "How often what a prompt asks for is what your sorters see; in brackets, where the true share lies with 95 % "
        "certainty. No model can be seen to do better than the sorter itself does on real pictures.",
    ]
    return Section("Asked and seen", texts, head=head, rows=rows)


def _at(like: Likeness | None, share: Share | None) -> list[str]:
    """The cell of the ceiling, where there is that column."""
    return [percent(share) if share and share.of else ""] if like else []


def _axis(made: Judgement, axis: str, beside: Path, named: bool) -> Section:
    score = made.axes[axis]
    parts: list[Section] = []
    for name in (one for one in made.job.questions.labels()[axis] if score.of_class(one).of):
        asked = [one for one in made.judged if one.asked.classes.get(axis) == name]
        asked.sort(key=lambda one: -one.seen[axis].score)
        right = [one for one in asked if one.seen[axis].name == name]
        wrong = [one for one in asked if one.seen[axis].name != name]
        if wrong:
            title = f"{name}: {len(wrong)} of {len(asked)} not seen"
            parts.append(_grid(title, wrong, beside, lambda one: _instead(one, axis, named)))
        if right:
            title = f"{name}: {len(right)} of {len(asked)} seen"
            parts.append(_grid(title, right, beside, lambda one: f"{one.seen[axis].score:.0%}"))
    return Section(f"{axis}: {percent(score.share)}", parts=parts)


def _instead(one: Judged, axis: str, named: bool) -> str:
    """Below a picture that shows something else: its file's name, what is seen, and its prompt."""
    label = one.seen[axis]
    lines = [f"seen: {label.name}, {label.score:.0%}", one.prompt.text[:160] if one.prompt else ""]
    return "\n".join([one.path.name] * named + lines)


def _grid(title: str, pictures: Sequence[Judged], beside: Path, words: Callable[[Judged], str]) -> Section:
    """Some of these pictures, each with words below it."""
    more = f"and {len(pictures) - EACH:,} more" if len(pictures) > EACH else ""

    def made(one: Judged) -> Shown | None:
        picture = picture_of(one.path)
        return replace(shown_small(picture, words(one)), href=href(one.path, beside)) if picture else None

    found = [one for one in in_step(made, pictures[:EACH]) if one]
    return Section(title, pictures=found, more=more)


def confusions(made: Judgement) -> Section:
    """What was asked for, a row a class, against what was seen, a column a class; an axis a part."""
    parts = []
    for axis, score in made.axes.items():
        labels = made.job.questions.labels()[axis]
        rows = [name for name in labels if score.of_class(name).of]
        columns = [name for name in labels if name in rows or any(score.confusion[row, name] for row in rows)]
        cells = [
            (row, [Cell(score.confusion[row, name], score.confusion[row, name] / score.of_class(row).of)
                   for name in columns])
            for row in rows
        ]  # fmt: skip
        parts.append(Section(axis, heat=HeatMap(columns, cells, gaps=False)))
    return Section("What was seen instead", ["Rows: what was asked for; columns: what was seen."], parts=parts)


def copies(like: Likeness | None, beside: Path) -> list[Section]:
    """The nearest real picture of each."""
    if like is None:
        return []
    texts = [
        f"Each picture, and the one of {like.compared:,} real ones that is most like it: the most alike first. "
        f"{len(like.copies):,} are as like as copies are; where these are many, the model repeats its training.",
        f"Contrast {like.contrast[0]:.2f} (real {like.contrast[1]:.2f}), saturation {like.saturation[0]:.2f} "
        f"(real {like.saturation[1]:.2f}).",
    ]
    return [Section("The nearest training pictures", texts, pictures=list(_pairs(like.nearest[:COPIES], beside)))]


def _pairs(nearest: Iterable[Nearest], beside: Path) -> Iterable[Shown]:
    for one in nearest:
        drawn, training = picture_of(one.path), picture_of(one.training)
        if drawn and training:
            pair = side_by_side(drawn, training, f"{64 - one.bits} of 64 bits alike\n{one.training.name}", 2 * WIDTH)
            yield replace(pair, name=one.path.name, href=href(one.path, beside))


def shown_small(picture: Image, words: str, width: int = WIDTH) -> Shown:
    """A picture in the page; one that is smaller than that with square pixels."""
    return shown(picture, words, width, keep_pixels=max(picture.size) < width)


def picture_of(path: Path) -> Image | None:
    """The picture in a file, made small; None where it cannot be read."""
    from PIL import Image

    with suppress(OSError, PictureError):
        data = read_file(path)
        with images.opened(data) as opened:
            picture = Image.fromarray(images.load_small(data, opened, at_least=2 * WIDTH))
        picture.thumbnail((2 * WIDTH, 2 * WIDTH))
        return picture
    return None


def href(path: Path, beside: Path) -> str:
    """A link to a file from a page in the folder `beside`."""
    try:
        below = os.path.relpath(path, beside)
    except ValueError:  # on another drive
        return path.absolute().as_uri()
    return quote(os.fsencode(below.replace(os.sep, "/")))
