"""wanted - placed -> steps. Pure: touches no disk."""

from __future__ import annotations

from collections.abc import Iterable

from sorter.records import Drop, Output, Put, Step


def plan(wanted: Iterable[Output], placed: Iterable[Output], held: frozenset[str] = frozenset()) -> tuple[Step, ...]:
    """The steps that turn what is placed into what is wanted: every Put before every Drop, each sorted by path.

    `held`: file stems that a person has taken in hand; their files are left as they are.
    """
    wanting = {output.path: output for output in wanted}
    gone = {}
    for output in placed:
        there = wanting.get(output.path)
        if there is None:
            gone[output.path] = output
        elif there == output:
            del wanting[output.path]  # so that of a large library that is in order, hardly anything is left to sort
    puts = [Put(wanting[path]) for path in sorted(wanting)]
    drops = [Drop(gone[path]) for path in sorted(gone)]
    steps: tuple[Step, ...] = (*puts, *drops)
    return tuple(step for step in steps if stem(step.output) not in held) if held else steps


def stem(output: Output) -> str:
    """The part of a file's name that a picture and its caption share."""
    name = output.path.rpartition("/")[2]
    return name.rpartition(".")[0] or name
