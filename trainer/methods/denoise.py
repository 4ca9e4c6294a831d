"""The loss that all methods share: how well the U-Net tells the noise from the picture."""

from __future__ import annotations

from typing import Any

import torch

from trainer.families import Text
from trainer.methods.method import Batch
from trainer.parts import Parts


def denoising_loss(parts: Parts, batch: Batch, text: Text, generator: torch.Generator) -> torch.Tensor:
    """The mean over the batch of w(t) * |target - unet(z_t, t, text)|^2, t uniform (Ho et al. 2020, eq. 14).

    text: what the network is told, of each picture; the batch's captions count for nothing here. Where the batch has
    masks, each square is multiplied by its own before the mean, as in kohya's trainers.
    The target is the noise, or the velocity (Salimans and Ho 2022) where the base was made so. w is
    `parts.timestep_weights`. Random numbers are drawn on the CPU, so that every device sees the same.
    """
    latents = draw_latents(batch.moments, generator).to(parts.device) * parts.vae.config.scaling_factor
    noise = draw_noise(latents.shape, parts.noise_offset, generator).to(parts.device)
    scheduler = parts.noise_scheduler
    timesteps = torch.randint(0, scheduler.config.num_train_timesteps, latents.shape[:1], generator=generator)
    timesteps = timesteps.to(parts.device)
    noisy = scheduler.add_noise(latents, noise, timesteps)
    with parts.autocast():
        predicted = parts.predict(noisy, timesteps, text, batch.cuts)
    velocity = scheduler.config.prediction_type == "v_prediction"
    target = scheduler.get_velocity(latents, noise, timesteps) if velocity else noise
    squares = (predicted.float() - target).square()
    if batch.masks is not None:
        squares = squares * batch.masks.to(parts.device)
    losses = squares.mean(dim=(1, 2, 3))
    loss: torch.Tensor = (parts.timestep_weights[timesteps] * losses).mean()
    return loss


def captioned_loss(parts: Parts, batch: Batch, generator: torch.Generator, train_text: bool) -> torch.Tensor:
    """The denoising loss of pictures under their captions; with `train_text`, the text encoder has gradients, too."""
    return denoising_loss(parts, batch, parts.encode_text(batch.captions, train=train_text), generator)


def draw_latents(moments: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """A sample of the autoencoder's posterior: [B, 2C, h, w] -> [B, C, h, w], not yet scaled."""
    mean, log_variance = moments.chunk(2, dim=1)
    deviation = (0.5 * log_variance.clamp(-30, 20)).exp()  # the limits of the autoencoder itself
    return mean + deviation * torch.randn(mean.shape, generator=generator)


def draw_noise(shape: torch.Size, offset: float, generator: torch.Generator) -> torch.Tensor:
    """Noise of variance 1 a value, plus `offset` times one number a channel, [B, C, 1, 1], so that the network learns
    to move the brightness of the whole (Guttenberg 2023, crosslabs.org/blog/diffusion-with-offset-noise)."""
    noise = torch.randn(shape, generator=generator)
    return noise + offset * torch.randn(*shape[:2], 1, 1, generator=generator) if offset else noise


def min_snr_weights(noise_scheduler: Any, gamma: float) -> torch.Tensor:
    """The weight of each timestep, [num_train_timesteps]: min(SNR, gamma) / SNR for noise, / (SNR + 1) for velocity.

    From Hang et al. 2023, arXiv:2303.09556: timesteps with little noise count less. gamma 0 gives ones.
    """
    signal: torch.Tensor = noise_scheduler.alphas_cumprod.double()
    if not gamma:
        return torch.ones_like(signal, dtype=torch.float32)
    snr = signal / (1 - signal)
    velocity = noise_scheduler.config.prediction_type == "v_prediction"
    # With zero terminal SNR the last timestep has no signal: noise then cannot be its target, so 1 is only a bound.
    return (snr.clamp(max=gamma) / (snr + 1 if velocity else snr.clamp(min=1e-8))).float()
