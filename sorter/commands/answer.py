"""What a person did to a library since the last run, taken over as their answers."""

from __future__ import annotations

from sorter.commands.job import Job
from sorter.library.corrections import read_corrections
from sorter.library.store.manifest import Manifest
from sorter.records import LIBRARY, REMOVED
from sorter.tally import Report


def read_answers(manifest: Manifest, job: Job, report: Report, restore: bool = False) -> None:
    """Read what a person did to the library since the last run. `restore`: and put back what they deleted."""
    manifest.refuse_dataset()
    if restore:
        with manifest.change():
            manifest.forget_answer(LIBRARY, REMOVED)
    report.corrections = read_corrections(manifest, job.layout)
