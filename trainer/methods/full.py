"""Full fine-tuning: the networks' own weights, saved as one file that is loaded in a base's place."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

from sorter.errors import first_line
from trainer.errors import CheckpointError
from trainer.formats import SUFFIX, find_file, save_tensors
from trainer.methods.method import METHODS, Batch, Method
from trainer.original import original_tensors
from trainer.single import own

if TYPE_CHECKING:
    import torch

    from trainer.parts import Parts


@METHODS.add("full")
class Full(Method):
    """The whole U-Net, and the text encoder if asked: gigabytes, for large datasets and cards of 24 GB."""

    text_encoder: bool = False
    save_as: Literal["fp16", "bf16", "fp32"] = "fp16"  # of the file; the run goes on from exact weights all the same

    def prepare(self, parts: Parts) -> dict[str, torch.nn.Parameter]:
        """Thaw the networks that are trained."""
        trained: dict[str, torch.nn.Parameter] = {}
        for part in self._trained(parts):
            network = parts.networks[part].requires_grad_(True).train()
            trained |= {f"{part}.{name}": parameter for name, parameter in network.named_parameters()}
        return trained

    def loss(self, parts: Parts, batch: Batch, generator: torch.Generator) -> torch.Tensor:
        """The denoising loss of the captioned pictures."""
        from trainer.methods.denoise import captioned_loss

        return captioned_loss(parts, batch, generator, self.text_encoder)

    def trained(self, parts: Parts) -> dict[str, torch.Tensor]:
        """{"unet.conv_in.weight": tensor, ...}, rounded as the file holds them."""
        return {
            f"{part}.{name}": parameter.detach().to(self._dtype)
            for part in self._trained(parts)
            for name, parameter in parts.networks[part].named_parameters()
        }

    def save(self, parts: Parts, folder: Path, name: str, about: Mapping[str, str]) -> None:
        """Write NAME.safetensors with all networks, which A1111, Forge, ComfyUI and sd-scripts load as a base."""
        states = {part: network.state_dict() for part, network in parts.networks.items()}
        tensors = original_tensors(states, parts.base.family.in_file(parts.base.second_generation))
        # A copy of each, since safetensors writes no two tensors that share their memory.
        held = {key: tensor.to("cpu", self._dtype, copy=True).contiguous() for key, tensor in tensors.items()}
        configs = {part: parts.base.config(part) for part in (*parts.networks, own.SCHEDULER)}
        save_tensors(folder / f"{name}{SUFFIX}", held, {"format": "pt", **about, **own.written(configs)})

    def load(self, parts: Parts, folder: Path) -> None:
        """Load the file with diffusers, all networks of it, and check that those which were not trained are the base's
        own."""
        import torch
        from safetensors import SafetensorError

        path = find_file(folder)
        try:
            loaded = _loaded(parts, path)
            for part, network in parts.networks.items():
                found = getattr(loaded, part).state_dict()
                if part not in self._trained(parts):
                    _check_frozen(part, network.state_dict(), found, self._dtype)
                network.load_state_dict({name: tensor.to(torch.float32) for name, tensor in found.items()})
        except (OSError, ValueError, LookupError, TypeError, RuntimeError, SafetensorError) as error:
            raise CheckpointError(f"{path}: cannot be loaded: {first_line(error)}") from None

    @property
    def rounds(self) -> bool:
        """Unless in fp32."""
        return self.save_as != "fp32"

    @property
    def is_base(self) -> bool:
        """It is."""
        return True

    def notes(self, parts: Parts) -> list[str]:
        """What else a reader needs."""
        if parts.base.second_generation or parts.base.prediction == "epsilon":
            return []
        return ["the base predicts velocity, which the file cannot say: put a .yaml of the base beside it for A1111"]

    def _trained(self, parts: Parts) -> tuple[str, ...]:
        return ("unet", *(parts.text_encoders if self.text_encoder else ()))

    @property
    def _dtype(self) -> torch.dtype:
        from trainer.device import DTYPES

        return DTYPES[self.save_as]


def _loaded(parts: Parts, path: Path) -> Any:
    """The file as a pipeline of diffusers, on the CPU, in fp32. The descriptions of the networks, which it would look
    for on the hub, are those of `parts`."""
    import torch

    from trainer.load import loading, untyped
    from trainer.sample import pipeline

    with TemporaryDirectory() as name, loading():
        pipeline(parts).save_config(name)
        for part, network in parts.networks.items():
            if part in parts.text_encoders:
                network.config.save_pretrained(Path(name, part))
            else:
                network.save_config(Path(name, part))
        given = pipeline(parts).components.items()
        return getattr(untyped, parts.base.family.pipelines["text"]).from_single_file(
            str(path), config=name, local_files_only=True, torch_dtype=torch.float32,
            **{key: value for key, value in given if key not in parts.networks},
        )  # fmt: skip


def _check_frozen(
    part: str, own: Mapping[str, torch.Tensor], found: Mapping[str, torch.Tensor], dtype: torch.dtype
) -> None:
    import torch

    for name, tensor in own.items():
        if name not in found or not torch.equal(tensor.to("cpu", dtype).float(), found[name].float()):
            raise ValueError(f"{part}.{name} in it is not the base's own")
