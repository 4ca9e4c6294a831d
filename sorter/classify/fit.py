"""Class folders -> a sorter in the vendor's format, with its card.

As Teachable Machine does it (googlecreativelab/teachablemachine-community, libraries/image): a frozen backbone, its
features computed once, a small head, and 15 % of each class kept for validation. An axis whose classes become each
other in a mirror gets a head that can tell them apart (see fit_head.py).
"""

from __future__ import annotations

import datetime
import importlib.metadata
import tempfile
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sorter.classify import examples as folders
from sorter.classify.backbone import Backbone, build, give_weights, import_keras, make_layer, write_whole
from sorter.classify.efficientnet import efficientnet_lite0
from sorter.classify.examples import Example, Examples
from sorter.classify.features import Features, features_of
from sorter.classify.fit_head import FittedHead, Training, fit_average, fit_sides, mirror_pairs
from sorter.classify.labels import format_labels
from sorter.errors import ExamplesError, LibraryError, nearest
from sorter.options import Options
from sorter.records import Unreadable

Track = Callable[[Iterable[Any], str, int | None], Iterable[Any]]


class Recipe(Options):
    """How a sorter is fitted; but for `mirror`, the vendor's own settings."""

    epochs: Annotated[int, Field(ge=1)] = 50
    batch_size: Annotated[int, Field(ge=1)] = 16
    learning_rate: Annotated[float, Field(gt=0)] = 0.001
    units: Annotated[int, Field(ge=1)] = 100
    validation: Annotated[float, Field(gt=0, lt=1)] = 0.15
    seed: int = 0
    mirror: dict[str, str] | None = None
    """Class -> the class of the mirror image. None: by the names left and right; {}: there are no such classes."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """What came of a fit."""

    card: dict[str, Any]
    unreadable: tuple[Unreadable, ...]


def fit(folder: Path, to: Path, recipe: Recipe, track: Track) -> Fitted:
    """Learn the classes that are the folders in `folder`, and write keras_model.h5, labels.txt and card.toml to `to`.

    Raises ExamplesError (too few, one picture in two classes, unknown mirror class), MissingExtra, LibraryError (`to`
    is not writable).
    """
    examples = folders.find_examples(folder)
    mirror = _mirror(folder, examples.classes, recipe)
    graph = efficientnet_lite0()
    backbone = Backbone(graph.key(), graph)
    found = features_of([example.path for example in examples.pictures], backbone, bool(mirror), track)
    examples, features = usable(folder, examples, found)
    training, validation = folders.split([one.label for one in examples.pictures], recipe.validation, recipe.seed)
    labels = np.array([example.label for example in examples.pictures])
    head = _fit_head([features[place] for place in training], labels[training], examples.classes, mirror, recipe, graph)
    card = make_card(examples, [one.sha256 for one in features])
    card["scores"] = _scores(head, [features[place] for place in validation], labels[validation], examples, mirror)
    card["backbone"] = {"name": "efficientnet-lite0", "sha256": backbone.key}
    card["head"] = {"kind": head.kind, "mirror": dict(mirror)}
    card["recipe"] = recipe.model_dump(exclude={"mirror"})
    write_sorter(to, whole(build(graph), head), examples.classes, card)
    return Fitted(card, examples.unreadable)


def usable(folder: Path, examples: Examples, found: list[Any]) -> tuple[Examples, list[Any]]:
    """The examples that could be read, with what was found of them, each with its sha256. Raises ExamplesError."""
    bad = {one.path: one for one in found if isinstance(one, Unreadable)}

    def is_bad(example: Example) -> Unreadable | None:
        return bad.get(example.path)

    examples = folders.without(examples, is_bad)
    folders.check(folder, examples)
    good = [one for one in found if not isinstance(one, Unreadable)]
    folders.check_distinct([one.sha256 for one in good], examples)
    return examples, good


def whole(backbone: Any, head: FittedHead) -> bytes:
    """The vendor's nesting, as one .h5 that a stranger's script loads: Sequential[Sequential[backbone, pool], head]."""
    keras = import_keras()
    pairs = [(make_layer(layer), layer) for layer in (*head.pool, *head.dense)]
    parts = [made for made, _ in pairs]
    pool, dense = parts[: len(head.pool)], parts[len(head.pool) :]
    model = keras.Sequential([keras.Sequential([backbone, *pool], name="features"), keras.Sequential(dense)])
    give_weights(pairs)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that .h5 is an old format: it is the vendor's
        path = Path(folder, "keras_model.h5")
        model.save(path, save_format="h5", include_optimizer=False)
        return path.read_bytes()


def make_card(examples: Examples, hashes: list[str]) -> dict[str, Any]:
    """What a sorter's card says of its pictures and its making."""
    packages = ("modelsheet", "numpy", "scikit-learn", "tensorflow", "tf-keras")
    return {
        "made": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "classes": list(examples.classes),
        "pictures": examples.counts(),
        "data": folders.fingerprint(examples, hashes),
        "versions": {name: importlib.metadata.version(name) for name in packages},
    }


def make_scores(truth: NDArray[Any], guessed: NDArray[Any], classes: tuple[str, ...]) -> dict[str, Any]:
    """On the validation pictures: accuracy, and for each class the share of its pictures that was found."""
    from sklearn.metrics import confusion_matrix

    table = confusion_matrix(truth, guessed, labels=range(len(classes)))
    return {
        "accuracy": float((truth == guessed).mean()),
        "pictures": len(truth),
        "split": "15 % of each class, drawn at random: frames next to each other make it look better than it is",
        "recall": {name: float(row[i] / row.sum()) for i, (name, row) in enumerate(zip(classes, table, strict=True))},
        "confusion": table.tolist(),
    }


def write_sorter(to: Path, model: bytes | None, classes: tuple[str, ...], card: dict[str, Any]) -> None:
    """Write the files of a sorter, the card last. Raises LibraryError where that is not possible."""
    import tomli_w

    files = {"labels.txt": format_labels(classes).encode(), "card.toml": tomli_w.dumps(card).encode()}
    if model is not None:
        files = {"keras_model.h5": model, **files}
    try:
        for name, data in files.items():
            write_whole(to / name, data)
    except OSError as found:
        raise LibraryError(f"{to}: cannot be written: {found.strerror}; choose a folder of your own") from None


def _mirror(folder: Path, classes: tuple[str, ...], recipe: Recipe) -> Mapping[str, str]:
    if recipe.mirror is None:
        return mirror_pairs(classes)
    for name in (*recipe.mirror, *recipe.mirror.values()):
        if name not in classes:
            raise ExamplesError(f'{folder}: has no class "{name}" to mirror{nearest(name, classes)}')
    return recipe.mirror


def _fit_head(
    features: list[Features],
    labels: NDArray[np.int64],
    classes: tuple[str, ...],
    mirror: Mapping[str, str],
    recipe: Recipe,
    graph: Any,
) -> FittedHead:
    if not mirror:
        how = Training(recipe.epochs, recipe.batch_size, recipe.learning_rate, recipe.units, recipe.seed)
        return fit_average(features, labels, len(classes), how)
    swap = {classes.index(name): classes.index(other) for name, other in mirror.items()}
    return fit_sides(features, labels, len(classes), swap, build(graph).output_shape[1:])


def _scores(
    head: FittedHead,
    features: list[Features],
    labels: NDArray[np.int64],
    examples: Examples,
    mirror: Mapping[str, str],
) -> dict[str, Any]:
    scores = make_scores(labels, head(features).argmax(axis=1), examples.classes)
    if mirror:
        names = [examples.classes[label] for label in labels]
        swapped = np.array([examples.classes.index(mirror.get(name, name)) for name in names])
        scores["accuracy_mirrored"] = float((head(features, mirrored=True).argmax(axis=1) == swapped).mean())
    return scores
