"""Too little memory, of the machine or of its graphics card, as a sentence. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from trainer.errors import TrainingError

One = TypeVar("One")
Made = TypeVar("Made")
SAID = ("out of memory", "can't allocate memory", "cannot allocate memory", "not enough memory", "alloc_failed")
"""By torch, by CUDA's libraries, and by systems."""


class OutOfMemory(TrainingError):
    """There is not enough memory for what was asked for."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether that is what torch or Python says, of a graphics card or of the machine."""
    said = str(error).lower()
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError | OSError) and any(one in said for one in SAID)
    )


@contextmanager
def enough_memory(what: str, todo: str) -> Iterator[None]:
    """Where memory runs out inside, OutOfMemory is raised: what was done then, and what to do."""
    try:
        yield
    except (MemoryError, RuntimeError, OSError) as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemory(f"out of memory {what}; {todo}") from None


def halving(work: Callable[[Sequence[One]], list[Made]], items: Sequence[One], what: str, todo: str) -> list[Made]:
    """What `work` makes of the items, all at once; where memory runs out, half of them at a time, down to one.

    Raises OutOfMemory where one is too much: `what` was done then, and `todo` helps.
    """
    try:
        return work(items)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        if len(items) <= 1:
            raise OutOfMemory(f"out of memory {what}; {todo}") from None
    half = len(items) // 2  # after the except, which holds on to what did not fit
    return halving(work, items[:half], what, todo) + halving(work, items[half:], what, todo)
