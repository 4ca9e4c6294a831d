"""A single file -> its family, the configurations of its networks, and what it predicts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sorter.files import read_file
from trainer.errors import BaseModelError
from trainer.families import FAMILIES, Family
from trainer.single import own
from trainer.single.configs import HEADS_OF_SD_1, NOISE, clip_config, open_clip_config, unet_config, vae_config
from trainer.single.header import Header, read_header
from trainer.single.kinds import is_second, pipeline_of, what_is

VELOCITY = re.compile(r"^\s*parameterization:\s*[\"']?v[\"']?\s*$", re.MULTILINE)
"""As A1111's .yaml beside a model says it."""
OTHER_NOISE = ("edm_mean", "edm_vpred.sigma_max")
"""Keys of models that were trained with another noise (Karras et al. 2022), such as Playground 2.5 and CosXL."""


@dataclass(frozen=True, slots=True)
class SingleFile:
    """What the file does not say in words. configs: of each network and the "scheduler", as in diffusers' folders."""

    family: Family
    second_generation: bool
    prediction: str
    size: int  # the side of the pictures it was made with, pixels
    configs: Mapping[str, Mapping[str, Any]]


def read_single(path: Path, prediction: str | None = None) -> SingleFile:
    """Raises BaseModelError: what the file is, where it is no base, or what it lacks.

    prediction: "epsilon" or "v_prediction", where the file does not say it.
    """
    header = read_header(path)
    pipeline = pipeline_of(header.shapes, own.KEY in header.about)
    if pipeline is None:
        raise BaseModelError(f"{path}: {what_is(header.shapes)}")
    if any(key in header.shapes for key in OTHER_NOISE):
        raise BaseModelError(f"{path}: was trained with the noise of EDM, which cannot be trained with here")
    family, second = FAMILIES[pipeline], is_second(header.shapes)
    said = prediction or _said(path, header) or (None if second else "epsilon")
    if said is None:
        raise BaseModelError(
            f'{path}: is a Stable Diffusion 2 and does not say what it predicts: add prediction = "v_prediction" if it'
            ' was made for 768x768, "epsilon" if for 512x512'
        )
    if configs := own.read(header.about, family.networks):
        factor = 2 ** (len(configs["vae"]["block_out_channels"]) - 1)
        configs[own.SCHEDULER] |= {"prediction_type": said}
        return SingleFile(family, second, said, configs["unet"]["sample_size"] * factor, configs)
    return _published(path, header, family, second, said)


def _published(path: Path, header: Header, family: Family, second: bool, said: str) -> SingleFile:
    """What is not told by the file is as published."""
    xl = len(family.text_encoders) > 1
    size = 1024 if xl else 768 if second and said == "v_prediction" else 512
    try:
        configs = _configs(header, family, second, size)
    except (KeyError, IndexError, ValueError) as error:
        raise BaseModelError(f"{path}: is damaged, or no whole {family.name(second)}: it lacks {error}") from None
    noise = {**NOISE, "prediction_type": said}
    if "ztsnr" in header.shapes:
        noise |= {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
    return SingleFile(family, second, said, size, {**configs, "scheduler": noise})


def _configs(header: Header, family: Family, second: bool, size: int) -> dict[str, dict[str, Any]]:
    shapes, xl = header.shapes, len(family.text_encoders) > 1
    vae = vae_config(shapes, xl)
    side = size // 2 ** (len(vae["block_out_channels"]) - 1)
    configs = {"unet": unet_config(shapes, None if second or xl else HEADS_OF_SD_1, side), "vae": vae}
    for name, prefix in family.in_file(second).items():
        is_open = prefix.endswith(".model.")
        configs[name] = open_clip_config(shapes, prefix, xl) if is_open else clip_config(shapes, prefix)
    return configs


def _said(path: Path, header: Header) -> str | None:
    """What the file predicts, by a key of it (NoobAI and others, as ComfyUI reads them), by its header (modelspec, as
    sd-scripts writes it), or by a .yaml beside it (as A1111 reads it)."""
    if "v_pred" in header.shapes:
        return "v_prediction"
    spec = header.about.get("modelspec.prediction_type")
    if spec in ("v", "epsilon"):
        return "v_prediction" if spec == "v" else "epsilon"
    try:
        written = read_file(path.with_suffix(".yaml")).decode(errors="replace")
    except OSError:
        return None
    return "v_prediction" if VELOCITY.search(written) else "epsilon"
