"""LoRA: small matrices beside the attention's own (Hu et al. 2021, arXiv:2106.09685)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from trainer.errors import CheckpointError, ConfigError
from trainer.methods.method import METHODS, Method

if TYPE_CHECKING:
    import torch

    from trainer.data import Batch
    from trainer.parts import Parts

FILE_NAME = "pytorch_lora_weights.safetensors"
"""The name that `load_lora_weights(folder)` of diffusers looks for."""

TEXT_TARGETS = ("q_proj", "k_proj", "v_proj", "out_proj")


@METHODS.add("lora")
class Lora(Method):
    """LoRA on the U-Net's attention, and on the text encoder's if asked: megabytes instead of gigabytes."""

    rank: Annotated[int, Field(gt=0)] = 16
    alpha: Annotated[float, Field(gt=0)] = 16.0  # the change is scaled by alpha / rank
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    text_encoder: bool = False  # leave it frozen for drawings, train it for photographs
    targets: tuple[str, ...] = ("to_q", "to_k", "to_v", "to_out.0")  # ends of module names in the U-Net

    def prepare(self, parts: Parts) -> dict[str, torch.nn.Parameter]:
        """Add an adapter: the second matrix is zero, so the first step starts from the base unchanged."""
        from peft import LoraConfig

        try:
            parts.unet.add_adapter(LoraConfig(**self._peft_options(self.targets)))
        except ValueError as found:  # peft finds no module of these names
            raise ConfigError(f"[method] targets = {list(self.targets)}: {str(found).splitlines()[0]}") from None
        trained = {"unet": parts.unet}
        if self.text_encoder:
            parts.text_encoder.add_adapter(LoraConfig(**self._peft_options(TEXT_TARGETS)))
            trained["text_encoder"] = parts.text_encoder
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
        from trainer.methods.denoise import denoising_loss

        text = parts.encode_text(batch.captions, train=self.text_encoder)
        return denoising_loss(parts, batch.moments, text, generator)

    def save(self, parts: Parts, folder: Path) -> None:
        """Write pytorch_lora_weights.safetensors, which `load_lora_weights` of diffusers reads, alpha included."""
        from peft import get_peft_model_state_dict

        from trainer.parts import untyped

        def weights(network: Any) -> dict[str, torch.Tensor]:
            # Embeddings are never trained here; left to itself, peft asks a model hub whether they were.
            state: dict[str, torch.Tensor] = untyped.utils.convert_state_dict_to_diffusers(
                get_peft_model_state_dict(network, save_embedding_layers=False)
            )
            return {name: tensor.float().cpu() for name, tensor in state.items()}

        # Without these options in the file's header, readers take alpha to be the rank.
        untyped.StableDiffusionPipeline.save_lora_weights(
            folder,
            unet_lora_layers=weights(parts.unet),
            text_encoder_lora_layers=weights(parts.text_encoder) if self.text_encoder else None,
            weight_name=FILE_NAME,
            unet_lora_adapter_metadata=self._peft_options(self.targets),
            text_encoder_lora_adapter_metadata=self._peft_options(TEXT_TARGETS) if self.text_encoder else None,
        )

    def load(self, parts: Parts, folder: Path) -> None:
        """Load it the way that every user of the file will."""
        from safetensors import SafetensorError

        from trainer.sample import pipeline

        try:
            pipeline(parts).load_lora_weights(folder, weight_name=FILE_NAME, local_files_only=True)
        except (OSError, ValueError, SafetensorError) as found:
            raise CheckpointError(f"{folder / FILE_NAME}: cannot be loaded: {found}") from None

    def _peft_options(self, targets: tuple[str, ...]) -> dict[str, Any]:
        return {
            "r": self.rank,
            "lora_alpha": self.alpha,
            "lora_dropout": self.dropout,
            "target_modules": list(targets),
        }
