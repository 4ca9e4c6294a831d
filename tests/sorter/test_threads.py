"""What threads share: one engine that takes many items at a time, and what is large and made once."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from sorter.threads import Batches, OnceEach
from tests.sorter.tiny_networks import save_tagger


def test_items_of_many_threads_are_served_together_and_one_batch_at_a_time() -> None:
    sizes: list[int] = []
    busy = threading.Lock()

    def run(items: Sequence[int]) -> list[int]:
        assert busy.acquire(blocking=False)
        sizes.append(len(items))
        time.sleep(0.01)
        busy.release()
        return [10 * item for item in items]

    engine = Batches(run, 4)
    with ThreadPoolExecutor(12) as pool:
        assert list(pool.map(engine, range(60))) == [10 * item for item in range(60)]
    assert sum(sizes) == 60 and max(sizes) == 4 and len(sizes) < 40
    assert engine(7) == 70 and sizes[-1] == 1  # nobody waits for a batch to be full


def test_what_a_batch_raises_all_of_it_get_and_the_next_goes_on() -> None:
    def run(items: Sequence[int]) -> list[int]:
        if 3 in items:
            raise ValueError("three")
        return list(items)

    engine = Batches(run, 1)
    with ThreadPoolExecutor(4) as pool:
        futures = [pool.submit(engine, item) for item in range(6)]
    assert [future.result() for future in futures if future.exception() is None] == [0, 1, 2, 4, 5]
    with pytest.raises(ValueError, match="three"):
        engine(3)


def test_what_is_large_is_made_once_however_many_want_it() -> None:
    made: list[str] = []

    def make(name: str) -> list[str]:
        time.sleep(0.02)
        made.append(name)
        return [name]

    once = OnceEach(make)
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(once, ["a", "b"] * 8))
    assert sorted(made) == ["a", "b"] and all(one is results[0] for one in results[::2])


def test_a_taggers_batches_say_what_it_says_of_each_picture(tmp_path: Path) -> None:
    from sorter.networks.tags import TagNetwork, read_tagger

    network = TagNetwork(read_tagger(save_tagger(tmp_path)))
    squares = [np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8) for seed in range(40)]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(network._together, squares))  # as on a graphics card
    np.testing.assert_allclose(together, [network(square) for square in squares], atol=1e-6)
    one = TagNetwork(read_tagger(save_tagger(tmp_path / "one", shape=(1, 8, 8, 3))))  # which takes no second one
    with ThreadPoolExecutor(8) as pool:
        np.testing.assert_allclose(list(pool.map(one._together, squares)), together, atol=1e-6)
