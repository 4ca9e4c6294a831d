"""The UNet that draws latents to a caption: its shape, its schedule, its training."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import numpy as np

from . import keep, words
from .autoencoder import CELL, CHANNELS, Progress, pixels, rate
from .pictures import SIZE, Drawings

if TYPE_CHECKING:
    import torch


def build() -> Any:
    """Attention on the 8 x 8 and 4 x 4 levels only: at 16 x 16 it doubles the time of a step."""
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(  # type: ignore[no-untyped-call]
        sample_size=SIZE // CELL,
        in_channels=CHANNELS,
        out_channels=CHANNELS,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        mid_block_type="UNetMidBlock2DCrossAttn",
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        block_out_channels=(64, 112, 128),
        layers_per_block=1,
        attention_head_dim=4,
        norm_num_groups=16,
        cross_attention_dim=words.WIDTH,
    )


def schedule() -> Any:
    from diffusers import DDIMScheduler

    return DDIMScheduler(  # type: ignore[no-untyped-call]
        num_train_timesteps=1000,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )


def encode(vae: Any, pictures: np.ndarray, work: Path) -> tuple[torch.Tensor, float]:
    """Latents of the whole set (n, c, 16, 16), scaled to a deviation of one, and that scale."""
    import torch

    path = work / "latents.pt"
    if (state := keep.load(path)) is None:
        parts = []
        vae = vae.to(memory_format=torch.channels_last)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            for start in range(0, len(pictures), 64):
                mean = vae.encode(pixels(pictures[start : start + 64])).latent_dist.mean
                parts.append(mean.half())
        whole = torch.cat(parts)
        scale = 1.0 / whole.float().std().item()
        state = {"latents": whole, "scale": scale}
        keep.save(path, state)
    return state["latents"] * state["scale"], float(state["scale"])


@dataclass(slots=True)
class Parts:
    """What is trained together."""

    tokens: Any
    text: Any
    unet: Any

    @classmethod
    def fresh(cls, work: Path) -> Parts:
        from diffusers.models.attention_processor import AttnProcessor

        tokens = words.tokenizer(work / "tokenizer")
        unet = build()
        # On a CPU, torch's own attention takes a third of a step on the way back; this one, a tenth.
        unet.set_attn_processor(AttnProcessor())
        return cls(tokens, words.text_encoder(tokens), unet)

    def modules(self) -> list[Any]:
        return [self.unet, self.text]

    def state(self) -> dict[str, Any]:
        return {"unet": self.unet.state_dict(), "text": self.text.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        self.unet.load_state_dict(state["unet"])
        self.text.load_state_dict(state["text"])

    def ids(self, captions: list[str]) -> torch.Tensor:
        found = self.tokens(
            captions, padding="max_length", max_length=words.LENGTH, truncation=True, return_tensors="pt"
        )
        ids: torch.Tensor = found.input_ids
        return ids


def _loss(
    parts: Parts,
    scheduler: Any,
    latents: torch.Tensor,
    weights: torch.Tensor,
    captions: list[str],
    generator: torch.Generator,
) -> torch.Tensor:
    """The error in v, so that steps near pure noise teach as much as those near the picture. weights: (n, 1, h, w)."""
    import torch

    noise = torch.randn(latents.shape, generator=generator)
    moments = torch.randint(0, 1000, (len(latents),), generator=generator)
    noisy = scheduler.add_noise(latents, noise, moments)
    target = scheduler.get_velocity(latents, noise, moments)
    with torch.autocast("cpu", torch.bfloat16):
        state = parts.text(parts.ids(captions))[0]
        found = parts.unet(noisy, moments, state).sample
    loss: torch.Tensor = ((found.float() - target).square() * weights).mean()
    return loss


def train(
    latents: torch.Tensor, drawings: Drawings, work: Path, steps: int, batch: int, seed: int
) -> Iterator[Progress]:
    """Trains or continues; leaves `unet.pt` in `work` every 200 steps."""
    import torch

    torch.manual_seed(seed)
    parts, scheduler = Parts.fresh(work), schedule()
    trained = [p for module in parts.modules() for p in module.parameters()]
    optimiser = torch.optim.AdamW(trained, lr=1e-3, betas=(0.9, 0.99), weight_decay=0.01, fused=True)
    average = keep.Average(parts.modules(), 0.999)
    start = 0
    if state := keep.load(work / "unet.pt"):
        parts.restore(state["live"])
        optimiser.load_state_dict(state["optimiser"])
        average.shadow, start = state["shadow"], state["step"]
    for step in range(start, steps):
        began = time.perf_counter()
        for group in optimiser.param_groups:
            group["lr"] = rate(step, steps, 1e-3, warm=200)
        generator = torch.Generator().manual_seed(seed * 1_000_003 + step)
        chosen = torch.randint(0, len(latents), (batch,), generator=generator)
        random = Random(f"{seed}-{step}")
        lines = [words.caption(drawings.captions[n], random) for n in chosen.tolist()]
        weights = torch.from_numpy(drawings.weights(chosen.numpy(), CELL))[:, None]
        loss = _loss(parts, scheduler, latents[chosen].float(), weights, lines, generator)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimiser.step()
        average.update(step)
        if (step + 1) % 200 == 0 or step + 1 == steps:
            _keep(work / "unet.pt", step + 1, parts, average, optimiser)
        yield Progress(step + 1, loss.item(), time.perf_counter() - began)


def _keep(path: Path, step: int, parts: Parts, average: keep.Average, optimiser: Any) -> None:
    average.swap()
    model = {name: {k: v.clone() for k, v in state.items()} for name, state in parts.state().items()}
    average.swap()
    state = {
        "step": step,
        "live": parts.state(),
        "model": model,
        "shadow": average.shadow,
        "optimiser": optimiser.state_dict(),
    }
    keep.save(path, state)
