"""Work in step: threads whose results come in the order of the items, with flat memory; and what they share."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import cache, partial
from itertools import islice
from typing import Any, Generic, ParamSpec, TypeVar

T = TypeVar("T")
R = TypeVar("R")
P = ParamSpec("P")

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


class Batches(Generic[T, R]):
    """What takes many items at a time, and one call at a time, such as a graphics card: threads that come with one item
    each are served together. Nobody waits for a batch to be full."""

    def __init__(self, run: Callable[[list[T]], Sequence[R]], most: int) -> None:
        """`run`: some items, at most `most` -> a result each; what it raises, each of them gets."""
        self._run, self._most = run, most
        self._waiting: deque[tuple[T, Future[R]]] = deque()
        self._free = threading.Lock()

    def __call__(self, item: T) -> R:
        """The result of one item."""
        mine: Future[R] = Future()
        self._waiting.append((item, mine))
        while not mine.done():
            with self._free:
                if not mine.done():
                    self._serve([self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))])
        return mine.result()

    def _serve(self, batch: list[tuple[T, Future[R]]]) -> None:
        try:
            results = self._run([item for item, _ in batch])
        except BaseException as error:
            for _, future in batch:
                future.set_exception(error)
            return
        for (_, future), result in zip(batch, results, strict=True):
            future.set_result(result)


class OnceEach(Generic[P, R]):
    """`functools.cache` for what is large: of threads that want the same, one makes it and the others wait."""

    def __init__(self, make: Callable[P, R]) -> None:
        self._make: Callable[P, R] = cache(make)
        self._lock = threading.Lock()

    def __call__(self, *given: P.args, **named: P.kwargs) -> R:
        """What is made of these, the first time that they are asked for."""
        with self._lock:
            return self._make(*given, **named)


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
