"""A base folder's own description of itself, read without loading its weights. Imports nothing heavy."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sorter.files import read_file, sha256_of
from trainer.errors import BaseModelError
from trainer.families import FAMILIES, Family

PREDICTIONS = ("epsilon", "v_prediction")
WIDTH_OF_SD_2 = 1024  # of a token in OpenCLIP's ViT-H; CLIP's ViT-L in SD 1 has 768
VARIANTS = ("", ".fp16")
"""What may stand before the ending: weights as they are, or rounded to 16 bits."""
SINGLE_FILES = (".safetensors", ".ckpt", ".pt", ".pth", ".bin")


@dataclass(frozen=True, slots=True)
class Base:
    """A diffusers folder of one of the `FAMILIES`."""

    path: Path
    family: Family
    factor: int  # pixels a latent, along one side
    channels: int  # of a latent
    size: int  # the side of the pictures it was made with, pixels
    prediction: str  # "epsilon" or "v_prediction"
    second_generation: bool  # Stable Diffusion 2, by the width of its text encoder

    @property
    def name(self) -> str:
        """What a person calls it."""
        return self.path.name

    @property
    def multiple(self) -> int:
        """What the sides of a drawn picture are multiples of, in pixels: 8 for diffusers, and whole latents."""
        return math.lcm(8, self.factor)

    def variant(self, network: str) -> str | None:
        """What diffusers calls the form of a network's weights: None, or "fp16" where there are no others."""
        return _weights(self.path, network, self.family)[0].removeprefix(".") or None

    def weights(self, network: str) -> tuple[Path, ...]:
        """The files of a network's weights: one, or several where it was saved in parts."""
        return _weights(self.path, network, self.family)[1]

    def hash_of(self, network: str) -> str:
        """The sha256 of one network: "unet", "vae", "text_encoder" and so on, its configuration and its weights."""
        digest = hashlib.sha256()
        for path in (self.path / network / "config.json", *self.weights(network)):
            digest.update(bytes.fromhex(sha256_of(path)))
        return digest.hexdigest()

    def fingerprint(self) -> str:
        """One hash over all networks: whether a checkpoint was trained on top of this very base."""
        return hashlib.sha256("".join(map(self.hash_of, self.family.networks)).encode()).hexdigest()


def read_base(folder: Path) -> Base:
    """Check the folder. Raises BaseModelError with one sentence: what is missing, or why it cannot be trained."""
    if folder.is_file() and folder.suffix.lower() in SINGLE_FILES:
        raise BaseModelError(
            f"{folder}: is a single file, and base is a folder as diffusers saves it; make one of it with diffusers' "
            "StableDiffusionPipeline.from_single_file(FILE).save_pretrained(FOLDER)"
        )
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "there is no such folder"
        raise BaseModelError(f"{folder}: {what}; base is a folder that diffusers saved a pipeline in")
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
            raise BaseModelError(
                f"{folder}: {network}/{about.weights}.safetensors is missing; pickled .bin weights are not read"
            )
    for name in family.tokenizers:
        if not any((folder / name / file).is_file() for file in ("vocab.json", "tokenizer.json")):
            raise BaseModelError(f"{folder}: {name}/vocab.json is missing; take the whole folder of the base")
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
        raise BaseModelError(f"{folder}: {name} is missing, so this is not a diffusers folder") from None
    except (ValueError, RecursionError) as error:
        raise BaseModelError(f"{folder}: {name} is not JSON: {error}") from None
    if not isinstance(values, dict):
        raise BaseModelError(f"{folder}: {name} is not a table")
    return values
