"""Work in step: threads whose results come in the order of the items, with flat memory."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache, partial
from itertools import islice
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")

AHEAD = 32
"""Items that are begun before their turn, beside a few a thread: so many while the reader writes down what it has."""
MOST_KEPT = 1 << 25
"""Bytes that are not given back to the system at once."""


def in_step(
    work: Callable[[T], R],
    items: Iterable[T],
    threads: int | None = None,
    is_light: Callable[[T], bool] = lambda item: False,
    most_ahead: int | None = None,
) -> Iterator[R]:
    """`map` over threads: results in the order of the items, and only a few items ahead of the reader.

    So memory stays flat however many items there are, and the outcome does not depend on which thread was faster.
    `is_light`: items whose work costs less than a thread's attention; it is done when its turn comes.
    `most_ahead`: how many are begun before their turn; AHEAD, and four a thread, if nothing is said.
    """
    threads = threads or os.cpu_count() or 1
    source = iter(items)
    keep_memory()
    # Each thread's products stay on its core: the others have pictures of their own, and threads of both take turns.
    with ThreadPoolExecutor(threads) as pool, _numpys_threads().limit(limits=1, user_api="blas"):

        def begun(item: T) -> Callable[[], R]:
            return partial(work, item) if is_light(item) else pool.submit(work, item).result

        ahead: deque[Callable[[], R]] = deque(map(begun, islice(source, most_ahead or AHEAD + 4 * threads)))
        try:
            while ahead:
                done = ahead.popleft()()
                ahead.extend(map(begun, islice(source, 1)))
                yield done
        finally:
            pool.shutdown(cancel_futures=True)


@cache
def keep_memory() -> None:
    """Have freed memory kept for the next picture, where the C library is glibc.

    It would give a picture's megabytes back after each use, and fetch them again, cleared, page by page: a quarter of
    the time of a sort (mallopt(3); both numbers are in its malloc.h).
    """
    import ctypes

    with suppress(OSError, AttributeError, TypeError):  # on Windows and macOS there is no such call
        mallopt, trim_threshold, mmap_threshold = ctypes.CDLL(None).mallopt, -1, -3
        mallopt(trim_threshold, MOST_KEPT)
        mallopt(mmap_threshold, MOST_KEPT)


@cache
def _numpys_threads() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()  # it searches what is loaded: numpy is
