"""wanted - placed -> steps. Pure: touches no disk."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from operator import itemgetter

from sorter.records import Drop, Output, Put, Render, Step, Text


def steps_between(
    wanted: Iterable[Output], placed: Iterable[Output], held: frozenset[str] = frozenset()
) -> tuple[Step, ...]:
    """The steps that turn what is placed into what is wanted: every Put before every Drop, each sorted by path.

    `held`: file stems that a person has taken in hand; their files are left as they are.
    """
    with _nothing_collected():
        return _steps(wanted, dict(placed), held)


def _steps(wanted: Iterable[Output], standing: dict[str, Render | Text], held: frozenset[str]) -> tuple[Step, ...]:
    # What is as it should be is let go at once, so that a large library that is in order takes little memory.
    new = [output for output in wanted if standing.pop(output.path, None) != output.content]
    puts = [Put(output) for output in sorted(new, key=itemgetter(0))]
    drops = [Drop(Output(*one)) for one in sorted(standing.items(), key=itemgetter(0))]
    steps: tuple[Step, ...] = (*puts, *drops)
    return tuple(step for step in steps if stem(step.output) not in held) if held else steps


@contextmanager
def _nothing_collected() -> Iterator[None]:
    """Have Python not look for values that refer back to themselves: among millions of ours it would find none."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def stem(output: Output) -> str:
    """The part of a file's name that a picture and its caption share."""
    name = output.path.rpartition("/")[2]
    return name.rpartition(".")[0] or name
