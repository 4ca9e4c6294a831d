"""The networks of a base, and what they say of texts and of noisy pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch

from trainer.base import Base
from trainer.families.family import Text, stacked
from trainer.words import spelt

TEXTS_KEPT = 2**30  # bytes; a text of Stable Diffusion XL is 77 tokens x 2048 numbers x 4 bytes = 0.6 MB


@dataclass
class Parts:
    """A base in its parts. Weights are fp32; the U-Net and the text encoders compute in `dtype`.

    `timestep_weights`, [num_train_timesteps], says how much each timestep counts in the loss; `noise_offset`, how much
    of the noise is one number for a whole channel; `clip_skip`, which layer of the text encoder captions are read from,
    counted from its end.
    """

    base: Base
    tokenizers: tuple[Any, ...]
    text_encoders: Mapping[str, Any]  # by their folders, in the order of the tokenizers
    vae: Any
    unet: Any
    noise_scheduler: Any
    device: torch.device
    dtype: torch.dtype
    timestep_weights: torch.Tensor
    noise_offset: float = 0.0
    clip_skip: int = 1
    resting: frozenset[str] = frozenset()  # networks, by their folders, that are on the device only while they work
    _texts: dict[str, Text] = field(default_factory=dict, repr=False)

    @property
    def tokenizer(self) -> Any:
        """The first; all of a base's tokenizers number the same words alike."""
        return self.tokenizers[0]

    @property
    def text_encoder(self) -> Any:
        """The first."""
        return next(iter(self.text_encoders.values()))

    @property
    def networks(self) -> dict[str, Any]:
        """All of them, by their folders."""
        return {"unet": self.unet, "vae": self.vae, **self.text_encoders}

    def autocast(self) -> AbstractContextManager[Any]:
        """Compute in `dtype` inside; nothing changes where that is fp32."""
        return torch.autocast(self.device.type, self.dtype) if self.dtype != torch.float32 else nullcontext()

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """No dropout inside, even in the middle of training."""
        networks = [part for part in (self.unet, *self.text_encoders.values()) if part.training]
        for network in networks:
            network.eval()
        yield
        for network in networks:
            network.train()

    @contextmanager
    def present(self, *names: str) -> Iterator[None]:
        """These networks, by their folders, are on the device inside; those that rest leave it again."""
        resting = [
            network
            for name, network in self.networks.items()
            if name in names and name in self.resting and network.device.type != self.device.type  # else it is there
        ]
        for network in resting:
            network.to(self.device)
        try:
            yield
        finally:
            for network in resting:
                network.to("cpu")

    def rest(self, *names: str) -> None:
        """From now on, these networks are on the device only while they are `present`."""
        self.resting |= frozenset(names)
        for name in names:
            self.networks[name].to("cpu")

    def stay(self, *names: str) -> None:
        """From now on, these networks are on the device."""
        self.resting -= frozenset(names)
        for name in names:
            self.networks[name].to(self.device)

    def halve_frozen(self) -> None:
        """Keep what is not trained of the U-Net in `dtype`.

        Only where autocast would round it to that anyway, in linear layers and convolutions: so every answer stays what
        it was, bit for bit.
        """
        for module in self.unet.modules():
            if isinstance(module, (torch.nn.Linear, torch.nn.Conv2d)):
                for parameter in module.parameters(recurse=False):
                    if not parameter.requires_grad:
                        parameter.data = parameter.data.to(self.dtype)

    def checkpoint_gradients(self) -> None:
        """Keep less of the forward pass for the backward one, and compute it again (Chen et al. 2016,
        arXiv:1604.06174)."""
        self.unet.enable_gradient_checkpointing()
        for encoder in self.text_encoders.values():
            if any(parameter.requires_grad for parameter in encoder.parameters()):
                # Earlier versions of transformers know the second name alone.
                enable = getattr(encoder, "activation_checkpointing_enable", encoder.gradient_checkpointing_enable)
                enable({"use_reentrant": False})

    def predict(
        self, noisy: torch.Tensor, timesteps: torch.Tensor, text: Text, cuts: torch.Tensor | None = None
    ) -> torch.Tensor:
        """What the U-Net says of noisy latents [B, C, h, w] at timesteps [B] with texts.

        cuts: [B, 4], height and width of the whole pictures, and where what is seen of them begins, top and left, in
        pixels; none: all of them is seen.
        """
        height, width = (length * self.base.factor for length in noisy.shape[-2:])
        seen = torch.tensor([[height, width]], device=self.device).expand(len(noisy), 2)
        whole = torch.cat([seen, torch.zeros_like(seen)], dim=1) if cuts is None else cuts.to(self.device)
        beside = self.base.family.conditions(text, torch.cat([whole, seen], dim=1))
        predicted: torch.Tensor = self.unet(noisy, timesteps, return_dict=False, **beside)[0]
        return predicted

    def encode_text(self, captions: Sequence[str], train: bool = False) -> Text:
        """Captions, cut at the text encoders' length. Unless `train`, each is encoded once."""
        if train:
            return self._encode(captions)
        new = [caption for caption in dict.fromkeys(captions) if caption not in self._texts]
        encoded = self._encode_frozen(new) if new else None
        found = {caption: encoded[index] for index, caption in enumerate(new)} if encoded else {}
        texts = stacked(found[text] if text in found else self._texts[text] for text in captions)
        if (len(self._texts) + len(found)) * texts.states[0].nbytes <= TEXTS_KEPT:
            self._texts.update(found)
        return texts

    def keeps(self, texts: int) -> bool:
        """Whether so many are kept once they are encoded."""
        return texts * self.encode_text([""]).states.nbytes <= TEXTS_KEPT

    def encode_ids(self, ids: torch.Tensor, clip_skip: int = 1, weights: torch.Tensor | None = None) -> Text:
        """Numbers of tokens [B, tokens], filled up as the first tokenizer does it, as texts.

        clip_skip: 2 leaves out the last layer, where the family has that. weights: [tokens], how much each token
        counts: what each text encoder says of it is multiplied by that, and all by one number so that their mean stays
        what it was, as A1111 does ("Original" among its kinds of emphasis).
        """
        filled = [self._filled(ids, tokenizer).to(self.device) for tokenizer in self.tokenizers]
        with self.present(*self.text_encoders), self.autocast():
            encoders = list(self.text_encoders.values())
            states, pooled = self.base.family.read_states(encoders, filled, clip_skip)
        if weights is not None and not bool((weights == 1).all()):
            states = [_weighed(state, weights.to(self.device)) for state in states]
        return Text(states[0] if len(states) == 1 else torch.cat(states, dim=-1), pooled)

    def too_long(self, captions: Sequence[str]) -> int:
        """How many captions have more tokens than the text encoders read, so that their end is not seen."""
        return sum(
            len(ids) > self.tokenizer.model_max_length for ids in self.tokenizer(self._spelt(captions)).input_ids
        )

    def _spelt(self, captions: Sequence[str]) -> list[str]:
        return [spelt(self.tokenizer, caption) for caption in captions]

    @torch.no_grad()
    def _encode_frozen(self, captions: Sequence[str]) -> Text:
        return self._encode(captions)

    def _encode(self, captions: Sequence[str]) -> Text:
        length = self.tokenizer.model_max_length
        ids = self.tokenizer(
            self._spelt(captions), padding="max_length", truncation=True, max_length=length, return_tensors="pt"
        ).input_ids
        return self.encode_ids(ids, self.clip_skip)

    def _filled(self, ids: torch.Tensor, tokenizer: Any) -> torch.Tensor:
        """The same texts filled up as another tokenizer does it: behind the first end of each."""
        if tokenizer.pad_token_id == self.tokenizer.pad_token_id:
            return ids
        ended = (ids == tokenizer.eos_token_id).cumsum(dim=1)
        behind = torch.cat([torch.zeros_like(ended[:, :1]), ended[:, :-1]], dim=1) > 0
        return ids.masked_fill(behind, tokenizer.pad_token_id)


def _weighed(states: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    weighted = states * weights[:, None]
    return weighted * (states.float().mean() / weighted.float().mean())
