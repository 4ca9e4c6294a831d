"""Which pictures to ask a person about, so that few answers teach a sorter much. Pure, but for what scikit-learn needs.

Measured on two franchises: before there are answers, the pictures nearest to the centres of k-means over a backbone's
features; afterwards those whose two likeliest classes are closest together, spread over the features, so that they are
not all of one kind. Farthest-point choices picked outliers and title cards.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

STRENGTH = 1.0
"""Of the regularisation of the quick head, where features have a mean square of 1."""
WIDER = 8
"""Times as many uncertain pictures as are wanted, among which spread decides."""
MOST = 4000
"""Pictures that are chosen among, at most; of more, so many by chance."""


def choose(
    features: Floats, known: Mapping[int, str], count: int, weights: Floats | None = None, seed: int = 0
) -> list[int]:
    """The places of `count` pictures that would teach most, the most telling first; none of those in `known`.

    `features`: (n, numbers); `known`: place -> class, of the pictures that are answered. `weights`: (n,) how many
    pictures each stands for.
    """
    open_ = np.array([place for place in range(len(features)) if place not in known], np.int64)
    if len(open_) > MOST:
        open_ = np.sort(np.random.default_rng(seed).choice(open_, MOST, replace=False))
    if len(open_) <= count:
        return [int(place) for place in open_]
    normal = _normal(features)
    weights = np.ones(len(features), np.float32) if weights is None else weights
    if len(set(known.values())) < 2:
        return [int(open_[place]) for place in nearest_to_centres(normal[open_], count, weights[open_], seed)]
    margin = margins(normal, known)[open_]
    unsure = np.argsort(margin, kind="stable")[: WIDER * count]
    spread = nearest_to_centres(normal[open_[unsure]], count, 1 - margin[unsure], seed)
    return [int(open_[unsure[place]]) for place in sorted(spread, key=lambda place: float(margin[unsure[place]]))]


def nearest_to_centres(features: Floats, count: int, weights: Floats, seed: int = 0) -> list[int]:
    """The places of the pictures nearest to `count` centres of k-means, those of the largest clusters first."""
    from sklearn.cluster import KMeans

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there are fewer distinct pictures than clusters
        found = KMeans(count, n_init=1, random_state=seed).fit(features, sample_weight=np.maximum(weights, 1e-3))
    distances = ((features - found.cluster_centers_[found.labels_]) ** 2).sum(axis=1)
    order = np.lexsort((distances, found.labels_))
    firsts = order[np.concatenate([[True], np.diff(found.labels_[order]) > 0])]
    sizes = np.bincount(found.labels_, minlength=count)
    return [int(place) for place in sorted(firsts, key=lambda place: -sizes[found.labels_[place]])]


def margins(features: Floats, known: Mapping[int, str]) -> Floats:
    """(n,) by how much the likeliest class of each picture is likelier than the second, 0..1, as a linear head says
    that is fitted on the known ones (least squares on one-hot answers, each class weighing alike)."""
    classes = sorted(set(known.values()))
    places = np.array(sorted(known), np.int64)
    labels = np.array([classes.index(known[int(place)]) for place in places])
    weights = 1 / np.bincount(labels)[labels]
    mean = np.average(features[places], axis=0, weights=weights)
    centred = features - mean
    answers = np.eye(len(classes), dtype=np.float32)[labels] - 1 / len(classes)
    rows = centred[places] * np.sqrt(weights)[:, None]
    gram = rows @ rows.T + STRENGTH * np.eye(len(places), dtype=np.float32)
    scores = centred @ (rows.T @ np.linalg.solve(gram, answers * np.sqrt(weights)[:, None]))
    best = np.sort(scores, axis=1)
    return np.asarray(np.clip(best[:, -1] - best[:, -2], 0, 1), np.float32)


def _normal(features: Floats) -> Floats:
    """Centred, with a mean square of 1 a picture."""
    centred = features - features.mean(axis=0)
    return np.asarray(centred / max(1e-9, float(np.sqrt((centred**2).sum(axis=1).mean()))), np.float32)
