"""How many heads are whole in the square that a trainer gets: middle, built-in locator, locators by 25 and 50 boxes.

    python -m tests.bench.framing [STILLS]

STILLS: a checkout of github.com/visual-layer/cartoons-dataset, of whose film stills 176 heads were labelled by hand
(tests/bench/heads). Without it, 20 film frames of ../shared/data and the sample franchise alone. Every square is the
largest there is within a picture's bars; boxes are those of pictures of other scenes than the ones that are judged.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from random import Random
from typing import NamedTuple

import numpy as np

from sorter.classify.ask import Questions, Seen
from sorter.classify.askers import Asker, askers
from sorter.classify.overlays import Bars
from sorter.commands.fit_boxes import fit_boxes
from sorter.dataset.croppers import Cropper, croppers, framed
from sorter.dataset.overlays import Clear
from sorter.fit.folds import scenes
from sorter.fit.locator import calibration, is_hit
from sorter.pictures import images
from sorter.pictures.hashing import perceptual_hash
from sorter.records import Box, Verdict
from tests.bench.data import folder

HEADS = Path(__file__).parent / "heads"
TIMES = 3
"""How often boxes are drawn by lot."""
SAMPLE = 100
"""Pictures of the sample franchise."""


class Labelled(NamedTuple):
    """A picture and the true box of its head in pixels."""

    path: Path
    head: Box


class Found(NamedTuple):
    """What the askers said of it."""

    one: Labelled
    verdict: Verdict
    clear: Clear


def main() -> None:
    """Print the shares."""
    stills = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    sets = {"film frames": labelled("bunny_frames", folder("frames"))}
    if stills:
        sets["film stills"] = labelled("film_stills", stills)
    every: list[Found] = []
    for name, pictures in sets.items():
        found = looked_at(pictures)
        every += found
        centre, full = croppers.build("centre"), croppers.build("subject", shot="full", sure=0)
        print(f"{name}, {len(pictures)} heads: whole in the middle square {share(found, centre):.3f}, "
              f"by the built-in locator {share(found, full):.3f} (bar 0.90)")  # fmt: skip
    sure(every)
    if stills:
        for count, bar in ((25, ""), (50, " (bar 0.94, goal 0.97)")):
            print(f"film stills, by {count} boxes: {by_boxes(sets['film stills'], count):.3f}{bar}")
    sample()


def labelled(name: str, where: Path) -> list[Labelled]:
    """The labelled pictures of a set."""
    boxes = json.loads((HEADS / f"{name}.json").read_text(encoding="utf-8"))
    return [Labelled(where / file, Box(*sides)) for file, sides in sorted(boxes.items())]


def looked_at(pictures: Iterable[Labelled], model: Path | None = None) -> list[Found]:
    """Ask a locator, and where the bars are."""
    options = {} if model is None else {"model": str(model)}
    asked: dict[str, Asker] = {"head": askers.build("locator", **options), "bars": Bars()}
    questions = Questions({}, others=asked)
    found = []
    for one in pictures:
        seen = questions(one.path)
        assert isinstance(seen, Seen), seen
        window = json.loads(seen.labels[1].name)["window"]
        verdict = Verdict(seen.picture, (), answers=(seen.labels[0],))
        found.append(Found(one, verdict, Clear(window and Box(*window))))
    return found


def share(found: list[Found], cropper: Cropper) -> float:
    """The share of heads that are whole in what the cropper makes."""
    return float(np.mean([is_whole(one, cropper) for one in found]))


def is_whole(found: Found, cropper: Cropper) -> bool:
    """Whether all of the head that is within the picture's bars is on the square."""
    crop = framed(found.verdict.picture, found.verdict, cropper, found.clear).rendered.crop
    window = found.clear.window or Box(0, 0, found.verdict.picture.width, found.verdict.picture.height)
    head = found.one.head.seen_from(window)
    assert crop is not None and head is not None
    inside = head.seen_from(crop)
    return inside is not None and inside.size == head.size


def sure(found: list[Found]) -> None:
    """How often the built-in locator is right where it is more or less sure, and what its calibration should be."""
    boxes = [(one.verdict.box("head"), one.one.head) for one in found]
    hits = np.array([box is not None and is_hit(box.sides, true.sides) for box, true in boxes])
    scores = np.array([one.verdict.score("head") for one in found])
    logits = np.log(scores / (1 - scores))
    print(f"the built-in locator's box is right in {hits.mean():.2f}; where its score is 0.5 or more, in "
          f"{hits[scores >= 0.5].mean() if (scores >= 0.5).any() else 0:.2f} of {(scores >= 0.5).sum()}; "
          "calibration on these: slope {:.2f}, constant {:.2f}".format(*calibration(logits, hits)))  # fmt: skip


def by_boxes(pictures: list[Labelled], count: int) -> float:
    """The share of whole heads in pictures of other scenes than the `count` that a locator was fitted on."""
    hashes = np.array([_hash(one.path) for one in pictures], np.uint64)
    groups = scenes([one.path for one in pictures], hashes)
    shares = []
    for seed in range(TIMES):
        order = Random(seed).sample(sorted(set(groups.tolist())), len(set(groups.tolist())))
        drawn: set[int] = set()
        for group in order:
            drawn |= {place for place in range(len(pictures)) if groups[place] == group and len(drawn) < count}
        taken = {groups[place] for place in drawn}
        rest = [one for place, one in enumerate(pictures) if groups[place] not in taken]
        with tempfile.TemporaryDirectory() as place:
            boxes = {pictures[one].path.name: pictures[one].head.sides for one in sorted(drawn)}
            Path(place, "boxes.json").write_text(json.dumps(boxes), encoding="utf-8")
            fit_boxes(pictures[0].path.parent, Path(place, "boxes.json"), Path(place, "head"))
            found = looked_at(rest, Path(place, "head"))
        shares.append(share(found, croppers.build("subject", shot="full", sure=0)))
    return float(np.mean(shares))


def _hash(path: Path) -> int:
    data = path.read_bytes()
    with images.opened(data) as image:
        return perceptual_hash(images.fit_view(images.load_small(data, image, 64), 64))


def sample() -> None:
    """The sample franchise, whose truth is known: whole heads, and how large, in close shots."""
    sys.path.insert(0, str(Path(__file__).parents[2] / "samples"))
    from drawing.scene import draw_shot_with_head
    from lantern_bay import heap

    with tempfile.TemporaryDirectory() as place:
        pictures = []
        for number, frame in enumerate([one for one in heap(7) if not one.blurry][:SAMPLE]):
            picture, head = draw_shot_with_head(frame.shot, (1280, 720), Random(frame.seed))
            path = Path(place, f"{number}.jpg")
            picture.save(path, quality=90)
            sides = [min(max(round(side), 0), most) for side, most in zip(head, (1280, 720) * 2, strict=True)]
            pictures.append(Labelled(path, Box(*sides)))
        found = looked_at(pictures)
    centre = croppers.build("centre", size=512)
    print(f"sample, {len(found)} heads: whole in the middle square {share(found, centre):.3f}")
    for heads in (1.8, 1.3):
        close = croppers.build("subject", shot="close", sure=0, enlarge=True, close=heads)
        times = [720 / crop.size[0] for one in found if (crop := close(one.verdict.picture, one.verdict).crop)]
        said = f"  close shot of {heads} heads: whole {share(found, close):.3f} (bar 0.98)"
        print(f"{said}, {np.median(times):.2f} times as large as by centre (bar 3)")
    tall = np.array([one.one.head.size[1] / 720 for one in found])
    too_tall = f"three times as large, {np.mean(tall > 1 / 3):.0%} of them would not fit"
    print(f"  heads are {np.median(tall):.0%} of the picture's height: {too_tall}")


if __name__ == "__main__":
    main()
