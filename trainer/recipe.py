"""How a picture was made, kept in its PNG: as A1111 writes it, for other tools, and whole, for ours."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from sorter.files import write
from trainer.samplers import STANDARD

if TYPE_CHECKING:
    from PIL.Image import Image

OURS = "modelsheet"
"""The chunk with everything, as JSON. Not "prompt", which ComfyUI takes for a workflow of its own."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """How a picture was made; all of it is written into the PNG, so that it can be made again."""

    prompt: str
    seed: int
    negative: str = ""
    steps: int = 50
    guidance: float = 7.5
    sampler: str = STANDARD
    trained: int = 0  # steps of training behind it; 0 is the base alone
    base: str = ""  # first digits of the base's hash
    model: str = ""  # the name of the base's folder
    loras: Mapping[str, float] = field(default_factory=dict, hash=False)  # names and weights, what was trained included
    image: str = ""  # the name of the picture that it was drawn from, and its hash
    mask: str = ""  # the same of the mask
    strength: float = 0.75  # how far from that picture; counts for nothing without one
    emphasis: bool = True  # whether brackets weigh
    clip_skip: int = 1  # layers of the text encoder, counted from its end; 1 is the last

    @property
    def file_name(self) -> str:
        """Readable, legal everywhere, and different whenever anything here differs: "mira-smiling-1f3a0c-seed0.png"."""
        words = re.sub(r"[^a-z0-9]+", "-", self.prompt.lower()).strip("-")[:40].strip("-") or "picture"
        return f"{words}-{sha256(repr(self).encode()).hexdigest()[:6]}-seed{self.seed}.png"


def infotext(drawn: Drawn, size: tuple[int, int]) -> str:
    """The recipe as A1111 writes it under a picture: the prompt, what it should not show, and a line of settings.

    size: width and height in pixels. Line breaks become spaces: a line of a prompt could be read as one of these.
    """
    settings = {
        "Steps": str(drawn.steps),
        "Sampler": drawn.sampler,
        "CFG scale": f"{drawn.guidance:g}",
        "Seed": str(drawn.seed),
        "Size": f"{size[0]}x{size[1]}",
        "Model": drawn.model,
        "Clip skip": str(drawn.clip_skip) if drawn.clip_skip > 1 else "",
        "Denoising strength": f"{drawn.strength:g}" if drawn.image else "",
        "Emphasis": "" if drawn.emphasis else "None",
        "Version": "modelsheet",
    }
    loras = [f"<lora:{name}:{weight:g}>" for name, weight in drawn.loras.items()]
    lines = [" ".join([_one_line(drawn.prompt), *loras])]
    if drawn.negative.strip():
        lines.append(f"Negative prompt: {_one_line(drawn.negative)}")
    lines.append(", ".join(f"{key}: {_quoted(value)}" for key, value in settings.items() if value))
    return "\n".join(lines)


def write_png(picture: Image, path: Path, drawn: Drawn) -> None:
    """Write the picture whole, with how it was made as text chunks: `parameters`, as A1111 has it, and ours."""
    from PIL.PngImagePlugin import PngInfo

    chunks = PngInfo()
    chunks.add_text("parameters", infotext(drawn, picture.size))
    chunks.add_itxt(OURS, json.dumps(asdict(drawn), ensure_ascii=False))
    out = BytesIO()
    picture.save(out, "PNG", pnginfo=chunks)
    write(path, out.getvalue())


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _quoted(value: str) -> str:
    """In JSON's quotes where a reader would take a part of it for the next setting."""
    return json.dumps(value, ensure_ascii=False) if any(sign in value for sign in ',:"\n') else value
