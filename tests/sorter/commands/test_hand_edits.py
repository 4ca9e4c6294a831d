"""Whatever a person does in a library, in any order: nothing of theirs is lost, and a second sort changes nothing."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from sorter.commands.job import Job
from tests.sorter.hands import Person, acts

FOLDERS = ("happy/left", "happy/front", "sad/left", "sad/front")


@pytest.mark.parametrize("number", range(60))
def test_random_edits_lose_nothing(number: int, tmp_path: Path, draw: Any, grow: Any, job: Job) -> None:
    shown = [("left", "sad"), ("right", "happy"), ("front", "sad")]
    frames = grow(tmp_path / "frames", {f"{n}.png": draw(*what, n) for n, what in enumerate(shown)})
    person = Person(frames, tmp_path / "library", job, FOLDERS)
    done = []
    for act in acts(number):
        done.append(act)
        try:
            person.act(act)
        except AssertionError as found:
            shutil.rmtree(tmp_path, ignore_errors=True)
            raise AssertionError(f"{found}; after {done}") from None
