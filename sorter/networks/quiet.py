"""Standard error without what tensorflow and LiteRT log from C++."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """tensorflow and LiteRT log from C++, past Python's sys.stderr; a person should not see it."""
    with _ONE_AT_A_TIME:
        kept = os.dup(2)
        try:
            with open(os.devnull, "wb") as nowhere:
                os.dup2(nowhere.fileno(), 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)


_ONE_AT_A_TIME = threading.RLock()
"""The process has one standard error: two threads that redirect it in turn would lose it."""
