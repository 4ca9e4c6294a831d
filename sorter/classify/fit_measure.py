"""Class folders -> the sharpness measure, weighed by the user's own sharp and blurry pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sorter.classify import examples as folders
from sorter.classify import images
from sorter.classify.fit import Fitted, Track, make_card, make_scores, usable, write_sorter
from sorter.classify.measures import edge_ratios
from sorter.classify.predict import in_step
from sorter.errors import ExamplesError, PictureError
from sorter.records import Unreadable

STRENGTH = 100
"""C of scikit-learn's LogisticRegression: two numbers a picture hardly need to be held back."""


@dataclass(frozen=True, eq=False)
class _Edges:
    sha256: str
    ratios: NDArray[np.float64]


def fit_sharpness(folder: Path, to: Path, track: Track) -> Fitted:
    """Fit the measure to two class folders; the one with softer edges is the blurry one. Raises as `fit` does."""
    from sklearn.linear_model import LogisticRegression

    examples = folders.find_examples(folder)
    if len(examples.classes) != 2:
        found = ", ".join(examples.classes)
        raise ExamplesError(f"{folder}: sharpness has two classes, such as blurry and sharp; found {found}")
    paths = [example.path for example in examples.pictures]
    examples, edges = usable(folder, examples, list(track(in_step(_edges, paths), "measuring examples", len(paths))))
    ratios, labels = np.stack([one.ratios for one in edges]), np.array([one.label for one in examples.pictures])
    sharp = int(ratios[labels == 1].mean() >= ratios[labels == 0].mean())
    training, validation = folders.split(labels.tolist(), 0.15, 0)
    model = LogisticRegression(C=STRENGTH, class_weight="balanced").fit(ratios[training], labels[training] == sharp)
    guessed = np.where(model.predict(ratios[validation]), sharp, 1 - sharp)
    card = make_card(examples, [one.sha256 for one in edges])
    card["scores"] = make_scores(labels[validation], guessed, examples.classes)
    order = (examples.classes[1 - sharp], examples.classes[sharp])
    card["measure"] = {"use": "sharpness", "classes": list(order), **_weights(model)}
    write_sorter(to, None, order, card)
    return Fitted(card, examples.unreadable)


def _weights(model: Any) -> dict[str, float]:
    worse, better = model.coef_[0]
    return {"worse": float(worse), "better": float(better), "bias": float(model.intercept_[0])}


def _edges(path: Path) -> _Edges | Unreadable:
    try:
        picture, image = images.read_picture(path, path.read_bytes())
        return _Edges(picture.sha256, np.array(edge_ratios(images.load_grey(image))))
    except PictureError as found:
        return Unreadable(path, str(found))
    except OSError as found:
        return Unreadable(path, f"cannot be read: {found.strerror}")
