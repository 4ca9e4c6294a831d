"""Class folders -> a sorter in the vendor's format, with its card.

The recipe is Teachable Machine's own (googlecreativelab/teachablemachine-community, libraries/image): a frozen
backbone, its features computed once, Dense(100, relu), Dense(classes, softmax, no bias), Adam, cross-entropy, and 15 %
of each class kept for validation.
"""

from __future__ import annotations

import datetime
import importlib.metadata
import tempfile
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sorter.classify import examples as folders
from sorter.classify import images
from sorter.classify.backbone import Backbone, build, import_keras, write_whole
from sorter.classify.efficientnet import efficientnet_lite0
from sorter.classify.examples import Example, Examples
from sorter.classify.features import features_of
from sorter.classify.labels import format_labels
from sorter.classify.measures import edge_ratios
from sorter.classify.predict import in_step
from sorter.errors import ExamplesError, LibraryError, PictureError
from sorter.options import Options
from sorter.records import Unreadable

Track = Callable[[Iterable[Any], str, int | None], Iterable[Any]]
Array = NDArray[np.float32]


class Recipe(Options):
    """How a sorter is fitted; the defaults are the vendor's."""

    epochs: Annotated[int, Field(ge=1)] = 50
    batch_size: Annotated[int, Field(ge=1)] = 16
    learning_rate: Annotated[float, Field(gt=0)] = 0.001
    units: Annotated[int, Field(ge=1)] = 100
    validation: Annotated[float, Field(gt=0, lt=1)] = 0.15
    seed: int = 0
    kind: Literal["network", "sharpness"] = "network"


@dataclass(frozen=True, slots=True)
class Fitted:
    """What came of a fit."""

    card: dict[str, Any]
    unreadable: tuple[Unreadable, ...]


def fit(folder: Path, to: Path, recipe: Recipe, track: Track) -> Fitted:
    """Learn the classes that are the folders in `folder`, and write keras_model.h5, labels.txt and card.toml to `to`.

    Raises ExamplesError (too few, or one picture in two classes), MissingExtra, LibraryError (`to` is not writable).
    """
    examples = folders.find_examples(folder)
    if recipe.kind == "sharpness":
        return _fit_sharpness(folder, examples, to, track)
    graph = efficientnet_lite0()
    backbone = Backbone(graph.key(), graph)
    found = features_of([example.path for example in examples.pictures], backbone, track)
    examples, good = _usable(folder, examples, found)
    hashes, features = [sha256 for sha256, _ in good], np.stack([vector for _, vector in good])
    folders.check_distinct(hashes, examples)
    labels = [example.label for example in examples.pictures]
    training, validation = folders.split(labels, recipe.validation, recipe.seed)
    answers = np.array(labels)
    model = _train(features[training], answers[training], len(examples.classes), recipe)
    guessed = np.asarray(model(features[validation])).argmax(axis=1)
    card = _card(examples, hashes, _scores(answers[validation], guessed, examples.classes))
    card["backbone"] = {"name": "efficientnet-lite0", "sha256": backbone.key}
    card["head"] = {"kind": "average", "units": recipe.units}
    card["recipe"] = recipe.model_dump(exclude={"kind"})
    _write(to, _whole(build(graph), model), examples.classes, card)
    return Fitted(card, examples.unreadable)


def _train(features: Array, labels: NDArray[np.int64], classes: int, recipe: Recipe) -> Any:
    """The vendor's head on cached features (n, channels); every random choice comes from the seed."""
    keras = import_keras()
    import tensorflow as tf

    start = [keras.initializers.VarianceScaling(seed=recipe.seed + number) for number in range(2)]
    model = keras.Sequential(
        [
            keras.Input((features.shape[1],)),
            keras.layers.Dense(recipe.units, activation="relu", kernel_initializer=start[0], name="dense_Dense1"),
            keras.layers.Dense(
                classes, activation="softmax", use_bias=False, kernel_initializer=start[1], name="dense_Dense2"
            ),
        ]
    )
    model.compile(keras.optimizers.Adam(recipe.learning_rate), "categorical_crossentropy")
    data = tf.data.Dataset.from_tensor_slices((features, np.eye(classes, dtype=np.float32)[labels]))
    data = data.shuffle(len(features), seed=recipe.seed, reshuffle_each_iteration=True).batch(recipe.batch_size)
    model.fit(data, epochs=recipe.epochs, verbose=0)
    return model


def _whole(backbone: Any, head: Any) -> bytes:
    """The vendor's nesting, as one .h5 that a stranger's script loads: Sequential[Sequential[backbone, pool], head]."""
    keras = import_keras()
    pool = keras.layers.GlobalAveragePooling2D(name="global_average_pooling2d")
    model = keras.Sequential([keras.Sequential([backbone, pool], name="features"), head])
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that .h5 is an old format: it is the vendor's
        path = Path(folder, "keras_model.h5")
        model.save(path, save_format="h5", include_optimizer=False)
        return path.read_bytes()


def _fit_sharpness(folder: Path, examples: Examples, to: Path, track: Track) -> Fitted:
    """Weigh the measure by the user's own sharp and blurry pictures; of two classes, the one with softer edges is the
    blurry one."""
    from sklearn.linear_model import LogisticRegression

    if len(examples.classes) != 2:
        raise ExamplesError(f"{folder}: sharpness has two classes, such as sharp and blurry; found {examples.counts()}")
    paths = [example.path for example in examples.pictures]
    found = list(track(in_step(_edges, paths), "measuring examples", len(paths)))
    examples, good = _usable(folder, examples, found)
    hashes, ratios = [sha256 for sha256, _ in good], np.stack([pair for _, pair in good])
    folders.check_distinct(hashes, examples)
    labels = np.array([example.label for example in examples.pictures])
    sharp = int(ratios[labels == 1].mean() >= ratios[labels == 0].mean())
    training, validation = folders.split(labels.tolist(), 0.15, 0)
    model = LogisticRegression(C=100, class_weight="balanced").fit(ratios[training], labels[training] == sharp)
    order = (examples.classes[1 - sharp], examples.classes[sharp])
    guessed = np.where(model.predict(ratios[validation]), sharp, 1 - sharp)
    card = _card(examples, hashes, _scores(labels[validation], guessed, examples.classes))
    card["measure"] = {
        "use": "sharpness",
        "classes": list(order),
        "worse": float(model.coef_[0][0]),
        "better": float(model.coef_[0][1]),
        "bias": float(model.intercept_[0]),
    }
    _write(to, None, order, card)
    return Fitted(card, examples.unreadable)


def _edges(path: Path) -> tuple[str, Array] | Unreadable:
    try:
        picture, image = images.read_picture(path, path.read_bytes())
        grey = np.asarray(images.load(image).convert("L"))
        return picture.sha256, np.array(edge_ratios(grey), np.float32)
    except PictureError as found:
        return Unreadable(path, str(found))
    except OSError as found:
        return Unreadable(path, f"cannot be read: {found.strerror}")


def _usable(
    folder: Path, examples: Examples, found: list[tuple[str, Array] | Unreadable]
) -> tuple[Examples, list[tuple[str, Array]]]:
    """The examples that could be read, with what was read of them."""
    bad = {one.path: one for one in found if isinstance(one, Unreadable)}

    def is_bad(example: Example) -> Unreadable | None:
        return bad.get(example.path)

    examples = folders.without(examples, is_bad)
    folders.check(folder, examples)
    return examples, [one for one in found if not isinstance(one, Unreadable)]


def _scores(truth: NDArray[Any], guessed: NDArray[Any], classes: tuple[str, ...]) -> dict[str, Any]:
    """On the validation pictures: accuracy, and for each class the share of its pictures that was found."""
    from sklearn.metrics import confusion_matrix

    table = confusion_matrix(truth, guessed, labels=range(len(classes)))
    recall = {
        name: float(row[i] / row.sum()) if row.sum() else 0.0
        for i, (name, row) in enumerate(zip(classes, table, strict=True))
    }
    return {
        "accuracy": float((truth == guessed).mean()),
        "pictures": len(truth),
        "split": "15 % of each class, drawn at random: frames next to each other make it look better than it is",
        "recall": recall,
        "confusion": table.tolist(),
    }


def _card(examples: Examples, hashes: list[str], scores: dict[str, Any]) -> dict[str, Any]:
    versions = {name: importlib.metadata.version(name) for name in ("modelsheet", "numpy", "scikit-learn")}
    return {
        "made": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "classes": list(examples.classes),
        "pictures": examples.counts(),
        "data": folders.fingerprint(examples, hashes),
        "scores": scores,
        "versions": versions,
    }


def _write(to: Path, model: bytes | None, classes: tuple[str, ...], card: dict[str, Any]) -> None:
    """The card last: a folder with a card is a whole sorter."""
    import tomli_w

    files = {"labels.txt": format_labels(classes).encode(), "card.toml": tomli_w.dumps(card).encode()}
    if model is not None:
        files = {"keras_model.h5": model, **files}
    try:
        for name, data in files.items():
            write_whole(to / name, data)
    except OSError as found:
        raise LibraryError(f"{to}: cannot be written: {found.strerror}; choose a folder of your own") from None
