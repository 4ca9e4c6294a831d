"""Pictures x axes -> labels: each file read once, one backbone pass for all axes that share one, threads in step."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from sorter.classify import images
from sorter.classify.backbone import Backbone, Runners
from sorter.classify.model import Asked, Sorter, load_asked
from sorter.errors import PictureError
from sorter.records import Label, Picture, Unreadable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    from sorter.scheme import Scheme

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Seen:
    """A picture and what the sorters said of it."""

    picture: Picture
    labels: tuple[Label, ...]


class Questions:
    """Axes and who answers them; called with a path, it answers."""

    def __init__(self, askers: Mapping[str, Asked]) -> None:
        self.askers = dict(askers)
        self._runners = Runners()

    def sources(self) -> dict[str, str]:
        """Axis -> the hash of who answers it."""
        return {axis: asked.sha256 for axis, asked in self.askers.items()}

    def labels(self) -> dict[str, tuple[str, ...]]:
        """Axis -> the classes that its answers can be."""
        return {axis: asked.labels for axis, asked in self.askers.items()}

    def unprepared(self) -> list[Backbone]:
        """The backbones that must be converted before the first picture is asked about, once on a machine."""
        backbones = {s.backbone.key: s.backbone for s in self.askers.values() if isinstance(s, Sorter)}
        return [backbone for backbone in backbones.values() if not backbone.is_compiled()]

    def __call__(self, path: Path, axes: Collection[str] | None = None) -> Seen | Unreadable:
        """Read one file and answer `axes`, or all. A file that cannot be used is a value, not an exception."""
        try:
            data = path.read_bytes()
            picture, image = images.read_picture(path, data)
            asked = {axis: one for axis, one in self.askers.items() if axes is None or axis in axes}
            return Seen(picture, self._ask(asked, data, image))
        except PictureError as found:
            return Unreadable(path, str(found))
        except OSError as found:
            return Unreadable(path, f"cannot be read: {found.strerror}")

    def _ask(self, askers: Mapping[str, Asked], data: bytes, image: Image) -> tuple[Label, ...]:
        trained = {axis: asked for axis, asked in askers.items() if isinstance(asked, Sorter)}
        scores: dict[str, NDArray[np.float32]] = {}
        if len(trained) < len(askers) or not trained:
            # At full size even where nothing is asked: what cannot be decoded is no picture.
            grey = images.load_grey(image)
            scores = {axis: asked(grey) for axis, asked in askers.items() if not isinstance(asked, Sorter)}
            image = images.open_picture(data)
        if trained:
            scores |= self._ask_networks(image, trained)
        return tuple(_label(axis, asked, scores[axis]) for axis, asked in askers.items())

    def _ask_networks(self, image: Image, trained: Mapping[str, Sorter]) -> dict[str, NDArray[np.float32]]:
        backbones: dict[str, Backbone] = {s.backbone.key: s.backbone for s in trained.values()}
        # Twice the size, so that a JPEG's own coarse scaling is followed by a good one.
        picture = images.load(image, at_least=2 * max(backbone.size for backbone in backbones.values()))
        views = {size: images.fit_view(picture, size) for size in {b.size for b in backbones.values()}}
        maps = {key: self._runners(backbone, views[backbone.size])[None] for key, backbone in backbones.items()}
        return {axis: sorter.head(maps[sorter.backbone.key])[0] for axis, sorter in trained.items()}


def load_questions(scheme: Scheme) -> Questions:
    """Load the sorter or measure of each axis of a scheme. Raises ModelError or OptionsError."""
    from sorter.classify.measures import measure

    askers: dict[str, Asked] = {}
    for name, axis in scheme.axes.items():
        if axis.measure:
            askers[name] = measure(axis.measure, f"[axes.{name}]")
        else:
            askers[name] = load_asked(Path(str(axis.model)))
    return Questions(askers)


def in_step(work: Callable[[T], R], items: Iterable[T], threads: int | None = None) -> Iterator[R]:
    """`map` over threads: results in the order of the items, and only a few items ahead of the reader.

    So memory stays flat however many items there are, and the outcome does not depend on which thread was faster.
    """
    threads = threads or os.cpu_count() or 1
    source = iter(items)
    with ThreadPoolExecutor(threads) as pool:
        ahead: deque[Future[R]] = deque(pool.submit(work, item) for item in islice(source, 4 * threads))
        try:
            while ahead:
                done = ahead.popleft().result()
                ahead.extend(pool.submit(work, item) for item in islice(source, 1))
                yield done
        finally:
            for waiting in ahead:
                waiting.cancel()


def _label(axis: str, asked: Asked, scores: NDArray[np.float32]) -> Label:
    best = int(scores.argmax())
    return Label(axis, asked.labels[best], float(scores[best]), asked.sha256)
