"""Dataset in, trained model out.

`start` or `resume` give a `Session`; `Session.run` is an iterator of `Progress`; `load_trained` and `draw` make
pictures with what came out. torch is imported when a name that needs it is first used.
"""

from __future__ import annotations

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trainer.base import Base, read_base
    from trainer.config import Run, read_config, read_run
    from trainer.dataset import Dataset, read_dataset
    from trainer.drawing import draw, load_trained
    from trainer.load import load_parts
    from trainer.loop import Progress
    from trainer.methods import METHODS, Method
    from trainer.parts import Parts
    from trainer.recipe import Drawn
    from trainer.record import read_losses, read_validation
    from trainer.run import resume, start
    from trainer.sample import pipeline
    from trainer.samplers import SAMPLERS
    from trainer.session import Session

# Where it is installed, other packages import it, and it complains of a kernel that nothing here uses.
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)

_HOMES = {
    "base": ("Base", "read_base"),
    "config": ("Run", "read_config", "read_run"),
    "dataset": ("Dataset", "read_dataset"),
    "drawing": ("draw", "load_trained"),
    "loop": ("Progress",),
    "methods": ("METHODS", "Method"),
    "load": ("load_parts",),
    "parts": ("Parts",),
    "recipe": ("Drawn",),
    "record": ("read_losses", "read_validation"),
    "run": ("resume", "start"),
    "sample": ("pipeline",),
    "samplers": ("SAMPLERS",),
    "session": ("Session",),
}

__all__ = [
    "METHODS",
    "SAMPLERS",
    "Base",
    "Dataset",
    "Drawn",
    "Method",
    "Parts",
    "Progress",
    "Run",
    "Session",
    "draw",
    "load_parts",
    "load_trained",
    "pipeline",
    "read_base",
    "read_config",
    "read_dataset",
    "read_losses",
    "read_run",
    "read_validation",
    "resume",
    "start",
]


def __getattr__(name: str) -> Any:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"trainer.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
