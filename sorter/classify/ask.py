"""Pictures x axes -> labels: each file read once, one backbone pass for all axes that share one, threads in step.

An axis by which pictures are turned is asked about the picture and about its mirror image, which is a second pass.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from sorter.errors import PictureError
from sorter.files import read_file
from sorter.networks.load import Asked, Sorter, load_asked
from sorter.networks.run import Backbone, Runners, share
from sorter.pictures import images
from sorter.records import Label, Picture, Unreadable

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

    from sorter.scheme import Axis, Scheme

T = TypeVar("T")
R = TypeVar("R")

AHEAD = 32
"""Items that are begun before their turn, beside a few a thread: so many while the reader writes down what it has."""
MOST_KEPT = 1 << 25
"""Bytes that are not given back to the system at once."""
MOST_HELD = 4 << 20
"""Bytes of a file that is passed on with its labels; a larger one is read once more when it is placed."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A picture and what the sorters said of it."""

    picture: Picture
    labels: tuple[Label, ...]
    data: bytes | None = field(default=None, compare=False, repr=False)
    """The file, as it was read just now; None if it is large, or was not read."""
    suffix: str = field(default="", compare=False)
    """The ending with which these bytes may be placed as they are; empty if they may not."""


class Questions:
    """Axes and who answers them; called with a path, it answers."""

    def __init__(
        self, askers: Mapping[str, Asked], mirrors: Mapping[str, tuple[int, ...]] | None = None, exact: bool = False
    ) -> None:
        """`mirrors`: for axes that are asked about the mirror image too, what `mirror_places` says of their classes.

        `exact`: decode pictures at full size and scale them as the vendor does, at several times the cost.
        """
        self.exact = exact
        self.askers, self.mirrors = dict(askers), dict(mirrors or {})
        self._sources = {axis: _source(asked, self.mirrors.get(axis)) for axis, asked in self.askers.items()}
        self._shared = share(asked.backbone for asked in self.askers.values() if isinstance(asked, Sorter))
        self._runners = Runners()

    def sources(self) -> dict[str, str]:
        """Axis -> the hash of who answers it, and of how it is asked."""
        return dict(self._sources)

    def labels(self) -> dict[str, tuple[str, ...]]:
        """Axis -> the classes that its answers can be."""
        return {axis: asked.labels for axis, asked in self.askers.items()}

    def networks(self) -> list[Backbone]:
        """The backbones that are run, each once."""
        return list({(one.key, one.outputs): one for one, _ in self._shared.values()}.values())

    def unprepared(self) -> list[Backbone]:
        """The backbones that must be converted before the first picture is asked about, once on a machine."""
        return [network for network in self.networks() if not network.is_compiled()]

    def network_of(self, axis: str) -> str:
        """The key of the network that is run for an axis: axes with the same one share a pass over each picture."""
        asked = self.askers[axis]
        return self._shared[asked.backbone.key][0].key if isinstance(asked, Sorter) else ""

    def __call__(self, path: Path, axes: Collection[str] | None = None) -> Seen | Unreadable:
        """Read one file and answer `axes`, or all. A file that cannot be used is a value, not an exception."""
        try:
            return self.answer(path, read_file(path), axes)
        except OSError as found:
            return Unreadable(path, f"cannot be read: {found.strerror}")

    def answer(self, path: Path, data: bytes, axes: Collection[str] | None = None) -> Seen | Unreadable:
        """The same of the bytes of a file, wherever they came from."""
        try:
            with images.opened(data) as image:
                picture = images.described(path, data, image)
                asked = {axis: one for axis, one in self.askers.items() if axes is None or axis in axes}
                suffix = images.as_it_is(image)
                return Seen(picture, self._ask(asked, data, image), data if len(data) <= MOST_HELD else None, suffix)
        except PictureError as found:
            return Unreadable(path, str(found))

    def _ask(self, askers: Mapping[str, Asked], data: bytes, image: Image) -> tuple[Label, ...]:
        trained = {axis: asked for axis, asked in askers.items() if isinstance(asked, Sorter)}
        labels: dict[str, Label] = {}
        if len(trained) < len(askers) or not trained:
            # At full size even where nothing is asked: what cannot be decoded is no picture.
            grey = images.load_grey(image)
            for axis, asked in askers.items():
                if not isinstance(asked, Sorter):
                    labels[axis] = one_way(axis, asked.labels, self._sources[axis], asked(grey))
            image = images.open_picture(data)
        if trained:
            labels |= self._ask_networks(data, image, trained)
        return tuple(labels[axis] for axis in askers)

    def _ask_networks(self, data: bytes, image: Image, trained: Mapping[str, Sorter]) -> dict[str, Label]:
        passes = {axis: self._shared[sorter.backbone.key] for axis, sorter in trained.items()}
        sizes = {network.size for network, _ in passes.values()}
        if self.exact:
            views = {size: images.exact_view(images.open_picture(data), size) for size in sizes}
        else:
            # Twice the size, so that a JPEG's own coarse scaling is followed by a good one.
            picture = images.load_small(data, image, at_least=2 * max(sizes))
            views = {size: images.fit_view(picture, size) for size in sizes}
        networks = {network.key: network for network, _ in passes.values()}
        turning = {passes[axis][0].key for axis in trained if axis in self.mirrors}
        maps = {key: self._runners.maps(one, views[one.size]) for key, one in networks.items()}
        turned = {
            key: self._runners.maps(networks[key], np.ascontiguousarray(views[networks[key].size][:, ::-1]))
            for key in turning
        }
        labels = {}
        for axis, sorter in trained.items():
            (network, output), said = passes[axis], (axis, sorter.labels, self._sources[axis])
            scores = sorter.head(maps[network.key][output][None])[0]
            if axis in self.mirrors:
                back = sorter.head(turned[network.key][output][None])[0]
                labels[axis] = both_ways(*said, scores, back, self.mirrors[axis])
            else:
                labels[axis] = one_way(*said, scores)
        return labels


@cache
def keep_memory() -> None:
    """Have freed memory kept for the next picture, where the C library is glibc.

    It would give a picture's megabytes back after each use, and fetch them again, cleared, page by page: a quarter of
    the time of a sort (mallopt(3); both numbers are in its malloc.h).
    """
    import ctypes

    with suppress(OSError, AttributeError, TypeError):  # on Windows and macOS there is no such call
        mallopt, trim_threshold, mmap_threshold = ctypes.CDLL(None).mallopt, -1, -3
        mallopt(trim_threshold, MOST_KEPT)
        mallopt(mmap_threshold, MOST_KEPT)


@cache
def _numpys_threads() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()  # it searches what is loaded: numpy is


def one_way(axis: str, classes: Sequence[str], source: str, scores: NDArray[np.float32]) -> Label:
    """The answer that scores (classes,) give."""
    best = int(scores.argmax())
    return Label(axis, classes[best], float(scores[best]), source)


def both_ways(
    axis: str,
    classes: Sequence[str],
    source: str,
    plain: NDArray[np.float32],
    turned: NDArray[np.float32],
    mirror: Sequence[int],
) -> Label:
    """The answer that the scores of a picture and those of its mirror image give together: their mean.

    `mirror`: as `mirror_places` says. The mirrored picture gets the mirrored answer with the same score. Where the two
    contradict each other, the label says what each looked like, and is a doubt; where two classes are level then,
    either may be taken.
    """
    mean = (plain + turned[list(mirror)]) / 2
    looks, back = int(plain.argmax()), int(turned.argmax())
    if mirror[back] == looks:
        return Label(axis, classes[looks], float(mean[looks]), source)
    best = int(mean.argmax())
    return Label(axis, classes[best], float(mean[best]), source, classes[looks], classes[back])


def mirror_places(axis: Axis, classes: Sequence[str]) -> tuple[int, ...]:
    """For each class the place of the class that it becomes in a mirror; its own, if it stays."""
    places = {name: place for place, name in enumerate(classes)}
    # A mirror class that the sorter does not know is refused by check_classes, once the sorters are loaded.
    return tuple(places.get(axis.mirrored(name), place) for place, name in enumerate(classes))


def load_questions(scheme: Scheme, exact: bool = False) -> Questions:
    """Load the sorter or measure of each axis of a scheme; a sorter's answers that turn pictures are checked.

    Raises ModelError or OptionsError.
    """
    from sorter.classify.measures import measure

    askers: dict[str, Asked] = {}
    mirrors: dict[str, tuple[int, ...]] = {}
    for name, axis in scheme.axes.items():
        if axis.measure:
            askers[name] = measure(axis.measure, f"[axes.{name}]")
        else:
            asked = askers[name] = load_asked(Path(str(axis.model)))
            if axis.canonical and isinstance(asked, Sorter):
                mirrors[name] = mirror_places(axis, asked.labels)
    return Questions(askers, mirrors, exact)


def in_step(
    work: Callable[[T], R],
    items: Iterable[T],
    threads: int | None = None,
    is_light: Callable[[T], bool] = lambda item: False,
) -> Iterator[R]:
    """`map` over threads: results in the order of the items, and only a few items ahead of the reader.

    So memory stays flat however many items there are, and the outcome does not depend on which thread was faster.
    `is_light`: items whose work costs less than a thread's attention; it is done when its turn comes.
    """
    threads = threads or os.cpu_count() or 1
    source = iter(items)
    keep_memory()
    # Each thread's products stay on its core: the others have pictures of their own, and threads of both take turns.
    with ThreadPoolExecutor(threads) as pool, _numpys_threads().limit(limits=1, user_api="blas"):

        def begun(item: T) -> Callable[[], R]:
            return partial(work, item) if is_light(item) else pool.submit(work, item).result

        ahead: deque[Callable[[], R]] = deque(map(begun, islice(source, AHEAD + 4 * threads)))
        try:
            while ahead:
                done = ahead.popleft()()
                ahead.extend(map(begun, islice(source, 1)))
                yield done
        finally:
            pool.shutdown(cancel_futures=True)


def _source(asked: Asked, mirror: tuple[int, ...] | None) -> str:
    """Asked in another way, a sorter gives other answers: what is recorded of the old way does not count."""
    return asked.sha256 if mirror is None else hashlib.sha256(f"{asked.sha256} {mirror}".encode()).hexdigest()
