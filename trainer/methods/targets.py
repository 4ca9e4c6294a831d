"""Which modules of the U-Net a LoRA or a LyCORIS goes beside."""

from __future__ import annotations

from typing import Any

from sorter.errors import nearest
from trainer.errors import ConfigError

ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")
FEED_FORWARD = (*ATTENTION, "net.0.proj", "net.2", "proj_in", "proj_out")
CONVOLUTIONS = ("conv1", "conv2", "conv_shortcut", "time_emb_proj", "downsamplers.0.conv", "upsamplers.0.conv")
PRESETS = {
    "attention": ATTENTION,
    "attention+feed-forward": FEED_FORWARD,
    "attention+conv": (*FEED_FORWARD, *CONVOLUTIONS),
}
"""Ends of module names: those of the attention, as diffusers' scripts train; all in its blocks, as kohya's trainers do;
and the convolutions around them, too, which is called LoCon, or LoRA-C3Lier."""
TEXT = ("q_proj", "k_proj", "v_proj", "out_proj")


def chosen(targets: str | tuple[str, ...], unet: Any) -> tuple[str, ...]:
    """The ends of module names that are meant, each of which the U-Net has. Raises ConfigError."""
    names = [name for name, _ in unet.named_modules()]

    def there(end: str) -> bool:
        return any(name == end or name.endswith(f".{end}") for name in names)

    if isinstance(targets, str):
        if targets not in PRESETS:
            raise ConfigError(f'[method] targets = "{targets}" is not known{nearest(targets, PRESETS)}')
        return tuple(filter(there, PRESETS[targets]))
    for end in targets:
        if not there(end):
            ends = {".".join(name.split(".")[-2 if name.split(".")[-1].isdigit() else -1 :]) for name in names}
            raise ConfigError(f'[method] targets: no module of the U-Net is called "{end}"{nearest(end, sorted(ends))}')
    return targets
