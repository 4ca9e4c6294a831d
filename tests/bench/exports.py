"""Every real Keras export against the vendor's own recipe: full decode, Lanczos fit, x / 127.5 - 1, tf_keras.

    python -m tests.bench.exports

For each export the largest difference of a probability over ten pictures: first with the same view given to both
(what loading and conversion cost), then from the file on (what the scaled decoding costs as well).
"""

from __future__ import annotations

import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from sorter.classify import images
from sorter.classify.backbone import Runners, import_keras, normalise
from sorter.classify.model import Sorter, load_sorter
from tests.bench import data

TOLERANCE = 1e-4


def main() -> None:
    """Print a row an export; stop with an error where the answers differ by more than 1e-4 on the same view."""
    pictures = (
        sorted(data.folder("frames").glob("*.jpg"))[:5] + sorted(data.folder("cmu_faces").glob("*/*.png"))[::90][:5]
    )
    views = np.stack([vendor_view(path) for path in pictures])
    scaled = np.stack([our_view(path) for path in pictures])
    runners, keys, worst = Runners(), set(), 0.0
    print(f"{'export':32} classes  same view  from the file  same class")
    for path in exports():
        sorter = load_sorter(path)
        keys.add(sorter.backbone.key)
        theirs = vendor(path, normalise(views))
        ours, ours_scaled = (answers(sorter, runners, some) for some in (views, scaled))
        difference, from_file = float(np.abs(ours - theirs).max()), float(np.abs(ours_scaled - theirs).max())
        same = int((ours_scaled.argmax(1) == theirs.argmax(1)).sum())
        print(f"{path.name:32} {len(sorter.labels):7}  {difference:9.1e}  {from_file:13.1e}  {same} of {len(pictures)}")
        worst = max(worst, difference)
    print(f"distinct backbones: {len(keys)}; largest difference on the same view: {worst:.1e}, allowed {TOLERANCE:.0e}")
    if worst > TOLERANCE:
        raise SystemExit(1)


def exports() -> list[Path]:
    """The folders with a Keras .h5, and the zip of one."""
    folders = [path.parent for path in data.folder("tm").glob("*/*.h5")]
    return sorted({*folders, *(path.parent for path in data.folder("tm").glob("*/*.zip"))})


def vendor_view(path: Path) -> np.ndarray[Any, Any]:
    """The vendor's Python recipe for one picture."""
    with Image.open(path) as image:
        return np.asarray(ImageOps.fit(image.convert("RGB"), (224, 224), Image.Resampling.LANCZOS))


def our_view(path: Path) -> np.ndarray[Any, Any]:
    """What our sorters see of the same file."""
    return images.fit_view(images.load(images.open_picture(path.read_bytes()), at_least=448), 224)


def answers(sorter: Sorter, runners: Runners, views: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Our probabilities, (pictures, classes)."""
    return np.concatenate([sorter.head(runners(sorter.backbone, view)[None]) for view in views])


def vendor(path: Path, batch: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """tf_keras's probabilities; the file is a known one, so that Keras may load it."""
    keras = import_keras()
    with tempfile.TemporaryDirectory() as folder:
        found = next(path.glob("*.h5"), None)
        if found is None:
            with zipfile.ZipFile(next(path.glob("*.zip"))) as archive:
                found = Path(archive.extract("keras_model.h5", folder))
        return np.asarray(keras.models.load_model(found, compile=False).predict(batch, verbose=0))


if __name__ == "__main__":
    main()
