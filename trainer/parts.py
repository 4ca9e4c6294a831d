"""The networks of a base, loaded and frozen, on the best device of this machine."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import diffusers
import torch
from transformers import CLIPTextModel, CLIPTokenizer

from trainer.base import Base
from trainer.errors import BaseModelError, ConfigError, LoaderWarning
from trainer.words import spelt

untyped: Any = diffusers  # its annotations leave out most of what its classes have

LONGEST_TEXT = 10_000  # tokens; a tokenizer that has lost its settings takes any number
TEXTS_KEPT = 4096  # x 77 tokens x 768 numbers x 4 bytes = 0.97 GB at most
LOADERS = (
    "diffusers.loaders", "diffusers.models.model", "transformers.modeling_utils", "transformers.core_model_loading",
    "transformers.utils.loading_report", "transformers.integrations.peft", "peft",
)  # fmt: skip
"""The modules of these packages that load weights; what others say (what to install, what will change) is advice."""
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass
class Parts:
    """A Stable Diffusion in its parts. Weights are fp32; the U-Net and the text encoder compute in `dtype`.

    `timestep_weights`, [num_train_timesteps], says how much each timestep counts in the loss; `noise_offset`, how much
    of the noise is one number for a whole channel; `clip_skip`, which layer of the text encoder captions are read from,
    counted from its end.
    """

    base: Base
    tokenizer: Any
    text_encoder: Any
    vae: Any
    unet: Any
    noise_scheduler: Any
    device: torch.device
    dtype: torch.dtype
    timestep_weights: torch.Tensor
    noise_offset: float = 0.0
    clip_skip: int = 1
    _texts: dict[str, torch.Tensor] = field(default_factory=dict, repr=False)

    def autocast(self) -> AbstractContextManager[Any]:
        """Compute in `dtype` inside; nothing changes where that is fp32."""
        return torch.autocast(self.device.type, dtype=self.dtype, enabled=self.dtype != torch.float32)

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """No dropout inside, even in the middle of training."""
        networks = [part for part in (self.unet, self.text_encoder) if part.training]
        for network in networks:
            network.eval()
        yield
        for network in networks:
            network.train()

    def encode_text(self, captions: Sequence[str], train: bool = False) -> torch.Tensor:
        """Captions -> [B, tokens, width], cut at the text encoder's length. Unless `train`, each is encoded once."""
        if train:
            return self._encode(captions)
        new = [caption for caption in dict.fromkeys(captions) if caption not in self._texts]
        encoded = dict(zip(new, self._encode_frozen(new), strict=True)) if new else {}
        if len(self._texts) + len(encoded) <= TEXTS_KEPT:
            self._texts.update(encoded)
        return torch.stack([encoded[text] if text in encoded else self._texts[text] for text in captions])

    def encode_ids(self, ids: torch.Tensor, clip_skip: int = 1) -> torch.Tensor:
        """Numbers of tokens [B, tokens] -> [B, tokens, width], as the last layer but `clip_skip - 1` gives it."""
        with self.autocast():
            encoded: torch.Tensor
            if clip_skip == 1:
                encoded = self.text_encoder(ids.to(self.device), return_dict=False)[0]
                return encoded
            layers = self.text_encoder(ids.to(self.device), output_hidden_states=True).hidden_states
            # Up to version 4 of transformers, the text model is a part of the encoder.
            model = getattr(self.text_encoder, "text_model", self.text_encoder)
            encoded = model.final_layer_norm(layers[-clip_skip])
            return encoded

    def too_long(self, captions: Sequence[str]) -> int:
        """How many captions have more tokens than the text encoder reads, so that their end is not seen."""
        return sum(
            len(ids) > self.tokenizer.model_max_length for ids in self.tokenizer(self._spelt(captions)).input_ids
        )

    def _spelt(self, captions: Sequence[str]) -> list[str]:
        return [spelt(self.tokenizer, caption) for caption in captions]

    @torch.no_grad()
    def _encode_frozen(self, captions: Sequence[str]) -> torch.Tensor:
        return self._encode(captions)

    def _encode(self, captions: Sequence[str]) -> torch.Tensor:
        length = self.tokenizer.model_max_length
        ids = self.tokenizer(
            self._spelt(captions), padding="max_length", truncation=True, max_length=length, return_tensors="pt"
        ).input_ids
        return self.encode_ids(ids, self.clip_skip)


def load_parts(base: Base, precision: str = "auto", device: str | None = None) -> Parts:
    """Load every part from the folder alone: no network, no pickle. All is frozen and in evaluation mode.

    precision: "auto", "fp32", "bf16" or "fp16". Raises BaseModelError, or ConfigError for a precision that the
    device lacks.
    """
    chosen = torch.device(device or best_device())
    dtype = choose_dtype(precision, chosen)
    try:
        with loading() as warned:
            tokenizer = load_tokenizer(base)
            text_encoder = _load(CLIPTextModel, base, "text_encoder")
            vae = _load(untyped.AutoencoderKL, base, "vae")
            unet = _load(untyped.UNet2DConditionModel, base, "unet")
            schedule = untyped.DDPMScheduler.from_pretrained(base.folder, subfolder="scheduler", local_files_only=True)
    except BaseModelError:
        raise
    except Exception as error:  # what these packages raise on damaged files has no end
        raise BaseModelError(f"{base.folder}: cannot be loaded: {_first_line(error)}") from None
    for text in warned:
        warnings.warn(f"{base.folder}: {text.splitlines()[0]}", LoaderWarning, stacklevel=2)
    for network in (text_encoder, vae, unet):
        network.requires_grad_(False).eval().to(chosen)
    schedule.alphas_cumprod = schedule.alphas_cumprod.to(chosen)
    weights = torch.ones(schedule.config.num_train_timesteps, device=chosen)
    return Parts(base, tokenizer, text_encoder, vae, unet, schedule, chosen, dtype, weights)


def load_autoencoder(base: Base) -> Any:
    """The autoencoder alone, frozen, in fp32, on the best device. Raises BaseModelError."""
    try:
        with loading():
            network = _load(untyped.AutoencoderKL, base, "vae")
    except Exception as error:  # as in load_parts
        raise BaseModelError(f"{base.folder}: its autoencoder cannot be loaded: {_first_line(error)}") from None
    return network.requires_grad_(False).eval().to(best_device())


def skeleton(base: Base) -> Parts:
    """The parts without weights, which take no memory: for what their names and shapes tell. Raises BaseModelError."""
    from transformers import CLIPTextConfig

    tokenizer, folder = load_tokenizer(base), base.folder
    try:
        with loading(), torch.device("meta"):
            unet = untyped.UNet2DConditionModel.from_config(untyped.UNet2DConditionModel.load_config(folder / "unet"))
            vae = untyped.AutoencoderKL.from_config(untyped.AutoencoderKL.load_config(folder / "vae"))
            text_encoder = CLIPTextModel(CLIPTextConfig.from_pretrained(folder / "text_encoder"))
        schedule = untyped.DDPMScheduler.from_pretrained(folder, subfolder="scheduler", local_files_only=True)
    except Exception as error:  # as in load_parts
        raise BaseModelError(f"{folder}: cannot be built: {_first_line(error)}") from None
    for network in (text_encoder, vae, unet):
        network.requires_grad_(False).eval()
    nowhere = torch.device("meta")
    weights = torch.ones(schedule.config.num_train_timesteps)
    return Parts(base, tokenizer, text_encoder, vae, unet, schedule, nowhere, torch.float32, weights)


def check_fit(parts: Parts) -> None:
    """Raise BaseModelError where the parts do not fit each other, as after taking one from another base.

    parts: a skeleton.
    """
    text, words, length = parts.text_encoder.config, len(parts.tokenizer), parts.tokenizer.model_max_length
    folder = parts.base.folder
    if words > text.vocab_size or length > text.max_position_embeddings:
        raise BaseModelError(
            f"{folder}: the tokenizer has {words} words and texts of {length}, and the text encoder reads"
            f" {text.vocab_size} and {text.max_position_embeddings}: take both from the same base"
        )
    side = parts.base.size // parts.base.factor
    with torch.no_grad(), torch.device("meta"):
        ids, latents = torch.zeros(1, length, dtype=torch.long), torch.zeros(1, parts.base.channels, side, side)
        try:
            encoded = parts.text_encoder(ids, return_dict=False)[0]
            noise = parts.unet(latents, torch.zeros(1), encoder_hidden_states=encoded, return_dict=False)[0]
            moments = parts.vae.encode(torch.zeros(1, 3, parts.base.size, parts.base.size)).latent_dist.parameters
        except Exception as error:  # what torch raises on shapes that do not fit has no end
            raise BaseModelError(f"{folder}: its parts do not fit each other: {_first_line(error)}") from None
    if noise.shape != latents.shape or moments.shape != (1, 2 * parts.base.channels, side, side):
        raise BaseModelError(f"{folder}: its U-Net and VAE do not fit each other: take both from the same base")


def load_frozen(base: Base) -> None:
    """Load the text encoder and the VAE, and let them go: whether their weights are whole. Raises BaseModelError."""
    for kind, name in ((CLIPTextModel, "text_encoder"), (untyped.AutoencoderKL, "vae")):
        try:
            with loading():
                _load(kind, base, name)
        except Exception as error:  # as in load_parts
            raise BaseModelError(f"{base.folder}: cannot be loaded: {_first_line(error)}") from None


def load_tokenizer(base: Base) -> Any:
    """The base's tokenizer. Raises BaseModelError where its files are damaged."""
    folder = base.folder / "tokenizer"
    try:
        with loading():
            tokenizer = CLIPTokenizer.from_pretrained(base.folder, subfolder="tokenizer", local_files_only=True)
            ids, length = tokenizer(["a"]).input_ids[0], tokenizer.model_max_length
    except Exception as error:  # as above
        raise BaseModelError(f"{folder}: cannot be loaded: {_first_line(error)}; take it from the base again") from None
    if not 1 < length <= LONGEST_TEXT or len(ids) < 3 or len(tokenizer) < 3:
        raise BaseModelError(f"{folder}: is damaged: it makes {len(ids)} tokens of a letter, and takes {length}")
    return tokenizer


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), "") or type(error).__name__


def best_device() -> str:
    """The first there is of cuda, mps, cpu."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def choose_dtype(precision: str, device: torch.device) -> torch.dtype:
    """The type to compute in; "auto" is bf16 on a GPU that has it, fp16 on one that has not, fp32 elsewhere."""
    if precision == "auto":
        if device.type != "cuda":
            return torch.float32
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    if precision == "fp16" and device.type != "cuda":
        raise ConfigError(f'precision "fp16" needs a CUDA GPU and this is {device.type}: write "fp32" or "bf16"')
    return DTYPES[precision]


@contextmanager
def loading() -> Iterator[list[str]]:
    """Inside, the warnings of the LOADERS go into the list rather than to the terminal: where weights are loaded, a
    warning casts doubt on the result."""
    messages: list[str] = []

    class Gather(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.name.startswith(LOADERS):
                messages.append(record.getMessage())

    gather = Gather(logging.WARNING)
    loggers = [logging.getLogger(name) for name in ("diffusers", "transformers", "peft")]
    before = [(logger.level, logger.handlers, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
        logger.handlers, logger.propagate = [gather], False
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("ignore")
            warnings.filterwarnings("always", category=UserWarning, module="peft|diffusers.loaders")
            yield messages
        messages += [str(warning.message) for warning in caught]
    finally:
        for logger, (level, handlers, propagate) in zip(loggers, before, strict=True):
            logger.setLevel(level)
            logger.handlers, logger.propagate = handlers, propagate


def _load(kind: Any, base: Base, name: str) -> Any:
    dtype = "dtype" if kind is CLIPTextModel else "torch_dtype"  # as the two packages call it
    network, info = kind.from_pretrained(
        base.folder, subfolder=name, local_files_only=True, use_safetensors=True, output_loading_info=True,
        variant=base.variant(name), **{dtype: torch.float32},
    )  # fmt: skip
    # What is missing would be drawn at random, and every picture with it.
    if lost := [*info["missing_keys"], *(str(name) for name, *_ in info["mismatched_keys"])]:
        raise ValueError(f"{name}: its weights lack {len(lost)} tensors that its config asks for, {lost[0]} first")
    return network
