"""Features -> the small end of a sorter, as plain layers. Two kinds, for two kinds of question.

`average` is the vendor's: Dense(100, relu), Dense(classes, softmax, no bias) on each channel's mean. `sides` adds each
channel's left half less its right half, and is trained on mirrored copies as well, with left and right exchanged: a
mean is nearly blind to mirroring, so no head on it can tell left from right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sorter.classify.backbone import import_keras
from sorter.classify.features import Features
from sorter.classify.graph import Layer
from sorter.classify.head import Array, Head, side_kernel

STRENGTH = 0.01
"""C of scikit-learn's LogisticRegression on standardised features. Of 0.0003 to 0.01, the best on faces of people
never seen (0.947 on four poses) and on the sample franchise (0.975); 0.001 was 1 point below."""

FLATTEST = 1e-4
"""The least deviation that a feature is divided by: of a channel that is always about 0, only the rounding of the
network differs, and would be as loud as any other."""


@dataclass(frozen=True, slots=True)
class Training:
    """How long and how the vendor's head is trained; its own page's defaults."""

    epochs: int = 50
    batch_size: int = 16
    learning_rate: float = 0.001
    units: int = 100
    seed: int = 0


@dataclass(frozen=True, eq=False)
class FittedHead:
    """A head in two parts: from the map to features, and from features to probabilities."""

    kind: str
    pool: tuple[Layer, ...]
    dense: tuple[Layer, ...]

    def __call__(self, features: Sequence[Features], mirrored: bool = False) -> Array:
        """Probabilities (n, classes) of examples, or of their mirror images."""
        return Head(self.dense)(_stack(features, self.kind == "sides", mirrored))


def fit_average(features: Sequence[Features], labels: NDArray[np.int64], classes: int, how: Training) -> FittedHead:
    """The vendor's head, by the vendor's recipe; every random choice comes from the seed."""
    keras = import_keras()
    import tensorflow as tf

    inputs = _stack(features, sides=False)
    starts = [keras.initializers.VarianceScaling(seed=how.seed + number) for number in range(2)]
    hidden = keras.layers.Dense(how.units, activation="relu", kernel_initializer=starts[0])
    last = keras.layers.Dense(classes, activation="softmax", use_bias=False, kernel_initializer=starts[1])
    model = keras.Sequential([keras.Input((inputs.shape[1],)), hidden, last])
    model.compile(keras.optimizers.Adam(how.learning_rate), "categorical_crossentropy")
    data = tf.data.Dataset.from_tensor_slices((inputs, np.eye(classes, dtype=np.float32)[labels]))
    data = data.shuffle(len(inputs), seed=how.seed, reshuffle_each_iteration=True).batch(how.batch_size)
    model.fit(data, epochs=how.epochs, verbose=0)
    dense = (
        Layer("Dense", (), {"units": how.units, "activation": "relu"}, tuple(hidden.get_weights())),
        Layer("Dense", (), {"units": classes, "activation": "softmax", "use_bias": False}, tuple(last.get_weights())),
    )
    return FittedHead("average", (Layer("GlobalAveragePooling2D", (), {}),), dense)


def fit_sides(
    features: Sequence[Features], labels: NDArray[np.int64], classes: int, swap: Mapping[int, int], shape: Sequence[int]
) -> FittedHead:
    """A linear head on means and differences. `swap`: class -> the class of the mirror image; `shape`: of the map."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    inputs = np.concatenate([_stack(features, True), _stack(features, True, mirrored=True)])
    answers = np.concatenate([labels, [swap.get(int(label), int(label)) for label in labels]])
    scaler = StandardScaler().fit(inputs)
    scaler.scale_ = np.maximum(scaler.scale_, FLATTEST)
    model = LogisticRegression(C=STRENGTH, max_iter=1000).fit(scaler.transform(inputs), answers)
    weights, bias = model.coef_, model.intercept_
    if classes == 2:  # scikit-learn keeps one row for two classes; softmax wants both
        weights, bias = np.concatenate([-weights, weights]) / 2, np.concatenate([-bias, bias]) / 2
    kernel = (weights / scaler.scale_).T  # the standardisation is folded in
    bias = bias - scaler.mean_ @ kernel
    height, width, channels = shape
    pool = (
        Layer(
            "DepthwiseConv2D",
            (),
            {"kernel_size": [height, width], "depth_multiplier": 2, "use_bias": False},
            (side_kernel(height, width, channels),),
        ),
        Layer("Flatten", (), {}),
    )
    numbers = np.asarray(kernel, np.float32), np.asarray(bias, np.float32)
    return FittedHead("sides", pool, (Layer("Dense", (), {"units": classes, "activation": "softmax"}, numbers),))


def mirror_pairs(classes: Sequence[str]) -> dict[str, str]:
    """The classes that become each other in a mirror, by their names: "left" and "right", "looking_left" and ...

    Where only one of a pair is among the classes, it is not one.
    """
    plain = {name.casefold(): name for name in classes}
    pairs: dict[str, str] = {}
    for low, name in plain.items():
        other = plain.get(low.replace("left", "right"))
        if "left" in low and other is not None:
            pairs |= {name: other, other: name}
    return pairs


def _stack(features: Sequence[Features], sides: bool, mirrored: bool = False) -> Array:
    found = [one.mirrored if mirrored else one.plain for one in features]
    stack = np.stack([vector for vector in found if vector is not None])
    return stack.reshape(len(stack), -1) if sides else stack[:, :, 0]
