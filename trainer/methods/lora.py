"""LoRA: small matrices beside the attention's own (Hu et al. 2021, arXiv:2106.09685)."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from trainer.errors import CheckpointError, ConfigError
from trainer.formats import SUFFIX, find_file, kohya_name, kohya_tensors, unknown_to_kohya, write_lora
from trainer.methods import targets as ends
from trainer.methods.method import METHODS, Batch, Method

if TYPE_CHECKING:
    import torch

    from trainer.parts import Parts


@METHODS.add("lora")
class Lora(Method):
    """LoRA on the U-Net's attention, and on the text encoder's if asked: megabytes instead of gigabytes."""

    rank: Annotated[int, Field(gt=0)] = 16
    alpha: Annotated[float, Field(gt=0)] = 16.0  # the change is scaled by alpha / rank
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    text_encoder: bool = False  # leave it frozen for drawings, train it for photographs
    targets: str | tuple[str, ...] = "attention"  # or "attention+feed-forward", "attention+conv", ends of module names

    def prepare(self, parts: Parts) -> dict[str, torch.nn.Parameter]:
        """Add an adapter: the second matrix is zero, so the first step starts from the base unchanged."""
        from peft import LoraConfig

        targets = ends.chosen(self.targets, parts.unet)
        try:
            parts.unet.add_adapter(LoraConfig(**self._peft_options(targets)))
        except ValueError as error:  # a module of that name is of a kind that has no LoRA
            raise ConfigError(f"[method] targets = {list(targets)}: {str(error).splitlines()[0]}") from None
        trained = {"unet": parts.unet}
        if self.text_encoder:
            for name, encoder in parts.text_encoders.items():
                encoder.add_adapter(LoraConfig(**self._peft_options(ends.TEXT)))
                trained[name] = encoder
        for network in trained.values():
            network.train()  # or dropout would do nothing
        return {
            f"{part}.{name}": parameter
            for part, network in trained.items()
            for name, parameter in network.named_parameters()
            if parameter.requires_grad
        }

    def loss(self, parts: Parts, batch: Batch, generator: torch.Generator) -> torch.Tensor:
        """The denoising loss of the captioned pictures."""
        from trainer.methods.denoise import captioned_loss

        return captioned_loss(parts, batch, generator, self.text_encoder)

    def trained(self, parts: Parts) -> dict[str, torch.Tensor]:
        """{"unet.mid_block.resnets.0.conv1.lora_A.weight": matrix, ...}"""
        from peft import get_peft_model_state_dict

        tensors: dict[str, torch.Tensor] = {}
        for part, network in parts.networks.items():
            for adapter in getattr(network, "peft_config", {}):
                # Embeddings are never trained here; left to itself, peft asks a model hub whether they were.
                state = get_peft_model_state_dict(network, adapter_name=adapter, save_embedding_layers=False)
                tensors |= {f"{part}.{name}": tensor for name, tensor in state.items()}
        return tensors

    def save(self, parts: Parts, folder: Path, name: str, about: Mapping[str, str]) -> None:
        """Write NAME.safetensors, which diffusers, sd-scripts, A1111, Forge and ComfyUI read."""
        tensors = kohya_tensors(self.trained(parts), self._alpha, parts)
        write_lora(folder / f"{name}{SUFFIX}", tensors, {**about, **self._header(tensors, about)})

    def load(self, parts: Parts, folder: Path) -> None:
        """Load the file as its users will, with diffusers, and check that every matrix has arrived."""
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        from trainer.load import loading
        from trainer.sample import pipeline

        path = find_file(folder)
        try:
            tensors = load_file(path)
            with loading() as warned:
                pipeline(parts).load_lora_weights(folder, weight_name=path.name, local_files_only=True)
        except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
            raise CheckpointError(f"{path}: cannot be loaded: {str(error).splitlines()[0]}") from None
        _own_memory(parts)
        if not any(name.startswith("lora_te") for name in tensors):
            # Of a part that was not trained, diffusers says that the file has nothing for it.
            warned = [text for text in warned if not text.startswith("No LoRA keys associated to CLIPTextModel")]
        matrices = [name for name in tensors if not name.endswith(".alpha")]
        arrived = {".".join(kohya_name(name, parts)) for name in self.trained(parts)}
        if warned or len(arrived) != len(matrices):
            why = _why_lost(
                [name for name in matrices if name not in arrived], [line.splitlines()[0] for line in warned]
            )
            raise CheckpointError(f"{path}: {len(arrived)} of its {len(matrices)} matrices could be loaded: {why}")

    @property
    def is_lora(self) -> bool:
        """It is."""
        return True

    def notes(self, parts: Parts) -> list[str]:
        """Which modules sd-scripts would pass over."""
        unknown = unknown_to_kohya(parts.unet)
        if not unknown:
            return []
        return [f"kohya's sd-scripts reads no LoRA of {', '.join(unknown)}; diffusers, A1111, Forge and ComfyUI do"]

    def _header(self, tensors: Mapping[str, torch.Tensor], about: Mapping[str, str]) -> dict[str, str]:
        """kohya's words for these options; it tells convolutions larger than a pixel apart from all else."""
        larger = any(tensor.dim() == 4 and tensor.shape[-1] > 1 for tensor in tensors.values())
        header = {
            "ss_network_module": "networks.lora",
            "ss_network_dim": str(self.rank),
            "ss_network_alpha": str(self.alpha),
            "ss_network_dropout": str(self.dropout or None),
            "ss_network_args": json.dumps(
                {"conv_dim": str(self.rank), "conv_alpha": str(self.alpha)} if larger else {}
            ),
        }
        if base := about.get("modelspec.architecture"):
            header["modelspec.architecture"] = f"{base}/lora"
        return header

    @property
    def _alpha(self) -> float:
        """As the file holds it: in fp32."""
        return struct.unpack("f", struct.pack("f", self.alpha))[0]  # type: ignore[no-any-return]

    def _peft_options(self, targets: tuple[str, ...]) -> dict[str, Any]:
        return {
            "r": self.rank,
            "lora_alpha": self._alpha,
            "lora_dropout": self.dropout,
            "target_modules": list(targets),
        }


def _own_memory(parts: Parts) -> None:
    """Copy what was loaded out of the file's memory, where torch rounds small products otherwise since it begins at no
    multiple of a vector's length: in memory of its own the answer is that of training, bit for bit."""
    for network in parts.networks.values():
        for name, parameter in network.named_parameters():
            if ".lora_" in name:
                parameter.data = parameter.data.clone()


def _why_lost(lost: list[str], warned: list[str]) -> str:
    if any(name.startswith(("unet.", "text_encoder.")) for name in lost):
        again = "remove `trained` from the run folder, and `trainer resume` writes it again from the last checkpoint"
        return f"an earlier version wrote it, in names of which diffusers reads only some; {again}"
    return "; ".join([f"lost: {', '.join(lost[:3])}{', ...' * (len(lost) > 3)}"] * bool(lost) + warned[:1])
