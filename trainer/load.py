"""A base read from the disk: no network, no pickle, and nothing missing."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import diffusers
import torch
import transformers

from sorter.errors import first_line
from trainer.base import Base
from trainer.device import best_device, choose_dtype
from trainer.errors import BaseModelError, LoaderWarning
from trainer.from_file import check_file, clip_words, file_autoencoder, file_networks
from trainer.out_of_memory import OutOfMemory, is_out_of_memory
from trainer.parts import Parts

untyped: Any = diffusers  # its annotations leave out most of what its classes have
untyped_texts: Any = transformers

LONGEST_TEXT = 10_000  # tokens; a tokenizer that has lost its settings takes any number
LOADERS = (
    "diffusers.loaders", "diffusers.models.model", "transformers.modeling_utils", "transformers.core_model_loading",
    "transformers.utils.loading_report", "transformers.integrations.peft", "peft",
)  # fmt: skip
"""The modules of these packages that load weights; what others say (what to install, what will change) is advice."""


def load_parts(base: Base, precision: str = "auto", device: str | None = None, at_rest: bool = False) -> Parts:
    """Load every part from the base alone: no network, no pickle. All is frozen and in evaluation mode.

    precision: "auto", "fp32", "bf16" or "fp16". at_rest: networks are on a graphics card only while they are `present`,
    until they `stay`, since all of SDXL in fp32 takes 14 GB. Raises BaseModelError, or ConfigError for a precision that
    the device lacks.
    """
    chosen = torch.device(device or best_device())
    dtype = choose_dtype(precision, chosen)
    with _as_sentence(base, "cannot be loaded"), loading() as warned:
        tokenizers = load_tokenizers(base)
        networks = dict(_networks(base, tokenizers))
        schedule = _schedule(base)
    for tokenizer, name in zip(tokenizers, base.family.text_encoders, strict=True):
        _find_end(networks[name], tokenizer.eos_token_id)
    for text in warned:
        warnings.warn(f"{base.path}: {text.splitlines()[0]}", LoaderWarning, stacklevel=2)
    schedule.alphas_cumprod = schedule.alphas_cumprod.to(chosen)
    parts = _parts(base, tokenizers, networks, schedule, chosen, dtype)
    if at_rest and chosen.type != "cpu":
        parts.rest(*networks)
    else:
        parts.stay(*networks)
    return parts


def load_autoencoder(base: Base) -> Any:
    """The autoencoder alone, frozen, in fp32, on the best device. Raises BaseModelError."""
    with _as_sentence(base, "its autoencoder cannot be loaded"), loading():
        if base.single is None:
            return _load(base, "vae").to(best_device())
        return file_autoencoder(base).to(best_device())


def skeleton(base: Base) -> Parts:
    """The parts without weights, which take no memory: for what their names and shapes tell. Raises BaseModelError."""
    tokenizers = load_tokenizers(base)
    with _as_sentence(base, "cannot be built"), loading():
        with torch.device("meta"):
            networks = {name: _built(base, name).requires_grad_(False).eval() for name in base.family.networks}
        schedule = _schedule(base)
    if base.single:
        check_file(base, networks)
    return _parts(base, tokenizers, networks, schedule, torch.device("meta"), torch.float32)


def count_weights(parts: Parts) -> dict[str, int]:
    """How many numbers each network has, by its folder; `parts` may be a skeleton. Pure."""
    return {
        name: sum(parameter.numel() for parameter in network.parameters()) for name, network in parts.networks.items()
    }


def check_fit(parts: Parts) -> None:
    """Raise BaseModelError where the parts do not fit each other, as after taking one from another base.

    parts: a skeleton.
    """
    folder, length = parts.base.path, parts.tokenizer.model_max_length
    for tokenizer, encoder in zip(parts.tokenizers, parts.text_encoders.values(), strict=True):
        text, words, most = encoder.config, len(tokenizer), tokenizer.model_max_length
        if words > text.vocab_size or most > text.max_position_embeddings:
            raise BaseModelError(
                f"{folder}: the tokenizer has {words} words and texts of {most}, and the text encoder reads"
                f" {text.vocab_size} and {text.max_position_embeddings}: take both from the same base"
            )
        if most != length or tokenizer.get_vocab() != parts.tokenizer.get_vocab():
            raise BaseModelError(f"{folder}: its tokenizers number words differently: take both from the same base")
    side = parts.base.size // parts.base.factor
    with torch.no_grad(), torch.device("meta"):
        ids, latents = torch.zeros(1, length, dtype=torch.long), torch.zeros(1, parts.base.channels, side, side)
        try:
            noise = parts.predict(latents, torch.zeros(1), parts.encode_ids(ids))
            moments = parts.vae.encode(torch.zeros(1, 3, parts.base.size, parts.base.size)).latent_dist.parameters
        except Exception as error:  # what torch raises on shapes that do not fit has no end
            raise BaseModelError(f"{folder}: its parts do not fit each other: {first_line(error)}") from None
    if noise.shape != latents.shape or moments.shape != (1, 2 * parts.base.channels, side, side):
        raise BaseModelError(f"{folder}: its U-Net and VAE do not fit each other: take both from the same base")


def load_frozen(base: Base) -> None:
    """Load all but the U-Net, and let it go: whether their weights are whole. Raises BaseModelError.

    The header of a single file says that of all; `skeleton` has looked at it.
    """
    for name in () if base.single else base.family.networks:
        if name != "unet":
            with _as_sentence(base, "cannot be loaded"), loading():
                _load(base, name)


def load_tokenizers(base: Base) -> tuple[Any, ...]:
    """The base's tokenizers. Raises BaseModelError where files are damaged, or CLIP's cannot be fetched."""
    if base.single is None:
        return tuple(_tokenizer(base.path / name) for name in base.family.tokenizers)
    folder, length = base.tokenizer or clip_words(base), base.config("text_encoder")["max_position_embeddings"]
    return tuple(
        _tokenizer(folder, {"model_max_length": length, **({"pad_token": filling} if filling else {})})
        for filling in base.family.fillings(base.second_generation)
    )


def _tokenizer(folder: Path, options: Mapping[str, Any] = MappingProxyType({})) -> Any:
    try:
        with loading():
            tokenizer = untyped_texts.CLIPTokenizer.from_pretrained(folder, local_files_only=True, **options)
            ids, length = tokenizer(["a"]).input_ids[0], tokenizer.model_max_length
    except Exception as error:  # as in _as_sentence
        raise BaseModelError(f"{folder}: cannot be loaded: {first_line(error)}; take it from the base again") from None
    if not 1 < length <= LONGEST_TEXT or len(ids) < 3 or len(tokenizer) < 3:
        raise BaseModelError(f"{folder}: is damaged: it makes {len(ids)} tokens of a letter, and takes {length}")
    return tokenizer


def _parts(
    base: Base, tokenizers: tuple[Any, ...], networks: dict[str, Any], schedule: Any, device: torch.device,
    dtype: torch.dtype,
) -> Parts:  # fmt: skip
    encoders = {name: networks[name] for name in base.family.text_encoders}
    weights = torch.ones(schedule.config.num_train_timesteps, device="cpu" if device.type == "meta" else device)
    return Parts(base, tokenizers, encoders, networks["vae"], networks["unet"], schedule, device, dtype, weights)


def _schedule(base: Base) -> Any:
    return untyped.DDPMScheduler.from_config(dict(base.config("scheduler")), prediction_type=base.prediction)


def _class_of(base: Base, name: str) -> Any:
    return getattr(untyped_texts if name in base.family.text_encoders else untyped, base.family.networks[name].kind)


def _built(base: Base, name: str) -> Any:
    """A network by its configuration, with the weights that it is born with."""
    kind, config = _class_of(base, name), dict(base.config(name))
    if name not in base.family.text_encoders:
        return kind.from_config(config)
    return kind(kind.config_class(**config) if base.single else kind.config_class.from_pretrained(base.path / name))


def _networks(base: Base, tokenizers: tuple[Any, ...]) -> dict[str, Any]:
    """All networks with their weights, frozen."""
    if base.single is None:
        return {name: _load(base, name) for name in base.family.networks}
    with torch.device("meta"):
        check_file(base, {name: _built(base, name) for name in base.family.networks})
    return file_networks(base, tokenizers, _schedule(base))


def _load(base: Base, name: str) -> Any:
    dtype = "dtype" if name in base.family.text_encoders else "torch_dtype"  # as the two packages call it
    network, info = _class_of(base, name).from_pretrained(
        base.path, subfolder=name, local_files_only=True, use_safetensors=True, output_loading_info=True,
        variant=base.variant(name), **{dtype: torch.float32},
    )  # fmt: skip
    # What is missing would be drawn at random, and every picture with it.
    if lost := [*info["missing_keys"], *(str(name) for name, *_ in info["mismatched_keys"])]:
        raise ValueError(f"{name}: its weights lack {len(lost)} tensors that its config asks for, {lost[0]} first")
    return network.requires_grad_(False).eval()


def _find_end(encoder: Any, number: int) -> None:
    """Have the pooled text read at the token that ends it. As published, configurations lack its number, and it is
    looked for at the largest one, which a token that is added behind it would be."""
    for module in encoder.modules():
        if hasattr(module, "eos_token_id"):
            module.eos_token_id = number


@contextmanager
def _as_sentence(base: Base, what: str) -> Iterator[None]:
    """What goes wrong inside is a BaseModelError: what these packages raise on damaged files has no end."""
    try:
        yield
    except BaseModelError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            todo = "close what else uses it, or take a smaller base"
            raise OutOfMemory(f"{base.path}: there is not enough memory to load it; {todo}") from None
        raise BaseModelError(f"{base.path}: {what}: {first_line(error)}") from None


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
