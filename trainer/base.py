"""A base folder's own description of itself, read without loading its weights. Imports nothing heavy."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sorter.files import read_file, sha256_of
from trainer.errors import BaseModelError

PIPELINE = "StableDiffusionPipeline"
PREDICTIONS = ("epsilon", "v_prediction")
WIDTH_OF_SD_2 = 1024  # of a token in OpenCLIP's ViT-H; CLIP's ViT-L in SD 1 has 768
NETWORKS = {
    "unet": "diffusion_pytorch_model.safetensors",
    "vae": "diffusion_pytorch_model.safetensors",
    "text_encoder": "model.safetensors",
}


@dataclass(frozen=True, slots=True)
class Base:
    """A diffusers folder of a Stable Diffusion, versions 1 and 2."""

    folder: Path
    factor: int  # pixels a latent, along one side
    channels: int  # of a latent
    size: int  # the side of the pictures it was made with, pixels
    prediction: str  # "epsilon" or "v_prediction"
    second_generation: bool  # Stable Diffusion 2, by the width of its text encoder

    def hash_of(self, network: str) -> str:
        """The sha256 of one network: "unet", "vae" or "text_encoder", its configuration and its weights."""
        digest = hashlib.sha256()
        for name in ("config.json", NETWORKS[network]):
            digest.update(bytes.fromhex(sha256_of(self.folder / network / name)))
        return digest.hexdigest()

    def fingerprint(self) -> str:
        """One hash over all networks: whether a checkpoint was trained on top of this very base."""
        return hashlib.sha256("".join(map(self.hash_of, NETWORKS)).encode()).hexdigest()


def read_base(folder: Path) -> Base:
    """Check the folder. Raises BaseModelError with one sentence: what is missing, or why it cannot be trained."""
    if not folder.is_dir():
        raise BaseModelError(f"{folder}: there is no such folder; base is a folder that diffusers saved a pipeline in")
    kind = _read(folder, "model_index.json").get("_class_name")
    if kind != PIPELINE:
        raise BaseModelError(f"{folder}: holds a {kind}, and only a {PIPELINE} can be trained here")
    unet, vae = _read(folder, "unet/config.json"), _read(folder, "vae/config.json")
    schedule = _read(folder, "scheduler/scheduler_config.json")
    for network, name in NETWORKS.items():
        if not (folder / network / name).is_file():
            raise BaseModelError(f"{folder}: {network}/{name} is missing; pickled .bin weights are not read")
    channels, prediction = vae.get("latent_channels", 4), schedule.get("prediction_type", "epsilon")
    if unet.get("in_channels", 4) != channels:
        raise BaseModelError(
            f"{folder}: the U-Net takes {unet.get('in_channels', 4)} channels and the VAE gives {channels};"
            " inpainting models cannot be trained here"
        )
    if prediction not in PREDICTIONS:
        raise BaseModelError(f'{folder}: prediction_type "{prediction}" is not {" or ".join(PREDICTIONS)}')
    factor = 2 ** (len(vae.get("block_out_channels", ())) - 1)
    second = unet.get("cross_attention_dim") == WIDTH_OF_SD_2
    return Base(folder, factor, channels, unet.get("sample_size", 64) * factor, prediction, second)


def _read(folder: Path, name: str) -> dict[str, Any]:
    try:
        values = json.loads(read_file(folder / name))
    except OSError:
        raise BaseModelError(f"{folder}: {name} is missing, so this is not a diffusers folder") from None
    except ValueError as error:
        raise BaseModelError(f"{folder}: {name} is not JSON: {error}") from None
    if not isinstance(values, dict):
        raise BaseModelError(f"{folder}: {name} is not a table")
    return values
