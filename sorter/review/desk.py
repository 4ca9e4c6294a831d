"""What one `sorter review` works on: a library, its scheme, lists of pictures, and what a person does to them.

Everything goes through the commands: answers through their one door, long work as commands in processes of their own.
"""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sorter.commands.answer import Answer, answer_all
from sorter.commands.job import Job, load_job
from sorter.errors import LibraryError, ModelsheetError
from sorter.library.names import digits_in
from sorter.library.originals import places
from sorter.library.store.manifest import Manifest
from sorter.records import CAPTION, DUPLICATE, LIBRARY, REMOVED, WANTED
from sorter.review.catalogue import Catalogue, Query
from sorter.review.thumbnails import Thumbnails
from sorter.review.work import Work
from sorter.tally import Report

MOST_LISTS = 40
"""Lists that are remembered; a page has a few open."""
MOST_BACK = 1000
"""Acts that can be taken back, one by one."""


@dataclass
class Listed:
    """A list as it was when it was asked for: it stays while its pictures are answered."""

    query: Query
    hashes: list[str]
    alike: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Picture -> those that look alike, which are answered with it."""


class Desk:
    """The state of a review. Any thread may call it."""

    def __init__(self, library: Path, scheme: Path, source: Path | None) -> None:
        self.library, self.scheme_path, self.source = library.absolute(), scheme.absolute(), source
        self.folder = self.scheme_path.parent
        self.lock = threading.RLock()
        self.manifest: Manifest | None = None
        self.job: Job | None = None
        self.catalogue: Catalogue | None = None
        self.thumbnails: Thumbnails | None = None
        self.lists: dict[str, Listed] = {}
        self.acts: list[list[Answer]] = []
        """What takes the last acts back, each as answers."""
        self.work: Work | None = None
        """What is under way, or was last."""
        self.asked: Work | None = None
        """The last that a person asked for, whatever has run since."""
        self.waiting: deque[Work] = deque()
        self.groups: list[list[dict[str, str]]] = []
        """Duplicates, as the last look for them found them: the picture that is kept, and its copies."""
        self.looks = 0
        self.looking: Work | None = None
        self.trouble = ""
        """Why the library cannot be shown, in a sentence."""
        self.is_open = False
        """Whether the library has been read once, so that what is None is not there."""
        self.revision = 0
        """Counted up when something has changed that is on show."""
        self._numbers = itertools.count(1)
        self._report = Report()
        self._seen = -1

    # --- opening

    def open(self) -> None:
        """Read the scheme and the library, as far as there are any."""
        with self.lock:
            job = catalogue = None
            trouble = ""
            if self.scheme_path.exists():
                try:
                    job = load_job(self.scheme_path, unfitted=True)
                    catalogue = self._read(job)
                except ModelsheetError as error:
                    trouble = str(error)
            self.job, self.catalogue, self.trouble = job, catalogue, trouble
            self.is_open = True
            self.revision += 1

    def _read(self, job: Job) -> Catalogue:
        if self.manifest is None:
            self.manifest = Manifest(self.library, create=True)
            self.thumbnails = Thumbnails(self.library, self.places)
        self._seen = self.manifest.version()
        return Catalogue.read(self.manifest, job)

    def look(self) -> None:
        """Read the library again where somebody else has changed it: a command, the daemon, another page."""
        with self.lock:
            if self.job is None or self.manifest is None or self.catalogue is None:
                return
            if self.manifest.version() != self._seen:
                self.catalogue = self._read(self.job)
                self.revision += 1

    def close(self) -> None:
        """Let go of the library."""
        with self.lock:
            self.waiting.clear()
            if self.work:
                self.work.stop()
            for one in (self.thumbnails, self.manifest):
                if one is not None:
                    one.close()

    def places(self, sha256: str) -> list[Path]:
        """Where the bytes of a picture may lie."""
        with self.lock:
            return places(self.manifest, sha256) if self.manifest is not None else []

    def picture_at(self, path: str) -> str | None:
        """The hash of the picture that a file of the library shows; None where there is none."""
        with self.lock:
            return self.manifest.hash_of(digits_in(path.rpartition("/")[2])) if self.manifest and path else None

    # --- lists

    def find(self, query: Query) -> str:
        """Make a list; its name."""
        with self.lock:
            return self.keep(Listed(query, self._there().find(query)))

    def keep(self, listed: Listed) -> str:
        """Remember a list; its name."""
        with self.lock:
            name = str(next(self._numbers))
            self.lists[name] = listed
            while len(self.lists) > MOST_LISTS:
                self.lists.pop(next(iter(self.lists)))
            return name

    def rows(self, name: str, start: int, count: int, standing: bool = False) -> list[dict[str, Any]]:
        """Some rows of a list. Raises KeyError where it is no more."""
        with self.lock:
            listed, catalogue = self.lists[name], self._there()
            hashes = [one for one in listed.hashes[start : start + count] if one in catalogue.verdicts]
            return [catalogue.row(sha256, standing) | {"alike": listed.alike.get(sha256, ())} for sha256 in hashes]

    # --- acts

    def act(
        self, what: str, hashes: Sequence[str], axis: str = "", value: str = "", standing: bool = False, name: str = ""
    ) -> list[dict[str, Any]]:
        """Do something to pictures: "answer" a class on an axis, "turn", "drop", "keep", "caption" in own words, or say
        in which "box" an asker should have found what it looks for. Of copies of each other keep "all", or the "best",
        which is the first, and leave the rest out.

        `standing`: the class is said of the pictures as they stand. `name`: of the list that they are of. The rows that
        changed. Raises LibraryError.
        """
        with self.lock:
            catalogue = self._there()
            chosen = [sha256 for sha256 in dict.fromkeys(hashes) if sha256 in catalogue.verdicts]
            if what == "answer" and name in self.lists:
                alike = self.lists[name].alike
                chosen = list(dict.fromkeys([*chosen, *(one for sha256 in chosen for one in alike.get(sha256, ()))]))
            given = [one for sha256 in chosen for one in self._answers(what, sha256, axis, value, standing)]
            if what == "best":
                first, *rest = chosen
                back: list[Answer] = [(first, LIBRARY, None)] if self.is_removed(first) else []
                given = [*back, *((one, LIBRARY, DUPLICATE) for one in rest)]
            self._take(given)
            return [catalogue.row(sha256, standing) for sha256 in chosen]

    def _answers(self, what: str, sha256: str, axis: str, value: str, standing: bool) -> list[Answer]:
        job, verdict = self._job(), self._there().verdicts[sha256]
        if what == "answer":
            meaning = job.scheme.axes.get(axis)
            turned = verdict.mirror and standing and meaning is not None
            answers: list[Answer] = [(sha256, axis, meaning.mirrored(value) if turned and meaning else value)]
            return [*answers, (sha256, LIBRARY, None)] if self.is_removed(sha256) else answers
        if what == "turn":
            return [self._turned(sha256)]
        if what == "drop":
            return [(sha256, LIBRARY, REMOVED)]
        if what in ("all", "best"):
            return [(sha256, LIBRARY, WANTED)]
        if what == "keep":
            return [(sha256, LIBRARY, None if self.is_removed(sha256) else WANTED)]
        if what == "caption":
            return [(sha256, CAPTION, value)]
        if what == "box":
            return [(sha256, axis, value)]
        raise LibraryError(f'{self.library}: "{what}" is nothing that can be done')

    def _turned(self, sha256: str) -> Answer:
        job, verdict = self._job(), self._there().verdicts[sha256]
        for axis, meaning in job.scheme.axes.items():
            if not meaning.canonical:
                continue
            label = next((one for one in verdict.labels if one.axis == axis), None)
            seen = label and (meaning.mirrored(label.name) if verdict.mirror else label.name)
            if seen and meaning.mirrored(seen) != seen:
                return sha256, axis, meaning.mirrored(seen)
            return sha256, axis, meaning.mirrored(meaning.canonical)
        raise LibraryError(f"{self.scheme_path}: no question has a canonical side, so nothing is turned")

    def is_removed(self, sha256: str) -> bool:
        """Whether a person does not want it."""
        assert self.manifest is not None
        return self.manifest.given(sha256, LIBRARY) in (REMOVED, DUPLICATE)

    def _take(self, given: list[Answer]) -> None:
        assert self.manifest is not None
        before = [(sha256, axis, self.manifest.given(sha256, axis)) for sha256, axis, _ in given]
        self._record(given)
        self.acts = [*self.acts[-MOST_BACK + 1 :], before]

    def _record(self, given: list[Answer]) -> None:
        assert self.manifest is not None
        if self._report.run != self.manifest.journal.last():
            self._report = Report()  # others have run since: what is answered now is a run of its own
        answer_all(self.manifest, self._job(), given, self._report, "review")
        self._there().refresh(self.manifest, {sha256 for sha256, _, _ in given})
        self.revision += 1

    def undo(self) -> list[str]:
        """Take the last act back; the hashes of its pictures, none where there is none."""
        with self.lock:
            if not self.acts:
                return []
            back = self.acts.pop()
            self._record(back)
            return list(dict.fromkeys(sha256 for sha256, _, _ in back))

    # --- work

    def run(
        self, title: str, *arguments: str, then: Callable[[Work], None] | None = None, is_asked: bool = True
    ) -> Work:
        """Start a command, such as "sorter", "sort", "frames"; after what is under way, if there is something.

        `is_asked`: a person has asked for it, and wants to read what it says.
        """

        def ended(work: Work) -> None:
            self.open()
            if then is not None:
                then(work)
            with self.lock:
                self.work = self.waiting.popleft().start() if self.waiting else work
                self.revision += 1

        with self.lock:
            work = Work(title, arguments, self.folder, ended)
            self.asked = work if is_asked else self.asked
            self.revision += 1
            if self.is_busy:
                self.waiting.append(work)
            else:
                self.work = work.start()
            return work

    @property
    def is_busy(self) -> bool:
        """Whether a command is under way."""
        return self.work is not None and not self.work.is_over

    # --- what must be there

    def _there(self) -> Catalogue:
        if self.catalogue is None:
            raise LibraryError(self.trouble or f"{self.library}: there is nothing to show yet")
        return self.catalogue

    def _job(self) -> Job:
        if self.job is None:
            raise LibraryError(f"{self.scheme_path}: there are no questions yet")
        return self.job
