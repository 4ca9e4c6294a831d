"""Class folders -> a sorter in Teachable Machine's format, with its card and a report.

As Teachable Machine does it, a frozen network is asked once about each picture, and only a small head is fitted. What
Teachable Machine leaves to chance is measured here: which head, and how far its answers can be trusted, is decided on
pictures that it was not fitted on (heads.py, folds.py, calibrate.py).
"""

from __future__ import annotations

import datetime
import importlib.metadata
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sorter.errors import ExamplesError, LibraryError, nearest
from sorter.files import write
from sorter.fit import calibrate, folds
from sorter.fit import examples as folders
from sorter.fit.backbones import AUTO, find_backbone, map_places
from sorter.fit.examples import Example, Examples
from sorter.fit.features import Features, features_of, parted
from sorter.fit.heads import Choice, Kind, choose
from sorter.fit.readback import check_files, check_folder
from sorter.fit.report import in_short, write_page
from sorter.fit.validation import Validation
from sorter.fit.write_h5 import write_h5
from sorter.fit.write_tflite import write_tflite
from sorter.networks.head import mean_of_views
from sorter.networks.labels import format_labels, mirror_pairs, without_repeats
from sorter.networks.load import UNFINISHED
from sorter.networks.run import Backbone
from sorter.networks.run import shapes as map_shapes
from sorter.plugins import Options
from sorter.records import Unreadable
from sorter.text import clean

Track = Callable[[Iterable[Any], str, int | None], Iterable[Any]]


class Recipe(Options):
    """How a sorter is fitted."""

    backbone: str = AUTO
    """AUTO, "efficientnet-lite0", the folder or zip of an export, or a name of tf_keras.applications."""
    features: Literal["auto", "average", "grid"] = "auto"
    """What the head reads; "auto": whichever answers better."""
    head: Literal["auto", "linear", "dense"] = "auto"
    group: str = folds.SCENE
    """What is held out together; see `folds.split`."""
    error: Annotated[float, Field(gt=0, lt=0.5)] = 0.02
    """The share of wrong ones among the accepted that `threshold = "auto"` aims at."""
    mirror: dict[str, str] | None = None
    """Class -> the class of the mirror image. None: by the names left and right; {}: there are no such classes."""
    copies: bool = True
    """Whether mirror images are examples too; False where mirroring changes what a picture shows."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0


@dataclass(frozen=True, slots=True)
class Fitted:
    """What came of a fit."""

    card: dict[str, Any]
    unreadable: tuple[Unreadable, ...]
    said: tuple[str, ...]
    """What matters of it, in sentences."""
    held_out: tuple[dict[str, Any], ...] = ()
    """Each picture by its hash, its class, and what it was taken for (with which score) when it was held out."""


def fit(folder: Path, to: Path, recipe: Recipe, track: Track) -> Fitted:
    """Learn the classes that are the folders in `folder`, and write a sorter to `to`. See `fit_examples`."""
    return fit_examples(folder, examples_in(folder), to, recipe, track)


def fit_examples(folder: Path, examples: Examples, to: Path, recipe: Recipe, track: Track) -> Fitted:
    """Learn the classes of labelled pictures, and write a sorter to `to`: keras_model.h5, model_unquant.tflite,
    labels.txt, card.toml and report.html. `folder`: where the examples are from, for messages.

    Raises ExamplesError (too few, one picture in two classes, unknown mirror class, a group that does not fit),
    ModelError or OptionsError (the backbone), MissingExtra, LibraryError (`to` is not writable).
    """
    threading.Thread(target=_import, daemon=True).start()
    mirror = _mirror(folder, examples.classes, recipe)
    name, graph = find_backbone(recipe.backbone, to)
    run = Backbone(graph.key(), graph, map_places(graph))
    examples, features = usable(folder, examples, features_of([one.path for one in examples.pictures], run, track))
    labels = np.array([one.label for one in examples.pictures])
    split = split_examples(folder, examples, [one.perceptual_hash for one in features], recipe)
    choice = _choose(features, labels, examples.classes, mirror, split, run, recipe)
    validation = _validation(examples, labels, choice, mirror, split, recipe)

    narrow, last = run.outputs
    which = run.outputs.index(narrow if choice.candidate.kind == "grid" else last)
    trunk = graph.upto(run.outputs[which])
    card = make_card(examples, [one.sha256 for one in features], validation)
    card["backbone"] = {"name": name, "sha256": trunk.key()}
    card["head"] = {
        "features": choice.candidate.kind,
        "units": choice.candidate.units,
        "regularisation": choice.candidate.strength,
        "temperature": choice.temperature,
        "mirror": dict(mirror),
        "mirrored_copies": recipe.copies,
    }
    # By which a later sorter is compared with this one on pictures that neither was fitted on.
    card["examples"] = sorted(one.sha256[:10] for one in features)
    card["recipe"] = recipe.model_dump(exclude={"mirror", "copies"})
    files = {
        "keras_model.h5": write_h5(trunk, choice.layers),
        "model_unquant.tflite": write_tflite(run.compiled().read_bytes(), which, choice.layers),
    }
    engine = run.runner()
    check_files(to, files, run.key, trunk, lambda view: engine(view)[which], choice.layers)
    write_sorter(to, files, examples.classes, card, validation)
    return Fitted(
        card,
        examples.unreadable,
        tuple(in_short(card, validation)),
        _held_out(validation, [one.sha256 for one in features]),
    )


def _import() -> None:
    """scikit-learn takes a second to import, better spent while pictures are looked at."""
    with suppress(ImportError):  # whoever needs it will say so
        import sklearn.model_selection
        import sklearn.neural_network  # noqa: F401


def examples_in(folder: Path) -> Examples:
    """The examples in the class folders, the classes' names as labels.txt can hold them. Raises ExamplesError."""
    examples = folders.find_examples(folder)
    names = without_repeats([clean(name) for name in examples.classes])
    alike = [name for name, count in Counter(names).items() if count > 1]
    if alike:
        raise ExamplesError(f'{folder}: has several folders whose names are both read as "{alike[0]}"; rename one')
    return replace(examples, classes=names)


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


def split_examples(folder: Path, examples: Examples, hashes: list[int], recipe: Recipe) -> folds.Split:
    """Which examples are held out together. Raises ExamplesError where --group does not fit them."""
    below = folder.absolute()
    paths = [
        Path(*one.path.relative_to(below).parts[1:]) if one.path.is_relative_to(below) else one.path
        for one in examples.pictures
    ]
    labels = np.array([one.label for one in examples.pictures])
    return folds.split(paths, labels, np.array(hashes, np.uint64), recipe.group, recipe.seed, folder)


def make_card(examples: Examples, hashes: list[str], found: Validation) -> dict[str, Any]:
    """What a sorter's card says of its pictures, its making and its worth."""
    return {
        "made": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "classes": list(examples.classes),
        "pictures": examples.counts(),
        "data": folders.fingerprint(examples, hashes),
        "versions": _versions("modelsheet", "numpy", "scikit-learn", "ai-edge-litert"),
        "scores": found.card_scores(),
        "thresholds": {
            "error": found.promise.error,
            "coverage": found.promise.coverage,
            "classes": dict(zip(examples.classes, found.promise.thresholds, strict=True)),
        },
    }


def write_sorter(
    to: Path, files: Mapping[str, bytes], classes: tuple[str, ...], card: dict[str, Any], found: Validation
) -> None:
    """Write the files of a sorter, the card last, and read them back. Raises LibraryError where it cannot."""
    import tomli_w

    page = write_page(to.name, card, found).encode(errors="replace")  # names of unreadable files may be no text
    texts = {
        "labels.txt": format_labels(classes).encode(),
        "report.html": page,
        "card.toml": tomli_w.dumps(card).encode(),
    }
    try:
        write(to / "card.toml", f"{UNFINISHED} = true\n".encode())  # until the last file is in its place
        for name, data in {**files, **texts}.items():
            write(to / name, data)
    except OSError as error:
        raise LibraryError(f"{to}: cannot be written: {error.strerror}; choose a folder of your own") from None
    check_folder(to, classes, card)


def _mirror(folder: Path, classes: tuple[str, ...], recipe: Recipe) -> Mapping[str, str]:
    if not recipe.copies:
        return {}
    if recipe.mirror is None:
        return mirror_pairs(classes)
    for name in (*recipe.mirror, *recipe.mirror.values()):
        if name not in classes:
            raise ExamplesError(f'{folder}: has no class "{name}" to mirror{nearest(name, classes)}')
    for name, other in recipe.mirror.items():
        if recipe.mirror.get(other) != name:
            raise ExamplesError(f'{folder}: "{name}" mirrors into "{other}", but not "{other}" into "{name}" alone')
    return recipe.mirror


def _swap(classes: tuple[str, ...], mirror: Mapping[str, str]) -> NDArray[np.int64]:
    return np.array([classes.index(mirror.get(name, name)) for name in classes])


def _choose(
    features: list[Features],
    labels: NDArray[np.int64],
    classes: tuple[str, ...],
    mirror: Mapping[str, str],
    split: folds.Split,
    run: Backbone,
    recipe: Recipe,
) -> Choice:
    grid, average = map_shapes(run)
    shapes: dict[Kind, tuple[int, ...]] = {"grid": grid, "average": average}
    inputs = parted(features, average[2])
    wanted = ("average", "grid") if recipe.features == "auto" else (recipe.features,)
    inputs = {kind: numbers[: 1 + recipe.copies] for kind, numbers in inputs.items() if kind in wanted}
    heads = ("linear", "dense") if recipe.head == "auto" else (recipe.head,)
    return choose(inputs, labels, _swap(classes, mirror), split.folds, shapes, recipe.seed, heads)


def _validation(
    examples: Examples,
    labels: NDArray[np.int64],
    choice: Choice,
    mirror: Mapping[str, str],
    split: folds.Split,
    recipe: Recipe,
) -> Validation:
    """What the chosen head answers on pictures it was not fitted on, as `sorter sort` will ask it."""
    views = calibrate.probabilities(choice.held_out.logits, choice.temperature)
    scores, agree = views[0], np.ones(len(labels), bool)
    if mirror:
        swap = choice.held_out.swap
        scores = mean_of_views(views[0], views[1], swap)
        agree = views[0].argmax(axis=1) == swap[views[1].argmax(axis=1)]
    return Validation(
        classes=examples.classes,
        paths=tuple(one.path for one in examples.pictures),
        truth=labels,
        scores=scores,
        agree=agree,
        accuracy=tuple(choice.held_out.accuracy),
        mirrored=bool(mirror),
        split=split,
        promise=calibrate.promise(scores, labels, agree, recipe.error),
        chosen=str(choice.candidate),
        tried=tuple((str(one), tuple(shares)) for one, shares in choice.tried),
        unreadable=examples.unreadable,
    )


def _held_out(found: Validation, hashes: list[str]) -> tuple[dict[str, Any], ...]:
    names = found.classes
    return tuple(
        {"sha256": sha256, "class": names[truth], "taken_for": names[guess], "score": round(float(scores[guess]), 4)}
        for sha256, truth, guess, scores in zip(hashes, found.truth, found.guessed, found.scores, strict=True)
    )


def _versions(*packages: str) -> dict[str, str]:
    found = {}
    for name in packages:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
