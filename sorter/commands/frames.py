"""`sorter frames`: videos -> a folder of pictures, to be sorted. Writes those, and what it has taken so far."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from sorter.classify.stills import WARM_UP, Scene, Wanted, stills
from sorter.commands.frames_done import Done, Taken, fingerprint, held, read_done
from sorter.errors import LibraryError, VideoError
from sorter.files import Found, clear_away, found_at, write
from sorter.library.names import frame_stem
from sorter.pictures.frame import Video
from sorter.pictures.images import encode
from sorter.pictures.scan import PassedOver, walk
from sorter.pictures.video import SUFFIXES, Damage, look, read, what_is_lost
from sorter.records import Unreadable
from sorter.tally import Report, Track, silent, some
from sorter.text import is_text, visible
from sorter.threads import in_step

SAVE_EVERY = 5.0
"""Seconds between two notes of how far a video was read; a run that is killed reads these again."""
WRITERS, MOST_AHEAD = 4, 8
"""Threads that write, which wait for the disk for the most part; and scenes that are read before their frames stand."""


@dataclass(frozen=True, slots=True)
class Form:
    """How frames are written."""

    format: str = "jpg"
    """Their ending: jpg or png."""
    quality: int = 95
    """Of a JPEG, 1 to 100."""
    keep_bars: bool = False


@dataclass
class _Run:
    to: Path
    wanted: Wanted
    form: Form
    done: Done
    dry_run: bool
    track: Track[Any]
    report: Report = field(default_factory=Report)
    said: dict[str, list[str]] = field(default_factory=dict)
    """What was done to some videos -> their names."""


def frames(
    sources: Iterable[Path],
    to: Path,
    wanted: Wanted | None = None,
    form: Form | None = None,
    dry_run: bool = False,
    track: Track[Any] = silent,
) -> Report:
    """Take frames of videos, and of the videos in folders, into the folder `to`; none that stands is written again.

    Raises LibraryError where `to` cannot be used, or holds frames that were taken with other options.
    """
    wanted, form, to = wanted or Wanted(), form or Form(), to.absolute()
    if (to / ".modelsheet").exists():
        raise LibraryError(f"{to}: is a library; give a folder for the frames alone, and sort that into the library")
    with nullcontext() if dry_run else held(to):
        if not dry_run:
            clear_away(to)
        run = _Run(to, wanted, form, read_done(to, asdict(wanted) | asdict(form)), dry_run, track)
        passed = PassedOver()
        for one in _videos(sources, to, passed):
            run.report.counts["videos"] += 1
            reason = one.reason if isinstance(one, Unreadable) else _take(run, one.path)
            if reason:
                run.report.failures.append(Unreadable(one.path, reason))
        run.report.passed_over.update(passed.endings + Counter([path.suffix.lower() for path in passed.texts]))
    run.report.notes += [f"{len(names)} {what}: {some(names)}" for what, names in run.said.items()]
    return run.report


def _videos(sources: Iterable[Path], to: Path, passed: PassedOver) -> Iterator[Found | Unreadable]:
    """The files that are named, and those in folders that have a video's ending; each once."""
    seen: set[Path] = set()
    for source in sources:
        for one in walk(source, to, passed, SUFFIXES) if source.is_dir() else [_named(source.absolute())]:
            if one.path not in seen:
                seen.add(one.path)
                yield one


def _named(path: Path) -> Found | Unreadable:
    if not is_text(str(path)):
        return Unreadable(path, "its name is not UTF-8; rename it")
    try:
        return found_at(path)
    except OSError as found:
        return Unreadable(path, f"cannot be read: {found.strerror}")


def _take(run: _Run, path: Path) -> str:
    """Take frames of one video; what is wrong with it, or nothing."""
    try:
        taken = run.done.videos.get(mark := fingerprint(path))
        if taken and taken.is_done:
            run.report.counts["videos done before"] += 1
            return taken.said
        video = look(path)
    except VideoError as found:
        return str(found)
    except OSError as found:
        return f"cannot be read: {found.strerror}"
    taken = run.done.of(path, mark)
    if run.form.keep_bars:
        video = replace(video, bars=None)
    _say_of(run, video)
    try:
        _write_scenes(run, video, taken)
    finally:
        if not run.dry_run:
            run.done.save(run.to)
    return taken.said


def _write_scenes(run: _Run, video: Video, taken: Taken) -> None:
    damage = Damage()
    start, name = taken.until, visible(video.path.name)
    total = int((video.seconds - start) * video.rate) if video.seconds else None
    decoded = run.track(read(video, max(0.0, start - WARM_UP), damage), name, total)
    scenes = stills(video, decoded, run.wanted, start, taken.hashes)
    saved = time.monotonic()
    for scene, new in in_step(partial(_write, run, taken.stem), scenes, WRITERS, most_ahead=MOST_AHEAD):
        run.report.counts["to be written" if run.dry_run else "written"] += new
        run.report.counts["stood already"] += len(scene.hashes) - new
        run.report.unwanted.update({f"frames {why}": count for why, count in scene.passed.items()})
        taken.frames += len(scene.hashes)
        taken.hashes += scene.hashes
        if scene.end < math.inf:
            taken.until = scene.end
        if not run.dry_run and time.monotonic() - saved > SAVE_EVERY:
            run.done.save(run.to)
            saved = time.monotonic()
    taken.is_done, taken.said = True, what_is_lost(video, damage)
    if not taken.frames and not taken.said:
        taken.said = "no frame of it was taken: all are black, plain, or of cross-fades"


def _write(run: _Run, stem: str, scene: Scene) -> tuple[Scene, int]:
    """Write a scene's frames; how many did not stand already."""
    new = 0
    for frame in scene.frames:
        path = run.to / f"{frame_stem(stem, frame.seconds)}.{run.form.format}"
        if path.exists():
            continue
        new += 1
        if run.dry_run:
            continue
        try:
            write(path, encode(frame.pixels(), f".{run.form.format}", run.form.quality))
        except OSError as found:
            raise LibraryError(f"{path}: cannot be written: {found.strerror}") from None
    return replace(scene, frames=()), new  # a disk may be slow: what waits for its turn holds no pictures


def _say_of(run: _Run, video: Video) -> None:
    name = visible(video.path.name)
    if box := video.bars:
        cut = f"{name} ({box.right - box.left}x{box.bottom - box.top} are left)"
        run.said.setdefault("videos have black bars, which are cut", []).append(cut)
    if video.is_hdr:
        run.said.setdefault("videos are HDR; their frames are mapped to ordinary colours", []).append(name)
    if video.is_interlaced:
        run.said.setdefault("videos are interlaced; their fields are made into whole frames", []).append(name)
