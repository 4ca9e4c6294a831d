"""steps -> disk, journalled, so that a run that is cut off at any moment leaves nothing lost and nothing half-written.

A batch of steps goes: make the bytes, journal the intents (on disk before a file is touched), write each file beside
its place and move it there in one step, journal that it is done. While one batch is written, the next is made ready.
`recover` settles what a cut-off run left open.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain, groupby, islice
from pathlib import Path

from sorter import files
from sorter.errors import LibraryError
from sorter.files import Found, found_at
from sorter.library.make import FindOriginal, Maker, Ready, inside, sha256_at
from sorter.library.plan import digits, key
from sorter.library.store.contents import Intent, Placed, content_from
from sorter.library.store.manifest import Manifest
from sorter.records import Drop, Output, Put, Shard, Step, Unreadable
from sorter.threads import in_step

BATCH = 128
"""Steps between two writings of the journal; the most that a crash makes to be done again, twice over."""
WRITERS = 4
"""Threads that write files; they mostly wait for the disk."""


@dataclass(frozen=True, slots=True)
class Done:
    """A step that was carried out."""

    step: Step


Outcome = Done | Unreadable


def apply(steps: Iterable[Step], manifest: Manifest, run: int, originals: FindOriginal) -> Iterator[Outcome]:
    """Carry out steps in their order; each yields Done, or Unreadable with the reason why it was left.

    A Drop is left if a Put for the same picture failed, so that a picture is never without a place. The manifest knows
    of a step some steps later.
    Raises LibraryError where the library itself cannot be written (full, read-only); what was done, stays done.
    """
    with ThreadPoolExecutor(WRITERS) as writers:
        batches = _Batches(manifest, run, originals, writers)
        for batch in _in_batches(steps):
            if isinstance(batch[0], Drop):  # whether it is safe is known when the puts are done
                yield from batches.finish()
            yield from batches.begin(batch)
        yield from batches.finish()


def recover(manifest: Manifest) -> int:
    """Settle the steps that a cut-off run announced: adopt what is whole, give up the rest. How many there were."""
    open_steps = manifest.journal.unsettled()
    _clear_away([inside(manifest.root, intent.path) for intent in open_steps])
    for intent in open_steps:
        target = inside(manifest.root, intent.path)
        stands = sha256_at(target)
        with manifest.change():
            if intent.after is None:
                if stands is None:
                    manifest.forget_placed(intent.path)
                manifest.journal.settle([(intent, stands is None)])
            else:
                if stands == intent.sha256:
                    output = Output(intent.path, content_from(intent.after))
                    manifest.set_placed(_placed(output, intent.sha256, found_at(target)))
                manifest.journal.settle([(intent, stands == intent.sha256)])
    return len(open_steps)


def _clear_away(targets: list[Path]) -> None:
    """Remove what a run that was cut off left beside these places."""
    names: dict[Path, set[str]] = {}
    for target in targets:
        names.setdefault(target.parent, set()).add(target.name)
    for folder, there in names.items():
        files.clear_away(folder, there)


@dataclass
class _Batches:
    """Two batches of steps at most are in hand: one that is being written, and one that is made ready."""

    manifest: Manifest
    run: int
    originals: FindOriginal
    writers: ThreadPoolExecutor
    failed: set[str] = field(default_factory=set)
    """Of which a step failed: see `_names`."""
    writing: list[tuple[list[tuple[Ready, Intent]], Future[list[Found | Unreadable | None]]]] = field(
        default_factory=list
    )
    """Each writer's share of the batch that is being written, and what will have become of it."""

    def begin(self, batch: list[Step]) -> Iterator[Outcome]:
        """Make a batch ready, finish the one before, and have this one written. What became of the one before."""
        standing = self.manifest.placed_with(key(step.output.path) for step in batch)
        worker = Maker(self.manifest, self.originals, standing)
        ready = []
        makes = in_step(worker.make, _without(batch, self.failed), is_light=worker.is_light)
        for step, made in zip(batch, makes, strict=True):
            if isinstance(made, Unreadable):
                self.failed |= _names(step)
                yield made
            else:
                ready.append(made)
        outcomes = self._wait()
        with self.manifest.change():
            done = self._record(outcomes)
            intents = self.manifest.journal.intend(self.run, ((one.step, one.sha256, one.held) for one in ready))
        planned = list(zip(ready, intents, strict=True))
        shares = (planned[start::WRITERS] for start in range(WRITERS))
        self.writing = [
            (share, self.writers.submit(_touch_all, self.manifest.root, [one for one, _ in share])) for share in shares
        ]
        yield from done

    def finish(self) -> Iterator[Outcome]:
        """Wait for the batch that is being written. What became of it."""
        if self.writing:
            outcomes = self._wait()
            with self.manifest.change():
                done = self._record(outcomes)
            self.writing = []
            yield from done

    def _wait(self) -> list[list[Found | Unreadable | None]]:
        try:
            return [future.result() for _, future in self.writing]
        except OSError as found:
            # The journal keeps the intents open: the next run adopts what is whole and gives up the rest.
            name = found.filename or self.manifest.root
            raise LibraryError(
                f"{name}: cannot be written: {found.strerror}; make room or choose another folder"
            ) from None

    def _record(self, outcomes: list[list[Found | Unreadable | None]]) -> list[Outcome]:
        done: list[Outcome] = []
        placed = []
        settled = []
        written = chain.from_iterable(share for share, _ in self.writing)
        for (ready, intent), outcome in zip(written, chain.from_iterable(outcomes), strict=True):
            settled.append((intent, not isinstance(outcome, Unreadable)))
            if isinstance(outcome, Found):
                placed.append(_placed(ready.step.output, ready.sha256, outcome))
            elif outcome is None:
                self.manifest.forget_placed(intent.path)
            else:
                self.failed |= _names(ready.step)
            done.append(outcome if isinstance(outcome, Unreadable) else Done(ready.step))
        self.manifest.set_placed(*placed)
        self.manifest.journal.settle(settled)
        return done


def _touch_all(root: Path, share: list[Ready]) -> list[Found | Unreadable | None]:
    return [_touch(root, one) for one in share]


def _touch(root: Path, ready: Ready) -> Found | Unreadable | None:
    """Write or remove one file; what stands there afterwards, or why it could not be touched."""
    target = inside(root, ready.step.output.path)
    try:
        if isinstance(ready.step, Put):
            files.write(target, ready.data)
            return found_at(target)
        if not ready.same_file:
            files.remove(target, root)
        return None
    except PermissionError:
        return Unreadable(target, "protected, or open in another program, so it was left")
    except (FileExistsError, NotADirectoryError, IsADirectoryError):  # a file where a folder should be, or the reverse
        return Unreadable(target, "a file that is not ours stands there, so it was left")


def _names(step: Step) -> set[str]:
    """By what the files of one picture know each other, be they renamed by hand or not."""
    return {key(step.output.path), digits(step.output)}


def _without(batch: list[Step], failed: set[str]) -> Iterator[Step | Unreadable]:
    """The batch, with the drops of pictures whose put failed turned into reports."""
    for step in batch:
        if isinstance(step, Drop) and not failed.isdisjoint(_names(step)):
            yield Unreadable(Path(step.output.path), "kept, since its new place could not be written")
        else:
            yield step


def _in_batches(steps: Iterable[Step]) -> Iterator[list[Step]]:
    """Batches that hold puts only or drops only; a shard, which may be large, is one of its own."""
    for (_, is_large), of_kind in groupby(steps, lambda step: (type(step), isinstance(step.output.content, Shard))):
        while batch := list(islice(of_kind, 1 if is_large else BATCH)):
            yield batch


def _placed(output: Output, sha256: str, file: Found) -> Placed:
    return Placed(output, sha256, file.size, file.modified)
