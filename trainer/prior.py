"""Pictures of a class as the base draws them, which a method trains on beside its own: drawn once, and kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256
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
    digest = parts.base.fingerprint()  # of gigabytes, so it is taken once
    about = _recipe(parts, wanted, preview, digest[:10])
    drawn = [replace(about, seed=seed) for seed in range(wanted.pictures)]
    folder = cache / f"class-{sha256(f'{about!r} {preview.size} {digest}'.encode()).hexdigest()[:16]}"
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


def _recipe(parts: Parts, wanted: Prior, preview: Preview, base: str) -> Drawn:
    return Drawn(
        prompt=wanted.prompt,
        seed=0,
        negative=preview.negative,
        steps=preview.steps,
        guidance=preview.guidance,
        sampler=preview.sampler,
        emphasis=preview.emphasis,
        clip_skip=parts.clip_skip,
        base=base,
        model=parts.base.name,
    )


def _is_picture(path: Path) -> bool:
    try:
        with Image.open(path) as picture:
            picture.load()
    except BAD_PICTURE:
        return False
    return True
