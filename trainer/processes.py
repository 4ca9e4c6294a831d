"""The processes that train one run together, a card each: those that `accelerate launch` or torchrun started, or one.

All of them hold the same weights. Each takes its own of the batches of a step, the gradients' mean is taken over all,
and all move the weights alike. The first alone writes, draws and validates; the others wait for it.
"""

from __future__ import annotations

import atexit
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch

from trainer.device import best_device
from trainer.errors import ConfigError, TrainingError
from trainer.terminal import is_alone

PATIENCE = timedelta(days=1)
"""How long the others wait for the first, which may have thousands of pictures to encode."""
AT_ONCE = 2**24
"""Numbers of gradients that travel together: 64 MB of fp32."""


@dataclass(frozen=True, slots=True)
class Processes:
    """This process among the others; alone, nothing here does anything."""

    index: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the one that writes."""
        return self.index == 0

    @contextmanager
    def first_before_others(self) -> Iterator[None]:
        """The first goes through it while the others wait, so that they find what it made; all leave it together."""
        if not self.first:
            self.wait()
        yield
        if self.first:
            self.wait()
        self.wait()

    def wait(self) -> None:
        """Until all are here."""
        if self.count > 1:
            _talk(_state().wait_for_everyone)

    def own(self, batches: int) -> range:
        """Which of the batches of a step are this process's, counted from 0. Raises ConfigError where they cannot be
        shared equally."""
        if batches % self.count:
            raise ConfigError(
                f"a step of this run is {batches} batches, which {self.count} processes cannot share equally; start"
                f" {' or '.join(str(n) for n in range(1, batches + 1) if batches % n == 0)}"
            )
        return range(self.index, batches, self.count)

    def mean(self, number: float) -> float:
        """Of what each process has."""
        return number if self.count == 1 else float(_mean(torch.tensor(number, dtype=torch.float64)))

    def any(self, answer: bool) -> bool:
        """Whether one of them says so."""
        return self.mean(float(answer)) > 0

    def average_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Replace each gradient by the mean over the processes; none counts as 0 where another has one."""
        if self.count == 1:
            return
        trained = list(parameters)
        there = _mean(torch.tensor([parameter.grad is not None for parameter in trained], dtype=torch.float32))
        together: list[torch.Tensor] = []
        for parameter, share in zip(trained, there.tolist(), strict=True):
            if not share:
                continue
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            together.append(parameter.grad)
            if sum(one.numel() for one in together) >= AT_ONCE:
                _average(together)
                together = []
        if together:
            _average(together)


ALONE = Processes()


def processes() -> Processes:
    """Those that were started. The first call joins them, and gives each its card."""
    if is_alone():
        return Processes()
    return Processes(_state().process_index, _state().num_processes)


def _state() -> Any:
    from accelerate import PartialState

    if PartialState._shared_state:  # it is one for the whole process, and takes these only the first time
        return PartialState()
    # Without `cpu` it overlooks the others where there is no card. NVIDIA's own way to talk is for Linux alone.
    backend = {} if torch.distributed.is_nccl_available() else {"backend": "gloo"}
    state = PartialState(cpu=best_device() == "cpu", timeout=PATIENCE, **backend)
    atexit.register(state.destroy_process_group)
    return state


def _mean(tensor: torch.Tensor) -> torch.Tensor:
    from accelerate.utils import reduce

    found: torch.Tensor = _talk(lambda: reduce(tensor.to(_state().device), "mean"))
    return found


def _talk(work: Callable[[], Any]) -> Any:
    """Do what needs all processes."""
    try:
        return work()
    except torch.cuda.OutOfMemoryError:
        raise
    except RuntimeError:
        raise TrainingError("another process has ended, so this one ends, too; the other says why") from None


def _average(gradients: list[torch.Tensor]) -> None:
    mean = _mean(torch.nn.utils.parameters_to_vector(gradients))
    torch.nn.utils.vector_to_parameters(mean, gradients)
