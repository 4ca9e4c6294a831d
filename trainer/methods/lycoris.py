"""LyCORIS: LoHa and LoKr, which say more than a LoRA of the same size (Yeh et al. 2023, arXiv:2309.14859)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from sorter.errors import first_line
from trainer.errors import CheckpointError, ConfigError
from trainer.formats import SUFFIX, find_file, write_lora
from trainer.lycoris_modules import add, attach, kept, lycoris, modules_in, places
from trainer.methods import targets as ends
from trainer.methods.method import METHODS, Batch, Method

if TYPE_CHECKING:
    import torch

    from trainer.parts import Parts


@METHODS.add("lycoris")
class Lycoris(Method):
    """LoHa or LoKr of LyCORIS: small files of high rank, for A1111, Forge and ComfyUI; needs modelsheet[lycoris]."""

    kind: Literal["loha", "lokr"] = "loha"
    rank: Annotated[int, Field(gt=0)] = 8
    alpha: Annotated[float, Field(gt=0)] = 4.0  # the change is scaled by alpha / rank
    factor: Annotated[int, Field(ge=-1)] = -1  # of lokr: the size of its first matrix, 4 to 16; -1: about the root
    rank_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    text_encoder: bool = False
    targets: str | tuple[str, ...] = "attention+conv"  # see lora

    def prepare(self, parts: Parts) -> dict[str, torch.nn.Parameter]:
        """Add a module to each target; one of its matrices is zero, so that the base is unchanged at first."""
        package = lycoris()
        make = {"loha": package.LohaModule, "lokr": package.LokrModule}[self.kind]
        wanted = {"unet": ends.chosen(self.targets, parts.unet)}
        wanted |= dict.fromkeys(parts.text_encoders, ends.TEXT if self.text_encoder else ())
        options = {"rank_dropout": self.rank_dropout, "factor": self.factor}
        for name, place in places(parts).items():
            if f".{place.name}".endswith(tuple(f".{end}" for end in wanted[place.part])):
                try:
                    module = make(name, place.layer, 1.0, self.rank, self.alpha, **options)
                except ValueError as error:  # a layer of a kind that has none
                    raise ConfigError(f"[method] targets: {place.name}: {first_line(error)}") from None
                add(parts, place, module)
        parameters: dict[str, torch.nn.Parameter] = {}
        for part, modules in kept(parts).items():
            parts.networks[part].train()  # or dropout would do nothing
            parameters |= {f"{part}.{name}": parameter for name, parameter in modules.named_parameters()}
        return parameters

    def loss(self, parts: Parts, batch: Batch, generator: torch.Generator) -> torch.Tensor:
        """The denoising loss of the captioned pictures."""
        from trainer.methods.denoise import captioned_loss

        return captioned_loss(parts, batch, generator, self.text_encoder)

    def trained(self, parts: Parts) -> dict[str, torch.Tensor]:
        """{"unet.lora_unet_mid_block_resnets_0_conv1.hada_w1_a": matrix, ...}"""
        return {
            f"{part}.{name}": parameter.detach()
            for part, modules in kept(parts).items()
            for name, parameter in modules.named_parameters()
        }

    def save(self, parts: Parts, folder: Path, name: str, about: Mapping[str, str]) -> None:
        """Write NAME.safetensors in LyCORIS' own names, which A1111, Forge and ComfyUI read."""
        tensors = {
            f"{module.lora_name}.{key}": tensor.detach().float().cpu().contiguous()
            for modules in kept(parts).values()
            for module in modules.values()
            for key, tensor in module.state_dict().items()
        }
        write_lora(folder / f"{name}{SUFFIX}", tensors, {**about, **self._header(about)})

    def load(self, parts: Parts, folder: Path) -> None:
        """Load the file with lycoris-lora, and check that every module has found its place."""
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        path = find_file(folder)
        try:
            tensors = load_file(path)
            attached = attach(parts, tensors, keep=True)
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError, SafetensorError) as error:
            raise CheckpointError(f"{path}: cannot be loaded: {first_line(error)}") from None
        there = {name.partition(".")[0] for name in tensors}
        if attached < len(there) or not there:
            lost = sorted(there - set(modules_in(tensors))) or sorted(there - set(places(parts)))
            said = f"{attached} of its {len(there)} modules could be loaded; lost: {', '.join(lost[:1]) or 'all'}"
            raise CheckpointError(f"{path}: {said}")

    @property
    def is_lora(self) -> bool:
        """A1111 and Forge read it as one."""
        return True

    def notes(self, parts: Parts) -> list[str]:
        """Who does not read it."""
        return ["A1111, Forge and ComfyUI read LyCORIS files like LoRA; diffusers and kohya need lycoris-lora for them"]

    def _header(self, about: Mapping[str, str]) -> dict[str, str]:
        """LyCORIS' words for these options."""
        args = {
            "algo": self.kind,
            "conv_dim": str(self.rank),
            "conv_alpha": str(self.alpha),
            "factor": str(self.factor),
        }
        header = {
            "ss_network_module": "lycoris.kohya",
            "ss_network_dim": str(self.rank),
            "ss_network_alpha": str(self.alpha),
            "ss_network_args": json.dumps(args),
        }
        if base := about.get("modelspec.architecture"):
            header["modelspec.architecture"] = f"{base}/{self.kind}"
        return header
