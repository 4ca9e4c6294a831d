"""Pictures of a class as the base draws them, which a method trains on beside its own: drawn once, and kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from sorter.files import write
from trainer.config import Preview
from trainer.dataset import BAD_PICTURE, read_dataset
from trainer.drawing import draw
from trainer.latents import Encoded, encode
from trainer.methods import Prior
from trainer.parts import Parts
from trainer.recipe import Drawn, write_png

AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class ClassPictures:
    """The pictures with their moments, and how many of them were drawn now; the others were there."""

    encoded: Encoded
    newly_drawn: int

    @property
    def kept(self) -> int:
        """How many were there."""
        return len(self.encoded.dataset.examples) - self.newly_drawn

    @property
    def fingerprint(self) -> str:
        """One hash over pictures and prompt."""
        return self.encoded.dataset.fingerprint()


def class_pictures(
    parts: Parts,
    wanted: Prior,
    preview: Preview,
    cache: Path,
    on_progress: Callable[[str, int, int], None] = lambda what, done, of: None,
) -> ClassPictures:
    """Draw those that are not in `cache` yet, as previews are drawn, by seeds 0, 1, ...; then encode them.

    parts: those of the base, not yet prepared. Each is written whole, so one that is cut off goes on where it was. The
    folder is named after the base, the prompt and all that makes a picture, but not after their number.
    """
    drawn = [_recipe(parts, wanted, preview, seed) for seed in range(wanted.pictures)]
    folder = cache / f"class-{_hash(drawn[0], preview.size)}"
    paths = [folder / f"{one.seed:05d}.png" for one in drawn]
    missing = [number for number, path in enumerate(paths) if not _is_picture(path)]
    for start in range(0, len(missing), AT_ONCE):
        numbers = missing[start : start + AT_ONCE]
        pictures = draw(parts, [drawn[number] for number in numbers], preview.size)
        for number, picture in zip(numbers, pictures, strict=True):
            write_png(picture, paths[number], drawn[number])
        on_progress("drawing pictures of the class", start + len(numbers), len(missing))
    rows = [json.dumps({"file_name": path.name, "text": wanted.prompt}) for path in paths]
    write(folder / "metadata.jsonl", "\n".join(rows).encode())
    dataset = read_dataset(folder, parts.base.factor)
    encoded = encode(parts, dataset, cache, lambda done, of: on_progress("encoding pictures of the class", done, of))
    return ClassPictures(encoded, len(missing))


def _recipe(parts: Parts, wanted: Prior, preview: Preview, seed: int) -> Drawn:
    return Drawn(
        prompt=wanted.prompt,
        seed=seed,
        negative=preview.negative,
        steps=preview.steps,
        guidance=preview.guidance,
        sampler=preview.sampler,
        emphasis=preview.emphasis,
        clip_skip=parts.clip_skip,
        base=parts.base.fingerprint(),
        model=parts.base.name,
    )


def _hash(drawn: Drawn, size: tuple[int, int] | None) -> str:
    return hashlib.sha256(f"{drawn!r} {size}".encode()).hexdigest()[:16]


def _is_picture(path: Path) -> bool:
    try:
        with Image.open(path) as picture:
            picture.load()
    except BAD_PICTURE:
        return False
    return True
