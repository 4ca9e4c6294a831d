"""Where the real exports and pictures lie, if they are here."""

from __future__ import annotations

import sys
from pathlib import Path

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def folder(name: str) -> Path:
    """A folder of real data; without it the benchmark says so and ends."""
    path = DATA / name
    if not path.is_dir():
        print(f"skipped: {path} is not here")
        sys.exit(0)
    return path
