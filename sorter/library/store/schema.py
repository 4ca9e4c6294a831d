"""The tables of a manifest: each change of them is a step in a list, and an older manifest is brought up to date."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from sorter.errors import LibraryError

MIGRATIONS = [
    """
    CREATE TABLE picture (
        sha256 TEXT PRIMARY KEY, path TEXT NOT NULL, width INTEGER NOT NULL, height INTEGER NOT NULL,
        format TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE source (  -- a file as it was last read; reason says why it is no picture, and is empty if it is one
        path TEXT PRIMARY KEY, size INTEGER NOT NULL, modified INTEGER NOT NULL, sha256 TEXT, reason TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX source_of ON source (sha256);
    CREATE TABLE label (
        sha256 TEXT NOT NULL, axis TEXT NOT NULL, source TEXT NOT NULL, name TEXT NOT NULL, score REAL NOT NULL,
        PRIMARY KEY (sha256, axis, source)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE placed (  -- what we wrote and, as far as we know, still stands
        path TEXT PRIMARY KEY, stem TEXT NOT NULL, content TEXT NOT NULL, sha256 TEXT NOT NULL,
        size INTEGER NOT NULL, modified INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX placed_stem ON placed (stem);
    CREATE TABLE run (
        id INTEGER PRIMARY KEY, command TEXT NOT NULL, started REAL NOT NULL, undone INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE TABLE step (  -- the journal: intended (done 0), carried out (1), or given up (-1)
        id INTEGER PRIMARY KEY, run INTEGER NOT NULL, path TEXT NOT NULL, before TEXT, after TEXT,
        sha256 TEXT NOT NULL, done INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE INDEX step_open ON step (done) WHERE done = 0;
    CREATE TABLE taken (  -- originals that were moved into the library's keeping by --take
        path TEXT PRIMARY KEY, sha256 TEXT NOT NULL, run INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    """,
    """
    ALTER TABLE label ADD COLUMN looks TEXT NOT NULL DEFAULT '';
    ALTER TABLE label ADD COLUMN mirror_looks TEXT NOT NULL DEFAULT '';
    """,
    """
    CREATE TABLE answer (  -- the journal of a person's answers; before and after are empty where there was, or is, none
        id INTEGER PRIMARY KEY, run INTEGER NOT NULL, sha256 TEXT NOT NULL, axis TEXT NOT NULL, before TEXT, after TEXT
    ) STRICT;
    CREATE INDEX answer_run ON answer (run);
    ALTER TABLE label RENAME COLUMN looks TO taken_for;
    ALTER TABLE label RENAME COLUMN mirror_looks TO mirror_taken_for;
    """,
    """
    ALTER TABLE run ADD COLUMN folders TEXT;  -- the class folders by which a library was laid out, and what they mean
    UPDATE placed SET stem = substr(stem, -10)  -- what a picture's files share is their ten digits alone
        WHERE stem GLOB '*-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]';
    """,
    """
    ALTER TABLE label ADD COLUMN runner_up TEXT NOT NULL DEFAULT '';
    ALTER TABLE label ADD COLUMN runner_up_score REAL NOT NULL DEFAULT 0;
    """,
]


def migrate(db: sqlite3.Connection, path: Path) -> None:
    """Carry out the steps that the manifest at `path` has not seen yet. Raises LibraryError where it is a newer one."""
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version > len(MIGRATIONS):
        raise LibraryError(f"{path}: was written by a newer modelsheet; update this one (pip install -U modelsheet)")
    for number, script in enumerate(MIGRATIONS[version:], version + 1):
        db.executescript(f"BEGIN IMMEDIATE; {script} PRAGMA user_version = {number}; COMMIT;")
