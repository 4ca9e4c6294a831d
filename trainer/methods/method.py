"""The interface of a training method, and the batch that it is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sorter.plugins import Options, Registry
from trainer.formats import file_stem

if TYPE_CHECKING:
    import torch

    from trainer.parts import Parts


@dataclass(frozen=True, slots=True)
class Batch:
    """What goes through the network at once."""

    moments: torch.Tensor  # [B, 2C, h, w]: means and log variances of the latents, on the CPU
    captions: tuple[str, ...]
    masks: torch.Tensor | None = None  # [B, 1, h, w], 0 to 1: what there is to learn; none: all of it
    cuts: torch.Tensor | None = None  # [B, 4]: whole height and width, and where the cut begins, top and left; pixels
    prior: Batch | None = None  # as many of the pictures that the method asks for by its `prior`


@dataclass(frozen=True, slots=True)
class Prior:
    """Pictures that the base draws before it is trained, and that are trained on beside the dataset's."""

    prompt: str
    pictures: int


class Method(Options):
    """A method's fields are its options in [method]; its docstring is its help."""

    def prepare(self, parts: Parts) -> dict[str, torch.nn.Parameter]:
        """Change `parts` so that they can be trained. Returns what is trained, by names that a checkpoint keeps.

        All of `parts` is frozen before; fresh weights may be drawn from torch's global generator, which is seeded.
        """
        raise NotImplementedError

    def loss(self, parts: Parts, batch: Batch, generator: torch.Generator) -> torch.Tensor:
        """The loss of one batch: a scalar with a gradient. What is random is drawn from `generator` (on the CPU)."""
        raise NotImplementedError

    def trained(self, parts: Parts) -> dict[str, torch.Tensor]:
        """What was trained, as it stands in `parts`: by the same names after `prepare` and after `load`."""
        raise NotImplementedError

    def save(self, parts: Parts, folder: Path, name: str, about: Mapping[str, str]) -> None:
        """Write what was trained into the empty `folder`, as safetensors, in files named after `name`.

        about: what the file's header says of its making (header.py).
        """
        raise NotImplementedError

    def load(self, parts: Parts, folder: Path) -> None:
        """Put what `save` wrote into fresh `parts`, to draw with them. Raises CheckpointError, too, for what is in the
        files and would not arrive."""
        raise NotImplementedError

    def told(self, caption: str) -> str:
        """The longest text that the network is told of a picture with this caption."""
        return caption

    def stem(self, run: str) -> str:
        """What the files are called in a run folder of this name."""
        return file_stem(run)

    def kept(self, folder: Path) -> dict[str, Any]:
        """Options that name files in the folder of train.toml, as what is in them: a run goes on with what it began
        with. Raises ConfigError."""
        return {}

    @property
    def prior(self) -> Prior | None:
        """What the base draws before; None: nothing."""
        return None

    @property
    def rounds(self) -> bool:
        """Whether files hold what was trained in fewer bits; `trained` then gives it so, and pictures drawn with the
        files differ by that."""
        return False

    @property
    def is_lora(self) -> bool:
        """Whether what comes out is put on top of a base, as `<lora:NAME:1>` in A1111's prompts."""
        return False

    @property
    def is_base(self) -> bool:
        """Whether what comes out is loaded in a base's place."""
        return False

    def notes(self, parts: Parts) -> list[str]:
        """Sentences about what comes out that whoever uses it should know; usually none."""
        return []


METHODS: Registry[Method] = Registry("method", "modelsheet.methods")
