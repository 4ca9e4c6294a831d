"""The hash of a model's large file, computed once on a machine: a tagger has up to 1.3 GB, and every command asks."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path

from sorter.files import cache_folder, found_at, sha256_of, write


def hash_of(path: Path) -> str:
    """The sha256 of a file as it stands, known by its path, its size and its time. Raises OSError."""
    found = found_at(path)
    known_by = f"{path.absolute()} {found.size} {found.modified}"
    kept = cache_folder() / "hashes" / hashlib.sha256(known_by.encode(errors="surrogateescape")).hexdigest()
    with suppress(OSError):
        if len(digest := kept.read_text(encoding="ascii", errors="replace")) == 64:
            return digest
    digest = sha256_of(path)
    with suppress(OSError):  # a cache that cannot be written costs time, and nothing else
        write(kept, digest.encode())
    return digest
