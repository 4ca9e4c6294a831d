"""Teaching a sorter from nothing: which pictures to show, and when to fit, so that few answers go far."""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import Any

from sorter.errors import ModelsheetError
from sorter.review.catalogue import Query
from sorter.review.desk import Desk, Listed
from sorter.review.refitting import is_of_answers, model
from sorter.review.work import Work

AT_ONCE = 40
"""Pictures that are chosen at a time."""
FIRST, EVERY = 3, 20
"""Answers of each class before the first fit; answers between two."""
FEW = 30
"""Held-out pictures of which a share says little."""
NEARLY_ALL = 0.985
"""Above this share, more answers are not worth a person's time."""
PACE = 3.0
"""Seconds for an answer, before a person's own pace is known."""


def mirrors(desk: Desk, axis: str) -> list[str]:
    """The options of `sorter fit` that say which answered classes of an axis become each other in a mirror."""
    with desk.lock:
        classes = desk.job.scheme.axes[axis].classes if desk.job and axis in desk.job.scheme.axes else {}
        known = set(desk.manifest.answers_on(axis).values()) if desk.manifest else set()
    pairs = {(name, one.mirror) for name, one in classes.items() if one.mirror and name < one.mirror}
    return [f"--mirror={one}={other}" for one, other in sorted(pairs) if {one, other} <= known]


class Teacher:
    """What is going on for one axis. Any thread may ask."""

    def __init__(self, desk: Desk, axis: str) -> None:
        self.desk, self.axis = desk, axis
        self.list = ""
        """The name of the list to show; empty while the first pictures are being chosen."""
        self.fitted_at = self._fit_answers()
        self.said: list[str] = []
        """How good the sorter is by now, in sentences."""
        self.accuracies: list[tuple[int, float]] = []
        """(answers, share that was right on held-out pictures), fit by fit."""
        self.trouble = ""
        self.began = time.monotonic()
        self.answers_then = self.answers()
        self._busy = threading.Lock()

    def answers(self) -> int:
        """How many pictures a person has answered on this axis."""
        return sum(self.by_class().values())

    def by_class(self) -> Counter[str]:
        """Class -> answers."""
        with self.desk.lock:
            manifest = self.desk.manifest
            return Counter(manifest.answers_on(self.axis).values()) if manifest else Counter()

    def missing(self) -> list[str]:
        """The classes with no answer yet."""
        job, counts = self.desk.job, self.by_class()
        return [name for name in (job.classes.get(self.axis, ()) if job else ()) if not counts[name]]

    def is_ripe(self) -> bool:
        """Whether a fit is worth it now: at first when every class has a few, or two have and there are many answers;
        then after every so many answers."""
        counts = self.by_class()
        total = sum(counts.values())
        if self.fitted_at:
            return total - self.fitted_at >= EVERY
        job = self.desk.job
        few = [name for name in (job.classes.get(self.axis, ()) if job else ()) if counts[name] < FIRST]
        return sum(count >= FIRST for count in counts.values()) >= 2 and (not few or total >= EVERY)

    def begin(self) -> None:
        """Choose the first pictures, if nothing is under way."""
        self._step(fit=False)

    def answered(self) -> None:
        """Something was answered: fit if it is time to, and choose again."""
        if not self.is_ripe():
            return
        is_ours = is_of_answers(self.desk, self.axis)
        if not is_ours:
            self.fitted_at = self.answers()
            self.said = [
                "The sorter that is there was not fitted on these answers, so it stays; "
                "under Refit, a new one is fitted and compared with it."
            ]
        self._step(fit=is_ours)

    def more(self) -> None:
        """Choose again now."""
        self._step(fit=False)

    def _step(self, fit: bool) -> None:
        if not self._busy.acquire(blocking=False):
            return
        threading.Thread(target=self._work, args=(fit,), daemon=True).start()

    def _work(self, fit: bool) -> None:
        try:
            library, axis = str(self.desk.library), self.axis
            if fit:
                total = self.answers()
                folder = str(model(self.desk, axis))
                arguments = ["sorter", "fit", "--answers", library, "--axis", axis, "--to", folder, "--json"]
                found = self._run(f"fitting {axis}", *arguments, *mirrors(self.desk, axis))
                self.fitted_at = total
                if found is not None:
                    self._hear(total, found.answer)
                    scheme = str(self.desk.scheme_path)
                    arguments = ["sorter", "classify", library, "--scheme", scheme, "--unfitted", "--json"]
                    self._run("looking at all pictures", *arguments)
            arguments = ["--axis", axis, "--models", str(model(self.desk, axis)), "--count", str(AT_ONCE), "--json"]
            found = self._run("choosing pictures", "sorter", "choose", library, *arguments)
            if found is not None:
                chosen = found.answer.get("chosen", [])
                listed = Listed(Query("teach", axis), [one["sha256"] for one in chosen])
                listed.alike = {one["sha256"]: tuple(one["alike"]) for one in chosen}
                self.list = self.desk.keep(listed)
                self.desk.revision += 1
        except ModelsheetError as error:
            self.trouble = str(error)
        finally:
            self._busy.release()

    @property
    def is_busy(self) -> bool:
        """Whether something is being fitted or chosen."""
        return self._busy.locked()

    def _run(self, title: str, *arguments: str) -> Work | None:
        work = self.desk.run(title, *arguments, is_asked=False)
        work.wait()
        self.trouble = work.error() if work.code == 2 else ""
        return None if self.trouble else work

    def _hear(self, total: int, answer: dict[str, Any]) -> None:
        scores = answer.get("card", {}).get("scores", {})
        share, pictures = scores.get("accuracy"), scores.get("pictures", 0)
        if not isinstance(share, float):
            return
        self.accuracies.append((total, share))
        self.said = [f"It is right on {share:.0%} of {pictures} pictures that it was not fitted on."]
        if pictures < FEW:
            self.said.append("So few say little.")
        else:
            self.said += [str(one) for one in answer.get("said", [])[:1]]
        self.said += self._forecast(total, pictures)

    def _forecast(self, total: int, pictures: int) -> list[str]:
        """Errors fall roughly with the square root of the answers: what twice as many would come to, and how long
        that takes at this person's pace."""
        share = self.accuracies[-1][1]
        if share > NEARLY_ALL:
            return ["More answers will hardly help."] if pictures >= FEW else []
        better = 1 - (1 - share) / 2**0.5
        given = total - self.answers_then
        pace = (time.monotonic() - self.began) / given if given > 5 else PACE
        minutes = max(1, round(total * min(pace, 3 * PACE) / 60))
        return [f"{total} more answers, about {minutes} minute{'s' * (minutes != 1)}, may bring it to {better:.0%}."]

    def _fit_answers(self) -> int:
        """How many answers an earlier sorter was fitted on, as far as its card says; all, where it is another's."""
        if not is_of_answers(self.desk, self.axis):
            return self.answers()
        job = self.desk.job
        asked = job.questions.asked.get(self.axis) if job else None
        pictures = asked.card.get("pictures") if asked is not None else None
        return sum(pictures.values()) if isinstance(pictures, dict) else 0
