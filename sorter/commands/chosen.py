"""Which pictures of a library a trainer gets: those that stand in it, are wanted, and are beyond doubt."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from sorter.commands.answer import read_answers
from sorter.commands.job import Job
from sorter.commands.plan import verdicts
from sorter.files import found_at, read_file
from sorter.library.store.contents import Placed
from sorter.library.store.manifest import Manifest
from sorter.records import Render, Verdict
from sorter.tally import Report

IN_DOUBT = "left out, in doubt"
"""What a report counts pictures as that are."""


class Chosen(NamedTuple):
    """A picture of a library for a dataset."""

    verdict: Verdict
    placed: Placed
    """Its file in the library, as we left it."""
    sha256: str
    """Of that file as it stands: a person may have edited it."""


def chosen(library: Manifest, job: Job, doubtful: bool, report: Report, command: str) -> Iterator[Chosen]:
    """The pictures for a dataset, in the order of their hashes; into `report`, what is left out and why.

    `library`: the manifest of a dry run: what a person did since the last sort is heeded, and not recorded.
    `doubtful`: those in doubt, too.
    """
    read_answers(library, job, report, command)
    report.run = None
    pictures = [one for one in library.placed() if isinstance(one.output.content, Render)]
    files = {current_hash(library.root, one): one for one in pictures}
    report.counts["copies"] = len(pictures) - len(files)  # of originals that differ in what cannot be seen
    standing = {_pictured(one): (sha256, one) for sha256, one in files.items()}
    for verdict in verdicts(library, job):
        if verdict.unwanted:
            report.unwanted[verdict.unwanted] += 1
        elif verdict.picture.sha256 not in standing:
            report.counts["left out, not in the library's folders"] += 1
        elif verdict.picture.sha256 in report.corrections.astray:
            report.counts["left out, in no class folder or in several"] += 1
        elif verdict.doubts and not doubtful:
            report.counts[IN_DOUBT] += 1
            report.doubts.update(verdict.unsure)
        else:
            sha256, one = standing[verdict.picture.sha256]
            yield Chosen(verdict, one, sha256)


def _pictured(one: Placed) -> str:
    """The hash of the original that a library file shows."""
    return one.output.content.sha256 if isinstance(one.output.content, Render) else ""


def current_hash(root: Path, one: Placed) -> str:
    """The hash of a library file as it stands; one that a person has edited is exported as edited."""
    path = root / one.output.path
    try:
        if (found := found_at(path)) and (found.size, found.modified) == (one.size, one.modified):
            return one.sha256
        return hashlib.sha256(read_file(path)).hexdigest()
    except OSError:
        return one.sha256
