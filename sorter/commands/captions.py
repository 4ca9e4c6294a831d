"""`sorter captions`: what the captions of a library, or of any dataset folder, say. Reads; writes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sorter.commands.answer import read_answers
from sorter.commands.dataset_captions import Caption, read_captions
from sorter.commands.job import Job
from sorter.commands.plan import verdicts
from sorter.library.caption import Captions
from sorter.library.store.manifest import FILE, FOLDER, Manifest
from sorter.library.together import Counts
from sorter.library.vocabulary import parts_of
from sorter.records import Unreadable, Verdict
from sorter.tally import Report, Track, silent

LONGEST_TAG = 60
"""Characters; what is longer is a sentence, and of sentences it is not counted which come together."""
LONGEST = 1000
"""Characters of a caption; CLIP reads 75 tokens, which come to 300 or 400."""


@dataclass
class Said:
    """What captions come to."""

    by: Counter[str] = field(default_factory=Counter)
    """Who wrote it -> captions."""
    unknown: Counter[str] = field(default_factory=Counter)
    """What is no standard tag -> captions that say it."""
    pruned: Counter[str] = field(default_factory=Counter)
    """What is left out -> captions that would say it."""
    counts: Counts = field(default_factory=Counts)
    empty: int = 0
    """Captions without words, and pictures without a caption."""
    lines: int = 0
    """Captions of several lines."""
    long: int = 0
    """Captions of more than LONGEST characters."""
    each: list[Caption] = field(default_factory=list)
    failures: list[Unreadable] = field(default_factory=list)

    def add(
        self,
        captions: Captions,
        caption: str,
        parts: Iterable[str],
        sure: dict[str, str],
        times: int = 1,
        sentences: Collection[str] = (),
    ) -> None:
        """Count a caption, so many times. `sentences`: what is in it of captioning networks, which is no tags."""
        self.empty += 0 if caption else times
        self.long += times * (len(caption) > LONGEST)
        words = []
        for part in parts:
            if captions.tags.is_of_classes(part) or any(one in part for one in sentences):
                continue
            if not captions.tags.knows(part):
                self.unknown[part] += times
            if len(part) <= LONGEST_TAG:
                words.append(part)
        self.counts.add(sure, words, times)

    def notes(self) -> list[str]:
        """Sentences about captions that trainers read otherwise than they stand there."""
        said = {
            "empty or missing": self.empty,
            "of several lines, of which most trainers read the first": self.lines,
            f"longer than {LONGEST:,} characters; trainers cut at 75 tokens, some 350 characters": self.long,
        }
        return [
            f"{count} {'caption is' if count == 1 else 'captions are'} {what}" for what, count in said.items() if count
        ]


def captions(folder: Path, job: Job, each: bool = False, track: Track[Any] = silent) -> Said:
    """What the captions of a library, or of a dataset folder, say. `each`: with every caption and who wrote it.

    Raises LibraryError where `folder` is neither.
    """
    if (folder / FOLDER / FILE).exists():
        with Manifest(folder, dry_run=True) as manifest:
            if manifest.counts()["pictures"]:  # an export has a manifest, too, which knows none
                return _of_library(manifest, job, each, track)
    return _of_dataset(folder, job, each, track)


def kinds(manifest: Manifest, job: Job, command: str, track: Track[Any] = silent) -> Iterator[tuple[Verdict, int]]:
    """The wanted pictures of a library, those that share a caption as one of them and how many there are.

    The manifest is one of a dry run: what a person did since the last run counts, and is not recorded.
    """
    captioner = job.layout.captioner
    by_classes, alike = captioner.by_classes, dict[object, tuple[Verdict, int]]()
    read_answers(manifest, job, Report(), command)
    for verdict in track(verdicts(manifest, job), "reading captions", manifest.counts()["pictures"]):
        if verdict.unwanted:
            continue
        if verdict.caption is not None or not by_classes:
            yield verdict, 1
            continue
        kind = captioner.variant(verdict), *verdict.sure().items()
        first, times = alike.get(kind, (verdict, 0))
        alike[kind] = first, times + 1
    yield from alike.values()


def said_parts(captioner: Captions, verdict: Verdict) -> tuple[list[str], list[str]]:
    """The parts of a picture's caption, a person's or the captioner's; and those that are pruned."""
    if verdict.caption is None:
        return captioner.sort_out(verdict)
    return parts_of(verdict.caption, captioner.scheme.caption.separator), []


def _of_library(manifest: Manifest, job: Job, each: bool, track: Track[Any]) -> Said:
    said, captioner = Said(), job.layout.captioner
    for verdict, times in kinds(manifest, job, "captions", track):
        parts, pruned = said_parts(captioner, verdict)
        said.by[captioner.author(verdict)] += times
        said.pruned.update(dict.fromkeys(pruned, times))
        said.add(captioner, job.layout.caption(verdict), parts, verdict.sure(), times, _sentences(verdict))
    if each:
        said.each = [_caption(job, verdict) for verdict in verdicts(manifest, job) if not verdict.unwanted]
    return said


def _sentences(verdict: Verdict) -> set[str]:
    """What the scheme's askers said of a picture in sentences, not in a list of tags."""
    said = [verdict.answer(label.axis) for label in verdict.answers] if verdict.caption is None else []
    return {part for words in said if isinstance(words, str) for part in parts_of(words)}


def _caption(job: Job, verdict: Verdict) -> Caption:
    text, by = job.layout.caption(verdict), job.layout.captioner.author(verdict)
    return Caption(job.layout(verdict)[0].path, text, by)


def _of_dataset(folder: Path, job: Job, each: bool, track: Track[Any]) -> Said:
    said, captioner = Said(), job.layout.captioner
    for one in track(read_captions(folder), "reading captions", None):
        if isinstance(one, Unreadable):
            said.failures.append(one)
            continue
        said.by[one.by] += bool(one.text)
        said.lines += one.lines > 1
        said.add(captioner, one.text, parts_of(one.text, captioner.scheme.caption.separator), {})
        if each:
            said.each.append(one)
    return said
