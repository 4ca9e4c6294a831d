"""The networks of a single file, read by diffusers with the configurations that are told from its header, and the words
of CLIP, which are in no such file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import diffusers
import transformers
from safetensors import safe_open

from sorter.errors import ModelError
from sorter.hub import model_folder
from trainer.base import Base
from trainer.errors import BaseModelError
from trainer.original import original_tensors
from trainer.single.header import read_header

untyped: Any = diffusers  # its annotations leave out most of what its classes have

CLIP = "openai/clip-vit-large-patch14"
"""On huggingface.co; the text encoders of Stable Diffusion 1, 2 and XL all read its words."""
WRAPPER = "text_model."
"""What stands before CLIP's own names in single files, and is left out in some that were merged or converted."""
NOT_READ = ("logit_scale", "cond_stage_model.model.text_projection")
"""Tensors that single files have, and that diffusers leaves out."""


def file_networks(base: Base, tokenizers: tuple[Any, ...], schedule: Any) -> dict[str, Any]:
    """All networks with their weights, in fp32, frozen; `check_file` comes before."""
    others: dict[str, Any] = dict(zip(base.family.tokenizers, tokenizers, strict=True)) | _bare_clip(base)
    with _described(base) as folder:
        pipe = getattr(untyped, base.family.pipelines["text"]).from_single_file(
            str(base.path), config=folder, local_files_only=True, scheduler=schedule,
            **others,
        )  # fmt: skip
    return {name: getattr(pipe, name).float().requires_grad_(False).eval() for name in base.family.networks}


def _bare_clip(base: Base) -> dict[str, Any]:
    """CLIP's text encoder, by its folder, where it is named without WRAPPER, which diffusers does not know."""
    with safe_open(base.path, "pt") as file:
        names = set(file.keys())
        for name, prefix in base.family.in_file(base.second_generation).items():
            if f"{prefix}embeddings.token_embedding.weight" not in names:
                continue
            kind = getattr(transformers, base.family.networks[name].kind)
            network = kind(kind.config_class(**base.config(name)))
            keys = network.state_dict()  # with the wrapper or without it, as this version of transformers has them
            network.load_state_dict({key: file.get_tensor(prefix + key.removeprefix(WRAPPER)) for key in keys})
            return {name: network}
    return {}


def file_autoencoder(base: Base) -> Any:
    """The autoencoder alone."""
    with _described(base) as folder:
        network = untyped.AutoencoderKL.from_single_file(
            str(base.path), config=folder, subfolder="vae", local_files_only=True
        )
    return network.float().requires_grad_(False).eval()


def check_file(base: Base, networks: Mapping[str, Any]) -> None:
    """Raise BaseModelError where a single file lacks tensors. networks: without weights."""
    shapes = read_header(base.path).shapes
    states = {name: network.state_dict() for name, network in networks.items()}
    wanted = original_tensors(states, base.family.in_file(base.second_generation))
    lost = [
        name
        for name, tensor in wanted.items()
        if not name.endswith(NOT_READ)
        and _plain(shapes.get(name, shapes.get(name.replace(WRAPPER, "", 1)))) != _plain(tuple(tensor.shape))
    ]
    if lost:
        raise BaseModelError(f"{base.path}: lacks {len(lost)} of {len(wanted)} tensors, {lost[0]} first")


def _plain(shape: tuple[int, ...] | None) -> tuple[int, ...] | None:
    """Without the sides of a convolution of 1x1, which some files have as a matrix."""
    return shape[:2] if shape is not None and shape[2:] in ((1,), (1, 1)) else shape


def clip_words(base: Base) -> Path:
    """The words of CLIP, which all of these bases read: in no single file, so they are fetched once."""
    kinds = ("vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json")
    try:
        return model_folder(CLIP, kinds, lambda folder: all((folder / name).is_file() for name in kinds[:2]), "train")
    except ModelError as error:
        why = str(error).partition(", and ")[2] or str(error)
        raise BaseModelError(
            f"{base.path}: a single file has no tokenizer, and that of {CLIP} is not here: {why}; set tokenizer in"
            " train.toml to a folder with vocab.json and merges.txt, such as ComfyUI's comfy/sd1_tokenizer, or the"
            " tokenizer folder of any Stable Diffusion"
        ) from None


@contextmanager
def _described(base: Base) -> Iterator[str]:
    """A folder with the configurations of a single file, which diffusers would else fetch from the hub."""
    index: dict[str, Any] = {"_class_name": base.family.pipelines["text"], "scheduler": ["diffusers", "DDPMScheduler"]}
    for name, about in base.family.networks.items():
        index[name] = ["transformers" if name in base.family.text_encoders else "diffusers", about.kind]
    for name in base.family.tokenizers:
        index[name] = ["transformers", "CLIPTokenizer"]
    with TemporaryDirectory() as made:
        (Path(made) / "model_index.json").write_text(json.dumps(index), encoding="utf-8")
        for name in base.family.networks:
            path = Path(made) / name / "config.json"
            path.parent.mkdir()
            path.write_text(json.dumps(base.config(name)), encoding="utf-8")
        yield made
