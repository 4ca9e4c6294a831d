"""steps -> disk, journalled, so that a run that is cut off at any moment leaves nothing lost and nothing half-written.

A batch of steps goes: make the bytes, journal the intents (on disk before a file is touched), write each file beside
its place and move it there in one step, journal that it is done. `recover` settles what a cut-off run left open.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath

from sorter.classify.images import render
from sorter.classify.predict import in_step
from sorter.classify.scan import Found, found_at
from sorter.errors import LibraryError, PictureError
from sorter.library.contents import Intent, Placed, content_from
from sorter.library.manifest import Manifest
from sorter.library.plan import stem
from sorter.records import Drop, Output, Put, Render, Step, Unreadable

BATCH = 32
"""Steps between two writings of the journal; the most that a crash makes to be done again."""
PART = ".part"

FindOriginal = Callable[[str], Iterable[Path]]
"""sha256 -> the files that may hold the picture of that hash."""


@dataclass(frozen=True, slots=True)
class Done:
    """A step that was carried out."""

    step: Step


@dataclass(frozen=True, slots=True)
class _Ready:
    step: Step
    data: bytes
    same_file: bool = False
    """A drop of what is, on a disk that ignores case, also the name of a file that stays."""

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest() if isinstance(self.step, Put) else ""


def apply(steps: Iterable[Step], manifest: Manifest, run: int, originals: FindOriginal) -> Iterator[Done | Unreadable]:
    """Carry out steps in their order; each yields Done, or Unreadable with the reason why it was left.

    A Drop is left if a Put for the same picture failed, so that a picture is never without a place.
    Raises LibraryError where the library itself cannot be written (full, read-only); what was done, stays done.
    """
    failed: set[str] = set()
    worker = _Worker(manifest, originals)
    for batch in _in_batches(steps):
        ready: list[_Ready] = []
        for step, made in zip(batch, in_step(worker.make, _without(batch, failed)), strict=True):
            if isinstance(made, Unreadable):
                failed.add(stem(step.output))
                yield made
            else:
                ready.append(made)
        for outcome in _carry_out(manifest, run, ready):
            if isinstance(outcome, Unreadable):
                failed.add(outcome.path.stem)
            yield outcome


def recover(manifest: Manifest) -> int:
    """Settle the steps that a cut-off run announced: adopt what is whole, give up the rest. How many there were."""
    open_steps = manifest.journal.unsettled()
    for intent in open_steps:
        target = inside(manifest.root, intent.path)
        with suppress(FileNotFoundError):
            _part(target).unlink()
        stands = _sha256(target)
        with manifest.change():
            if intent.after is None:
                if stands is None:
                    manifest.forget_placed(intent.path)
                manifest.journal.settle(intent, done=stands is None)
            else:
                if stands == intent.sha256:
                    manifest.set_placed(_placed(intent, found_at(target)))
                manifest.journal.settle(intent, done=stands == intent.sha256)
    return len(open_steps)


def inside(root: Path, path: str) -> Path:
    """The place of an output. Raises LibraryError where it would lie outside the library."""
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or any(part == ".." or "\\" in part or ":" in part for part in parts):
        raise LibraryError(f"{path!r}: would lie outside {root}; this is a fault in a layout")
    return root.joinpath(*parts)


class _Worker:
    """Makes the bytes of a step; called from several threads."""

    def __init__(self, manifest: Manifest, originals: FindOriginal) -> None:
        self.manifest, self.originals = manifest, originals

    def make(self, step: Step | Unreadable) -> _Ready | Unreadable:
        if isinstance(step, Unreadable):
            return step
        target = inside(self.manifest.root, step.output.path)
        held = self.manifest.placed_at(step.output.path)
        stands = _sha256(target)
        if isinstance(step, Drop):
            if stands is not None and (held is None or stands != held.sha256):
                return Unreadable(target, "changed by hand, so it was left")
            return _Ready(step, b"", same_file=self._stays_by_another_name(step.output, target))
        try:
            ready = _Ready(step, self._content(step.output))
        except PictureError as found:
            return Unreadable(target, str(found))
        if stands is not None and stands not in (held and held.sha256, ready.sha256):
            return Unreadable(target, "a file that is not ours stands there, so it was left")
        return ready

    def _stays_by_another_name(self, output: Output, target: Path) -> bool:
        """After `Happy` became `happy`, both names mean one folder on Windows and macOS."""
        others = [one.output.path for one in self.manifest.placed(stem(output)) if one.output.path != output.path]
        return target.exists() and any(
            other.casefold() == output.path.casefold() and target.samefile(self.manifest.root / other)
            for other in others
            if (self.manifest.root / other).exists()
        )

    def _content(self, output: Output) -> bytes:
        if not isinstance(output.content, Render):
            return output.content.text.encode()
        suffix = PurePosixPath(output.path).suffix
        for placed in self.manifest.placed(stem(output)):
            # The same content in another folder: it need not be decoded and encoded again, nor the original be there.
            if placed.output.content == output.content and PurePosixPath(placed.output.path).suffix == suffix:
                data = _read(inside(self.manifest.root, placed.output.path))
                if data is not None and hashlib.sha256(data).hexdigest() == placed.sha256:
                    return data
        tried: Path | None = None
        for tried in self.originals(output.content.sha256):
            data = _read(tried)
            if data is not None and hashlib.sha256(data).hexdigest() == output.content.sha256:
                return render(data, output.content, suffix, self.manifest.knows(output.content.sha256))
        raise PictureError(f"the original is gone or has changed: {tried or output.content.sha256[:10]}")


def _carry_out(manifest: Manifest, run: int, ready: list[_Ready]) -> Iterator[Done | Unreadable]:
    with manifest.change():
        intents = [_intend(manifest, run, one) for one in ready]
    try:
        outcomes = list(in_step(lambda item: _touch(manifest.root, item), ready))
    except OSError as found:
        # The journal keeps the intents open: the next run adopts what is whole and gives up the rest.
        name = found.filename or manifest.root
        raise LibraryError(f"{name}: cannot be written: {found.strerror}; make room or choose another folder") from None
    with manifest.change():
        for intent, outcome in zip(intents, outcomes, strict=True):
            if outcome is None:
                manifest.forget_placed(intent.path)
            elif isinstance(outcome, Found):
                manifest.set_placed(_placed(intent, outcome))
            manifest.journal.settle(intent, done=not isinstance(outcome, Unreadable))
    for one, outcome in zip(ready, outcomes, strict=True):
        yield outcome if isinstance(outcome, Unreadable) else Done(one.step)


def _intend(manifest: Manifest, run: int, ready: _Ready) -> Intent:
    held = manifest.placed_at(ready.step.output.path)
    return manifest.journal.intend(run, ready.step, ready.sha256, held.output if held else None)


def _touch(root: Path, ready: _Ready) -> Found | Unreadable | None:
    """Write or remove one file; what stands there afterwards, or why it could not be touched."""
    target = inside(root, ready.step.output.path)
    try:
        if isinstance(ready.step, Put):
            _write(target, ready.data)
            return found_at(target)
        if not ready.same_file:
            _patiently(lambda: target.unlink(missing_ok=True))
            _remove_empty(target.parent, root)
        return None
    except PermissionError:
        return Unreadable(target, "protected, or open in another program, so it was left")


def _write(target: Path, data: bytes) -> None:
    """Write beside the place, then move there in one step. Nothing is left over where that fails."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = _part(target)
    try:
        with open(part, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        _patiently(lambda: os.replace(part, target))
    except OSError:
        with suppress(OSError):
            part.unlink()
        raise


def _patiently(act: Callable[[], None]) -> None:
    """On Windows a virus scanner or a viewer may hold a file for a moment."""
    for pause in (0.1, 0.3, 1.0) if os.name == "nt" else ():
        try:
            return act()
        except PermissionError:
            time.sleep(pause)
    return act()


def _without(batch: Iterable[Step], failed: set[str]) -> Iterator[Step | Unreadable]:
    """The batch, with the drops of pictures whose put failed turned into reports."""
    for step in batch:
        if isinstance(step, Drop) and stem(step.output) in failed:
            yield Unreadable(Path(step.output.path), "kept, since its new place could not be written")
        else:
            yield step


def _in_batches(steps: Iterable[Step]) -> Iterator[tuple[Step, ...]]:
    """Batches that hold puts only or drops only: whether a drop is safe is known when the puts are done."""
    steps = list(steps)
    for kind in (Put, Drop):
        of_kind = (step for step in steps if isinstance(step, kind))
        while batch := tuple(islice(of_kind, BATCH)):
            yield batch


def _remove_empty(folder: Path, root: Path) -> None:
    with suppress(OSError):  # not empty: that is where to stop
        while folder != root:
            folder.rmdir()
            folder = folder.parent


def _part(target: Path) -> Path:
    return target.with_name(target.name + PART)


def _placed(intent: Intent, file: Found) -> Placed:
    output = Output(intent.path, content_from(str(intent.after)))
    return Placed(output, intent.sha256, file.size, file.modified)


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _sha256(path: Path) -> str | None:
    data = _read(path)
    return None if data is None else hashlib.sha256(data).hexdigest()
