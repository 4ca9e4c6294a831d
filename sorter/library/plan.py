"""wanted - placed -> steps. Pure: touches no disk."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from operator import itemgetter

from sorter.library.names import digits_in
from sorter.records import Content, Drop, Output, Put, Render, Step


def steps_between(
    wanted: Iterable[Output],
    placed: Iterable[Output],
    held: frozenset[str] = frozenset(),
    surplus: frozenset[str] = frozenset(),
) -> tuple[Step, ...]:
    """The steps that turn what is placed into what is wanted: every Put before every Drop, each sorted by path.

    `held`: pictures that a person has taken in hand, by the first digits of their hashes; their files are left as they
    are, but for those of `surplus`, which are ours and stand elsewhere too.
    """
    with nothing_collected():
        return _steps(wanted, dict(placed), held, surplus)


def _steps(
    wanted: Iterable[Output], standing: dict[str, Content], held: frozenset[str], surplus: frozenset[str]
) -> tuple[Step, ...]:
    # What is as it should be is let go at once, so that a large library that is in order takes little memory.
    new = [output for output in wanted if standing.pop(output.path, None) != output.content]
    puts = [Put(output) for output in sorted(new, key=itemgetter(0))]
    drops = [Drop(Output(*one)) for one in sorted(standing.items(), key=itemgetter(0))]
    steps: tuple[Step, ...] = (*puts, *drops)
    if not held:
        return steps
    return tuple(
        step
        for step in steps
        if digits(step.output) not in held or (isinstance(step, Drop) and step.output.path in surplus)
    )


@contextmanager
def nothing_collected() -> Iterator[None]:
    """Have Python not look for values that refer back to themselves: among millions of ours it would find none."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def key(path: str) -> str:
    """What the names of a picture and its caption share: ten digits of the hash, or, of other files, all but the
    ending."""
    name = path.rpartition("/")[2]
    stem = name.rpartition(".")[0] or name
    return digits_in(stem) or stem


def digits(output: Output) -> str:
    """The first digits of the hash of the picture that an output of a library shows or tells of."""
    return output.content.sha256[:10] if isinstance(output.content, Render) else key(output.path)
