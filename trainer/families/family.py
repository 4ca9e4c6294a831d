"""The interface of a family of bases: what networks it has, how texts become conditions, what files call its modules.

Nothing heavy is imported until a network is there.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class Text:
    """What texts are to the denoising network."""

    states: torch.Tensor  # [B, tokens, width], of each token
    pooled: torch.Tensor | None = None  # [B, width], of the whole text, where the family has that

    def __getitem__(self, index: int) -> Text:
        """The text of one picture, without the dimension B."""
        return Text(self.states[index], None if self.pooled is None else self.pooled[index])

    def repeat(self, count: int) -> Text:
        """One text [1, ...] for so many pictures."""
        pooled = None if self.pooled is None else self.pooled.repeat(count, 1)
        return Text(self.states.repeat(count, 1, 1), pooled)


def stacked(texts: Iterable[Text]) -> Text:
    """Texts without the dimension B -> all of them."""
    import torch

    every = list(texts)
    pooled = [text.pooled for text in every if text.pooled is not None]
    return Text(torch.stack([text.states for text in every]), torch.stack(pooled) if pooled else None)


def joined(texts: Iterable[Text], dim: int = 0) -> Text:
    """Texts [B, ...] behind each other: pictures with dim 0; with dim 1, pieces of one prompt, of which the first one's
    pooled state counts, as in A1111."""
    import torch

    every = list(texts)
    pooled = [text.pooled for text in every if text.pooled is not None]
    states = torch.cat([text.states for text in every], dim)
    return Text(states, (torch.cat(pooled) if dim == 0 else pooled[0]) if pooled else None)


@dataclass(frozen=True, slots=True)
class Network:
    """One network of a base, in a folder of its own."""

    kind: str  # its class, of diffusers or, if it reads text, of transformers
    weights: str = "diffusion_pytorch_model"  # what its file is called, without the ending


class Family(ABC):
    """A family of bases. Each is one value; what varies within a family is in the base's own configuration."""

    pipelines: ClassVar[Mapping[str, str]]  # of diffusers: "text" to picture, "image" to picture, and with a "mask"
    networks: ClassVar[Mapping[str, Network]]  # by their folders
    tokenizers: ClassVar[tuple[str, ...]]  # the folders, in the order of the text encoders
    lora_prefixes: ClassVar[Mapping[str, str]]  # of the networks that a LoRA may change: kohya's names of them

    embeddings: ClassVar[Mapping[str, str]]  # of the text encoders: what the file of an embedding calls their vectors

    @property
    def text_encoders(self) -> tuple[str, ...]:
        """Their folders, in order."""
        return tuple(name for name in self.networks if name.startswith("text_encoder"))

    @abstractmethod
    def name(self, second: bool) -> str:
        """As people say it. second: Stable Diffusion 2."""

    @abstractmethod
    def read_states(
        self, encoders: Sequence[Any], ids: Sequence[torch.Tensor], clip_skip: int
    ) -> tuple[list[torch.Tensor], torch.Tensor | None]:
        """Numbers of tokens [B, tokens] for each text encoder -> what each says of every token [B, tokens, width], and
        the pooled state. clip_skip: 2 leaves out the last layer."""

    @abstractmethod
    def conditions(self, text: Text, sizes: torch.Tensor) -> dict[str, Any]:
        """What the denoising network is given beside the noisy latents and the timestep.

        sizes: [B, 6], height and width of the whole picture, top and left of what is cut out of it, and height and
        width of that, in pixels.
        """

    def most_clip_skip(self, encoders: Sequence[Any]) -> int:
        """The largest clip skip there is."""
        layers: int = encoders[0].config.num_hidden_layers
        return layers

    def lora_module(self, network: str, module: str, denoiser: Any) -> str:
        """What the file of a LoRA calls a module, dotted, without the prefix."""
        return module

    @abstractmethod
    def in_file(self, second: bool) -> Mapping[str, str]:
        """What stands before the names of each text encoder's tensors in a single file. second: Stable Diffusion 2."""

    @abstractmethod
    def fillings(self, second: bool) -> tuple[str | None, ...]:
        """What each tokenizer fills short texts up with; None: with the end of a text. second: Stable Diffusion 2."""

    @abstractmethod
    def versions(self, second: bool, velocity: bool) -> tuple[str, str]:
        """The base's version as kohya calls it (ss_base_model_version), and as modelspec does (architecture).

        second: Stable Diffusion 2; velocity: whether it predicts that.
        """
