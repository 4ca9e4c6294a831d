"""Can the sharpness measure tell sharp film frames from blurred ones, at other sizes and in flat surroundings?

    python -m tests.bench.sharpness

Fitted on every other frame at 1280x720, judged on the rest; a blur is Gaussian or a camera's movement, 1 to 4 pixels
wide at the size that is judged.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from tests.bench import data

Change = Callable[[Image.Image], Image.Image]
BLURS: tuple[Change, ...] = (
    lambda image: image.filter(ImageFilter.GaussianBlur(1)),
    lambda image: image.filter(ImageFilter.GaussianBlur(3)),
    lambda image: moved(image, 7),
)


def main() -> None:
    """Print a row for each kind of picture: how many of the sharp and of the blurred ones were taken for that."""
    from sorter.classify.askers import load_asked
    from sorter.classify.measures import measure
    from sorter.fit.fit import Recipe
    from sorter.fit.sharpness import fit_sharpness

    frames = [Image.open(path).convert("RGB") for path in sorted(data.folder("frames").glob("*.jpg"))]
    with tempfile.TemporaryDirectory() as name:
        examples = Path(name, "examples")
        for number, frame in enumerate(frames[::2]):
            for kind, images in {"sharp": [frame], "blurry": [blur(frame) for blur in BLURS]}.items():
                (examples / kind).mkdir(parents=True, exist_ok=True)
                for place, image in enumerate(images):
                    image.save(examples / kind / f"{number}_{place}.png")
        fit_sharpness(examples, Path(name, "blur"), Recipe(), lambda items, what, total: items)
        measures = {"built in": measure("sharpness", "bench"), "fitted": load_asked(Path(name, "blur"))}
    print(f"{'frames':34} " + "  ".join(f"{name}: sharp, blurred" for name in measures))
    for what, change in KINDS.items():
        line = f"{what:34} "
        for asked in measures.values():
            sharp, blurred = [], []
            for frame in frames[1::2]:
                sharp.append(is_sharp(asked, encoded(change(frame))))
                blurred += [not is_sharp(asked, encoded(blur(change(frame)))) for blur in BLURS]
            line += f"     {np.mean(sharp):7.1%}  {np.mean(blurred):7.1%}   "
        print(line)


def is_sharp(asked: object, image: Image.Image) -> bool:
    """What a measure says."""
    scores = asked(np.asarray(image.convert("L")))  # type: ignore[operator]
    return bool(scores[1] >= 0.5)


def encoded(image: Image.Image, quality: int = 90) -> Image.Image:
    """As it comes out of a JPEG."""
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality)
    return Image.open(out)


def moved(image: Image.Image, length: int) -> Image.Image:
    """As if the camera had moved sideways by so many pixels."""
    pixels = np.asarray(image, np.float32)
    return Image.fromarray(
        np.mean([np.roll(pixels, shift, axis=1) for shift in range(length)], axis=0).astype(np.uint8)
    )


def scaled(width: int) -> Change:
    """To another width."""
    return lambda image: image.resize((width, width * image.height // image.width), Image.Resampling.LANCZOS)


def on_flat(image: Image.Image) -> Image.Image:
    """A third of its width, on one colour, as a cartoon's plain background is."""
    canvas = Image.new("RGB", image.size, (120, 170, 220))
    canvas.paste(scaled(image.width // 3)(image), (image.width // 3, image.height // 3))
    return canvas


def posterised(image: Image.Image) -> Image.Image:
    """Few flat colours with hard edges, as drawn with a pen."""
    return image.quantize(12, dither=Image.Dither.NONE).convert("RGB")


KINDS: dict[str, Change] = {
    "as fitted, 1280x720": lambda image: image,
    "960 wide": scaled(960),
    "640 wide": scaled(640),
    "400 wide": scaled(400),
    "a third of it on a flat colour": on_flat,
    "in twelve flat colours": posterised,
    "JPEG of quality 60 before": lambda image: encoded(image, 60).convert("RGB"),
    "half as bright": lambda image: image.point(lambda value: value // 2),
}


if __name__ == "__main__":
    main()
