"""A base's own description of itself, read without loading its weights. Imports nothing heavy."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from sorter.errors import ModelError
from sorter.files import read_file, sha256_of
from sorter.hub import HUB_NAME, model_folder
from trainer.errors import BaseModelError
from trainer.families import FAMILIES, Family
from trainer.single.read import SingleFile, read_single

PREDICTIONS = ("epsilon", "v_prediction")
WIDTH_OF_SD_2 = 1024  # of a token in OpenCLIP's ViT-H; CLIP's ViT-L in SD 1 has 768
VARIANTS = ("", ".fp16")
"""What may stand before the ending: weights as they are, or rounded to 16 bits."""
PICKLES = (".ckpt", ".pt", ".pth", ".bin")


class _Lacking(BaseModelError):
    """A folder lacks a file."""


@dataclass(frozen=True, slots=True)
class Base:
    """One of the `FAMILIES`: a diffusers folder, or a single file."""

    path: Path
    family: Family
    factor: int  # pixels a latent, along one side
    channels: int  # of a latent
    size: int  # the side of the pictures it was made with, pixels
    prediction: str  # "epsilon" or "v_prediction"
    second_generation: bool  # Stable Diffusion 2, by the width of its text encoder
    single: SingleFile | None = None  # none: it is a folder
    tokenizer: Path | None = None  # a folder with vocab.json and merges.txt, for a single file, which has none
    called: str = ""  # on the hub

    @property
    def name(self) -> str:
        """What a person calls it."""
        return self.called.rpartition("/")[2] or (self.path.stem if self.single else self.path.name)

    @property
    def kind(self) -> str:
        """Its family as people say it: "Stable Diffusion XL"."""
        return self.family.name(self.second_generation)

    @property
    def multiple(self) -> int:
        """What the sides of a drawn picture are multiples of, in pixels: 8 for diffusers, and whole latents."""
        return math.lcm(8, self.factor)

    def variant(self, network: str) -> str | None:
        """What diffusers calls the form of a network's weights: None, or "fp16" where there are no others."""
        return _weights(self.path, network, self.family)[0].removeprefix(".") or None

    def weights(self, network: str) -> tuple[Path, ...]:
        """The files of a network's weights: one, or several where it was saved in parts."""
        return (self.path,) if self.single else _weights(self.path, network, self.family)[1]

    def config(self, name: str) -> Mapping[str, Any]:
        """The configuration of a network, or of the "scheduler"."""
        if self.single:
            return self.single.configs[name]
        return _read(self.path, f"{name}/{'scheduler_' * (name == 'scheduler')}config.json")

    def hash_of(self, network: str) -> str:
        """The sha256 of one network: "unet", "vae", "text_encoder" and so on, its configuration and its weights."""
        if self.single:
            return hashlib.sha256(f"{network} {_hash_of_whole(self.path)}".encode()).hexdigest()
        digest = hashlib.sha256()
        for path in (self.path / network / "config.json", *self.weights(network)):
            digest.update(bytes.fromhex(sha256_of(path)))
        return digest.hexdigest()

    def fingerprint(self) -> str:
        """One hash over all networks: whether a checkpoint was trained on top of this very base."""
        return hashlib.sha256("".join(map(self.hash_of, self.family.networks)).encode()).hexdigest()


def read_base(path: Path, tokenizer: Path | None = None, prediction: str | None = None) -> Base:
    """Check a folder, a single .safetensors, or a name on huggingface.co, whose files are fetched once.

    tokenizer: for a single file; none: CLIP's, fetched once. prediction: what it predicts, if it does not say so, or
    says something else. Raises BaseModelError with one sentence: what is missing, or why it cannot be trained.
    """
    if path.is_file():
        return _read_file(path, tokenizer, prediction)
    called = "" if path.is_absolute() or path.exists() else path.as_posix()
    base = read_folder(_fetched(called)) if HUB_NAME.fullmatch(called) else read_folder(path)
    return replace(base, called=called, prediction=prediction or base.prediction)


def _read_file(path: Path, tokenizer: Path | None, prediction: str | None) -> Base:
    if path.suffix.lower() in PICKLES:
        raise BaseModelError(f"{path}: is a pickle, which may run programs, and is not read; take its .safetensors")
    if path.suffix.lower() != ".safetensors":
        raise BaseModelError(f"{path}: is a file; base is a .safetensors, or a folder as diffusers saves it")
    single = read_single(path, prediction)
    vae = single.configs["vae"]
    factor = 2 ** (len(vae["block_out_channels"]) - 1)
    return Base(
        path, single.family, factor, vae["latent_channels"], single.size, single.prediction, single.second_generation,
        single, tokenizer,
    )  # fmt: skip


def _fetched(name: str) -> Path:
    """The folder that a base of the hub is kept in: weights as they are, or, where there are no others, in 16 bits."""
    failed = None
    for variant in VARIANTS:
        try:
            return model_folder(name, _files(variant), _is_whole, "train")
        except ModelError as error:
            said, lacks, _ = str(error).partition(" lacks some of ")
            more = " lacks files of a base as diffusers saves it, or has them as pickles alone" if lacks else ""
            failed = failed or BaseModelError(said + more)
    assert failed is not None
    raise failed


def _files(variant: str) -> list[str]:
    """The patterns of what is needed of a base: nothing that holds programs, and no network that is not used."""
    networks = {name: about for family in FAMILIES.values() for name, about in family.networks.items()}
    files = ["model_index.json", "scheduler/scheduler_config.json", "tokenizer/*.*", "tokenizer_2/*.*"]
    for name, about in networks.items():
        weights = (f"{about.weights}{variant}", f"{about.weights}{variant}-*-of-*")
        files += [f"{name}/config.json", *(f"{name}/{one}.safetensors" for one in weights)]
        files.append(f"{name}/{about.weights}.safetensors.index{variant}.json")
    return files


def _is_whole(folder: Path) -> bool:
    try:
        read_folder(folder)
    except BaseModelError as error:
        return not isinstance(error, _Lacking)
    return True


def read_folder(folder: Path) -> Base:
    """Check a diffusers folder. Raises BaseModelError."""
    if not folder.is_dir():
        raise BaseModelError(
            f"{folder}: there is no such file or folder; base is a .safetensors, a folder as diffusers saves it, or a"
            " name on huggingface.co, as owner/model is"
        )
    kind = _named(folder, "model_index.json")["_class_name"]
    if kind not in FAMILIES:
        known = " or ".join(FAMILIES)
        raise BaseModelError(f"{folder}: holds a {kind}, and only a {known} can be trained here")
    family = FAMILIES[kind]
    unet, vae = _named(folder, "unet/config.json"), _named(folder, "vae/config.json")
    schedule = _named(folder, "scheduler/scheduler_config.json")
    for network, about in family.networks.items():
        _named(folder, f"{network}/config.json", "model_type" if network in family.text_encoders else "_class_name")
        if not _weights(folder, network, family)[1]:
            raise _Lacking(
                f"{folder}: {network}/{about.weights}.safetensors is missing; pickled .bin weights are not read"
            )
    for name in family.tokenizers:
        if not any((folder / name / file).is_file() for file in ("vocab.json", "tokenizer.json")):
            raise _Lacking(f"{folder}: {name}/vocab.json is missing; take the whole folder of the base")
    channels, prediction = vae.get("latent_channels", 4), schedule.get("prediction_type", "epsilon")
    if unet.get("in_channels", 4) != channels:
        raise BaseModelError(
            f"{folder}: the U-Net takes {unet.get('in_channels', 4)} channels and the VAE gives {channels};"
            " inpainting models cannot be trained here"
        )
    if prediction not in PREDICTIONS:
        raise BaseModelError(f'{folder}: prediction_type "{prediction}" is not {" or ".join(PREDICTIONS)}')
    blocks, side = vae.get("block_out_channels"), unet.get("sample_size", 64)
    if not isinstance(blocks, list) or not isinstance(side, int) or not isinstance(channels, int) or side < 1:
        raise BaseModelError(f"{folder}: vae/config.json or unet/config.json is damaged; take them from the base again")
    factor = 2 ** (len(blocks) - 1)
    second = unet.get("cross_attention_dim") == WIDTH_OF_SD_2
    return Base(folder, family, factor, channels, side * factor, prediction, second)


@cache
def _hash_of_whole(path: Path) -> str:
    return sha256_of(path)


def _weights(folder: Path, network: str, family: Family) -> tuple[str, tuple[Path, ...]]:
    """What stands before the ending of a network's weights, and their files; none where there is no whole set."""
    place, name = folder / network, family.networks[network].weights
    for variant in VARIANTS:
        whole, index = place / f"{name}{variant}.safetensors", place / f"{name}.safetensors.index{variant}.json"
        if whole.is_file():
            return variant, (whole,)
        if index.is_file():
            table = _read(folder, index.relative_to(folder).as_posix()).get("weight_map")
            names = sorted({str(part) for part in table.values()}) if isinstance(table, dict) else []
            parts = tuple(place / part for part in names)
            return variant, parts if all(path.parent == place and path.is_file() for path in parts) else ()
    return "", ()


def _named(folder: Path, name: str, key: str = "_class_name") -> dict[str, Any]:
    """A description that says of which class it is, as diffusers and transformers write it."""
    values = _read(folder, name)
    if not isinstance(values.get(key), str):
        raise BaseModelError(f"{folder}: {name} does not say what it describes, so it is damaged; take it again")
    return values


def _read(folder: Path, name: str) -> dict[str, Any]:
    try:
        values = json.loads(read_file(folder / name))
    except OSError:
        raise _Lacking(f"{folder}: {name} is missing, so this is not a diffusers folder") from None
    except (ValueError, RecursionError) as error:
        raise BaseModelError(f"{folder}: {name} is not JSON: {error}") from None
    if not isinstance(values, dict):
        raise BaseModelError(f"{folder}: {name} is not a table")
    return values
