"""Black bars, subtitles and logos on a library's files: each is looked at once, and the manifest keeps the answer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from sorter.classify.ask import Questions, Seen
from sorter.classify.askers import Asker
from sorter.classify.overlays import Bars, Text
from sorter.commands.chosen import Chosen
from sorter.commands.scan import in_groups
from sorter.dataset.overlays import Looked, Mode, Overlays, find_subtitles, find_windows
from sorter.errors import LibraryError, PictureError
from sorter.files import read_file
from sorter.library.names import read_frame_stem
from sorter.library.store.manifest import Manifest
from sorter.pictures import images
from sorter.pictures.logos import SIDE, find_logos
from sorter.pictures.still_bars import Margins
from sorter.records import Box, Label, Unreadable
from sorter.tally import Track, silent
from sorter.threads import in_step

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WRITE_EVERY = 256
"""Files that are looked at between two writes: the most that a crash makes to be looked at again."""
FEWEST = 20
"""Pictures of one source and size, from which on logos are looked for."""
MOST = 48
"""Of them, that are compared."""
LOGOS = "logos", hashlib.sha256(b"sorter.pictures.logos 1").hexdigest()
"""Question and source of what is kept of a source's logos; the number counts up when others would be found."""


class Standing(NamedTuple):
    """A file of a library that is to be looked at."""

    path: Path
    source: str
    """What it came from: pictures of one source may have the same bars and logos."""
    mirror: bool = False
    """Whether it is the mirror image of what it came from."""


def source_of(path: str) -> str:
    """The source of a picture that was found at this path: its folder, or the video that it is a frame of."""
    place = Path(path)
    frame = read_frame_stem(place.stem)
    return f"{place.parent}/{frame[0] if frame else ''}"


def overlays_on(
    pictures: Iterable[Chosen], library: Manifest, mode: Mode, track: Track[Any] = silent, keep: bool = True
) -> dict[str, Overlays]:
    """What lies over these pictures, by the hashes of their files, so far as `mode` asks for it. See `find_overlays`.

    A picture that cannot be read is not among them: whoever writes it says so.
    """
    if mode == "keep":
        return {}
    files = {
        sha256: Standing(library.root / one.output.path, source_of(verdict.picture.path), one.is_mirrored)
        for verdict, one, sha256 in pictures
    }
    return find_overlays(library, files, mode != "bars", track, keep)[0]


def find_overlays(
    manifest: Manifest, files: Mapping[str, Standing], text: bool, track: Track[Any] = silent, keep: bool = True
) -> tuple[dict[str, Overlays], list[Unreadable]]:
    """What lies over the files, each by its own hash, and those that could not be looked at.

    `text`: subtitles and logos, too. `keep`: write what was found into the library's manifest. `manifest` may be a
    copy of that. Raises MissingExtra.
    """
    asked: dict[str, Asker] = {"bars": Bars()} | ({"text": Text()} if text else {})
    sources = {name: one.sha256() for name, one in asked.items()}
    known = manifest.said(files, sources)
    waiting = [(sha256, [name for name in asked if name not in known.get(sha256, {})]) for sha256 in files]
    failed = _ask(manifest, files, [one for one in waiting if one[1]], Questions({}, others=asked), known, track, keep)
    looked = {sha256: _looked(said) for sha256, said in known.items() if "bars" in said}
    groups: dict[tuple[str, tuple[int, int]], dict[str, Looked]] = {}
    for sha256, one in looked.items():
        file = files[sha256]
        groups.setdefault((file.source, one.size), {})[sha256] = one.mirrored() if file.mirror else one
    found = {}
    for (_, size), group in groups.items():
        windows = find_windows(group)
        standing = {sha256: files[sha256] for sha256 in group}
        logos = _logos(manifest, standing, size, windows, keep) if text else []
        for sha256 in group:
            one, turn = looked[sha256], _turner(files[sha256].mirror, looked[sha256].size[0])
            window = turn(windows[sha256]) if sha256 in windows else None
            lines = find_subtitles(one.text, window or Box(0, 0, *one.size))
            found[sha256] = Overlays(one.size, window, lines, tuple(map(turn, logos)))
    return found, failed


def _turner(mirror: bool, width: int) -> Callable[[Box], Box]:
    return (lambda box: box.mirrored(width)) if mirror else (lambda box: box)


def _ask(
    manifest: Manifest,
    files: Mapping[str, Standing],
    waiting: list[tuple[str, list[str]]],
    questions: Questions,
    known: dict[str, dict[str, str]],
    track: Track[Any],
    keep: bool,
) -> list[Unreadable]:
    """Look at the files that wait, and add to `known` what was found."""
    failed = []
    results = in_step(lambda one: (one[0], questions(files[one[0]].path, one[1])), waiting)
    for group in in_groups(track(results, "looking for overlays", len(waiting)) if waiting else (), WRITE_EVERY):
        right = ((sha256, seen) for sha256, seen in group if isinstance(seen, Seen) and seen.picture.sha256 == sha256)
        fresh = [(sha256, seen.labels) for sha256, seen in right]  # of files that have not changed since
        failed += [seen for _, seen in group if isinstance(seen, Unreadable)]
        for sha256, labels in fresh:
            known.setdefault(sha256, {}).update({label.axis: label.name for label in labels})
        _keep(manifest, fresh, keep)
    return failed


def _keep(manifest: Manifest, labels: Sequence[tuple[str, Sequence[Label]]], keep: bool) -> None:
    """Write answers down, in the copy of the manifest that is at hand and, if wanted, in the library's own."""
    _write(manifest, labels)
    if keep and labels and manifest.is_dry_run:
        # Where the library cannot be written, its pictures are looked at again next time.
        with suppress(LibraryError), Manifest(manifest.root) as own:
            _write(own, labels)


def _write(manifest: Manifest, labels: Sequence[tuple[str, Sequence[Label]]]) -> None:
    with manifest.change():
        for sha256, some in labels:
            manifest.add_labels(sha256, some)


def _looked(said: Mapping[str, str]) -> Looked:
    bars = json.loads(said["bars"])
    window = bars["window"] and Box(*bars["window"])
    text = tuple(Box(*sides) for sides in json.loads(said.get("text", "[]")))
    return Looked(tuple(bars["size"]), Margins(*bars["margins"]), window, text)


def _logos(
    manifest: Manifest,
    group: Mapping[str, Standing],
    size: tuple[int, int],
    windows: Mapping[str, Box],
    keep: bool,
) -> list[Box]:
    """What stays on the pictures of one source and size, turned as they came; none where these are too few."""
    if len(group) < FEWEST:
        return []
    chosen = sorted(group)[:: -(-len(group) // MOST)]  # hashes are in no order of the scenes
    question, source = LOGOS
    key = hashlib.sha256("".join(chosen).encode()).hexdigest()
    if key in (known := manifest.said([key], {question: source})):
        return [Box(*sides) for sides in json.loads(known[key][question])]
    times = max(1.0, max(size) / SIDE)
    small = in_step(lambda sha256: _small(group[sha256], size, times), chosen)
    there = [(grey, windows.get(sha256)) for sha256, grey in zip(chosen, small, strict=True) if grey is not None]
    inside = [window and _scaled(window, 1 / times) for _, window in there]
    boxes = [_scaled(box, times) for box in find_logos([grey for grey, _ in there], inside)]
    sides = json.dumps([box.sides for box in boxes])
    _keep(manifest, [(key, [Label(question, sides, 1.0, source)])], keep)
    return boxes


def _small(file: Standing, size: tuple[int, int], times: float) -> NDArray[np.uint8] | None:
    """A file's grey values as they came, so many times smaller; None if it cannot be read, or is of another size."""
    import numpy as np
    from PIL import Image as Images

    try:
        with images.opened(read_file(file.path)) as image:
            grey = Images.fromarray(images.load_grey(image))
    except (OSError, PictureError):
        return None
    if grey.size != size:
        return None
    pixels = np.asarray(grey.resize((round(size[0] / times), round(size[1] / times)), Images.Resampling.BOX))
    return pixels[:, ::-1] if file.mirror else pixels


def _scaled(box: Box, times: float) -> Box:
    return Box(*(round(side * times) for side in box.sides))
