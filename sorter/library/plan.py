"""wanted - placed -> steps. Pure: touches no disk."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath

from sorter.records import Drop, Output, Put, Step


def plan(wanted: Iterable[Output], placed: Iterable[Output], held: frozenset[str] = frozenset()) -> tuple[Step, ...]:
    """The steps that turn what is placed into what is wanted: every Put before every Drop, each sorted by path.

    `held`: file stems that a person has taken in hand; their files are left as they are.
    """
    wanting = {output.path: output for output in wanted if stem(output) not in held}
    standing = {output.path: output for output in placed if stem(output) not in held}
    puts = [Put(wanting[path]) for path in sorted(wanting) if standing.get(path) != wanting[path]]
    drops = [Drop(standing[path]) for path in sorted(standing) if path not in wanting]
    return (*puts, *drops)


def stem(output: Output) -> str:
    """The part of a file's name that a picture and its caption share."""
    return PurePosixPath(output.path).stem
