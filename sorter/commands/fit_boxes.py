"""`sorter fit --boxes`: boxes that somebody drew -> a locator's folder."""

from __future__ import annotations

import datetime
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sorter.classify.locate import FILE, Part, read_head, squared, write_head
from sorter.errors import ExamplesError, LibraryError, PictureError
from sorter.files import Found, read_file, write
from sorter.fit import locator
from sorter.fit.boxes import Drawn, by_picture, of_class, read_boxes
from sorter.fit.folds import scenes
from sorter.fit.locator import Boxed, Sides, Tried, fit_head
from sorter.fit.locator_report import write_page
from sorter.library.originals import places
from sorter.library.store.manifest import Manifest
from sorter.networks.load import UNFINISHED
from sorter.networks.locator import SIZE, Array, cells, network
from sorter.networks.run import Runners
from sorter.pictures import images
from sorter.pictures.hashing import perceptual_hash
from sorter.pictures.scan import walk
from sorter.records import Unreadable
from sorter.tally import Track, silent
from sorter.threads import in_step

LEAST, ENOUGH = 5, 25
"""Pictures with a box: fewer are refused; of fewer, more are asked for."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A picture with its boxes, looked at."""

    path: Path
    sha256: str
    perceptual_hash: int
    views: tuple[Array, ...]
    boxes: tuple[Sides, ...]
    """In shares of `part`, the largest first."""
    part: Part
    """What was looked at of the picture."""


@dataclass(frozen=True, slots=True)
class FittedLocator:
    """What came of it."""

    card: dict[str, Any]
    said: tuple[str, ...]
    """What matters of it, in sentences."""
    failures: tuple[Unreadable, ...]


@dataclass(frozen=True, eq=False)
class _Look:
    """Called with a picture and its boxes, from several threads."""

    runners: Runners = field(default_factory=Runners)

    def __call__(self, task: tuple[Path, list[Drawn]]) -> Seen | Unreadable:
        path, boxes = task
        try:
            data = read_file(path)
            with images.opened(data) as image:
                picture = images.described(path, "", image)
                view, part = squared(images.load_small(data, image, at_least=SIZE * 3 // 2))
            size = picture.width, picture.height
            drawn = sorted((_shares(one, size) for one in boxes), key=lambda box: (box[0] - box[2]) * (box[3] - box[1]))
            sides = [side for box in drawn if (side := part.shares(*box)) and side[0] < side[2] and side[1] < side[3]]
            if not sides:
                raise PictureError("its box lies in a black bar; draw it again")
            both = view, np.ascontiguousarray(view[:, ::-1])
            views = tuple(cells(self.runners.maps(network(), one)) for one in both)
        except PictureError as found:
            return Unreadable(path, str(found))
        except OSError as found:
            return Unreadable(path, f"cannot be read: {found.strerror}")
        return Seen(path, hashlib.sha256(data).hexdigest(), perceptual_hash(view), views, tuple(sides), part)


def fit_boxes(
    pictures: Path, boxes: Path, to: Path, kind: str | None = None, track: Track[Any] = silent
) -> FittedLocator:
    """Learn where heads are from `boxes`, a file or folder as `read_boxes` takes it, drawn on pictures below
    `pictures`; write locator.npz, card.toml and report.html to `to`.

    `kind`: the class of the boxes that are wanted. Of several boxes on a picture, the largest is the subject's. Raises
    ExamplesError, MissingExtra, LibraryError.
    """
    wanted = of_class(read_boxes(boxes), kind, boxes)
    files = [one.path for one in walk(pictures) if isinstance(one, Found)]
    there, missing = by_picture(wanted, pictures.absolute(), files)
    failures = [Unreadable(pictures / name, "is not there, or there twice") for name in missing]
    return _fit(there, failures, boxes, to, track)


def fit_drawn(library: Path, asker: str, to: Path, track: Track[Any] = silent) -> FittedLocator:
    """The same from the boxes that a person drew on the page, in the place of an asker of the scheme's [ask]."""
    there: dict[Path, list[Drawn]] = {}
    with Manifest(library, dry_run=True) as manifest:
        for sha256, said in manifest.answers_on(asker).items():
            sides = json.loads(said)
            path = next((path for path in places(manifest, sha256) if path.exists()), None)
            if sides and path is not None:
                there[path.absolute()] = [Drawn(path.name, "", **sides)]
    return _fit(there, [], library, to, track)


def _fit(
    there: dict[Path, list[Drawn]], failures: list[Unreadable], boxes: Path, to: Path, track: Track[Any]
) -> FittedLocator:
    if not network().is_compiled():
        for one in track([network()], "converting the backbone, once on this machine", 1):
            one.compiled()
    seen: list[Seen] = []
    for found in track(in_step(_Look(), sorted(there.items())), "looking", len(there)):
        if isinstance(found, Unreadable):
            failures.append(found)
        else:
            seen.append(found)
    if len(seen) < LEAST:
        raise ExamplesError(
            f"{boxes}: has boxes on {len(seen)} of these pictures; at least {LEAST} are needed, better {ENOUGH}"
            + (f"; {failures[0].path}: {failures[0].reason}" if failures else "")
        )
    return _fitted(seen, failures, boxes, to)


def _fitted(seen: list[Seen], failures: list[Unreadable], boxes: Path, to: Path) -> FittedLocator:
    groups = scenes([one.path for one in seen], np.array([one.perceptual_hash for one in seen], np.uint64))
    examples = [
        Boxed(one.views, one.boxes[0], int(group), one.boxes[1:]) for one, group in zip(seen, groups, strict=True)
    ]
    head, tried = fit_head(examples)
    said = _in_short(len(seen), len(set(groups.tolist())), tried)
    card: dict[str, Any] = {
        "made": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "locator": {"pictures": len(seen), "scenes": len(set(groups.tolist()))},
        "backbone": {"name": "efficientnet-lite0", "sha256": network().key},
        "data": hashlib.sha256("\n".join(sorted(one.sha256 for one in seen)).encode()).hexdigest(),
    }
    if tried is not None:
        overlap = locator.overlap_mean(tried.found, examples)
        card["scores"] = {"found": round(float(tried.hits.mean()), 4), "overlap": round(overlap, 4)}
    looked = [(one.path, one.part) for one in seen]
    _write(to, write_head(head), card, write_page(to.name, said, looked, examples, tried, failures))
    return FittedLocator(card, tuple(said), tuple(failures))


def _in_short(pictures: int, groups: int, tried: Tried | None) -> list[str]:
    if tried is None:
        return [f"Fitted on {pictures} pictures, all of one scene: how good it is cannot be told; draw more boxes."]
    right = int(tried.hits.sum())
    said = [f"The head was found in {right} of {pictures} pictures of {groups} scenes that it was not fitted on."]
    if pictures < ENOUGH:
        said.append(f"Draw more: {ENOUGH} boxes of different scenes do well, 50 better.")
    return said


def _shares(one: Drawn, size: tuple[int, int]) -> Sides:
    """The box in shares of the picture. Raises PictureError where it does not lie on it."""
    wide, high = one.size or size
    if one.size and one.size != (1, 1) and abs(wide / high - size[0] / size[1]) > 0.01 * wide / high:
        raise PictureError(f"is {size[0]}x{size[1]}, and its boxes are drawn on {wide:.0f}x{high:.0f}; draw them again")
    left, right = (min(max(side / wide, 0.0), 1.0) for side in (one.left, one.right))
    top, bottom = (min(max(side / high, 0.0), 1.0) for side in (one.top, one.bottom))
    if right - left < 1e-3 or bottom - top < 1e-3:
        raise PictureError("its box lies beyond the picture; draw it again")
    return left, top, right, bottom


def _write(to: Path, head: bytes, card: dict[str, Any], report: str) -> None:
    """The files, the card last, and the head read back. Raises LibraryError where it cannot."""
    import tomli_w

    try:
        write(to / "card.toml", f"{UNFINISHED} = true\n".encode())  # until the last file is in its place
        write(to / FILE, head)
        write(to / "report.html", report.encode(errors="replace"))
        write(to / "card.toml", tomli_w.dumps(card).encode())
        read_head(read_file(to / FILE), to / FILE)
    except OSError as error:
        raise LibraryError(f"{to}: cannot be written: {error.strerror}; choose a folder of your own") from None
