"""DreamBooth: a word for one subject, while its class stays what it was (Ruiz et al. 2022, arXiv:2208.12242)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, field_validator

from trainer.methods.full import Full
from trainer.methods.lora import Lora
from trainer.methods.method import METHODS, Batch, Method, Prior

if TYPE_CHECKING:
    import torch

    from trainer.parts import Parts


@METHODS.add("dreambooth")
class Dreambooth(Method):
    """DreamBooth, as a LoRA or full: one subject under one prompt, beside pictures of its class that the base draws."""

    instance_prompt: str  # such as "miratok girl": stands before each caption, or, where that is dropped, alone
    captions: bool = True  # false: the instance prompt alone, as published; captions tell poses apart, so they are kept
    class_prompt: str = ""  # such as "girl"; none: no pictures of the class, and what it looked like is forgotten
    class_pictures: Annotated[int, Field(gt=0)] = 100  # drawn at first use as previews are, and kept with the latents
    prior_weight: Annotated[float, Field(ge=0)] = 1.0  # of the loss on the class, beside 1 of the loss on the subject
    train: Literal["lora", "full"] = "lora"
    lora: Lora = Lora()  # [method.lora]: its options
    full: Full = Full()  # [method.full]: its options

    @field_validator("instance_prompt")
    @classmethod
    def _has_words(cls, prompt: str) -> str:
        if not prompt.strip():
            raise ValueError('instance_prompt: is empty; write a rare word and the class, such as "miratok girl"')
        return prompt.strip()

    @property
    def inner(self) -> Method:
        """The method that trains."""
        return self.lora if self.train == "lora" else self.full

    @property
    def prior(self) -> Prior | None:
        """Pictures of the class, unless they would count for nothing."""
        prompt = self.class_prompt.strip()
        return Prior(prompt, self.class_pictures) if prompt and self.prior_weight else None

    def prepare(self, parts: Parts) -> dict[str, torch.nn.Parameter]:
        """As the method that trains."""
        return self.inner.prepare(parts)

    def loss(self, parts: Parts, batch: Batch, generator: torch.Generator) -> torch.Tensor:
        """That of the subject, plus that of as many pictures of the class by its weight."""
        subject = replace(batch, captions=tuple(map(self.told, batch.captions)))
        loss = self.inner.loss(parts, subject, generator)
        if batch.prior is None:
            return loss
        return loss + self.prior_weight * self.inner.loss(parts, batch.prior, generator)

    def told(self, caption: str) -> str:
        """What the network is told of a picture of the subject."""
        if not self.captions or not caption.strip():
            return self.instance_prompt
        begun = caption.startswith(self.instance_prompt)
        return caption if begun else f"{self.instance_prompt}, {caption}"

    def trained(self, parts: Parts) -> dict[str, torch.Tensor]:
        """As the method that trains."""
        return self.inner.trained(parts)

    def save(self, parts: Parts, folder: Path, name: str, about: Mapping[str, str]) -> None:
        """As the method that trains."""
        self.inner.save(parts, folder, name, about)

    def load(self, parts: Parts, folder: Path) -> None:
        """As the method that trains."""
        self.inner.load(parts, folder)

    def notes(self, parts: Parts) -> list[str]:
        """As the method that trains."""
        return self.inner.notes(parts)

    @property
    def rounds(self) -> bool:
        """As the method that trains."""
        return self.inner.rounds

    @property
    def is_lora(self) -> bool:
        """As the method that trains."""
        return self.inner.is_lora

    @property
    def is_base(self) -> bool:
        """As the method that trains."""
        return self.inner.is_base
