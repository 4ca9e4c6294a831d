"""What the header of a single file that was written here says of its networks, and no shape tells: how many heads they
have, what they predict, what noise they were trained with. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

KEY = "modelsheet.configs"
SCHEDULER = "scheduler"
KEPT = "_class_name"
"""Of the keys that begin with an underline; others name versions, and folders of whoever made the base."""

Configs = dict[str, dict[str, Any]]


def written(configs: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """What the header says: the configuration of each network and of the "scheduler", as in diffusers' folders."""
    plain = {
        name: {key: value for key, value in config.items() if key == KEPT or not key.startswith("_")}
        for name, config in configs.items()
    }
    return {KEY: json.dumps(plain)}


def read(about: Mapping[str, str], networks: Iterable[str]) -> Configs | None:
    """The configurations of these networks and of the scheduler; None where the header does not tell them whole."""
    try:
        found = json.loads(about.get(KEY, ""))
        configs = {name: dict(found[name]) for name in (*networks, SCHEDULER)}
        vae, unet = configs["vae"], configs["unet"]
        numbers = (vae["latent_channels"], unet["sample_size"], unet["in_channels"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    whole = all(type(number) is int and number > 0 for number in numbers)
    return configs if whole and isinstance(vae.get("block_out_channels"), list) else None
