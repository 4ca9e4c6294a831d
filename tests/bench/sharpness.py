"""Can the sharpness measure tell sharp film frames from blurred ones, from other sources, at other sizes and in flat
surroundings?

    python -m tests.bench.sharpness [FOLDER]

First heaps as users have them, sorted with `measure = "sharpness"`: frames as they are, and enlarged from less, a fifth
of each blurred. Then single kinds of pictures, built in and fitted on every other frame at 1280x720; a blur is Gaussian
or a camera's movement, 1 to 4 pixels wide at the size that is judged. FOLDER: pictures of your own, of which it is said
how many are called blurry.
"""

from __future__ import annotations

import io
import random
import sys
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
    heaps(frames)
    if __name__ == "__main__" and len(sys.argv) > 1:
        untouched(Path(sys.argv[1]))
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


def heaps(frames: list[Image.Image]) -> None:
    """Print how many of each heap are sorted rightly; another fifth is blurred in each of five rounds."""
    print(f"{'a fifth blurred, sorted':34} right (bar: 95 %)   sharp called blurry (bar: 3 %)")
    for what, width in {"frames as they are": 0, "enlarged from 960x540": 960, "enlarged from 640x360": 640}.items():
        right, sharp, wrong = [], 0, 0
        for seed in range(5):
            draw = random.Random(seed)
            chosen = set(draw.sample(range(len(frames)), len(frames) // 5))
            with tempfile.TemporaryDirectory() as name:
                for number, frame in enumerate(frames):
                    frame = enlarged(frame, width) if width else frame
                    frame = strongly(frame, draw) if number in chosen else frame
                    save(frame, Path(name, "heap", f"{'blurry' if number in chosen else 'sharp'}{number:02}.jpg"))
                answers = sorted_by_sharpness(Path(name, "heap"), Path(name, "library"))
            right += [stem.startswith(folder) for stem, folder in answers]
            sharp += sum(stem.startswith("sharp") for stem, _ in answers)
            wrong += sum(stem.startswith("sharp") and folder == "blurry" for stem, folder in answers)
        print(f"{what:34} {np.mean(right):6.1%}               {wrong / sharp:6.1%}")
    print()


def untouched(folder: Path) -> None:
    """Print how many of somebody's pictures are called blurry."""
    with tempfile.TemporaryDirectory() as name:
        answers = sorted_by_sharpness(folder, Path(name, "library"))
    blurry = sorted(stem for stem, answer in answers if answer == "blurry")
    print(f"{folder}: {len(blurry)} of {len(answers)} called blurry, {len(blurry) / len(answers):.1%} (bar: 5 %)")
    print(f"  {', '.join(blurry[:20])}\n")


def sorted_by_sharpness(heap: Path, library: Path) -> list[tuple[str, str]]:
    """Sort a heap as a user does; the name of each picture, and the class folder that it lies in."""
    from sorter.commands.job import load_job
    from sorter.commands.sort import sort

    scheme = library.with_name("scheme.toml")
    scheme.write_text('folders = "{blur}"\n[axes.blur]\nmeasure = "sharpness"\nthreshold = 0.0\n')
    sort(heap, library, load_job(scheme))
    return [(path.stem, path.parent.name) for path in library.glob("[!.]*/*") if path.suffix != ".txt"]


def enlarged(image: Image.Image, width: int) -> Image.Image:
    """As whoever rips a film makes it larger than it is."""
    small = image.resize((width, width * image.height // image.width), Image.Resampling.LANCZOS)
    return encoded(small.resize(image.size, Image.Resampling.BICUBIC), 75).convert("RGB")


def strongly(image: Image.Image, draw: random.Random) -> Image.Image:
    """Blurred by 2 to 4 pixels, or moved by 9 to 15."""
    if draw.random() < 0.5:
        return image.filter(ImageFilter.GaussianBlur(draw.uniform(2, 4)))
    return moved(image, draw.randint(9, 15))


def save(image: Image.Image, path: Path) -> None:
    """As a JPEG of good quality."""
    path.parent.mkdir(exist_ok=True)
    image.save(path, quality=90)


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
