"""Every real export against Teachable Machine's own recipe: full decode, Lanczos fit, x / 127.5 - 1, tf_keras or
LiteRT.

    python -m tests.bench.exports

For each export the largest difference of a probability over ten pictures: first with the same view given to both
(what loading and conversion cost), then from the file on (what the scaled decoding costs as well); and how many other
exports share its backbone. A TensorFlow.js export has no recipe in Python: tf_keras builds its description, which is
known to be harmless, and is given its weights.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from sorter.networks.convert import import_keras
from sorter.networks.load import Sorter, load_sorter
from sorter.networks.run import Runners, normalise
from sorter.pictures import images
from tests.bench import data

TOLERANCE = 1e-4
UINT8_TOLERANCE = 1 / 256 + 1e-6
"""One step of a uint8 probability."""
Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Export:
    """An export alone in a folder, and Teachable Machine's probabilities for views (n, 224, 224, 3)."""

    name: str
    folder: Path
    theirs: Callable[[Array], Array]
    tolerance: float = TOLERANCE


def main() -> None:
    """Print a row an export; stop with an error where the answers to the same view differ by more than is allowed."""
    pictures = (
        sorted(data.folder("frames").glob("*.jpg"))[:5] + sorted(data.folder("cmu_faces").glob("*/*.png"))[::90][:5]
    )
    views = np.stack([their_view(path) for path in pictures])
    scaled = np.stack([our_view(path) for path in pictures])
    runners = Runners()
    with tempfile.TemporaryDirectory() as folder:
        found = exports(Path(folder))
        sorters = [load_sorter(export.folder) for export in found]
        keys = Counter(sorter.backbone.key for sorter in sorters)
        print(f"{'export':42} classes  shared with  same view  from the file  same class")
        missed = []
        for export, sorter in zip(found, sorters, strict=True):
            theirs = export.theirs(views)
            ours, ours_scaled = (answers(sorter, runners, some) for some in (views, scaled))
            difference, from_file = float(np.abs(ours - theirs).max()), float(np.abs(ours_scaled - theirs).max())
            same = f"{int((ours_scaled.argmax(1) == theirs.argmax(1)).sum())} of {len(pictures)}"
            counts = f"{len(sorter.labels):7}  {keys[sorter.backbone.key] - 1:11}"
            print(f"{export.name:42} {counts}  {difference:9.1e}  {from_file:13.1e}  {same:>10}")
            if difference > export.tolerance:
                missed.append(export.name)
    print(f"{len(found)} exports, {len(keys)} distinct backbones; over the allowed difference: {missed or 'none'}")
    if missed:
        raise SystemExit(1)


def exports(folder: Path) -> list[Export]:
    """Every real export, each put into a folder of its own: where several lie side by side, only one is loaded."""
    tm, found = data.folder("tm"), []
    for path in sorted(tm.rglob("*.zip")):
        with zipfile.ZipFile(path) as archive:
            archive.extractall(folder / path.stem)
        found.append(Export(f"{path.parent.name} (zip)", path.parent, keras_h5(folder / path.stem / "keras_model.h5")))
    found += [Export(path.parent.name, path.parent, keras_h5(path)) for path in tm.rglob("*.h5")]
    found += [Export(path.parts[-3], path.parent, tfjs(path.parent)) for path in tm.rglob("weights.bin")]
    for path in sorted(tm.rglob("*.tflite")):
        if "edgetpu" not in path.name:
            alone = copied(folder / path.parent.name / path.stem, path, path.parent / "labels.txt")
            kind, allowed = ("float", TOLERANCE) if "unquant" in path.name else ("uint8", UINT8_TOLERANCE)
            found.append(Export(f"{path.relative_to(tm).parts[0]} ({kind})", alone, litert(path), allowed))
    for path in sorted(tm.rglob("saved_model.pb")):
        source = path.parents[1]
        alone = copied(folder / source.name, path.parent, source / "labels.txt")
        found.append(Export(f"{source.name} (SavedModel)", alone, saved_model(path.parent)))
    return sorted(found, key=lambda export: export.name)


def copied(to: Path, *paths: Path) -> Path:
    """Copies of files and folders, without their protection from writing."""
    to.mkdir(parents=True)
    for path in paths:
        if path.is_dir():
            shutil.copytree(path, to / path.name, copy_function=shutil.copyfile)
            (to / path.name).chmod(0o755)
        else:
            shutil.copyfile(path, to / path.name)
    return to


def their_view(path: Path) -> Array:
    """Teachable Machine's Python recipe for one picture."""
    with Image.open(path) as image:
        return np.asarray(ImageOps.fit(image.convert("RGB"), (224, 224), Image.Resampling.LANCZOS))


def our_view(path: Path) -> Array:
    """What our sorters see of the same file."""
    data = path.read_bytes()
    return images.fit_view(images.load_small(data, images.open_picture(data), at_least=448), 224)


def answers(sorter: Sorter, runners: Runners, views: Array) -> Array:
    """Our probabilities, (pictures, classes)."""
    return np.concatenate([sorter.head(runners(sorter.backbone, view)[None]) for view in views])


def keras_h5(path: Path) -> Callable[[Array], Array]:
    """tf_keras; the file is a known one, so that Keras may load it."""

    def ask(views: Array) -> Array:
        model = import_keras().models.load_model(path, compile=False)
        return np.asarray(model.predict(normalise(views), verbose=0))

    return ask


def tfjs(folder: Path) -> Callable[[Array], Array]:
    """tf_keras, from the description and the weights that the browser has."""

    def ask(views: Array) -> Array:
        known = json.loads((folder / "model.json").read_text())
        model = import_keras().models.model_from_json(json.dumps(known["modelTopology"]))
        numbers, arrays = np.fromfile(folder / "weights.bin", "<f4"), {}
        for entry in known["weightsManifest"][0]["weights"]:
            count = int(np.prod(entry["shape"]))
            arrays[entry["name"]], numbers = numbers[:count].reshape(entry["shape"]), numbers[count:]
        for variable in model.variables:
            variable.assign(arrays[variable.name.removesuffix(":0")])
        return np.asarray(model.predict(normalise(views), verbose=0))

    return ask


def saved_model(folder: Path) -> Callable[[Array], Array]:
    """Its own functions, as TensorFlow runs them; the file is a known one."""

    def ask(views: Array) -> Array:
        import tensorflow as tf

        run = tf.saved_model.load(str(folder)).signatures["serving_default"]
        (answer,) = run(tf.constant(normalise(views))).values()
        return np.asarray(answer)

    return ask


def litert(path: Path) -> Callable[[Array], Array]:
    """LiteRT; a uint8 file is given the values themselves."""

    def ask(views: Array) -> Array:
        from ai_edge_litert.interpreter import Interpreter

        engine = Interpreter(model_path=str(path))
        engine.allocate_tensors()
        (entry,), (end,) = engine.get_input_details(), engine.get_output_details()
        found = []
        for view in views if entry["dtype"] == np.uint8 else normalise(views):
            engine.set_tensor(entry["index"], view[None])
            engine.invoke()
            found.append(engine.get_tensor(end["index"])[0])
        scale, zero = end["quantization"]
        return (np.stack(found).astype(np.float32) - zero) * scale if scale else np.stack(found)

    return ask


if __name__ == "__main__":
    main()
