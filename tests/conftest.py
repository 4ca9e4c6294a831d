"""What every test gets: a cache folder of its own, so that nothing is read from or written to the user's."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parent.parent.parent / "shared" / "data"


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One for the whole session, since converting a network takes seconds."""
    folder = tmp_path_factory.mktemp("cache")
    before = os.environ.get("MODELSHEET_CACHE")
    os.environ["MODELSHEET_CACHE"] = str(folder)
    yield folder
    if before is None:
        del os.environ["MODELSHEET_CACHE"]
    else:
        os.environ["MODELSHEET_CACHE"] = before


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real exports and pictures that are not part of the project."""
    if not SHARED.is_dir():
        pytest.skip(f"the real material is not here: {SHARED}")
    return SHARED
