"""The samplers by the names that A1111 shows, each a scheduler of diffusers with its options. Nothing heavy here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from inspect import signature
from typing import TYPE_CHECKING, Any

from sorter.errors import nearest
from trainer.errors import ConfigError

if TYPE_CHECKING:
    from trainer.parts import Parts

STANDARD = "Euler a"


@dataclass(frozen=True, slots=True)
class Sampler:
    """A class of diffusers, what is set in it, and the most steps that it takes."""

    scheduler: str
    options: Mapping[str, Any] = field(default_factory=dict)
    most_steps: int = 1000


# As Stable Diffusion was published: latents are not bound to [-1, 1], so clipping would spoil them; steps begin at 1.
PUBLISHED = {"timestep_spacing": "leading", "steps_offset": 1, "set_alpha_to_one": False, "clip_sample": False}
# As k-diffusion spaces its steps, which A1111 draws with: from the noisiest timestep of training to the clearest.
EVEN = {"timestep_spacing": "linspace", "steps_offset": 1}  # the offset counts for nothing here; pipelines ask for it
KARRAS = {**EVEN, "use_karras_sigmas": True}  # Karras et al. 2022, equation 5
SDE = {"algorithm_type": "sde-dpmsolver++"}

SAMPLERS: Mapping[str, Sampler] = {
    "Euler": Sampler("EulerDiscreteScheduler", EVEN),
    "Euler a": Sampler("EulerAncestralDiscreteScheduler", EVEN),
    "DDIM": Sampler("DDIMScheduler", PUBLISHED),
    "DDPM": Sampler("DDPMScheduler", {**EVEN, "clip_sample": False}),
    "PNDM": Sampler("PNDMScheduler", {**PUBLISHED, "skip_prk_steps": True}),
    "PLMS": Sampler("PNDMScheduler", {**PUBLISHED, "skip_prk_steps": True}),
    "LMS": Sampler("LMSDiscreteScheduler", EVEN),
    "LMS Karras": Sampler("LMSDiscreteScheduler", KARRAS),
    "Heun": Sampler("HeunDiscreteScheduler", {**EVEN, "clip_sample": False}),
    "DPM2": Sampler("KDPM2DiscreteScheduler", EVEN),
    "DPM2 Karras": Sampler("KDPM2DiscreteScheduler", KARRAS),
    "DPM2 a": Sampler("KDPM2AncestralDiscreteScheduler", EVEN),
    "DPM2 a Karras": Sampler("KDPM2AncestralDiscreteScheduler", KARRAS),
    "DPM++ 2M": Sampler("DPMSolverMultistepScheduler", EVEN),
    "DPM++ 2M Karras": Sampler("DPMSolverMultistepScheduler", KARRAS),
    "DPM++ 2M SDE": Sampler("DPMSolverMultistepScheduler", {**EVEN, **SDE}),
    "DPM++ 2M SDE Karras": Sampler("DPMSolverMultistepScheduler", {**KARRAS, **SDE}),
    "DPM++ SDE": Sampler("DPMSolverSinglestepScheduler", {**EVEN, **SDE, "lower_order_final": True}),
    "DPM++ SDE Karras": Sampler("DPMSolverSinglestepScheduler", {**KARRAS, **SDE, "lower_order_final": True}),
    "UniPC": Sampler("UniPCMultistepScheduler", EVEN),
    "LCM": Sampler("LCMScheduler", {**PUBLISHED, "original_inference_steps": 50}, most_steps=50),
}


def find_sampler(name: str) -> str:
    """The name as the table has it, however its letters are cased. Raises ConfigError with the nearest right name."""
    for known in SAMPLERS:
        if known.casefold() == name.strip().casefold():
            return known
    raise ConfigError(f'there is no sampler "{name}"{nearest(name, SAMPLERS)}')


def check_steps(name: str, steps: int) -> None:
    """Raises ConfigError where the sampler takes fewer."""
    most = SAMPLERS[name].most_steps
    if steps > most:
        raise ConfigError(f"steps {steps}: {name} takes at most {most}")


def scheduler(parts: Parts, name: str) -> Any:
    """A scheduler of diffusers over the base's own noise schedule. Raises ConfigError."""
    from trainer.load import untyped

    sampler = SAMPLERS[find_sampler(name)]
    kind, base = getattr(untyped, sampler.scheduler), parts.noise_scheduler.config
    options = {key: value for key, value in sampler.options.items() if key in signature(kind).parameters}
    if base.get("rescale_betas_zero_snr") and "rescale_betas_zero_snr" not in signature(kind).parameters:
        raise ConfigError(
            f"{parts.base.path}: was trained down to pure noise (rescale_betas_zero_snr), where {name} does not"
            f" begin: take {STANDARD}, DDIM or DPM++ 2M"
        )
    return kind.from_config(base, **options)
