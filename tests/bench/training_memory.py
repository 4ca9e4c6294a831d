"""How near `trainer check`'s estimate of memory is to what steps allocate on the CPU.

    python -m tests.bench.training_memory

A LoRA on the sample's base, three steps a row. Measured is the peak of what torch's allocator gave out, beside weights.
Then the estimate for a LoRA of rank 16 on a network of Stable Diffusion 1.5's size, in 16 bits, at 512x512.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

BASE = Path(__file__).parents[2] / "samples" / "base-model"
CASES: list[dict[str, Any]] = [
    {"batch_size": batch, "gradient_checkpointing": checkpointing}
    for batch in (4, 16)
    for checkpointing in (False, True)
]


def main() -> None:
    print(f"{'batch':>5} {'checkpointing':>13} {'estimate':>9} {'measured':>9} {'off by':>7}")
    for case in CASES:
        guess, measured = measure(case)
        words = f"{case['batch_size']:>5} {case['gradient_checkpointing']!s:>13}"
        print(f"{words} {guess / 1e6:6.1f} MB {measured / 1e6:6.1f} MB {guess / measured - 1:+7.0%}", flush=True)
    with TemporaryDirectory() as folder:
        base = as_large_as_sd_15(Path(folder))
        for batch in (1, 4):
            for half, checkpointing in ((False, False), (True, False), (True, True)):
                options = {"batch_size": batch, "half_frozen": half, "gradient_checkpointing": checkpointing}
                print(f"SD 1.5, {options}: {large(base, options) / 1e9:.1f} GB", flush=True)


def large(base: Path, options: dict[str, Any]) -> float:
    """Bytes, with what CUDA itself takes."""
    import torch

    from trainer.config import Run
    from trainer.memory import CONTEXT, estimate

    values = {"base": base, "dataset": Path("x"), "output": Path("y"), "method": {"use": "lora", "rank": 16}}
    config = Run.model_validate({**values, "training": options})
    return estimate(config, (512, 512), torch.bfloat16).total + CONTEXT


def as_large_as_sd_15(folder: Path) -> Path:
    """A base of that size by its configuration; its weights are empty files, since nobody reads them."""
    import shutil

    import diffusers
    import torch
    from transformers import CLIPTextConfig

    untyped: Any = diffusers

    shutil.copytree(BASE, folder / "base", ignore=shutil.ignore_patterns("*.safetensors"))
    base = folder / "base"
    with torch.device("meta"):
        untyped.UNet2DConditionModel(cross_attention_dim=768, sample_size=64).save_config(base / "unet")
        blocks: dict[str, Any] = {"block_out_channels": (128, 256, 512, 512), "layers_per_block": 2, "sample_size": 512}
        kinds = {"down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4}
        untyped.AutoencoderKL(latent_channels=4, **blocks, **kinds).save_config(base / "vae")
    CLIPTextConfig(hidden_size=768, intermediate_size=3072, num_hidden_layers=12).save_pretrained(base / "text_encoder")
    for name in ("unet/diffusion_pytorch_model", "vae/diffusion_pytorch_model", "text_encoder/model"):
        (base / f"{name}.safetensors").write_bytes(b"")
    return base


def measure(case: dict[str, Any], folder: Path = BASE) -> tuple[float, float]:
    """Bytes that a step takes beside weights: estimated, and at its peak."""
    import torch

    from trainer.base import read_base
    from trainer.config import Run
    from trainer.load import load_parts
    from trainer.loop import initial_state, seeded, train
    from trainer.memory import estimate
    from trainer.methods import Batch

    values = {"base": folder, "dataset": Path("x"), "output": Path("y"), "training": {"steps": 3, **case}}
    config, base = Run.model_validate(values), read_base(folder)
    guess = estimate(config, (base.size, base.size), torch.float32)
    parts, method = load_parts(base, "fp32", "cpu"), config.build_method()
    seeded(0, 0)
    state = initial_state(parts, method.prepare(parts), config.training)
    if case["gradient_checkpointing"]:
        parts.checkpoint_gradients()
    side = base.size // base.factor
    batch = Batch(torch.zeros(case["batch_size"], 2 * base.channels, side, side), ("mira",) * case["batch_size"])
    parts.encode_text(["mira"])
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        list(train(parts, method, [[batch]] * 3, state, config.training))
    profiler: Any = profile.profiler
    now = most = 0
    for event in sorted(profiler.kineto_results.events(), key=lambda event: event.start_ns()):
        if event.name() == "[memory]":
            now += event.nbytes()
            most = max(most, now)
    return guess.total - guess.weights, most


if __name__ == "__main__":
    main()
