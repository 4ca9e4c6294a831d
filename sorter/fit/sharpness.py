"""Class folders -> the sharpness measure, weighed by the user's own sharp and blurry pictures."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sorter.classify.measures import edge_ratios
from sorter.errors import ExamplesError, PictureError
from sorter.files import read_file
from sorter.fit import calibrate
from sorter.fit.fit import Fitted, Recipe, Track, examples_in, make_card, split_examples, usable, write_sorter
from sorter.fit.report import in_short
from sorter.fit.validation import Validation
from sorter.pictures import images
from sorter.pictures.hashing import perceptual_hash
from sorter.records import Unreadable
from sorter.threads import in_step

STRENGTH = 100
"""C of scikit-learn's LogisticRegression: two numbers a picture hardly need to be held back."""


@dataclass(frozen=True, eq=False)
class _Edges:
    sha256: str
    perceptual_hash: int
    ratios: NDArray[np.float64]


def fit_sharpness(folder: Path, to: Path, recipe: Recipe, track: Track) -> Fitted:
    """Fit the measure to two class folders; the one with softer edges is the blurry one. Raises as `fit` does."""
    examples = examples_in(folder)
    if len(examples.classes) != 2:
        found = ", ".join(examples.classes)
        raise ExamplesError(f"{folder}: sharpness has two classes, such as blurry and sharp; found {found}")
    paths = [example.path for example in examples.pictures]
    examples, edges = usable(folder, examples, list(track(in_step(_edges, paths), "measuring examples", len(paths))))
    ratios, labels = np.stack([one.ratios for one in edges]), np.array([one.label for one in examples.pictures])
    sharp = int(ratios[labels == 1].mean() >= ratios[labels == 0].mean())
    split = split_examples(folder, examples, [one.perceptual_hash for one in edges], recipe)
    scores = np.zeros((len(labels), 2), np.float32)
    for fold in np.unique(split.folds):
        out = split.folds == fold
        if len(np.unique(labels[~out])) == 2:
            held_out = _fit(ratios[~out], labels[~out] == sharp).predict_proba(ratios[out])
            scores[out] = held_out if sharp else held_out[:, ::-1]
        else:
            scores[out] = 0.5  # all of a class lie in one scene: there was nothing to tell them from
    everything = np.ones(len(labels), bool)
    right = float((scores.argmax(axis=1) == labels).mean())
    promise = calibrate.promise(scores, labels, everything, recipe.error)
    validation = Validation(
        examples.classes, tuple(one.path for one in examples.pictures), labels, scores, everything, (right,), False,
        split, promise, unreadable=examples.unreadable,
    )  # fmt: skip
    card = make_card(examples, [one.sha256 for one in edges], validation)
    order = (examples.classes[1 - sharp], examples.classes[sharp])
    card["measure"] = {"use": "sharpness", "classes": list(order), **_weights(_fit(ratios, labels == sharp))}
    write_sorter(to, {}, order, card, validation)
    return Fitted(card, examples.unreadable, tuple(in_short(card, validation)))


def _fit(ratios: NDArray[np.float64], is_sharp: NDArray[np.bool_]) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=STRENGTH, class_weight="balanced").fit(ratios, is_sharp)


def _weights(model: Any) -> dict[str, float]:
    worse, better = model.coef_[0]
    return {"worse": float(worse), "better": float(better), "bias": float(model.intercept_[0])}


def _edges(path: Path) -> _Edges | Unreadable:
    try:
        data = read_file(path)
        with images.opened(data) as image:
            ratios = np.array(edge_ratios(images.load_grey(image)))
            small = images.load_small(data, images.open_picture(data), at_least=64)
        return _Edges(hashlib.sha256(data).hexdigest(), perceptual_hash(images.fit_view(small, 32)), ratios)
    except PictureError as found:
        return Unreadable(path, str(found))
    except OSError as found:
        return Unreadable(path, f"cannot be read: {found.strerror}")
