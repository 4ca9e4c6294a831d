"""How many answers a sorter needs until it is right on 90 % and 95 % of the rest: chosen as on the page, or by chance.

    python -m tests.bench.teaching

The truth answers instead of a person. A frame is asked about, answered, and with it those that are near-identical, as
on the page; after every 20 answers the next are chosen. Judged by the product's own fit (which head and how strongly
regularised is cross-validated each time) after every 5 answers, on the pictures that are not answered; for the
portraits, on people of whom none is. A number counts once the next judgement is as good.
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from sorter.commands.choose import choose_among
from sorter.fit import folds
from sorter.fit.backbones import AUTO, find_backbone, map_places
from sorter.fit.features import Features, features_of, parted
from sorter.fit.heads import choose
from sorter.fit.solvers import Space, Task, fit_linear
from sorter.networks.labels import mirror_pairs
from sorter.networks.run import Backbone, shapes
from tests.bench import data
from tests.bench.cmu_faces import truth

SHARES = (0.9, 0.95)
STEP, BATCH = 5, 20
MOST = 200
HEAPS = (7, 8, 9)
CHANCES = 3
"""Draws by chance of each heap."""
PARTS = 5
"""Into which the people are divided; one is judged, and of the others it is learnt."""
AXES = ("character", "pose", "expression", "direction")

Asked = Sequence[tuple[str, tuple[str, ...]]]
"""Pictures to ask about, each with those that are answered with it."""
Ask = Callable[["Pool", Mapping[str, str], int], Asked]


@dataclass(frozen=True, eq=False)
class Pool:
    """Pictures by hash, in an order, with what they show."""

    axis: str
    features: dict[str, Features]
    classes: dict[str, str]
    judged: frozenset[str] | None
    """Those that are judged; None: all that are not answered."""
    shapes: tuple[tuple[int, ...], tuple[int, ...]]
    """Of the backbone's maps: of the one whose cells are read, and of the one whose means are."""

    @property
    def means(self) -> int:
        """How many of the features are means."""
        return self.shapes[1][2]

    @property
    def asked(self) -> list[str]:
        """Those that may be asked about."""
        return [one for one in self.features if self.judged is None or one not in self.judged]


def main() -> None:
    """Print one table."""
    print(f"{'axis':22} {'until':>5} {'chosen':>7} {'chance':>7}  chosen / chance (bar: at most 0.67)")
    for name, pools in (*sample(), *faces()):
        chosen = [learn(pool, by_choice, 0) for pool in pools]
        chance = [learn(pool, by_chance, seed) for pool in pools for seed in range(CHANCES)]
        for share in SHARES:
            ours, theirs = (median(reached(curve, share) for curve in some) for some in (chosen, chance))
            ratio = f"{ours / theirs:.2f}" if theirs < np.inf else f"below {ours / MOST:.2f}"
            print(f"{name:22} {share:5.0%} {ours:7.0f} {theirs:7.0f}  {ratio}", flush=True)


def learn(pool: Pool, ask: Ask, seed: int) -> dict[int, float]:
    """Answers asked for -> the share that is right then."""
    known: dict[str, str] = {}
    curve: dict[int, float] = {}
    asked = 0
    while asked < MOST:
        some = ask(pool, known, seed)
        if not some:
            break
        for sha256, alike in some:
            known |= dict.fromkeys((sha256, *alike), pool.classes[sha256])
            asked += 1
            if asked % STEP == 0:
                curve[asked] = judge(pool, known)
        if [share >= SHARES[-1] for share in curve.values()][-2:] == [True, True]:
            break
    return curve


def by_choice(pool: Pool, known: Mapping[str, str], seed: int) -> Asked:
    """As the page asks."""
    some = [(sha256, pool.features[sha256]) for sha256 in pool.asked]
    return [(one.sha256, one.alike) for one in choose_among(some, known, BATCH, pool.means)]


def by_chance(pool: Pool, known: Mapping[str, str], seed: int) -> Asked:
    """One picture after the other."""
    order = np.random.default_rng(seed).permutation(pool.asked)
    return [(str(one), ()) for one in order if one not in known][:BATCH]


def reached(curve: Mapping[int, float], share: float) -> float:
    """The first number of answers at which it is as good, and at the next too."""
    both = zip(curve.items(), [*curve.items(), (0, 1.0)][1:], strict=True)
    return next((asked for (asked, one), (_, two) in both if min(one, two) >= share), np.inf)


def judge(pool: Pool, known: Mapping[str, str]) -> float:
    """The share of the rest that a sorter fitted on the known ones answers rightly."""
    counts = {name: list(known.values()).count(name) for name in sorted(set(known.values()))}
    names = tuple(name for name, count in counts.items() if count > 1)
    if len(names) < 2:
        return 0.0
    given = [sha256 for sha256, name in known.items() if name in names]
    labels = np.array([names.index(known[sha256]) for sha256 in given])
    rest = [one for one in (pool.judged or pool.features) if one not in known]
    found = parted([pool.features[one] for one in (*given, *rest)], pool.means)
    pairs = mirror_pairs(names)
    swap = np.array([names.index(pairs.get(name, name)) for name in names])
    hashes = np.array([pool.features[one].perceptual_hash for one in given], np.uint64)
    split = folds.split([Path(one) for one in given], labels, hashes, folds.NONE, 0, Path())
    inputs = {kind: numbers[:, : len(given)] for kind, numbers in found.items()}
    maps: dict[Any, tuple[int, ...]] = {"grid": pool.shapes[0], "average": pool.shapes[1]}
    best = choose(inputs, labels, swap, split.folds, maps, heads=("linear",)).candidate
    return share_right(found[best.kind], labels, swap, best.strength, [pool.classes[one] for one in rest], names)


def share_right(
    views: np.ndarray, labels: np.ndarray, swap: np.ndarray, strength: float, rest: Sequence[str], names: Sequence[str]
) -> float:
    """Fit on the first pictures, ask about the rest, the two views together."""
    task = Task(np.concatenate([labels, swap[labels]]), np.zeros(2 * len(labels), np.int64), len(names))
    space = Space(np.concatenate(views[:, : len(labels)]), task.weights)
    ((kernel, bias),) = fit_linear(space, task, strength)
    plain, mirrored = (view[len(labels) :] @ kernel + bias for view in views)
    said = (plain + mirrored[:, swap]).argmax(axis=1)
    return float(np.mean([names[one] == name for one, name in zip(said, rest, strict=True)]))


def sample() -> Iterator[tuple[str, list[Pool]]]:
    """The sample franchise's frames, as they come in."""
    sys.path.insert(0, str(Path(__file__).parents[2] / "samples"))
    from franchise import encode
    from lantern_bay import heap

    heaps = []
    for seed in HEAPS:
        frames = heap(seed)
        heaps.append(look({encode(frame): frame.labels for frame in frames}))
    for axis in AXES:
        yield (
            f"sample, {axis}",
            [
                Pool(axis, found, {sha256: labels[axis] for sha256, labels in truths.items()}, None, maps)
                for found, truths, maps in heaps
            ],
        )


def faces() -> Iterator[tuple[str, list[Pool]]]:
    """Portraits, judged on people that nobody was asked about."""
    people = sorted(path for path in data.folder("cmu_faces").iterdir() if path.is_dir())
    pictures = {path: path.read_bytes() for person in people for path in sorted(person.glob("*.png"))}
    found, truths, maps = look({content: truth(path) for path, content in pictures.items()})
    who = {hashlib.sha256(content).hexdigest(): path.parent for path, content in pictures.items()}
    for axis in ("direction", "eyes"):
        pools = []
        for part in range(PARTS):
            judged = frozenset(sha256 for sha256, person in who.items() if person in people[part::PARTS])
            classes = {sha256: labels[axis] for sha256, labels in truths.items()}
            pools.append(Pool(axis, found, classes, judged, maps))
        yield f"unseen people, {axis}", pools


def look(pictures: Mapping[bytes, dict[str, str]]) -> tuple[dict[str, Features], dict[str, dict[str, str]], Any]:
    """Hash -> features, hash -> labels, and the shapes of the backbone's maps."""
    with tempfile.TemporaryDirectory() as name:
        paths = []
        for number, content in enumerate(pictures):
            paths.append(Path(name) / f"{number:05d}.png")
            paths[-1].write_bytes(content)
        _, graph = find_backbone(AUTO, Path(name))
        run = Backbone(graph.key(), graph, map_places(graph))
        found = features_of(paths, run, lambda some, *_: some)
    good = [one for one in found if isinstance(one, Features)]
    return (
        {one.sha256: one for one in good},
        dict(zip((one.sha256 for one in good), pictures.values(), strict=True)),
        shapes(run),
    )


if __name__ == "__main__":
    main()
