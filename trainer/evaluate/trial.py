"""How well a scheme's sorters judge at the size of drawn pictures: tried on real ones, refitted where they are weak.

What comes of it is kept in the cache folder, by the pictures, their classes, the size, the autoencoder and the sorters.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from sorter.classify.ask import Questions
from sorter.classify.askers import mirror_places
from sorter.commands.check import spread
from sorter.commands.job import Job
from sorter.files import cache_folder, read_file, write
from sorter.networks.load import Sorter
from sorter.pictures.png import encode_png
from sorter.records import Unreadable
from sorter.threads import in_step
from trainer.evaluate.judge import Show, card_of, counted, is_sure
from trainer.evaluate.known import Known, Lens
from trainer.evaluate.refit import Refit, refit
from trainer.evaluate.scores import AxisScore, Share

VERSION = 2
"""Counted up when what is kept would come out otherwise."""
MOST_JUDGED = 300
"""Pictures that the sorters are tried on: an agreement is then good to about 4 points."""
MOST_ENCODED = 100
"""Of those, where each goes through an autoencoder: 512x512 takes seconds on a CPU."""
WEAK = 0.05
"""By how much less often than its card says a sorter may be right at another size."""


@dataclass(frozen=True, eq=False)
class Trial:
    """What the sorters are worth on drawn pictures of a size."""

    job: Job
    """The scheme with the sorters to judge by."""
    lens: Lens
    cards: Mapping[str, Share | None]
    """Axis -> how often the scheme's own sorter is right, as its card says; None where it says nothing."""
    ceiling: Mapping[str, AxisScore]
    """Axis -> what is known of real pictures against what the judge sees in them; of a refitted one, in those that it
    was not fitted on."""
    before: Mapping[str, AxisScore] = field(default_factory=dict)
    """The same of the sorters that were refitted, as they were, on the same pictures."""
    left: Sequence[str] = ()
    """Sentences: which weak sorters could not be refitted, and why."""


def try_out(job: Job, known: Sequence[Known], axes: Sequence[str], lens: Lens, show: Show) -> Trial:
    """Try the sorters of these axes on known pictures, and refit those that are more than WEAK below their cards.

    Raises MissingExtra where the packages to fit are not there.
    """
    folder = cache_folder() / "judges" / _key(job, known, axes, lens)
    was = _read(folder) or _tried(job, [one for one in known if one.is_kept], axes, lens, show)
    _write(folder, was)
    cards = {axis: card_of(job, axis) for axis in was}
    weak = [axis for axis, score in was.items() if is_weak(job, axis, score, cards[axis])]
    fitted = refit(job, weak, known, lens, folder, show)
    better = {axis: one for axis, one in fitted.items()
              if isinstance(one, Refit) and one.score.share.value > one.was.share.value}  # fmt: skip
    return Trial(
        _judged_by(job, {axis: one.sorter for axis, one in better.items()}),
        lens,
        cards,
        {axis: better[axis].score if axis in better else score for axis, score in was.items()},
        {axis: one.was for axis, one in better.items()},
        [
            one
            if isinstance(one, str)
            else f"{axis}: refitted on such pictures, its sorter would be right no more often"
            for axis, one in fitted.items()
            if axis not in better
        ],
    )


def is_weak(job: Job, axis: str, score: AxisScore, card: Share | None) -> bool:
    """Whether a sorter is right less often than its card says. Without a card, the library's labels are its own answers
    at full size, and so all right."""
    said = 1.0 if card is None else card.value
    return isinstance(job.questions.asked[axis], Sorter) and score.share.value < said - WEAK


def _tried(job: Job, kept: Sequence[Known], axes: Sequence[str], lens: Lens, show: Show) -> dict[str, AxisScore]:
    chosen = spread(kept, MOST_ENCODED if lens.through else MOST_JUDGED)

    def look(known: Known) -> dict[str, tuple[str, str, bool]]:
        """Axis -> the class that is known, the one that is seen, and whether the sorter is sure of that."""
        pixels, asked = lens(known), [axis for axis in axes if axis in known.classes]
        seen = None if pixels is None else job.questions.answer(Path(known.name), encode_png(pixels), asked)
        if seen is None or isinstance(seen, Unreadable):
            return {}
        return {one.axis: (known.classes[one.axis], one.name, is_sure(one, job)) for one in seen.labels}

    told = list(counted(in_step(look, chosen), "trying the sorters", len(chosen), show))
    found = {axis: Counter(one[axis][:2] for one in told if axis in one) for axis in axes}
    sure = Counter(axis for one in told for axis in one if one[axis][2])
    return {axis: AxisScore(confusion, sure[axis]) for axis, confusion in found.items() if confusion}


def _judged_by(job: Job, sorters: Mapping[str, Sorter]) -> Job:
    """The scheme with other sorters for some axes."""
    if not sorters:
        return job
    old, axes = job.questions, job.scheme.axes
    mirrors = {axis: mirror_places(axes[axis], sorters[axis].labels if axis in sorters else old.asked[axis].labels)
               for axis in old.mirrors}  # fmt: skip
    questions = Questions({**old.asked, **sorters}, mirrors, old.exact, old.others)
    own = {axis: one.card["thresholds"]["classes"] for axis, one in sorters.items() if axis in job.thresholds}
    return replace(job, questions=questions, thresholds={**job.thresholds, **own})


def _key(job: Job, known: Sequence[Known], axes: Sequence[str], lens: Lens) -> str:
    sources = job.questions.sources()
    said = [VERSION, lens.size, lens.sha256, [(axis, sources[axis]) for axis in axes],
            [(one.sha256, one.is_kept, sorted(one.classes.items()), str(one.frame)) for one in known]]  # fmt: skip
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:20]


def _write(folder: Path, tried: Mapping[str, AxisScore]) -> None:
    rows = {axis: [list(score.confusion.items()), score.sure] for axis, score in tried.items()}
    write(folder / "tried.json", json.dumps(rows).encode())


def _read(folder: Path) -> dict[str, AxisScore]:
    """What was kept; nothing where that is damaged or not there."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        rows = json.loads(read_file(folder / "tried.json"))
        return {axis: AxisScore(Counter({(known, seen): n for (known, seen), n in confusion}), sure)
                for axis, (confusion, sure) in rows.items()}  # fmt: skip
    return {}
