"""Do pictures that are decoded small get the answers that they get from Teachable Machine's own recipe?

Teachable Machine's: full decode, ImageOps.fit with Lanczos, x / 127.5 - 1, the Keras model. Ours: as `sorter sort`
reads them,
and with --exact. Every real picture is asked about with every real Keras export.

    python -m tests.bench.agreement
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from tests.bench import data, speed

EXPORTS = ("arrows-2023-h5", "carlogos-2025-h5", "racecar-2019-h5", "waste-2023-h5")


def main() -> None:
    """Print, for each kind of picture, how often the top class is the same and how far probabilities differ."""
    from sorter.networks.convert import import_keras
    from sorter.networks.load import load_sorter
    from sorter.networks.run import Runners
    from sorter.pictures import images

    keras, runners = import_keras(), Runners()
    sorters = [load_sorter(data.folder("tm") / export) for export in EXPORTS]
    models = [
        keras.models.load_model(data.folder("tm") / export / "keras_model.h5", compile=False) for export in EXPORTS
    ]
    ways: dict[str, Callable[[bytes], Any]] = {
        "small": _small,
        "--exact": lambda raw: images.exact_view(images.open_picture(raw), 224),
    }
    everything: dict[str, list[tuple[bool, float]]] = {way: [] for way in ways}
    print(f"{'pictures':28} {'way':8} same top class  median difference")
    with tempfile.TemporaryDirectory() as name:
        for kind, paths in _pictures(Path(name)):
            raws = [path.read_bytes() for path in paths]
            seen = np.stack([np.asarray(_fitted(path)) for path in paths]).astype(np.float32) / 127.5 - 1
            theirs = [model.predict(seen, verbose=0) for model in models]
            for way, view in ways.items():
                maps = np.stack([runners(sorters[0].backbone, view(raw)) for raw in raws])
                ours = [sorter.head(maps) for sorter in sorters]
                found = [_same(*pair) for pairs in zip(ours, theirs, strict=True) for pair in zip(*pairs, strict=True)]
                everything[way] += found
                _print(f"{kind} ({len(paths)})", way, found)
    for way, found in everything.items():
        _print("all", way, found)
    print("bars: 99.5 %, 0.005")


def _same(ours: Any, theirs: Any) -> tuple[bool, float]:
    return bool(ours.argmax() == theirs.argmax()), float(np.abs(ours - theirs).max())


def _print(kind: str, way: str, found: list[tuple[bool, float]]) -> None:
    same, far = zip(*found, strict=True)
    print(f"{kind:28} {way:8} {np.mean(same):14.2%}  {np.median(far):17.4f}")


def _small(raw: bytes) -> Any:
    from sorter.pictures import images

    return images.fit_view(images.load_small(raw, images.open_picture(raw), 448), 224)


def _fitted(path: Path) -> Image.Image:
    return ImageOps.fit(Image.open(path).convert("RGB"), (224, 224), Image.Resampling.LANCZOS)


def _pictures(folder: Path) -> Iterator[tuple[str, list[Path]]]:
    yield "frames at 1920x1080", speed.frames(folder / "frames", 132)
    yield "frames as they are, 1280x720", sorted(data.folder("frames").glob("*.jpg"))
    yield "photos, 640x480", sorted(data.folder("dedup").glob("base_images/*.jpg"))
    yield "quality, png", sorted(data.folder("quality").glob("*.png"))
    yield "faces, png", sorted(data.folder("cmu_faces").glob("*/*.png"))[::2]


if __name__ == "__main__":
    main()
